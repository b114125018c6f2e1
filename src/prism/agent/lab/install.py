"""Unpacks a folder of programs into the home of a login; sent as text, before the agent is there.

Standard input goes on with a line, `KIND NAME SHA256 LENGTH`, and the zip file.
"""

import hashlib
import io
import os
import sys
import zipfile

kind, name, digest, length = sys.stdin.buffer.readline().decode("ascii").split()
data = sys.stdin.buffer.read(int(length))
if hashlib.sha256(data).hexdigest() != digest:
    sys.exit("it arrived damaged")
os.umask(0o077)
target = os.path.join(os.path.expanduser("~"), ".prism-server", kind, name)
draft = f"{target}.{os.getpid()}.new"
try:
    os.makedirs(draft)
    with zipfile.ZipFile(io.BytesIO(data)) as packed:
        packed.extractall(draft)
    if kind == "uv":
        os.chmod(os.path.join(draft, "uv"), 0o700)
    if not os.path.exists(target):  # else another call was faster
        os.rename(draft, target)
except OSError as error:
    sys.exit(f"{target} cannot be written: {error}")
finally:
    for folder, _, names in os.walk(draft, topdown=False):
        for name in names:
            os.unlink(os.path.join(folder, name))
        os.rmdir(folder)
