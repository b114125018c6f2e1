"""Memory that the daemon has freed stays small, however many threads have used it."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, os, sys, threading
from prism.daemon.memory import limit_arenas

libc = ctypes.CDLL(None)
if not hasattr(libc, "malloc_info"):
    sys.exit(77)
if sys.argv[1] == "limited":
    limit_arenas()
libc.fdopen.restype, libc.malloc.restype = ctypes.c_void_p, ctypes.c_void_p
gate = threading.Barrier(17)

def allocate():
    for _ in range(1000):
        libc.malloc(ctypes.c_size_t(100))
    gate.wait()
    gate.wait()

threads = [threading.Thread(target=allocate) for _ in range(16)]
for thread in threads:
    thread.start()
gate.wait()
stream = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, stream)
libc.fflush(stream)
gate.wait()
"""


@pytest.mark.parametrize("way", ["limited", "not limited"])
def test_threads_share_two_arenas(way):
    done = subprocess.run([sys.executable, "-c", PROGRAM, way], capture_output=True, text=True)
    if done.returncode == 77:
        pytest.skip("needs glibc")
    assert done.returncode == 0, done.stderr
    arenas = done.stdout.count("<heap nr=")
    assert arenas <= 2 if way == "limited" else arenas > 2, done.stdout
