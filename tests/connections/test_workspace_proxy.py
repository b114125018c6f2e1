"""Which port a name or path reaches, and the errors."""

import socket
import sys

import pytest

from tests.conftest import free_port
from tests.connections.conftest import BROUGHT, SERVE, listening
from tests.waiting import eventually

PYTHON = sys.executable


def code(answer):
    return answer.status_code, answer.json()["error"]["code"]


def by_path(site, path, method="GET", **more):
    return site.http.request(method, path, **more)


def test_origin_of_a_workspace_reaches_its_first_service_or_the_given_port(served_daemon):
    real = {name: served_daemon.real_port("mine", name) for name in ("page", "more")}
    for label, service in [
        ("mine", "page"),
        ("8888--mine", "page"),
        ("8501--mine", "more"),
        (f"{real['more']}--mine", "more"),
    ]:
        head = dict(served_daemon.received_request("GET", "/x", label)["headers"])
        assert head["host"] == f"127.0.0.1:{real[service]}", label


def test_proxy_path_serves_programs_with_every_method(served_daemon):
    request = by_path(served_daemon, "/web-proxy/mine/a%2Fb//c?x=1&port=8888&y").json()
    assert request["target"] == "/a%2Fb//c?x=1&y"
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        request = by_path(served_daemon, "/web-proxy/mine/", method, content=b"body").json()
        assert (request["method"], request["target"], request["body"]) == (method, "/", "body")
    assert by_path(served_daemon, "/web-proxy/mine/page", "HEAD").status_code == 200
    assert by_path(served_daemon, "/web-proxy/mine").json()["target"] == "/"
    served = by_path(served_daemon, "/web-proxy/mine/page")
    assert served.headers["content-security-policy"] == "sandbox, frame-ancestors 'none'"


def test_body_on_the_proxy_path_has_no_size_limit(served_daemon):
    answer = by_path(served_daemon, "/web-proxy/mine/upload", "POST", content=bytes(5 << 20))
    assert answer.json()["size"] == 5 << 20


@pytest.mark.parametrize(
    "browser",
    [
        {"user-agent": "Mozilla/5.0 (X11)"},
        {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"},
    ],
)
@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/web-proxy/mine/", "http://mine.localhost:{port}/"),
        ("/web-proxy/mine/lab?port=8888&x=1", "http://8888--mine.localhost:{port}/lab?x=1"),
        ("/dcv-proxy/mine/", "http://tls-8443--mine.localhost:{port}/"),
        ("/dcv-proxy/mine/?port=9443", "http://tls-9443--mine.localhost:{port}/"),
    ],
)
def test_browser_on_the_proxy_path_is_redirected_to_the_origin(
    served_daemon, browser, path, where
):
    answer = served_daemon.navigate(path, browser)
    assert answer.status_code == 307
    assert answer.headers["location"] == where.format(port=served_daemon.port)
    assert (answer.headers["cache-control"], answer.content) == ("no-store", b"")


def test_workspace_id_on_the_proxy_path_redirects_to_the_name(served_daemon):
    id = served_daemon.home.client.workspaces.get("mine").id
    assert by_path(served_daemon, f"/web-proxy/{id}/").json()["target"] == "/"
    answer = by_path(served_daemon, f"/web-proxy/{id}/", headers={"user-agent": "Mozilla/5.0"})
    assert answer.headers["location"] == f"http://mine.localhost:{served_daemon.port}/"


@pytest.mark.parametrize("proxy", ["web-proxy", "dcv-proxy"])
@pytest.mark.parametrize("name", ["mine", "nobody", "bare"])
@pytest.mark.parametrize("port", ["0", "65536", "x", "", "-1", "080", "1&port=2"])
def test_invalid_port_is_rejected_before_the_workspace_is_looked_up(
    served_daemon, proxy, name, port
):
    answer = by_path(served_daemon, f"/{proxy}/{name}/?port={port}")
    assert code(answer) == (400, "INVALID_PORT")


def test_unknown_workspace_is_404_and_stopped_workspace_is_409(served_daemon):
    client = served_daemon.home.client.workspaces
    for path in ("/web-proxy/nobody/", "/dcv-proxy/nobody/?port=1"):
        assert code(by_path(served_daemon, path)) == (404, "INSTANCE_NOT_FOUND")
    assert code(served_daemon.ask("GET", "/", "nobody")) == (404, "INSTANCE_NOT_FOUND")
    client.stop("bare", wait=30)
    try:
        answer = by_path(served_daemon, "/web-proxy/bare/?port=1")
        assert code(answer) == (409, "INVALID_STATE")  # see test_stopped_workspace.py
    finally:
        client.start("bare", wait=30)


def test_error_for_a_browser_is_an_html_page(served_daemon):
    looks = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "sec-fetch-site": "none"}
    answer = served_daemon.ask("GET", "/", "nobody", looks)
    assert (answer.status_code, answer.headers["content-type"]) == (
        404,
        "text/html; charset=utf-8",
    )
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "nobody" in answer.text


def test_ports_of_other_workspaces_and_programs_are_unreachable(served_daemon):
    with listening() as strangers:
        port_of_other = served_daemon.real_port("other", "page")
        for port in (port_of_other, served_daemon.port, strangers, 1):
            for label in (f"{port}--mine", f"{port}--bare"):
                assert code(served_daemon.ask("GET", "/", label)) == (503, "PORT_SILENT"), port
            assert code(by_path(served_daemon, f"/web-proxy/mine/?port={port}"))[0] == 503
            assert (
                code(by_path(served_daemon, f"/api/v1/instances/mine/ports?port={port}"))[0] == 503
            )
        assert served_daemon.ask("GET", "/", f"{port_of_other}--other").status_code == 200


