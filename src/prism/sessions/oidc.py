"""OpenID Connect: the authorization code flow with PKCE, and what is believed of its answers.

What a login needs to go on is in a cookie of the browser that began it, never in a store that
others share: state, nonce and verifier are of no use to another browser.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import msgspec
from msgspec import Struct

from prism.certificates import client_context
from prism.kit.clock import Clock
from prism.sessions.model import LoginRefused, ProviderUnavailable

if TYPE_CHECKING:
    import httpx

# Signatures with the provider's own key only: none of these takes a public key for a secret.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
KEY_TYPES = {"RSA", "EC", "OKP"}
HALF_HASHES: Mapping[str, str] = {
    "256": "sha256",
    "384": "sha384",
    "512": "sha512",
    "DSA": "sha512",
}
LEEWAY_SECONDS = 60  # by which the clocks may differ
LOGIN_SECONDS = 600  # that a person has at the provider
DISCOVERY_LIFE = timedelta(hours=1)
HTTP_TIMEOUT = 10.0  # seconds
MAX_ANSWER_BYTES = 1024 * 1024
MAX_GROUPS = 2000  # of a person
MAX_HINT = 3500  # characters of a cookie, and of an address; browsers keep cookies of 4096
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
LOGIN_AGAIN = "Begin again: open /login"


class OidcSettings(Struct, frozen=True, kw_only=True):
    """How this daemon is known to the provider."""

    issuer: str
    client_id: str
    client_secret: str
    domains: frozenset[str]
    redirect_uri: str
    name: str = ""
    """Empty for the provider of the settings; those of the file have a callback each."""
    scopes: tuple[str, ...] = ()
    groups_claim: str | None = None
    """The claim with the person's groups, if something follows from them."""


class LoginAttempt(Struct, frozen=True):
    """A login that is under way, as the browser's cookie has it."""

    state: str
    nonce: str
    verifier: str
    to: str
    until: int
    """In seconds since 1970."""
    provider: str = ""
    """The name of the provider that the browser was led to."""

    def cookie(self) -> str:
        """The value of the cookie."""
        return base64.urlsafe_b64encode(msgspec.json.encode(self)).decode()

    @staticmethod
    def read(cookie: str | None) -> LoginAttempt | None:
        """The login of a cookie; None if there is none, or it is not ours."""
        try:
            return msgspec.json.decode(base64.urlsafe_b64decode(cookie or ""), type=LoginAttempt)
        except (ValueError, msgspec.DecodeError):
            return None


ISS_PARAMETER = "authorization_response_iss_parameter_supported"


class IdentityProvider(Struct, frozen=True, rename={"iss": ISS_PARAMETER}):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    token_endpoint_auth_methods_supported: Sequence[str] = ("client_secret_basic",)
    iss: bool = False


class Claims(Struct, frozen=True):
    """What is believed of a person, after every check."""

    subject: str
    email: str
    verified: bool
    session: str | None
    groups: frozenset[str] = frozenset()
    hint: str | None = None
    """The token that says all this, which a logout at the provider may need."""


class Logout(Struct, frozen=True):
    """Whom the provider has logged out, and when."""

    subject: str | None
    session: str | None
    at: int


def http_client() -> httpx.Client:
    """Connections that trust what the system trusts, and do not follow redirects."""
    import httpx  # noqa: PLC0415  cold start: only daemons with a provider log in

    return httpx.Client(verify=client_context(os.environ), follow_redirects=False)


def refused(details: str) -> LoginRefused:
    """The problem if an answer of the provider, or of somebody in its place, is not believed."""
    return LoginRefused("You were not logged in", details=details, remediation=LOGIN_AGAIN)


def local_path(to: str) -> str:
    """A path of this daemon, and nothing that a browser takes for another host."""
    parts = urlsplit(to)
    is_path = to.startswith("/") and not to.startswith(("//", "/\\")) and to.isprintable()
    return to if is_path and not parts.netloc and not parts.scheme and "\\" not in to else "/"


