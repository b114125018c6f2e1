"""The signature of a proof's report, and what it proves.

    make aws-proof-verify FILE=docs/aws-proof.json

The report is signed with a key that is made for it and thrown away. So whoever has the report can
see that nobody changed it after it was signed; anybody could have made another one. What shows
that it is about AWS is inside: the request ids, which the owner of the account finds in
CloudTrail, and the identity document of a machine, which AWS signs.
"""

from __future__ import annotations

import argparse
import base64
import json
import sys
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

PROVES = (
    "nobody has changed the report since it was signed. It does not prove who made it. The "
    "request ids are in CloudTrail of the account, and AWS signs `identity_document` (EC2 User "
    "Guide, 'Verify the instance identity document')"
)
Tree = dict[str, Any]


def sign(report: Tree) -> Tree:
    """The report with its signature."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    signature = {
        "algorithm": "ed25519, over the report without `signature` as sorted JSON",
        "public_key": base64.b64encode(public).decode(),
        "value": base64.b64encode(key.sign(_content(report))).decode(),
        "proves": PROVES,
    }
    return {**report, "signature": signature}


def verified(report: Tree) -> bool:
    """Whether the report is as it was when it was signed."""
    try:
        signature = report["signature"]
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(signature["public_key"]))
        key.verify(base64.b64decode(signature["value"]), _content(report))
    except (KeyError, TypeError, ValueError, InvalidSignature):
        return False
    return True


def _content(report: Tree) -> bytes:
    unsigned = {key: value for key, value in report.items() if key != "signature"}
    return json.dumps(unsigned, sort_keys=True, separators=(",", ":")).encode()


def main() -> int:
    """Verify a report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    try:
        good = verified(json.loads(parser.parse_args().file.read_text()))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    sys.stdout.write(f"verified: {PROVES}\n" if good else "it was changed, or is not signed\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
