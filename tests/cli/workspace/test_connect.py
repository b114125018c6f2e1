"""`prism connect` and `prism open`: secrets appear only on stdout."""

import getpass
import json
import os
import platform

import pytest

from prism.cli.workspace import connect
from tests.cli.shown import CONNECTION
from tests.client.scripted import problem

CONNECT = "GET /instances/mine/connect"
PORTS = "GET /instances/mine/ports"
ME = "GET /me"
LAB = "http://127.0.0.1:8888/lab?token=t%2Fk"
WAY = {"service": "jupyter", "port": 8888, "host": "127.0.0.1", "target": 8888}
WAYS = [WAY | {"url": "http://mine.localhost:8947"}]
OWN = "http://mine.localhost:8947/lab?token=t%2Fk"


def test_connect_prints_every_service_ssh_and_a_way_from_another_computer(prism, server, home):
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS)
    done = prism("connect", "mine", SSH_CONNECTION="192.0.2.1 1 192.0.2.2 22")
    assert (done.returncode, done.stderr) == (0, "")
    printed, _, elsewhere = done.stdout.partition("\nIn a browser on another computer")
    user = getpass.getuser()
    assert elsewhere.splitlines()[1:] == [
        f"  ssh -N -L 1:{home}/prism.sock {user}@192.0.2.2",
        f"  {OWN}",
    ]
    assert printed == (
        "files    http://127.0.0.1:9000\n"
        "         ssh -L 9000:localhost:9000 -p 2222 mine@127.0.0.1\n"
        f"jupyter  {LAB}\n"
        "rstudio  http://127.0.0.1:8787\n"
        "         user ada, password secret\n"
        "ssh      ssh -p 2222 mine@127.0.0.1\n"
    )
    assert json.loads(prism("connect", "mine", "--json").stdout) == CONNECTION


@pytest.mark.parametrize(
    ("environ", "ssh"),
    [
        ({"SSH_CONNECTION": "192.0.2.1 1 192.0.2.2 2222"}, "-p 2222 -L 8950:/h/prism.sock"),
        ({"SSH_CONNECTION": "garbage"}, "-L 8950:/h/prism.sock"),
        ({}, "-L 8950:/h/prism.sock"),
    ],
)
def test_way_from_another_computer_names_the_address_that_this_terminal_used(environ, ssh):
    host = "192.0.2.2" if len(environ.get("SSH_CONNECTION", "").split()) == 4 else platform.node()
    command = connect.forward_command("8950", "/h/prism.sock", environ)
    assert command == f"ssh -N {ssh} {getpass.getuser()}@{host}"
    assert "'8950:/a b/prism.sock'" in connect.forward_command("8950", "/a b/prism.sock", {})


def test_open_on_a_shared_daemon_leads_to_the_origin_of_the_app(prism, server):
    origin = "https://mine--bob.apps.example.org"
    server.on(CONNECT, CONNECTION).on(PORTS, [WAY | {"url": origin}])
    server.on(ME, {"apps_domain": "apps.example.org"})
    done = prism("open", "mine", "--json", PRISM_TOKEN="secret")
    assert json.loads(done.stdout)["url"] == f"{origin}/lab?token=t%2Fk"


def test_open_on_a_remote_daemon_fails_and_suggests_a_tunnel(prism, server):
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS).on(ME, {"apps_domain": None})
    for more in ((), ("--json",)):
        done = prism("open", "mine", *more, PRISM_TOKEN="secret")
        assert (done.returncode, done.stdout) == (1, "")
        assert "error: jupyter of mine cannot be opened from here" in done.stderr
        assert "`prism tunnel mine`" in done.stderr
    done = prism("connect", "mine", PRISM_TOKEN="secret")
    assert (done.returncode, LAB in done.stdout) == (0, True)
    assert "only on the computer where the daemon runs" in done.stderr


def test_connect_and_open_report_a_workspace_without_services(prism, server):
    server.on(CONNECT, {"ssh": {"command": None, "host": "127.0.0.1"}, "services": {}})
    assert "neither a service nor SSH" in prism("connect", "mine").stderr
    done = prism("open", "mine")
    assert (done.returncode, "No service of mine answers now" in done.stderr) == (1, True)


def test_open_prints_the_address_without_a_display(prism, server):
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS)
    done = prism("open", "mine")
    assert (done.returncode, done.stdout) == (0, f"{OWN}\n")
    assert "t%2Fk" not in done.stderr
    assert prism("open", "mine", "rstudio").stdout == "http://127.0.0.1:8787\n"
    assert json.loads(prism("open", "mine", "--json").stdout)["url"] == OWN


@pytest.fixture
def browser(home):
    """A fake browser that stores the address and the page that it opens."""
    program = home / "browser"
    program.write_text(
        f'#!/bin/sh\necho "$1" > {home}/opened\ncat "${{1#file://}}" > {home}/read\nexit $CODE\n'
    )
    program.chmod(0o755)
    return f"{program} %s"


@pytest.mark.parametrize(("code", "printed"), [(0, ""), (1, f"{OWN}\n")])
def test_open_prints_the_address_only_if_the_browser_fails(
    prism, server, home, browser, code, printed
):
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS)
    done = prism("open", "mine", BROWSER=browser, CODE=str(code))
    assert (done.returncode, done.stdout) == (0, printed)
    assert "t%2Fk" not in done.stderr
    assert f'url={OWN}"' in (home / "read").read_text()


def test_open_passes_a_secret_in_a_private_file_and_not_as_argument(prism, server, home, browser):
    """The file is private, and pages of earlier commands are removed."""
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS)
    (home / "open").mkdir()
    (old := home / "open" / "0.html").touch()
    os.utime(old, (0, 0))
    (new := home / "open" / "1.html").touch()
    assert prism("open", "mine", BROWSER=browser, CODE="0").returncode == 0
    opened = (home / "opened").read_text().strip()
    [page] = {*(home / "open").iterdir()} - {new}
    assert opened == page.as_uri()
    assert page.stat().st_mode & 0o777 == 0o600
    assert not old.exists()


def test_redirect_page_escapes_the_address_in_a_private_folder(tmp_path):
    page = connect.redirect_page('http://h/"><script>alert(1)</script>', tmp_path / "open")
    assert "<script" not in page.read_text()
    assert (tmp_path / "open").stat().st_mode & 0o777 == 0o700


def test_open_passes_an_address_without_secret_directly(prism, server, home, browser):
    server.on(CONNECT, CONNECTION).on(PORTS, WAYS)
    assert prism("open", "mine", "rstudio", BROWSER=browser, CODE="0").returncode == 0
    assert (home / "opened").read_text() == "http://127.0.0.1:8787\n"
    assert not (home / "open").exists()


def test_open_refuses_a_file_address(prism, server, home):
    services = {"jupyter": {"url": "file:///etc/passwd"}}
    server.on(CONNECT, {"ssh": {}, "services": services}).on(PORTS, [])
    done = prism("open", "mine", BROWSER=f"touch {home}/opened")
    assert (done.returncode, "file:///etc/passwd" in done.stderr) == (1, True)
    assert not (home / "opened").exists()


def test_open_of_an_unknown_service_lists_the_services(prism, server):
    server.on(CONNECT, CONNECTION)
    done = prism("open", "mine", "matlab")
    assert done.returncode == 1
    assert "services that answer: files, jupyter, rstudio" in done.stderr


def test_open_fails_if_the_workspace_is_stopped(prism, server):
    server.on(CONNECT, problem(409, "INVALID_STATE", "mine is stopped"))
    assert prism("open", "mine").returncode == 1
