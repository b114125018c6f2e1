"""The credential chain: every failure has its own words, no secret, and the command that helps."""

import hashlib
import json
import os
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from botocore.tokens import SSOTokenProvider

import prism.providers.aws.api.credentials as chain
from prism.profiles.model import Profile
from prism.providers.aws.account.buckets import s3_login
from prism.providers.aws.api.cloud import Cloud
from prism.providers.aws.api.credentials import (
    CredentialChain,
    LoginMethod,
    login_method,
    remedy,
    scrubbed,
)
from prism.providers.aws.api.faults import AwsUnavailable, CredentialsMissing

ACCOUNT = "123456789012"
MFA = f"arn:aws:iam::{ACCOUNT}:mfa/ada"
KEY, TOKEN = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY12", "IQoJb3JpZ2luX2VjEJr" * 3


@pytest.fixture
def files(aws, tmp_path, monkeypatch):
    """AWS's files in a home of their own; no keys in the environment."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_LOGIN_CACHE_DIRECTORY", str(tmp_path / "login"))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
    monkeypatch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", str(tmp_path / "sso"))
    for folder in ("login", "sso"):
        (tmp_path / folder).mkdir()
    return tmp_path


def configure(files, text):
    (files / "config").write_text(text)


def program(files, text):
    """A credential process that runs this Python."""
    file = files / "process.py"
    file.write_text(text)
    configure(files, f"[profile lab]\ncredential_process = {sys.executable} {file}\n")
    return file


def caller():
    return Cloud("us-east-1", "lab", sleep=lambda _: None).call("sts", "GetCallerIdentity")


def missing():
    with pytest.raises(CredentialsMissing) as caught:
        caller()
    problem = caught.value
    assert problem.code == "AWS_CREDENTIALS_MISSING"
    assert "does not answer" not in problem.message
    return problem


KEYS = {"Version": 1, "AccessKeyId": ACCOUNT, "SecretAccessKey": "secret"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import sys; sys.exit('the vault is sealed')", "the vault is sealed"),
        ("print('hello')", "Expecting value"),
        ("print('[]')", "list"),
        ("print('{}')", "Unsupported version"),
        ("""print('{"Version": 1}')""", "Missing required key"),
        (f"print('''{json.dumps(KEYS | {'Expiration': '2020-01-01T00:00:00Z'})}''')", "expired"),
        (f"print('''{json.dumps(KEYS | {'Expiration': 'soon'})}''')", "soon"),
        ("import sys; sys.stdout.buffer.write(bytes([255]))", "utf-8"),
        (f"import sys; sys.exit('bad key {KEY} or {TOKEN}')", "bad key … or …"),
    ],
)
def test_broken_credential_process_is_named_with_its_own_words(files, text, words, caplog):
    program(files, text)
    problem = missing()
    assert KEY not in caplog.text, "botocore logs what a program writes"
    assert words in problem.message
    assert "credential_process" in problem.remediation
    assert KEY not in problem.message + problem.details


def test_missing_credential_process_is_named(files):
    configure(files, "[profile lab]\ncredential_process = /nowhere/vault\n")
    assert "No such file or directory: /nowhere/vault" in missing().message


def test_credential_process_that_hangs_is_not_started_twice(files, monkeypatch):
    monkeypatch.setattr(CredentialChain, "_running", {})
    fifo, log = files / "fifo", files / "log"
    os.mkfifo(fifo)
    program(files, f"open({str(log)!r}, 'a').write('x'); open({str(fifo)!r}).read(); print('no')")
    for _ in range(3):
        with pytest.raises(CredentialsMissing, match="has not ended for 2 s"):
            CredentialChain("lab", "us-east-1", timeout=2).require()
    attempt = CredentialChain._running["lab"]
    fifo.open("w").close()  # it ends
    assert attempt.done.wait(60)
    assert log.read_text() == "x"


def test_failed_login_continues_by_itself_after_a_new_one(files):
    """The daemon is not restarted: the same `Cloud` takes the next credentials."""
    file = program(files, "import sys; sys.exit('log in first')")
    cloud = Cloud("us-east-1", "lab")
    for _ in range(2):
        with pytest.raises(CredentialsMissing, match="log in first"):
            cloud.call("sts", "GetCallerIdentity")
    file.write_text(f"print('''{json.dumps(KEYS)}''')")
    assert cloud.call("sts", "GetCallerIdentity")["Account"] == ACCOUNT


def test_keys_that_expire_in_the_middle_of_work_say_so(files):
    ends = datetime.now(UTC) + timedelta(minutes=5)  # botocore renews them at each call
    good = json.dumps(KEYS | {"Expiration": ends.isoformat()})
    file = program(files, f"print('''{good}''')")
    cloud = Cloud("us-east-1", "lab")
    assert cloud.call("sts", "GetCallerIdentity")
    file.write_text("import sys; sys.exit('Token has expired')")
    with pytest.raises(CredentialsMissing, match=r"'lab' does not work: .*Token has expired"):
        cloud.call("sts", "GetCallerIdentity")
    file.write_text(f"print('''{good}''')")
    assert cloud.call("sts", "GetCallerIdentity")


@pytest.mark.parametrize("code", ["ExpiredToken", "RequestExpired"])
def test_keys_that_aws_calls_expired_say_which_login(aws, files, code):
    configure(files, f"[profile lab]\nlogin_session = arn:aws:iam::{ACCOUNT}:user/ada\n")
    log_in(aws, files)
    aws.fault(action="GetCallerIdentity", do="error", code=code, status=403)
    problem = missing()
    assert "The AWS login has expired" in problem.message
    assert "`aws login --profile lab`" in problem.remediation
    assert caller()


def log_in(aws, files):
    """As `aws login --profile lab`."""
    session = f"arn:aws:iam::{ACCOUNT}:user/ada"
    file = files / "login" / f"{hashlib.sha256(session.encode()).hexdigest()}.json"
    file.write_text(json.dumps(aws.sessions.log_in(ACCOUNT, "ada")))
    return file


def test_aws_login_is_used_and_renewed(aws, files):
    configure(files, f"[profile lab]\nlogin_session = arn:aws:iam::{ACCOUNT}:user/ada\n")
    assert "aws login --profile lab" in missing().remediation, "nobody has logged in"
    file = log_in(aws, files)
    assert caller()["Arn"] == f"arn:aws:iam::{ACCOUNT}:user/ada"
    token = json.loads(file.read_text())
    token["accessToken"]["expiresAt"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(token))
    assert caller()["Arn"].endswith(":user/ada"), "its keys are renewed with awscrt"
    token = json.loads(file.read_text())
    token["accessToken"]["expiresAt"] = "2020-01-01T00:00:00Z"
    file.write_text(json.dumps(token))
    aws.sessions.end_logins()
    problem = missing()
    assert "session has expired" in problem.message
    assert "Log in again: `aws login --profile lab`" in problem.remediation
    log_in(aws, files)
    assert caller()


def test_aws_login_without_awscrt_names_the_package(aws, files, monkeypatch):
    configure(files, f"[profile lab]\nlogin_session = arn:aws:iam::{ACCOUNT}:user/ada\n")
    log_in(aws, files)
    monkeypatch.setattr("botocore.credentials.EC", None)
    assert "needs the Python package awscrt" in missing().message


def identity_center(files, role="Researcher", region="eu-west-1"):
    configure(
        files,
        f"[profile lab]\nsso_session = uni\nsso_account_id = {ACCOUNT}\nsso_role_name = {role}\n"
        f"[sso-session uni]\nsso_region = {region}\n"
        "sso_start_url = https://example.awsapps.com/start\n",
    )


def log_in_to_portal(aws, files, role="Researcher"):
    """As `aws sso login --profile lab`."""
    token = aws.sessions.log_in_to_portal(ACCOUNT, role, "eu-west-1")
    name = hashlib.sha1(b"uni").hexdigest()
    (files / "sso" / f"{name}.json").write_text(json.dumps(token))


def test_identity_center_login_is_used_until_it_ends(aws, files):
    identity_center(files)
    assert "`aws sso login --profile lab`" in missing().remediation
    log_in_to_portal(aws, files)
    assert ":assumed-role/AWSReservedSSO_Researcher_" in caller()["Arn"]
    aws.sessions.end_logins()
    problem = missing()
    assert "has expired or is otherwise invalid" in problem.message
    log_in_to_portal(aws, files)
    assert caller()


def test_role_that_a_person_lacks_in_identity_center_is_named(aws, files):
    identity_center(files, role="Admin")
    log_in_to_portal(aws, files)
    assert "ForbiddenException" in missing().message


@pytest.mark.parametrize("region", ["eu-west-1", "ap-southeast-4", "cn-north-1"])
def test_identity_center_is_asked_in_its_own_region(aws, files, region, monkeypatch):
    """Not in that of the workspaces: an instance of Identity Center is in one region."""
    identity_center(files, region=region)
    log_in_to_portal(aws, files)
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    urls = []

    def stop(request, **_):
        urls.append(request.url)
        raise ConnectionError("seen")

    login = CredentialChain("lab", "us-east-1")
    login._core.register("before-send.sso.GetRoleCredentials", stop)
    with pytest.raises(CredentialsMissing, match="seen"):
        login.require()
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    assert urls[0].startswith(f"https://portal.sso.{region}.{domain}/")


LAB = Profile(
    name="lab", provider="aws", aws_profile="lab", region="us-east-1", created_at=datetime.now(UTC)
)


def code():
    return "123456"


@pytest.mark.parametrize(
    "section",
    [
        "sso_session = gone\nsso_account_id = 123456789012\nsso_role_name = Lab",
        "source_profile = lab\nrole_arn = arn:aws:iam::123456789012:role/lab",
        "source_profile = gone\nrole_arn = arn:aws:iam::123456789012:role/lab",
        "aws_access_key_id = AKIAIOSFODNN7EXAMPLE",
    ],
)
def test_mistake_in_awss_files_is_corrected_there(files, section):
    """Another login would fail for the same reason."""
    configure(files, f"[profile lab]\nregion = us-east-1\n{section}\n")
    with pytest.raises(CredentialsMissing) as raised:
        CredentialChain("lab", "us-east-1").require()
    assert raised.value.remediation.startswith("Correct AWS's files")


def role_with_mfa(files):
    configure(
        files,
        f"[profile lab]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/lab\nsource_profile = me\n"
        f"mfa_serial = {MFA}\n[profile me]\naws_access_key_id = {ACCOUNT}\n"
        "aws_secret_access_key = secret\n",
    )


def test_role_with_mfa_asks_nobody_and_names_the_command(files):
    role_with_mfa(files)
    problem = missing()
    assert f"it needs the MFA code for {MFA}" in problem.message
    assert "`prism aws login --aws-profile lab`" in problem.remediation


def test_code_does_not_fail_with_an_attempt_that_had_none(aws, files, monkeypatch):
    """The daemon may just be asking for the same profile, without a code."""
    monkeypatch.setattr(CredentialChain, "_running", {})
    role_with_mfa(files)
    begun, goes_on = threading.Event(), threading.Event()
    daemon, person = (CredentialChain("lab", "us-east-1", code=each) for each in (None, code))
    load = daemon.load

    def load_slowly():
        begun.set()
        assert goes_on.wait(60)
        load()

    monkeypatch.setattr(daemon, "load", load_slowly)
    with ThreadPoolExecutor(2) as pool:
        without_code = pool.submit(daemon.require)
        assert begun.wait(60)
        with_code = pool.submit(person.require)
        goes_on.set()
        with pytest.raises(CredentialsMissing, match="it needs the MFA code"):
            without_code.result(60)
        assert with_code.result(60) is not None


def test_login_for_a_bucket_asks_nobody(aws, files):
    """The daemon must not ask on the terminal from which it was started (decision 050)."""
    role_with_mfa(files)
    with pytest.raises(CredentialsMissing, match="it needs the MFA code"):
        s3_login(LAB, "copies")


def test_login_for_a_bucket_says_what_a_program_said(files):
    program(files, "print('hello')")
    with pytest.raises(CredentialsMissing, match="Expecting value"):
        s3_login(LAB, "copies")


def test_code_of_a_device_serves_the_daemon_until_the_role_expires(aws, files):
    """The keys are in the cache of AWS's command line, which only their owner can read."""
    role_with_mfa(files)
    with pytest.raises(CredentialsMissing, match="invalid MFA one time pass code"):
        CredentialChain("lab", "us-east-1", code=lambda: "999999").require()
    CredentialChain("lab", "us-east-1", code=lambda: "123456").require()
    assert ":assumed-role/lab/" in caller()["Arn"]
    [cached] = (files / ".aws/cli/cache").glob("*.json")
    assert stat.S_IMODE(cached.stat().st_mode) == 0o600
    entry = json.loads(cached.read_text())
    entry["Credentials"]["Expiration"] = "2020-01-01T00:00:00UTC"
    cached.write_text(json.dumps(entry))
    assert "MFA code" in missing().message


