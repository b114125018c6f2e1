"""What S3 answers about a bucket, as a problem with the way out."""

from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from prism.providers.aws.account.buckets import BucketForbidden, BucketMissing, s3_login
from prism.providers.aws.api.faults import AwsUnavailable


@pytest.fixture
def s3(monkeypatch):
    """The statuses of a server, which answers with the last one; HEAD has no body, so no code."""
    statuses = list[int]()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(statuses[-1])
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {
        "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{server.server_port}",
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONFIG_FILE": "/nonexistent",
        "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setenv(name, value)
    yield statuses
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "problem"),
    [(404, BucketMissing), (403, BucketForbidden), (503, AwsUnavailable)],
)
def test_outage_of_s3_is_not_called_a_lack_of_rights(s3, status, problem):
    s3.append(status)
    with pytest.raises(problem):
        s3_login(None, "copies")
