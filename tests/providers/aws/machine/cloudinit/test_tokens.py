"""Secrets of services, which are derived whenever they are needed."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode

from prism.providers.aws.machine.cloudinit.tokens import secret, tokens
from tests.providers.aws.machine.cloudinit.ordered import LIBRARY, PRIVATE, order


def test_secret_depends_on_key_workspace_and_service():
    jupyter_secret = secret(PRIVATE, "ws-1", "jupyter")
    assert jupyter_secret == secret(PRIVATE, "ws-1", "jupyter")
    assert re.fullmatch("[A-Za-z0-9_-]{43}", jupyter_secret)
    other_secrets = {
        secret(b"another", "ws-1", "jupyter"),
        secret(PRIVATE, "ws-2", "jupyter"),
        secret(PRIVATE, "ws-1", "rstudio"),
        secret(PRIVATE, "ws-1jup", "yter"),
    }
    assert jupyter_secret not in other_secrets
    assert len(other_secrets) == 4


def test_secret_is_an_hmac_with_the_private_key():
    message = b"prism service token\0ws-1\0jupyter"
    expected = hmac.new(PRIVATE, message, hashlib.sha256).digest()
    assert urlsafe_b64decode(secret(PRIVATE, "ws-1", "jupyter") + "=") == expected


def test_every_service_has_a_secret():
    machine_order = order(LIBRARY["r-shiny"])
    secrets = tokens(PRIVATE, machine_order)
    assert secrets == {name: secret(PRIVATE, "ws-1", name) for name in ("rstudio", "shiny")}
