"""A fake Posit and conda-forge on loopback, with a package that installs like Posit's."""

import contextlib
import hashlib
import http.server
import subprocess
import threading

from prism.providers.aws.machine.cloudinit.bases import Installer

CONTROL = """\
Package: rstudio-server
Version: 2025.05.1+513
Architecture: all
Maintainer: tests
Depends: psmisc
Recommends: tree
Description: RStudio Server, played
"""
# The steps of the real package, in its order; it ignores failures.
POSTINST = """\
#!/bin/sh
set +e
useradd -r -U rstudio-server
cp /usr/lib/rstudio-server/extras/rstudio-server.service /lib/systemd/system/
systemctl daemon-reload
systemctl enable rstudio-server.service
systemctl start rstudio-server.service
set -e
"""
UNIT = """\
[Service]
ExecStart=/usr/bin/touch /var/lib/its-own-began
RemainAfterExit=yes
[Install]
WantedBy=multi-user.target
"""
SERVER = """\
#!/usr/bin/python3
import http.server, json, os, sys

told = dict(it[2:].split("=", 1) for it in sys.argv[1:])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = json.dumps([sys.argv, dict(os.environ), os.geteuid()]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

place = (told["www-address"], int(told["www-port"]))
http.server.HTTPServer(place, Handler).serve_forever()
"""
CONDA = """\
mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "$@" >"%s/asked"\\n' "$3" >"$3/bin/conda"
chmod +x "$3/bin/conda"
"""


def package(folder):
    """The .deb's bytes."""
    root = folder / "rstudio-server"
    for place, text, mode in [
        ("DEBIAN/control", CONTROL, 0o644),
        ("DEBIAN/postinst", POSTINST, 0o755),
        ("usr/lib/rstudio-server/bin/rserver", SERVER, 0o755),
        ("usr/lib/rstudio-server/extras/rstudio-server.service", UNIT, 0o644),
    ]:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(text)
        (root / place).chmod(mode)
    archive = folder / "rstudio-server.deb"
    build = ["dpkg-deb", "--root-owner-group", "--build", root, archive]
    subprocess.run(build, check=True, capture_output=True)
    return archive.read_bytes()


@contextlib.contextmanager
def published(files):
    """Serve these bytes by their names; gives an `Installer` for each."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(files[self.path.lstrip("/")])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever, daemon=True).start()
        at = f"http://127.0.0.1:{served.server_port}"
        yield {
            name: Installer(f"{at}/{name}", hashlib.sha256(file).hexdigest())
            for name, file in files.items()
        }
        served.shutdown()
