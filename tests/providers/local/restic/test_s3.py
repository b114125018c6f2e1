"""Copies in S3: a real server that speaks S3, and logins of AWS."""

import os
import shutil
from contextlib import suppress

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from prism.copies.model import CopyState
from prism.providers.aws.account.buckets import s3_login
from prism.providers.local.restic.access import RepositoryAccess
from prism.providers.local.restic.repository import S3Access
from tests.optional import not_none
from tests.waiting import eventually

pytestmark = pytest.mark.needs("restic")
SECRET = "a-secret-that-nobody-else-may-see"


@pytest.fixture(scope="module")
def s3_server():
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server, monkeypatch):
    """A bucket, and the login in the environment."""
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_server)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("s3")
    client.create_bucket(Bucket="copies")
    yield client
    for entry in client.list_objects_v2(Bucket="copies").get("Contents", ()):
        client.delete_object(Bucket="copies", Key=entry["Key"])
    client.delete_bucket(Bucket="copies")


def find_s3(profile, bucket):
    login = s3_login(None, bucket)
    return S3Access(url=login.url, region=login.region, environment=login.environment)


@pytest.fixture
def home(make_home, tmp_path):
    return make_home(access=RepositoryAccess(tmp_path / "home", find_s3))


def keys(client):
    listed = client.list_objects_v2(Bucket="copies").get("Contents", ())
    return {entry["Key"]: entry["Size"] for entry in listed}


def test_a_snapshot_is_copied_to_s3_and_fetched(home, s3, make_home, tmp_path):
    (home.data / "file").write_bytes(os.urandom(3_000_000))
    home.take("snapshot_1")
    first = home.copied("snapshot_1", "s3://copies/lab")
    assert first.verified_at is not None
    assert all(key.startswith("lab/prism-copies/") for key in keys(s3))
    before = sum(keys(s3).values())
    (home.data / "more").write_bytes(os.urandom(200_000))
    home.take("snapshot_2")
    second = home.copied("snapshot_2", "s3://copies/lab")
    assert sum(keys(s3).values()) - before < 300_000
    content = (home.data / "file").read_bytes()
    shutil.rmtree(home.folder)
    other = make_home("other", RepositoryAccess(tmp_path / "other", find_s3))
    names = {copy.label.name for copy in other.volumes.copies.listing("s3://copies/lab", None)}
    assert names == {"snapshot-1", "snapshot-2"}
    folder = other.fetched("s3://copies/lab", not_none(second.remote_id))
    assert (folder / "data" / "file").read_bytes() == content


def test_a_changed_object_is_noticed(home, s3):
    (home.data / "file").write_bytes(os.urandom(2_000_000))
    home.take("snapshot_1")
    home.copied("snapshot_1", "s3://copies")
    key = max(keys(s3), key=keys(s3).__getitem__)
    content = bytearray(s3.get_object(Bucket="copies", Key=key)["Body"].read())
    content[1_000_000] ^= 4
    s3.put_object(Bucket="copies", Key=key, Body=bytes(content))
    status = home.copy("snapshot_1", "s3://copies")
    assert (status.state, status.trouble.code) == (CopyState.FAILED, "COPY_DAMAGED")


def test_the_secret_is_in_no_command_line(home, s3, s3_server):
    (home.data / "file").write_bytes(os.urandom(60_000_000))
    home.take("snapshot_1")
    order = home.order("snapshot_1", "s3://copies")
    home.volumes.copies.begin(order)

    def command_lines():
        """Read in one go: restic runs several processes, and some end at once."""
        lines = list[str]()
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                lines.append(" ".join(process.cmdline()))
        return [line for line in lines if f"s3:{s3_server}" in line]

    assert not [line for line in eventually(command_lines) if SECRET in line]
    assert home.ended(order).state is CopyState.COMPLETED


def test_a_missing_bucket_is_told_and_not_made(home, s3):
    home.take("snapshot_1")
    status = home.copy("snapshot_1", "s3://not-there-at-all")
    assert (status.state, status.trouble.code) == (CopyState.FAILED, "BUCKET_MISSING")
    assert "aws s3 mb s3://not-there-at-all" in status.trouble.message
    names = [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]
    assert "not-there-at-all" not in names


def test_without_credentials_the_message_says_what_to_do(home, s3, monkeypatch):
    home.take("snapshot_1")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    status = home.copy("snapshot_1", "s3://copies")
    assert status.trouble.code == "AWS_CREDENTIALS_MISSING"
    assert "prism doctor" in status.trouble.message
    assert keys(s3) == {}
