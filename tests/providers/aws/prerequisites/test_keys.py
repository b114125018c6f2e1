"""The key of a profile: one, private, and EC2 knows its other half."""

import stat
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_ssh_private_key

from prism.errors import Unavailable
from prism.providers.aws.prerequisites.keys import key_of


def imported():
    return boto3.client("ec2").describe_key_pairs(IncludePublicKey=True)["KeyPairs"]


def test_it_is_made_once_and_nobody_else_may_read_it(tmp_path):
    key = key_of(tmp_path, "lab")
    assert key.private_path == tmp_path / "keys" / "lab"
    assert stat.S_IMODE(key.private_path.stat().st_mode) == 0o600
    assert stat.S_IMODE(key.private_path.parent.stat().st_mode) == 0o700
    assert key_of(tmp_path, "lab") == key
    assert key_of(tmp_path, "ada@example.org").public != key.public
    private = load_ssh_private_key(key.private_path.read_bytes(), None)
    assert key.public.split()[0] == "ssh-ed25519"
    assert isinstance(private, Ed25519PrivateKey)
    assert sorted(path.name for path in key.private_path.parent.iterdir()) == [
        "ada@example.org",
        "lab",
    ]


def test_two_who_make_it_at_once_get_the_same(tmp_path):
    with ThreadPoolExecutor(8) as many:
        public_keys = set(many.map(lambda _: key_of(tmp_path, "lab").public, range(32)))
    assert len(public_keys) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["lab"]


def test_a_copy_that_others_could_read_is_closed(tmp_path):
    key = key_of(tmp_path, "lab")
    key.private_path.chmod(0o644)
    key_of(tmp_path, "lab")
    assert stat.S_IMODE(key.private_path.stat().st_mode) == 0o600


def test_its_public_half_is_imported_once(prerequisites, make_prerequisites, count_calls):
    key = prerequisites.key()
    [imported_key] = imported()
    assert imported_key["KeyName"] == key.name == f"prism-lab-{key.fingerprint}"
    assert imported_key["PublicKey"].split()[:2] == key.public.split()[:2]
    assert make_prerequisites().key() == key
    assert (len(imported()), count_calls("ImportKeyPair")) == (1, 1)


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
def test_whatever_becomes_of_the_call_it_is_there_in_the_end(aws, prerequisites, do):
    aws.fault(action="ImportKeyPair", do=do)
    try:
        key = prerequisites.key()
    except Unavailable:
        key = prerequisites.key()
    assert [pair["KeyName"] for pair in imported()] == [key.name]


def test_two_at_once_import_one(make_prerequisites):
    prerequisites_of = [make_prerequisites() for _ in range(8)]
    prerequisites_of[0].pair()
    with ThreadPoolExecutor(8) as many:
        names = set(many.map(lambda it: it.key().name, prerequisites_of))
    assert [pair["KeyName"] for pair in imported()] == list(names)


def test_who_asks_whether_there_is_one_makes_none(prerequisites, make_prerequisites, tmp_path):
    assert not prerequisites.holds("prism-lab-0123456789abcdef")
    assert not (tmp_path / "keys").exists()
    name = prerequisites.key().name
    assert prerequisites.holds(name)
    assert not prerequisites.holds("prism-lab-0123456789abcdef")
    assert not prerequisites.holds(None)
    (tmp_path / "secret").write_text("not a key")
    assert not make_prerequisites("../secret").holds(name), "a tag can say anything"
