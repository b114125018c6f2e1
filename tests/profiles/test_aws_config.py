"""The configuration file of AWS, valid and damaged."""

import logging

import pytest

from prism.profiles.aws_config import config_file, sections

REAL = """\
[default]
region = us-west-2
s3 =
    max_concurrent_requests = 20
[profile lab]
region=eu-central-1
# half of the next line looks like a template: %(nothing)s
role_arn = arn:aws:iam::123456789012:role/Lab%
[profile no-region]
output = json
[sso-session university]
sso_region = us-east-1
[services local]
dynamodb =
  endpoint_url = http://localhost:8000
[profile lab]
output = text
"""


def test_sections_are_read_with_their_regions(tmp_path):
    file = tmp_path / "config"
    file.write_text(REAL)
    assert sections(file) == {"default": "us-west-2", "lab": "eu-central-1", "no-region": None}


def test_missing_file_has_no_sections_and_logs_no_warning(tmp_path, caplog):
    assert sections(tmp_path / "config") == {}
    assert not caplog.records


@pytest.mark.parametrize("content", [b"region = us-west-2\n", b"[default\n", b"\xff\xfe\x00"])
def test_damaged_file_has_no_sections_and_is_logged(tmp_path, caplog, content):
    file = tmp_path / "config"
    file.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert sections(file) == {}
    assert str(file) in caplog.text


def test_folder_in_place_of_the_file_is_logged(tmp_path, caplog):
    assert sections(tmp_path) == {}
    assert str(tmp_path) in caplog.text


def test_config_file_is_at_the_path_of_the_aws_tools(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_file({}) == tmp_path / ".aws" / "config"
    assert config_file({"AWS_CONFIG_FILE": "~/mine"}) == tmp_path / "mine"
