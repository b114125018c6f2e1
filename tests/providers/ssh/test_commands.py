"""The commands for a lab server, in any login shell, and what answers mean."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prism.errors import Invalid
from prism.providers.ssh.commands import (
    NO_PYTHON,
    NOT_SHIPPED,
    AnswerInvalid,
    answer_after,
    install_command,
    run_command,
)
from prism.providers.ssh.model import parsed
from prism.providers.ssh.shipment import Shipment, agent, uv_for

NONCE = "0123456789abcdef"


@given(st.binary(max_size=300))
def test_answer_is_read_behind_any_noise(noise):
    body = b'{"answer":1}'
    output = noise + f"\n{NONCE} {len(body)}\n".encode() + body + b"bye\n"
    assert answer_after(NONCE, output) == body


@given(st.binary(max_size=300))
def test_noise_alone_is_no_answer(noise):
    with pytest.raises(AnswerInvalid):
        answer_after(NONCE, noise)


@pytest.mark.parametrize("head", ["x", "-1", "9" * 10, "", "5", "1e3"])
def test_answer_with_a_wrong_length_is_refused(head):
    with pytest.raises(AnswerInvalid):
        answer_after(NONCE, f"\n{NONCE} {head}\nabc".encode())


def test_commands_have_nothing_that_shells_read_differently():
    for command in (run_command("a" * 32, "0.9-x86_64", NONCE, "session"), install_command()):
        assert not {"\n", "!", "`"} & {*command}


def test_program_that_is_missing_and_python_that_is_missing_have_codes(tmp_path):
    command = run_command("a" * 32, "", NONCE)
    environ = {"HOME": str(tmp_path), "PATH": f"{sys.prefix}/bin:/usr/bin:/bin"}
    assert subprocess.run(["sh", "-c", command], env=environ).returncode == NOT_SHIPPED
    environ["PATH"] = str(tmp_path)
    assert subprocess.run(["/bin/sh", "-c", command], env=environ).returncode == NO_PYTHON


def test_shipment_that_arrives_damaged_or_cut_is_not_unpacked(tmp_path):
    whole = agent()
    environ = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    command = ["sh", "-c", install_command()]
    for damaged in (whole.stdin[:-1] + b"x", whole.stdin[:-100]):
        done = subprocess.run(command, input=damaged, env=environ, capture_output=True)
        assert done.returncode == 1
        assert b"damaged" in done.stderr
    assert not (tmp_path / ".prism-server").exists()
    for _ in range(2):  # a repeated one changes nothing
        subprocess.run(command, input=whole.stdin, env=environ, check=True)
    [folder] = (tmp_path / ".prism-server/agent").iterdir()
    assert folder.name == whole.name
    assert (folder / "prism/agent/lab/host.py").stat().st_mode & 0o77 == 0


def test_uv_travels_for_another_processor():
    shipped: Shipment = uv_for("aarch64")
    assert shipped.name.endswith("-aarch64")
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(shipped.data)) as packed:
        head = packed.read("uv")[:20]
    assert head[:4] == b"\x7fELF"
    assert head[18] == 0xB7  # e_machine of aarch64


@pytest.mark.parametrize("text", ["-oProxyCommand=x", "a b", "u@", "h:99999", "h;x", "", "a\n"])
def test_words_that_are_no_server_are_refused(text):
    with pytest.raises(Invalid):
        parsed(text)


def test_words_of_a_server():
    assert (parsed("gpu1").host, parsed("a@b:22").user, parsed("a@b:22").port) == ("gpu1", "a", 22)