def test_role_that_may_not_be_assumed_says_what_aws_says(aws, files):
    role_with_mfa(files)
    (files / "config").write_text((files / "config").read_text().replace("mfa_serial", "x"))
    aws.fault(action="AssumeRole", do="error", code="AccessDenied", status=403, message="not you")
    problem = missing()
    assert "(AccessDenied) when calling the AssumeRole operation: not you" in problem.message


@pytest.mark.parametrize("do", ["drop", "error"])
def test_chain_that_has_no_answer_is_unavailable_and_asked_again(aws, files, do, monkeypatch):
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    role_with_mfa(files)
    (files / "config").write_text((files / "config").read_text().replace("mfa_serial", "x"))
    aws.fault(action="AssumeRole", do=do, times=3)
    with pytest.raises(AwsUnavailable):
        caller()
    assert caller()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[profile other]\n", "could not be found"),
        ("[profile lab\n", "Unable to parse config file"),
        ("[profile lab]\nrole_arn = x\n", "source_profile or credential_source"),
        ("[profile lab]\nrole_arn = x\nsource_profile = you\n", 'source_profile "you"'),
        ("[profile lab]\nsso_session = uni\nsso_account_id = 1\n", "sso-session does not exist"),
        ("[profile lab]\nrole_arn = x\nsource_profile = lab\n", "Infinite loop"),
        ("[profile lab]\n", "Unable to locate credentials"),
    ],
)
def test_wrong_files_of_aws_are_named(files, monkeypatch, text, words):
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    configure(files, text)
    assert words.lower() in missing().message.lower()


