"""Key pairs: the public halves."""

import base64
import binascii
import hashlib

from aws_double.ec2 import tags
from aws_double.ec2.consistency import is_visible, tags_seen
from aws_double.ec2.filters import chosen
from aws_double.ec2.model import Key
from aws_double.refusals import Refusal
from aws_double.tree import Tree
from aws_double.world import Call, World

KINDS = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}


def import_key_pair(call: Call) -> Tree:
    """ImportKeyPair: RSA or ED25519, in OpenSSH's form; a name is taken only once."""
    world, args = call.world, call.args
    name = args["KeyName"]
    if name in world.keys:
        raise Refusal("InvalidKeyPair.Duplicate", f"The keypair '{name}' already exists.")
    text = args["PublicKeyMaterial"].decode("ascii", "replace").strip()
    key = Key(world.new_id("key"), name, *_read(text), world.now, tags.requested(args, "key-pair"))
    key.visible = world.after("unseen")
    world.keys[name] = key
    return {
        "KeyName": name,
        "KeyPairId": key.id,
        "KeyFingerprint": key.fingerprint,
        "Tags": tags.tag_list(key.tags),
    }


def _read(public: str) -> tuple[str, str, str]:
    kind, _, rest = public.partition(" ")
    try:
        blob = base64.b64decode(rest.split(" ")[0], validate=True)
    except binascii.Error:
        blob = b""
    if kind not in KINDS or not blob:
        raise Refusal("InvalidKey.Format", "Key is not in valid OpenSSH public key format")
    if kind == "ssh-rsa":
        digest = hashlib.md5(blob, usedforsecurity=False).hexdigest()
        return "rsa", public, ":".join(digest[i : i + 2] for i in range(0, 32, 2))
    return "ed25519", public, base64.b64encode(hashlib.sha256(blob).digest()).decode()


def describe_key_pairs(call: Call) -> Tree:
    """DescribeKeyPairs."""
    world, args = call.world, call.args
    names, ids = args.get("KeyNames"), args.get("KeyPairIds")
    known = {key.name: key for key in world.keys.values() if is_visible(world, key)}
    for name in names or []:
        if name not in known:
            raise Refusal("InvalidKeyPair.NotFound", f"The key pair '{name}' does not exist")
    keys = [key for key in known.values() if not names or key.name in names]
    keys = [key for key in keys if not ids or key.id in ids]
    fields = {
        "key-name": lambda it: it.name,
        "key-pair-id": lambda it: it.id,
        "fingerprint": lambda it: it.fingerprint,
    }
    keys = chosen(keys, args, fields, lambda it: tags_seen(world, it))
    return {"KeyPairs": [_key(world, key, bool(args.get("IncludePublicKey"))) for key in keys]}


def delete_key_pair(call: Call) -> Tree:
    """DeleteKeyPair: succeeds too if there is no such key."""
    name, id = call.args.get("KeyName"), call.args.get("KeyPairId")
    for key in list(call.world.keys.values()):
        if key.name == name or key.id == id:
            del call.world.keys[key.name]
            return {"Return": True, "KeyPairId": key.id}
    return {"Return": True}


def _key(world: World, key: Key, public: bool) -> Tree:
    return {
        "KeyPairId": key.id,
        "KeyName": key.name,
        "KeyType": key.kind,
        "KeyFingerprint": key.fingerprint,
        "CreateTime": key.made,
        "PublicKey": key.public if public else None,
        "Tags": tags.tag_list(tags_seen(world, key)),
    }
