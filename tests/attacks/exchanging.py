"""A hostile program that exchanges two names over and over, as fast as the kernel lets it.

    python tests/attacks/exchanging.py FOLDER ONE OTHER

It prints a line after each 1,000 exchanges and ends when its standard input does.
"""

import ctypes
import os
import select
import sys

AT_FDCWD, EXCHANGE = -100, 2  # renameat2(2)


def main(folder: str, first: str, other: str) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    os.chdir(folder)
    names = (AT_FDCWD, first.encode(), AT_FDCWD, other.encode(), EXCHANGE)
    while not select.select([0], [], [], 0)[0]:
        for _ in range(1000):
            if libc.renameat2(*names) and ctypes.get_errno() != 2:
                return ctypes.get_errno()
        sys.stdout.write("exchanged\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
