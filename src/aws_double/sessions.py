"""Temporary credentials and logins: whose they are, until when, and how they are renewed.

- Temporary keys: IAM User Guide, "Temporary security credentials in IAM". After they expire,
  each service refuses them in its own words.
- `aws login`: AWS Sign-In API Reference, "CreateOAuth2Token"; the proof of possession is a DPoP
  header (RFC 9449), signed with the key of the login.
- IAM Identity Center: its portal API ("GetRoleCredentials") and OIDC API ("CreateToken").
"""

import base64
import hashlib
import itertools
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from aws_double.clock import Clock
from aws_double.protocols import Reply, Request
from aws_double.refusals import Refusal
from aws_double.tree import Tree

LOGIN_TOKEN, PORTAL_CREDENTIALS, PORTAL_TOKEN = "/v1/token", "/federation/credentials", "/token"
PATHS = {("POST", LOGIN_TOKEN), ("GET", PORTAL_CREDENTIALS), ("POST", PORTAL_TOKEN)}
KEYS_LAST = timedelta(minutes=15)  # of `aws login`, which renews them by itself
ROLE_LASTS = timedelta(hours=1)
EXPIRED = {
    "ec2": ("RequestExpired", "Request has expired.", 400),
    "sts": ("ExpiredToken", "The security token included in the request is expired", 403),
    "iam": ("ExpiredToken", "The security token included in the request is expired", 403),
}


@dataclass(frozen=True, slots=True)
class Session:
    """Whose some temporary keys are, and until when."""

    account: str
    arn: str
    ends: datetime


@dataclass(slots=True)
class _Login:
    """A person's login, of `aws login` or of Identity Center."""

    account: str
    arn: str
    key: ec.EllipticCurvePublicKey | None = None
    ended: str = ""  # AWS's `error` once it is over, such as TOKEN_EXPIRED


