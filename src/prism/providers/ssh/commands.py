"""The commands that a lab server runs for the daemon, and what they answer.

A login shell of any kind may run them, and print what it likes before: the commands have no
newline and no character that `csh` or `fish` reads differently, and an answer begins with a nonce.
"""

import shlex

from prism.agent.protocol import LAB_FOLDER
from prism.errors import Unavailable

PYTHONS = ("python3", *(f"python3.{minor}" for minor in range(14, 8, -1)))
TOO_OLD, NOT_SHIPPED, NO_PYTHON = 86, 87, 88  # exit codes
MOST_ANSWER = 32 << 20  # bytes
MOST_DIGITS = 9
# Runs a program with the first Python that is new enough.
CHOOSE = (
    "for p in {pythons}; do command -v $p >/dev/null 2>&1 || continue; "
    '$p -I -S -c "$1" "$2" "$3" "$4" "$5"; c=$?; [ $c -eq {old} ] || exit $c; done; exit {none}'
)
CHECK = f"import os, sys; sys.version_info < (3, 9) and sys.exit({TOO_OLD})"
RUN = (
    f'{CHECK}; h = os.path.join(os.path.expanduser("~"), "{LAB_FOLDER}"); '
    'p = os.path.join(h, "agent", sys.argv[1], "prism", "agent", "lab", "host.py"); '
    'u = os.path.join(h, "uv", sys.argv[2], "uv"); '
    'k = os.path.exists(p) and (sys.argv[2] == "-" or os.path.exists(u)); '
    f"k or sys.exit({NOT_SHIPPED}); "
    'os.execv(sys.executable, [sys.executable, "-I", "-S", p] + [a for a in sys.argv[3:] if a])'
)
INSTALL = f"{CHECK}; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"


class NoPython(Unavailable, code="SERVER_UNSUITABLE"):
    """The server has no Python that the agent runs on."""


class AnswerInvalid(Unavailable, code="SERVER_ANSWER_INVALID"):
    """What the server sent is no answer of Prism's program there."""


def run_command(agent: str, uv: str, nonce: str, *words: str) -> str:
    """Run the host program of an agent, which exits with `NOT_SHIPPED` if something lacks.

    Without `uv`, only the agent has to be there.
    """
    return _command(RUN, agent, uv or "-", nonce, *words)


def install_command() -> str:
    """Run the program on standard input, after a line with its length."""
    return _command(INSTALL)


def answer_after(nonce: str, output: bytes) -> bytes:
    """The answer in a program's output, behind whatever a login shell printed."""
    _, marker, rest = output.partition(f"\n{nonce} ".encode("ascii"))
    digits, newline, body = rest.partition(b"\n")
    if not marker or not newline or not digits.isdigit() or len(digits) > MOST_DIGITS:
        raise AnswerInvalid("The server did not answer as Prism's program there does")
    if len(body) < int(digits):
        raise AnswerInvalid("The answer of the server is incomplete")
    return body[: int(digits)]


def _command(program: str, *words: str) -> str:
    script = CHOOSE.format(pythons=" ".join(PYTHONS), old=TOO_OLD, none=NO_PYTHON)
    return "exec " + shlex.join(["/bin/sh", "-c", script, "prism", program, *words])
