"""The SSH key of a profile: made once, private, and its public key imported into EC2."""

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


def test_key_is_made_once_and_only_its_owner_may_read_it(tmp_path):
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


def test_concurrent_callers_get_the_same_key(tmp_path):
    with ThreadPoolExecutor(8) as many:
        public_keys = set(many.map(lambda _: key_of(tmp_path, "lab").public, range(32)))
    assert len(public_keys) == 1
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["lab"]


def test_readable_private_key_is_made_private_again(tmp_path):
    key = key_of(tmp_path, "lab")
    key.private_path.chmod(0o644)
    key_of(tmp_path, "lab")
    assert stat.S_IMODE(key.private_path.stat().st_mode) == 0o600


def test_public_key_is_imported_once(prerequisites, make_prerequisites, count_calls):
    key = prerequisites.key()
    [imported_key] = imported()
    assert imported_key["KeyName"] == key.name == f"prism-lab-{key.fingerprint}"
    assert imported_key["PublicKey"].split()[:2] == key.public.split()[:2]
    assert make_prerequisites().key() == key
    assert (len(imported()), count_calls("ImportKeyPair")) == (1, 1)


@pytest.mark.parametrize("do", ["lost", "twice", "throttle", "drop"])
def test_public_key_is_imported_once_after_a_fault_of_the_call(aws, prerequisites, do):
    aws.fault(action="ImportKeyPair", do=do)
    try:
        key = prerequisites.key()
    except Unavailable:
        key = prerequisites.key()
    assert [pair["KeyName"] for pair in imported()] == [key.name]


def test_concurrent_daemons_import_one_key(make_prerequisites):
    prerequisites_of = [make_prerequisites() for _ in range(8)]
    prerequisites_of[0].pair()
    with ThreadPoolExecutor(8) as many:
        names = set(many.map(lambda it: it.key().name, prerequisites_of))
    assert [pair["KeyName"] for pair in imported()] == list(names)


def test_holds_creates_no_key_and_follows_no_path(prerequisites, make_prerequisites, tmp_path):
    assert not prerequisites.holds("prism-lab-0123456789abcdef")
    assert not (tmp_path / "keys").exists()
    name = prerequisites.key().name
    assert prerequisites.holds(name)
    assert not prerequisites.holds("prism-lab-0123456789abcdef")
    assert not prerequisites.holds(None)
    (tmp_path / "secret").write_text("not a key")
    assert not make_prerequisites("../secret").holds(name), (
        "a name from a tag is not trusted as a path"
    )