class OidcClient:
    """Speaks with one provider; `client` makes the connections."""

    def __init__(
        self, settings: OidcSettings, clock: Clock, client: Callable[[], httpx.Client]
    ) -> None:
        self.settings, self._clock, self._client = settings, clock, client
        self._known: tuple[datetime, IdentityProvider] | None = None

    def begin(self, to: str) -> tuple[str, LoginAttempt]:
        """The provider's address for a new login, and what the browser keeps of it."""
        provider = self.provider()
        attempt = LoginAttempt(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            to=local_path(to),
            until=self._now() + LOGIN_SECONDS,
            provider=self.settings.name,
        )
        challenge = hashlib.sha256(attempt.verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": self.settings.redirect_uri,
            "scope": " ".join(("openid", "email", *self.settings.scopes)),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": base64.urlsafe_b64encode(challenge).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        }
        separator = "&" if "?" in provider.authorization_endpoint else "?"
        return f"{provider.authorization_endpoint}{separator}{urlencode(query)}", attempt

    def finish(self, attempt: LoginAttempt | None, answer: Mapping[str, str]) -> Claims:
        """Who has logged in, by the parameters of the callback; raises `LoginRefused`."""
        if attempt is None or attempt.until <= self._now():
            raise refused("this browser has begun no login in the last ten minutes")
        if not hmac.compare_digest(attempt.state.encode(), answer.get("state", "").encode()):
            raise refused("the answer belongs to another login")
        if attempt.provider != self.settings.name:  # one provider passes on the code of another
            raise refused("the answer is of another identity provider")
        provider = self.provider()
        if ("iss" in answer or provider.iss) and answer.get("iss") != self.settings.issuer:
            raise refused("the answer is of another identity provider")
        if "error" in answer or not answer.get("code"):
            error = "".join(c for c in answer.get("error", "no code") if c.isalnum() or c in "_ ")
            raise refused(f"the identity provider says: {error[:60]}")
        tokens = self._exchange(provider, answer["code"], attempt.verifier)
        access = tokens.get("access_token")
        claims = self._verified(provider, tokens.get("id_token"))
        check_id_token(claims[1], self.settings.client_id, attempt.nonce)
        check_at_hash(claims[1], str(claims[0].get("alg")), access)
        token = str(tokens["id_token"])
        hint = token if len(token) <= MAX_HINT else None
        return msgspec.structs.replace(self._person(provider, claims[1], access), hint=hint)

    def logout(self, token: str) -> Logout:
        """Whom a logout token of the provider is about; raises `LoginRefused`."""
        _, claims = self._verified(self.provider(), token)
        events, issued = claims.get("events"), claims.get("iat")
        if not isinstance(events, dict) or LOGOUT_EVENT not in events or "nonce" in claims:
            raise refused("it is no logout token")
        if not isinstance(claims.get("jti"), str) or not isinstance(issued, int):
            raise refused("the logout token lacks `jti` or `iat`")
        check_audience(claims, self.settings.client_id)
        subject, session = claims.get("sub"), claims.get("sid")
        if not (isinstance(subject, str) or isinstance(session, str)):
            raise refused("the logout token names nobody")
        return Logout(subject, session, issued)

    def provider(self) -> IdentityProvider:
        """What the provider says of itself; asked for again after an hour."""
        if self._known and self._known[0] > self._clock.now():
            return self._known[1]
        address = self.settings.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            provider = msgspec.convert(self._json("GET", address), IdentityProvider)
        except msgspec.ValidationError as error:
            raise ProviderUnavailable(details=f"{address}: {error}") from error
        if provider.issuer != self.settings.issuer:
            raise ProviderUnavailable(
                details=f"{address} describes another issuer: {provider.issuer[:200]}",
                remediation="Set PRISM_OIDC_ISSUER to exactly what the provider calls itself",
            )
        for endpoint in (
            provider.authorization_endpoint,
            provider.token_endpoint,
            provider.jwks_uri,
        ):
            if urlsplit(endpoint).scheme not in {self._scheme, "https"}:
                raise ProviderUnavailable(details=f"{endpoint[:200]} is without TLS")
        self._known = (self._clock.now() + DISCOVERY_LIFE, provider)
        return provider

    def _exchange(self, provider: IdentityProvider, code: str, verifier: str) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.settings.redirect_uri,
            "code_verifier": verifier,
        }
        id, secret = self.settings.client_id, self.settings.client_secret
        login: dict[str, Any] = {"auth": (quote(id, safe=""), quote(secret, safe=""))}
        if "client_secret_basic" not in provider.token_endpoint_auth_methods_supported:
            login = {}
            form |= {"client_id": id, "client_secret": secret}
        return self._json("POST", provider.token_endpoint, data=form, **login)

    def _verified(
        self, provider: IdentityProvider, token: object
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The header and the claims of a token that the provider has signed for now."""
        from joserfc import jwt  # noqa: PLC0415  cold start: only daemons with a provider log in
        from joserfc.errors import JoseError  # noqa: PLC0415  cold start
        from joserfc.jwk import KeySet  # noqa: PLC0415  cold start

        if not isinstance(token, str):
            raise refused("the identity provider sent no token")
        keys = self._json("GET", provider.jwks_uri).get("keys", [])
        own = [key for key in keys if key.get("kty") in KEY_TYPES and key.get("use") != "enc"]
        try:
            decoded = jwt.decode(
                token, KeySet.import_key_set({"keys": own}), algorithms=[*ALGORITHMS]
            )
            registry = jwt.JWTClaimsRegistry(
                now=self._now(),
                leeway=LEEWAY_SECONDS,
                iss={"essential": True, "value": self.settings.issuer},
                aud={"essential": True},
                exp={"essential": LOGOUT_EVENT not in str(decoded.claims.get("events"))},
                iat={"essential": True},
            )
            registry.validate(decoded.claims)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise refused(f"its token is not valid ({type(error).__name__})") from error
        return dict(decoded.header), dict(decoded.claims)

    def _person(
        self, provider: IdentityProvider, claims: Mapping[str, Any], access: object
    ) -> Claims:
        """The person's address, from the token, else from where the provider keeps it."""
        subject, session = claims["sub"], claims.get("sid")
        source, groups_claim = claims, self.settings.groups_claim
        is_missing = "email" not in claims or (groups_claim or "email") not in claims
        if is_missing and provider.userinfo_endpoint and isinstance(access, str):
            headers = {"Authorization": f"Bearer {access}"}
            userinfo = self._json("GET", provider.userinfo_endpoint, headers=headers)
            if userinfo.get("sub") != subject:
                raise refused("the identity provider tells of another person")
            # What the provider has signed counts more. An address is verified where it stands.
            signed = ("email", "email_verified") if "email" in claims else ()
            source = {**userinfo, **{name: claims.get(name) for name in signed}}
            if groups_claim and groups_claim in claims:
                source[groups_claim] = claims[groups_claim]
        email = source.get("email")
        if not isinstance(email, str) or not email.isprintable() or email.count("@") != 1:
            raise refused("the identity provider gives no mail address")
        return Claims(
            subject,
            email.lower(),
            source.get("email_verified") is True,
            session if isinstance(session, str) else None,
            groups_of(source.get(groups_claim)) if groups_claim else frozenset(),
        )

    def logout_url(self, back: str, hint: str | None) -> str | None:
        """Where a person logs out at the provider; None if it has no such page.

        Some providers end nothing without the token of the login as a `hint`.
        """
        try:
            page = self.provider().end_session_endpoint
        except ProviderUnavailable:
            return None
        if page is None or urlsplit(page).scheme not in {"https", self._scheme}:
            return None
        query = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back}
        query |= {"id_token_hint": hint} if hint else {}
        return f"{page}{'&' if '?' in page else '?'}{urlencode(query)}"

    def _json(self, method: str, address: str, **more: Any) -> dict[str, Any]:
        """The object that the provider answers; redirects are not followed."""
        import httpx  # noqa: PLC0415  cold start: only daemons with a provider log in

        try:
            with self._client() as client:
                answer = client.request(method, address, timeout=HTTP_TIMEOUT, **more)
            value = msgspec.json.decode(answer.content[:MAX_ANSWER_BYTES])
        except (httpx.HTTPError, msgspec.DecodeError) as error:
            raise ProviderUnavailable(details=type(error).__name__) from error
        if answer.status_code == 400 and method == "POST":
            raise refused("the identity provider does not accept the code")
        if answer.status_code != 200 or not isinstance(value, dict):
            raise ProviderUnavailable(details=f"it answers with status {answer.status_code}")
        return value

    @property
    def _scheme(self) -> str:
        return urlsplit(self.settings.issuer).scheme

    def _now(self) -> int:
        return int(self._clock.now().timestamp())