class Sessions:
    """All temporary keys and logins of the double."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self.portal_regions: dict[str, str] = {}
        """Where Identity Center is, by the name of each role that it has made."""
        self._logins: dict[str, _Login] = {}  # by refresh token or access token
        self._numbers = itertools.count(1)

    def of(self, key_id: str) -> Session | None:
        """Whose these keys are; None for a user's own keys."""
        return self._sessions.get(key_id)

    def check(self, key_id: str, service: str) -> None:
        """Refuse keys whose time is over."""
        session = self._sessions.get(key_id)
        if session is not None and session.ends <= self._clock.now():
            usual = "The security token included in the request is expired"
            raise Refusal(*EXPIRED.get(service, ("ExpiredTokenException", usual, 403)))

    def issue(self, account: str, arn: str, lasts: timedelta) -> Tree:
        """New temporary keys."""
        letters = hashlib.sha256(f"{arn}/{next(self._numbers)}".encode()).hexdigest().upper()
        key_id, ends = f"ASIA{letters[:16]}", self._clock.now() + lasts
        self._sessions[key_id] = Session(account, arn, ends)
        return {
            "AccessKeyId": key_id,
            "SecretAccessKey": letters[:40],
            "SessionToken": letters * 2,
            "Expiration": ends,
        }

    # -------------------------------------------------------------- what people do
    def log_in(self, account: str, user: str) -> Tree:
        """As `aws login` in a browser: the file that AWS's CLI writes to ~/.aws/login/cache."""
        key = ec.generate_private_key(ec.SECP256R1())
        arn = f"arn:aws:iam::{account}:user/{user}"
        refresh = self._new_login(_Login(account, arn, key.public_key()))
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return {
            "accessToken": self._login_keys(self._logins[refresh]),
            "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
            "refreshToken": refresh,
            "clientId": "arn:aws:signin:::devtools/same-device",
            "dpopKey": pem.decode(),
        }

    def log_in_to_portal(self, account: str, role: str, region: str) -> Tree:
        """As `aws sso login`: the file that AWS's CLI writes to ~/.aws/sso/cache."""
        letters = hashlib.sha256(role.encode()).hexdigest()[:16]
        name = f"AWSReservedSSO_{role}_{letters}"
        self.portal_regions[name] = region
        token = self._new_login(_Login(account, f"arn:aws:sts::{account}:assumed-role/{name}/ada"))
        ends = self._clock.now() + ROLE_LASTS * 8
        return {
            "startUrl": "https://example.awsapps.com/start",
            "region": region,
            "accessToken": token,
            "expiresAt": f"{ends:%Y-%m-%dT%H:%M:%SZ}",
        }

    def end_logins(self, error: str = "TOKEN_EXPIRED") -> None:
        """All logins are over: their keys too."""
        now = self._clock.now()
        for login in self._logins.values():
            login.ended = error
        for key_id, session in self._sessions.items():
            self._sessions[key_id] = Session(session.account, session.arn, now)

    # -------------------------------------------------------------- what programs do
    def answer(self, request: Request) -> Reply:
        """Requests without a signature, of the credential chain of an SDK."""
        if request.path == LOGIN_TOKEN:
            return self._renew(request)
        if request.path == PORTAL_CREDENTIALS:
            return self._role_credentials(request)
        return _refused(400, "InvalidGrantException", error="invalid_grant")

    def _renew(self, request: Request) -> Reply:
        body = json.loads(request.body)
        login = self._logins.get(body.get("refreshToken", ""))
        if login is None or login.ended or body.get("grantType") != "refresh_token":
            return _refused(
                400, "AccessDeniedException", error=login.ended if login else "TOKEN_EXPIRED"
            )
        if login.key is None or not _proven(request, login.key):
            return _refused(400, "ValidationException", error="INVALID_REQUEST")
        keys = self._login_keys(login)
        access = {name: keys[name] for name in ("accessKeyId", "secretAccessKey", "sessionToken")}
        answer = {
            "accessToken": access,
            "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
            "expiresIn": int(KEYS_LAST.total_seconds()),
            "refreshToken": self._new_login(login),
        }
        return _json(200, answer)

    def _role_credentials(self, request: Request) -> Reply:
        query = {name: values[0] for name, values in parse_qs(request.query).items()}
        login = self._logins.get(request.headers.get("x-amz-sso_bearer_token", ""))
        if login is None or login.ended:
            return _refused(401, "UnauthorizedException", message="Session token not found")
        prefix = f"AWSReservedSSO_{query.get('role_name')}_"
        if query.get("account_id") != login.account or prefix not in login.arn:
            return _refused(403, "ForbiddenException", message="No access")
        keys = self.issue(login.account, login.arn, ROLE_LASTS)
        answer = {
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"],
            "expiration": int(keys["Expiration"].timestamp() * 1000),
        }
        return _json(200, {"roleCredentials": answer})

    def _login_keys(self, login: _Login) -> Tree:
        keys = self.issue(login.account, login.arn, KEYS_LAST)
        return {
            "accessKeyId": keys["AccessKeyId"],
            "secretAccessKey": keys["SecretAccessKey"],
            "sessionToken": keys["SessionToken"],
            "accountId": login.account,
            "expiresAt": f"{keys['Expiration']:%Y-%m-%dT%H:%M:%SZ}",
        }

    def _new_login(self, login: _Login) -> str:
        token = hashlib.sha256(f"login/{next(self._numbers)}".encode()).hexdigest()
        self._logins[token] = login
        return token


def _proven(request: Request, key: ec.EllipticCurvePublicKey) -> bool:
    """Whether the DPoP header is signed with the key of the login, for this request."""
    try:
        head, claims, signature = request.headers["dpop"].split(".")
        raw = _decoded(signature)
        number = [int.from_bytes(half, "big") for half in (raw[:32], raw[32:])]
        der = utils.encode_dss_signature(*number)
        key.verify(der, f"{head}.{claims}".encode(), ec.ECDSA(hashes.SHA256()))
        claim = json.loads(_decoded(claims))
    except (KeyError, ValueError, InvalidSignature):
        return False
    return claim.get("htm") == "POST" and str(claim.get("htu", "")).endswith(LOGIN_TOKEN)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _refused(status: int, code: str, **body: Any) -> Reply:
    reply = _json(status, body)
    reply.headers["x-amzn-errortype"] = code
    return reply


def _json(status: int, body: Any) -> Reply:
    return Reply(status, json.dumps(body).encode(), {"content-type": "application/json"})
