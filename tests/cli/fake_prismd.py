"""A fake `prismd`: it answers on the socket or exits, depending on `FAKE`."""

import fcntl
import json
import os
import signal
import socket
import sys
import time
from pathlib import Path

home = Path(os.environ["PRISM_HOME"])
sys.stdout.write(f"fake daemon {os.getpid()}, terminal {os.getsid(0) != os.getpid()}\n")
sys.stdout.flush()
if os.environ.get("FAKE") == "dies":
    sys.exit("error: the disk is on fire")
leaving = home / "leaving"
if leaving.exists():
    leaving.unlink()
    sys.exit("error: a daemon already runs here")
lock = (home / "daemon.lock").open("w")
try:
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    sys.exit("error: a daemon already runs here")
json.dump({"pid": os.getpid(), "url": "http://localhost:7"}, lock)
lock.flush()
signal.alarm(60)  # even if the test is killed
path = home / "prism.sock"
path.unlink(missing_ok=True)
STATUS = (
    b'{"status": "healthy", "version": "1", "uptime": "1s", "aws_connectivity": "not_configured",'
    b' "active_profiles": 1, "total_instances": 3, "active_instances": 2}'
)
ANSWERS = {b"GET /api/v1/instances": b"[]", b"GET /api/v1/daemon/status": STATUS}
with socket.socket(socket.AF_UNIX) as door:
    door.bind(str(path))
    door.listen(16)
    while True:
        connection, _ = door.accept()
        with connection:
            line = b" ".join(connection.recv(65536).split(b" ")[:2])
            if not line:
                continue  # a client only checked that the socket accepts
            body = ANSWERS.get(line, b"{}")
            status = 500 if os.environ.get("FAKE") == "sick" and b"POST" in line else 200
            head = f"HTTP/1.1 {status} OK\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
        if line == b"POST /api/v1/daemon/shutdown" and os.environ.get("FAKE") == "sick":
            continue
        if line == b"POST /api/v1/daemon/shutdown":
            path.unlink()
            time.sleep(0.3)  # a daemon closes its sockets before it ends
            sys.stdout.write("fake daemon stopped\n")
            lock.truncate(0)
            sys.stdout.flush()
            time.sleep(0.3)  # and ends a moment after it has released its lock
            break
