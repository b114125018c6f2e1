"""A double of EC2 and of its metadata service, as an EC2 instance sees them."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE = {"AccessKeyId": "ASIAEXAMPLE", "SecretAccessKey": "se/cret+", "Token": "to/ken=="}


class Ec2:
    """Answers on a loopback port; `refuses` is the code that EC2 gives, `role` may be missing."""

    def __init__(self) -> None:
        self.role, self.refuses = ROLE, ""
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self.tokens: set[str] = set()
        double = self

        class Handler(BaseHTTPRequestHandler):
            def do_PUT(self) -> None:
                self._answer("imds-token")

            def do_GET(self) -> None:
                double.tokens.add(self.headers["Authorization"])
                if self.headers["X-aws-ec2-metadata-token"] != "imds-token":
                    return self._answer("", 401)
                fact = double.facts().get(self.path.removeprefix("/latest/"))
                return self._answer(fact or "", 404 if fact is None else 200)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                double.requests.append((dict(self.headers.items()), body))
                if double.refuses:
                    code = f"<Errors><Error><Code>{double.refuses}</Code></Error></Errors>"
                    return self._answer(f"<Response>{code}</Response>", 403)
                return self._answer("<StopInstancesResponse/>")

            def _answer(self, text: str, status: int = 200) -> None:
                self.send_response(status)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def facts(self) -> dict[str, str]:
        place = "meta-data/iam/security-credentials/"
        facts = {
            "dynamic/instance-identity/document": json.dumps(
                {"instanceId": "i-0123456789abcdef0", "region": "eu-west-1"}
            ),
            "meta-data/services/domain": "amazonaws.com",
        }
        if self.role:
            facts |= {place: "prism-machine", f"{place}prism-machine": json.dumps(self.role)}
        return facts

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