def is_hint_of(token: str, subject: str | None) -> bool:
    """Whether a token is about this person: pages of other hosts can set a cookie, too.

    The provider checks who has signed it.
    """
    try:
        payload = token.split(".")[1]
        padding = "=" * (-len(payload) % 4)
        claims = msgspec.json.decode(base64.urlsafe_b64decode(payload + padding))
    except (IndexError, ValueError, msgspec.DecodeError):
        return False
    return isinstance(claims, dict) and subject is not None and claims.get("sub") == subject


def groups_of(claim: object) -> frozenset[str]:
    """The groups in a claim: a list of names, or one name."""
    names = claim if isinstance(claim, list) else [claim]
    return frozenset(name for name in names[:MAX_GROUPS] if isinstance(name, str) and name)


def check_id_token(claims: Mapping[str, Any], client_id: str, nonce: str) -> None:
    """Refuse a token for another client, or of another login."""
    check_audience(claims, client_id)
    received = claims.get("nonce")
    if not isinstance(received, str) or not hmac.compare_digest(received.encode(), nonce.encode()):
        raise refused("its token belongs to another login")
    if not isinstance(claims.get("sub"), str) or not 0 < len(claims["sub"]) <= 255:
        raise refused("its token names nobody")


def check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    """Refuse a token for somebody else, also one for us among others that another party uses."""
    audience = claims.get("aud")
    names = audience if isinstance(audience, list) else [audience]
    party = claims.get("azp", client_id if names == [client_id] else None)
    if client_id not in names or party != client_id:
        raise refused("its token is for another application")


def check_at_hash(claims: Mapping[str, Any], algorithm: str, access: object) -> None:
    """Refuse an access token that is not the one of this answer."""
    if "at_hash" not in claims:
        return
    name = HALF_HASHES.get(algorithm[-3:])
    if name is None or not isinstance(access, str):
        raise refused("its access token cannot be checked")
    digest = hashlib.new(name, access.encode()).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()
    if not hmac.compare_digest(half.encode(), str(claims["at_hash"]).encode()):
        raise refused("its access token belongs to another answer")
