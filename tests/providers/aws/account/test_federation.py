"""Links that sign in to AWS's web pages: they contain a token, and never a key."""

import logging
from urllib.parse import parse_qs, urlsplit

import pytest

from aws_double.rulebook import build
from prism.providers.aws.account.federation import sign_in
from prism.providers.aws.account.identity import AwsIdentity
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.faults import (
    AwsDenied,
    AwsRefused,
    AwsUnavailable,
    CredentialsMissing,
)

USER = AwsIdentity(account="123456789012", arn="arn:aws:iam::123456789012:user/ada")


@pytest.fixture
def cloud(aws):
    return Cloud("us-west-2", sleep=lambda _: None)


def asked(link):
    parts = urlsplit(link)
    return f"{parts.scheme}://{parts.netloc}{parts.path}", {
        key: value for key, [value] in parse_qs(parts.query).items()
    }


@pytest.mark.parametrize("service", ["console", "braket", "sagemaker", "cloudshell"])
def test_sign_in_link_has_a_token_for_temporary_credentials_of_a_user(cloud, aws, service):
    where, query = asked(sign_in(cloud, USER, service, None))
    assert where == f"{aws.url}/federation"
    assert (query["Action"], len(query["SigninToken"])) == ("login", 64)
    assert query["Destination"] == (
        f"https://us-west-2.console.aws.amazon.com/{service}/home?region=us-west-2"
    )
    assert [call.action for call in aws.calls if call.service == "sts"] == ["GetFederationToken"]


def test_sign_in_uses_session_credentials_without_a_call_to_sts(aws, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary")
    _, query = asked(sign_in(Cloud("us-west-2"), USER, "console", None))
    assert query["SigninToken"]
    assert all(call.service != "sts" for call in aws.calls)


def test_sign_in_link_contains_a_given_token_without_a_call(cloud, aws):
    _, query = asked(sign_in(cloud, USER, "console", "mine & yours"))
    assert query["SigninToken"] == "mine & yours"
    assert aws.calls == []


def test_sign_in_link_and_log_contain_no_key(cloud, aws, monkeypatch, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    link = sign_in(Cloud("us-west-2"), USER, "console", None)
    assert "hush-hush" not in link and "123456789012" not in link
    messages = [
        record.getMessage() for record in caplog.records if record.name.startswith("prism")
    ]
    assert not any("hush-hush" in message or "sessionKey" in message for message in messages)


@pytest.mark.parametrize(
    ("endpoint", "why"), [("http://127.0.0.1:9", "no answer"), (None, "getSigninToken: 40")]
)
def test_sign_in_error_contains_no_credentials(cloud, aws, monkeypatch, endpoint, why):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "temporary-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SIGNIN", endpoint or f"{aws.url}/_double/none")
    with pytest.raises((AwsUnavailable, AwsRefused)) as caught:
        sign_in(Cloud("us-west-2"), USER, "console", None)
    text = repr((caught.value.message, caught.value.details, caught.value.__cause__))
    assert why in text
    assert "hush-hush" not in text and "temporary-token" not in text


def test_denied_sign_in_names_the_permission(cloud, aws):
    aws.rules = build({"denied": ["sts:GetFederationToken"]})
    with pytest.raises(AwsDenied, match="sts:GetFederationToken"):
        sign_in(cloud, USER, "console", None)


def test_sign_in_requires_credentials(monkeypatch, aws):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    with pytest.raises(CredentialsMissing):
        sign_in(Cloud("us-west-2"), USER, "console", None)


def test_sign_in_link_of_aws_china_leads_to_its_own_pages(monkeypatch):
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    china = AwsIdentity(account="1", arn="arn:aws-cn:iam::1:user/ada")
    where, query = asked(sign_in(Cloud("cn-north-1"), china, "console", "token"))
    assert where == "https://signin.amazonaws.cn/federation"
    assert query["Destination"].startswith("https://cn-north-1.console.amazonaws.cn/")
