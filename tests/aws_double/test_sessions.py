"""Temporary keys and logins: whose they are, when they end, and how an SDK renews them."""

import hashlib
import json
from datetime import timedelta

import boto3
import botocore.session
import pytest
from botocore.exceptions import ClientError, LoginRefreshRequired
from botocore.tokens import SSOTokenProvider

from tests.aws_double.boto import ACCOUNT, client, refusal_message, refused

ROLE = f"arn:aws:iam::{ACCOUNT}:role/lab"
TRUST = {
    "Statement": [
        {
            "Effect": "Allow",
            "Action": "sts:AssumeRole",
            "Condition": {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
        }
    ]
}


def with_keys(aws, service, keys):
    return boto3.client(
        service,
        region_name="us-east-1",
        endpoint_url=aws.url,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


@pytest.mark.parametrize(
    ("service", "ask", "code"),
    [
        ("ec2", "describe_vpcs", "RequestExpired"),
        ("sts", "get_caller_identity", "ExpiredToken"),
        ("efs", "describe_file_systems", "ExpiredTokenException"),
    ],
)
def test_keys_of_a_role_belong_to_its_session_until_they_expire(aws, service, ask, code):
    """The keys of AssumeRole are the session's; once expired, each service says so in its way.

    Common errors of EC2 (RequestExpired) and of STS (ExpiredToken)
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
    https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
    """
    keys = client(aws, "sts").assume_role(RoleArn=ROLE, RoleSessionName="ada")["Credentials"]
    caller = with_keys(aws, "sts", keys).get_caller_identity()
    assert caller["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/lab/ada"
    call = getattr(with_keys(aws, service, keys), ask)
    assert call()
    aws.clock.advance(3600)
    refused(code, call)


def test_role_that_asks_for_mfa_needs_the_code(aws):
    """With `aws:MultiFactorAuthPresent` in its trust, a role is assumed with a code only.

    Secure API access with MFA
    https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_mfa_configure-api-require.html
    """
    trust = json.dumps(TRUST)
    client(aws, "iam").create_role(RoleName="lab", AssumeRolePolicyDocument=trust)
    sts, order = client(aws, "sts"), {"RoleArn": ROLE, "RoleSessionName": "ada"}
    assert "sts:AssumeRole" in refusal_message("AccessDenied", sts.assume_role, **order)
    mfa = {**order, "SerialNumber": f"arn:aws:iam::{ACCOUNT}:mfa/ada"}
    wrong = refusal_message("AccessDenied", sts.assume_role, **mfa, TokenCode="999999")
    assert "invalid MFA one time pass code" in wrong
    assert sts.assume_role(**mfa, TokenCode="123456")["Credentials"]


@pytest.fixture
def login(aws, tmp_path, monkeypatch):
    """A profile after `aws login`, by which botocore finds its keys."""
    for name, value in aws.environ().items():
        if "KEY" not in name:
            monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    session = f"arn:aws:iam::{ACCOUNT}:user/ada"
    config, cache = tmp_path / "config", tmp_path / "cache"
    config.write_text(f"[profile lab]\nlogin_session = {session}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(cache))
    cache.mkdir()
    file = cache / f"{hashlib.sha256(session.encode()).hexdigest()}.json"
    file.write_text(json.dumps(aws.sessions.log_in(ACCOUNT, "ada")))
    return file


def test_login_renews_its_keys_with_a_proof_until_it_is_over(aws, login):
    """CreateOAuth2Token gives new keys for the refresh token, once, signed by the login's key.

    CreateOAuth2Token
    https://docs.aws.amazon.com/signin/latest/APIReference/API_CreateOAuth2Token.html
    """
    before = json.loads(login.read_text())
    keys = botocore.session.Session(profile="lab").get_credentials().get_frozen_credentials()
    assert keys.access_key == before["accessToken"]["accessKeyId"]
    for change in ("accessToken", "dpopKey"):
        token = json.loads(login.read_text())
        if change == "accessToken":
            token["accessToken"]["expiresAt"] = "2020-01-01T00:00:00Z"
        else:
            token["dpopKey"] = aws.sessions.log_in(ACCOUNT, "eve")["dpopKey"]
            token["accessToken"]["expiresAt"] = "2020-01-01T00:00:00Z"
        login.write_text(json.dumps(token))
        session = botocore.session.Session(profile="lab")
        if change == "accessToken":
            renewed = session.get_credentials().get_frozen_credentials()
            assert renewed.access_key != keys.access_key
            assert json.loads(login.read_text())["refreshToken"] != before["refreshToken"]
        else:
            with pytest.raises(ClientError, match="ValidationException"):
                session.get_credentials().get_frozen_credentials()
    login.write_text(json.dumps(before | {"accessToken": token["accessToken"]}))
    aws.sessions.end_logins()
    with pytest.raises(LoginRefreshRequired):
        botocore.session.Session(profile="lab").get_credentials().get_frozen_credentials()


def test_identity_center_gives_the_keys_of_a_role_for_a_login(aws, login, tmp_path, monkeypatch):
    """GetRoleCredentials gives keys for the portal's token, for roles that the person has.

    GetRoleCredentials
    https://docs.aws.amazon.com/singlesignon/latest/PortalAPIReference/API_GetRoleCredentials.html
    """
    text = (
        "[profile lab]\nsso_session = uni\nsso_account_id = {}\nsso_role_name = {}\n"
        "[sso-session uni]\nsso_region = eu-west-1\nsso_start_url = https://example.awsapps.com/start\n"
    )
    config = tmp_path / "config"
    config.write_text(text.format(ACCOUNT, "Researcher"))
    monkeypatch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / "sso"))
    (tmp_path / "sso").mkdir()
    token = aws.sessions.log_in_to_portal(ACCOUNT, "Researcher", "eu-west-1")
    name = hashlib.sha1(b"uni").hexdigest()
    (tmp_path / "sso" / f"{name}.json").write_text(json.dumps(token))
    caller = boto3.Session(profile_name="lab").client("sts").get_caller_identity()
    assert ":assumed-role/AWSReservedSSO_Researcher_" in caller["Arn"]
    config.write_text(text.format(ACCOUNT, "Admin"))
    with pytest.raises(ClientError, match="No access"):
        boto3.Session(profile_name="lab").get_credentials().get_frozen_credentials()


def test_time_of_login_keys_is_a_quarter_of_an_hour(aws, login):
    """The keys of a login last 15 minutes; the SDK renews them for as long as the login lasts.

    Sign in for AWS local development using console credentials
    https://docs.aws.amazon.com/signin/latest/userguide/command-line-sign-in.html
    """
    token = aws.sessions.log_in(ACCOUNT, "ada")["accessToken"]
    assert aws.sessions.of(token["accessKeyId"]).ends - aws.clock.now() <= timedelta(minutes=15)