def test_program_started_by_the_user_is_reached_by_its_port(served_daemon, tmp_path):
    client = served_daemon.home.client.workspaces
    template = f"""
name: Busy
packages: {{pip: []}}
ports: [8888]
post_install: ['echo {BROUGHT} | base64 -d >"$HOME/upstream.py"']
services:
  page: {{command: "sh -c '{ipv6_server(tmp_path)} & exec {SERVE}'", port: 8888}}
"""
    (served_daemon.home.folder / "templates" / "busy.yml").write_text(template)
    client.launch("Busy", "busy", wait=60)
    try:
        port = int((tmp_path / "port").read_text())
        eventually(lambda: served_daemon.ask("GET", "/page", f"{port}--busy").status_code == 200)
        host = dict(served_daemon.received_request("GET", "/", f"{port}--busy")["headers"])["host"]
        assert host == f"[::1]:{port}", "the program listens only on IPv6"
        assert code(served_daemon.ask("GET", "/page", f"{port}--mine"))[0] == 503
    finally:
        client.terminate("busy", wait=30)
    assert code(served_daemon.ask("GET", "/page", f"{port}--busy")) == (409, "INVALID_STATE")


def ipv6_server(folder):
    """The command of a server on IPv6 only; its port is written to a file."""
    port = free_port()
    (folder / "port").write_text(str(port))
    return f"setsid {PYTHON} {{home}}/upstream.py {port} ::1"


def in_use(port):
    try:
        socket.create_server(("127.0.0.1", port)).close()
    except OSError:
        return True
    return False


def test_default_port_without_services_is_8888(served_daemon):
    client = served_daemon.home.client.workspaces
    answer = by_path(served_daemon, "/web-proxy/bare/x")
    assert code(answer) == (503, "PORT_SILENT")
    assert "no service, and none of its programs listens on port 8888" in answer.text
    if in_use(8888):
        pytest.skip("port 8888 of this machine is somebody else's")
    serve = f"echo hello >x; setsid {PYTHON} -m http.server 8888 --bind 127.0.0.1 >log 2>&1 &"
    assert served_daemon.home.cli("exec", "bare", "--", "sh", "-c", serve).returncode == 0
    try:
        eventually(lambda: by_path(served_daemon, "/web-proxy/bare/x").status_code == 200)
        assert by_path(served_daemon, "/web-proxy/bare/x").text == "hello\n"
        assert served_daemon.ask("GET", "/x", "bare").text == "hello\n"
        answer = by_path(served_daemon, "/web-proxy/bare/x", headers={"user-agent": "Mozilla/5.0"})
        assert answer.headers["location"] == f"http://bare.localhost:{served_daemon.port}/x"
    finally:
        client.stop("bare", wait=30)
        client.start("bare", wait=30)


def test_default_port_is_that_of_the_first_service(served_daemon):
    client = served_daemon.home.client.workspaces
    template = f"""
name: App
packages: {{pip: []}}
ports: [8501, 8888]
post_install: ['echo {BROUGHT} | base64 -d >"$HOME/upstream.py"']
services:
  app: {{command: "{SERVE}", port: 8501, health: /page}}
  page: {{command: "{SERVE}", port: 8888, health: /page}}
"""
    (served_daemon.home.folder / "templates" / "app.yml").write_text(template)
    client.launch("App", "app", wait=60)
    try:
        for query, service in (("", "app"), ("?port=8501", "app"), ("?port=8888", "page")):
            request = by_path(served_daemon, f"/web-proxy/app/{query}").json()
            real = served_daemon.real_port("app", service)
            assert dict(request["headers"])["host"] == f"127.0.0.1:{real}", query
    finally:
        client.terminate("app", wait=30)


def test_ports_route_lists_services_with_their_real_ports(served_daemon):
    ways = by_path(served_daemon, "/api/v1/instances/mine/ports").json()[:2]
    real = {name: served_daemon.real_port("mine", name) for name in ("page", "more")}
    own = f"http://mine.localhost:{served_daemon.port}"
    page = {"service": "page", "port": 8888, "url": own, "host": "127.0.0.1"}
    other = own.replace("mine", "8501--mine")
    more = {"service": "more", "port": 8501, "url": other, "host": "127.0.0.1"}
    assert ways == [page | {"target": real["page"]}, more | {"target": real["more"]}]
    [entry] = by_path(served_daemon, f"/api/v1/instances/mine/ports?port={real['more']}").json()
    assert (entry["service"], entry["target"]) == (None, real["more"])
    assert by_path(served_daemon, "/api/v1/instances/bare/ports").json() == []
    assert code(by_path(served_daemon, "/api/v1/instances/nobody/ports?port=0")) == (
        400,
        "INVALID_PORT",
    )
    assert code(by_path(served_daemon, "/api/v1/instances/nobody/ports"))[0] == 404


def test_aws_console_paths_require_aws_credentials(served_daemon):
    for service in ("console", "braket", "sagemaker", "cloudshell"):
        answer = by_path(served_daemon, f"/aws-proxy/{service}?token=secret")
        assert code(answer) == (424, "AWS_CREDENTIALS_MISSING")
        assert "secret" not in answer.text
    assert code(by_path(served_daemon, "/aws-proxy/mail")) == (404, "AWS_SERVICE_NOT_FOUND")


def test_terminal_without_a_websocket_upgrade_is_426(served_daemon):
    assert code(by_path(served_daemon, "/ssh-proxy/mine")) == (426, "UPGRADE_REQUIRED")


def test_api_path_on_the_origin_of_a_workspace_reaches_the_service(served_daemon):
    assert (
        served_daemon.received_request("GET", "/api/v1/instances")["target"] == "/api/v1/instances"
    )
