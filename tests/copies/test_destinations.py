"""Destinations, as people write them."""

import pytest

from prism.copies.destinations import DestinationInvalid, DestinationKind, parse


@pytest.mark.parametrize(
    ("text", "kind", "canonical"),
    [
        ("/mnt/disk", DestinationKind.FOLDER, "/mnt/disk"),
        ("//mnt/./disk/../disk/", DestinationKind.FOLDER, "/mnt/disk"),
        ("/mnt/a b'ü", DestinationKind.FOLDER, "/mnt/a b'ü"),
        ("ssh://host/srv", DestinationKind.SSH, "ssh://host/srv"),
        ("ssh://me@host:2222/srv//x/", DestinationKind.SSH, "ssh://me@host:2222/srv/x"),
        ("ssh://me@[fd00::1]/~/copies", DestinationKind.SSH, "ssh://me@[fd00::1]/~/copies"),
        ("s3://bucket", DestinationKind.S3, "s3://bucket"),
        ("s3://my.bucket/a/b/", DestinationKind.S3, "s3://my.bucket/a/b"),
    ],
)
def test_one_destination_has_one_way_to_write_it(text, kind, canonical):
    destination = parse(text)
    assert (destination.kind, destination.text) == (kind, canonical)
    assert parse(destination.text) == destination


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            "/",
            "//",
            "relative/folder",
            "~/copies",
            "/mnt/x\ny",
            "/mnt/\x7f",
            "/" + "a" * 1000,
        ),
        *("ssh://host", "ssh://host/", "ssh://-oProxyCommand=x/srv", "ssh://me@-host/srv"),
        *("ssh://host:0/srv", "ssh://host:70000/srv", "ssh:///srv"),
        *("ssh://a b@host/srv", "ssh://$(id)@host/srv", "sftp://host/srv", "file:///srv"),
        *("s3://", "s3://BUCKET/x", "s3://bucket/a//b", "s3://bucket/../other", "s3://b/x"),
        "s3://bucket/a?versionId=1",
    ],
)
def test_anything_else_is_refused(text):
    with pytest.raises(DestinationInvalid) as refused:
        parse(text)
    assert "/mnt/disk/copies" in refused.value.remediation or "Name a folder" in (
        refused.value.remediation
    )


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(DestinationInvalid) as refused:
        parse("ssh://me:hunter2@host/srv")
    assert "no password" in refused.value.details
    assert "hunter2" not in f"{refused.value} {refused.value.details} {refused.value.remediation}"
