"""The messages of Prism's program on a lab server, as `agent/lab/messages.py` has them."""

import struct
from typing import Any

from prism.providers.ssh import commands

HEAD = struct.Struct("!cI")
LONGEST = 1 << 20  # bytes of one message
MOST_NOISE = 1 << 16  # bytes that a login shell may print before the program begins


async def skip_noise(stdout: Any, nonce: str) -> bool:
    """Read until the line with the nonce, whatever a login shell prints; False without one."""
    marker, received = f"{nonce}\n".encode("ascii"), 0
    while True:
        line = await stdout.readline()
        received += len(line)
        if line.endswith(marker):
            return True
        if received > MOST_NOISE:
            raise commands.AnswerInvalid("The server did not start Prism's program")
        if not line:
            return False