@pytest.mark.parametrize(
    ("profiles", "kind", "profile"),
    [
        ({"lab": {"login_session": "x"}}, "login", "lab"),
        (
            {"lab": {"role_arn": "x", "source_profile": "me"}, "me": {"sso_session": "u"}},
            "sso",
            "me",
        ),
        ({"lab": {"role_arn": "x", "source_profile": "me", "mfa_serial": "s"}}, "mfa", "lab"),
        ({"lab": {"credential_process": "p"}}, "process", "lab"),
        ({"lab": {"source_profile": "me"}, "me": {"source_profile": "lab"}}, "other", "lab"),
        ({}, "other", "lab"),
    ],
)
def test_login_method_follows_the_profiles_of_a_role(profiles, kind, profile):
    method = login_method(profiles, "lab")
    assert (method.kind, method.profile) == (kind, profile)
    assert remedy(method)


def test_login_methods_of_awss_command_line_have_its_command():
    assert LoginMethod(kind="sso", profile="a b").command == (
        "aws",
        "sso",
        "login",
        "--profile",
        "a b",
    )
    assert LoginMethod(kind="process", profile="lab").command == ()


def test_scrubbed_keeps_paths_and_arns():
    text = f"no /home/ada/research/2026/group7/vaults/bin/get of {MFA}\x1b[31m"
    assert scrubbed(text) == f"no /home/ada/research/2026/group7/vaults/bin/get of {MFA} [31m"
    assert scrubbed(f"key={KEY}") == "…"
    assert len(scrubbed("word " * 999)) <= chain.MOST_WORDS


def test_boto_session_is_the_one_of_the_chain(files):
    configure(files, f"[profile lab]\naws_access_key_id = {ACCOUNT}\naws_secret_access_key = s\n")
    assert isinstance(CredentialChain("lab", "eu-west-1").session, boto3.Session)
