"""A machine is really set up by its template: systemd, cloud-init, packages, services.

It boots Debian 12 in namespaces of its own (`nest.py`) with the very bytes that EC2 would get.
"""

import contextlib
import http.client
import json
import shutil
import socket
import time
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from prism.providers.aws.api.tags import duration, instant
from prism.providers.aws.compute.readiness import BootStage, read
from prism.providers.aws.machine.cloudinit import rstudio
from prism.providers.aws.machine.cloudinit.bases import MINIFORGE
from prism.providers.aws.machine.cloudinit.model import LIMIT
from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.ssh.hostkeys import key_on_console
from prism.templates.model import Service, TemplateParameter
from tests.proofs import record
from tests.providers.aws.machine.cloudinit import debian, nest, posit
from tests.providers.aws.machine.cloudinit.imds import imds
from tests.providers.aws.machine.cloudinit.ordered import KEY, LIBRARY, PRIVATE, rendered, template
from tests.waiting import eventually

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.xdist_group("machine"),
]
ODD = """it's "odd": $HOME ${HOME} %h %% `id` \\n\\t \\ ; # * ~ {braces} é"""
SERVER_PROGRAM = """\
cat >"$HOME/say.py" <<'PYTHON'
import http.server, json, os, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = json.dumps([sys.argv, dict(os.environ), os.getcwd()]).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(said)

http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
PYTHON
"""


@pytest.fixture(scope="module")
def debian_root(tmp_path_factory):
    if lacking := debian.lacking() or nest.lacking():
        pytest.skip(lacking)
    folder = tmp_path_factory.mktemp("debian")
    yield debian.debootstrapped(folder / "root")
    shutil.rmtree(folder)


@pytest.fixture
def machine(debian_root, tmp_path):
    machine = nest.BootedMachine(debian_root, tmp_path)
    yield machine
    machine.off()
    shutil.rmtree(tmp_path)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def wait_for_stage(machine, stage, count=1, seconds=900):
    """Wait for the end of a boot; a failed one shows what it has printed."""

    def ended():
        assert machine.is_on, machine.console[-4000:]
        begun = machine.console.count("prism-boot: begin") == count
        return begun and read(machine.console).stage in {BootStage.READY, BootStage.FAILED}

    eventually(ended, seconds)
    assert read(machine.console).stage is stage, machine.console[-4000:]


def asked(port, path, **headers):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    with contextlib.closing(link):
        link.request("GET", path, headers=headers)
        answer = link.getresponse()
        return answer.status, answer.read()


def workshop(jupyter_port, odd_port):
    """JupyterLab on Debian with Debian's packages, and a service with odd words."""
    lab, base = LIBRARY["jupyterlab"], LIBRARY["debian12-base"]
    jupyter = structs.replace(lab.services["jupyter"], port=jupyter_port)
    odd = Service(
        command="python3 {home}/say.py {port} {parameters.odd} 'a  b' '' ${HOME} %i",
        port=odd_port,
        health="/",
        environment={"ODD": "{parameters.odd}", "SECRET": "x{token}x", "OWN": "service"},
    )
    return structs.replace(
        lab,
        base="debian-12",
        packages={**base.packages, **lab.packages},
        users=("guest", "researcher"),
        services={"jupyter": jupyter, "odd": odd},
        parameters={"odd": TemplateParameter(type="string")},
        environment={"SHARED": "{name} {parameters.odd}", "OWN": "template"},
        post_install=(
            SERVER_PROGRAM,
            'printf "%s\\n" "$USER $PWD $SHARED" >>"$HOME/ran"',
            "sudo -n true",
        ),
    )


def test_debian_machine_is_set_up_by_its_template(machine):
    ports = free_port(), free_port()
    template = workshop(*ports)
    parameters = {"odd": ODD}
    data = rendered(template, parameters, hibernation=True)
    machine.seed(data.gzipped)
    begun = time.monotonic()
    machine.boot()
    wait_for_stage(machine, BootStage.READY)
    took = time.monotonic() - begun
    markers_in_order(machine)
    cloud_init_ended_well(machine)
    packages_are_there(machine, template)
    accounts_are_right(machine)
    units_are_right(machine)
    services_answer(machine, ports)
    post_install_ran_once(machine)
    secrets_are_kept(machine, template)

    machine.run("systemctl", "poweroff")
    machine.ended()
    machine.boot()
    wait_for_stage(machine, BootStage.READY, count=2, seconds=120)
    services_answer(machine, ports)
    post_install_ran_once(machine)
    powers_off_after_its_expiry(machine)
    size = len(data.gzipped)
    record(
        "A Debian machine made by cloud-init",
        "The machine is a Debian 12 from debootstrap, in its own namespaces, with systemd as "
        f"process 1 and cloud-init 22.4 with NoCloud. {size:,} of {LIMIT:,} bytes of user data "
        f"install {len(template.packages['apt'])} apt packages, JupyterLab in its own "
        f"environment, and two services that answer on loopback. The machine is ready {took:.0f} "
        "s after power-on, and again after a second boot. Accounts, rights, units and messages "
        "are as specified. At the expiry in its tags, it powers itself off.",
    )


def test_failed_machine_is_set_up_by_a_changed_template(machine):
    """Its second boot has other user data; cloud-init asks EC2 for that at every boot.

    NoCloud, which replaces EC2 here, asks only if it does not know the instance: what it
    has kept is taken away.
    """
    old, new = free_port(), free_port()
    serve = "python3 -m http.server {port} --bind 127.0.0.1"
    services = {"old": Service(command=serve, port=old, health="/")}
    wrong = template(services=services, post_install=('echo 1 >>"$HOME/ran"', "exit 7"))
    machine.seed(rendered(wrong).gzipped)
    machine.boot()
    wait_for_stage(machine, BootStage.FAILED)
    machine.run("systemctl", "poweroff")
    machine.ended()

    services = {"new": Service(command=serve, port=new, health="/")}
    right = template(services=services, post_install=('echo 1 >>"$HOME/ran"', "true"))
    machine.seed(rendered(right, again=True).gzipped)
    instances = machine.folder / "over/upper/var/lib/cloud/instances"
    [known] = instances.glob("*/obj.pkl")
    known.unlink()
    machine.boot()
    wait_for_stage(machine, BootStage.READY, count=2)
    assert asked(new, "/")[0] == 200
    units = machine.run("sh", "-c", "cd /etc/systemd/system; echo prism-service-*").split()
    assert units == ["prism-service-new.service"]
    assert machine.run("cat", "/home/admin/ran") == "1\n", "a completed command is not repeated"
    written = "/etc/profile.d/prism.sh"
    machine.run("sh", "-c", f"echo '# mine' >>{written}")
    machine.run("systemctl", "poweroff")
    machine.ended()
    machine.boot()
    wait_for_stage(machine, BootStage.READY, count=3)
    assert "# mine" in machine.run("cat", written), "files are rewritten once, not at each boot"


def markers_in_order(machine):
    lines = [line.strip() for line in machine.console.splitlines()]
    markers = [
        line.removeprefix("prism-boot: ") for line in lines if line.startswith("prism-boot: ")
    ]
    key = machine.run("cut", "-d ", "-f1,2", "/etc/ssh/ssh_host_ed25519_key.pub").strip()
    boot = machine.run("cat", "/proc/sys/kernel/random/boot_id").strip()
    memory = machine.run("cat", "/run/prism-memory").strip()
    at = markers[1].split()[-1]
    steps = ["packages", "python", "post-install", "services", "ready"]
    assert markers == ["begin", f"id {boot} {memory} {at}", f"hostkey {key}", *steps]
    assert key_on_console(machine.console) == key


def cloud_init_ended_well(machine):
    assert "status: done" in machine.run("cloud-init", "status", "--wait")
    assert machine.run("systemctl", "--failed", "--no-legend") == ""
    assert machine.run("hostname").strip() == "demo"


def packages_are_there(machine, template):
    for name in template.packages["apt"]:
        assert "install ok installed" in machine.run("dpkg-query", "-Wf${Status}", name)
    show = ["/home/researcher/.venv/bin/uv", "pip", "show", "jupyterlab", "pip"]
    output = machine.run("runuser", "-l", "researcher", "-c", " ".join(show))
    assert "Location: /home/researcher/.venv/lib" in output


def accounts_are_right(machine):
    for name in ("admin", "guest", "researcher"):
        keys = f"/home/{name}/.ssh/authorized_keys"
        assert machine.run("stat", "-c%U %a", keys).split() == [name, "600"]
        assert KEY in machine.run("cat", keys)
        assert machine.run("getent", "shadow", name).split(":")[1].startswith("!")
    for name in ("admin", "researcher"):
        machine.run("runuser", "-u", name, "--", "sudo", "-n", "true")
        assert machine.run("stat", "-c%a", f"/home/{name}") == "750\n"
        look = machine.run("runuser", "-u", "guest", "--", "ls", f"/home/{name}", check=False)
        assert look == ""
    refused = machine.run("runuser", "-u", "guest", "--", "sudo", "-n", "true", check=False)
    assert refused == ""
    assert "not allowed" in machine.run("sudo", "-l", "-U", "guest")


def units_are_right(machine):
    places = "/etc/systemd/system/prism-*"
    output = machine.run("sh", "-c", f"systemd-analyze verify {places} 2>&1")
    assert "prism" not in output
    for name in ("jupyter", "odd"):
        unit = f"prism-service-{name}.service"
        show = machine.run("systemctl", "show", unit, "-pUser,Restart,ActiveState,UnitFileState")
        assert set(show.split()) == {
            "User=researcher",
            "Restart=on-failure",
            "ActiveState=active",
            "UnitFileState=enabled",
        }
        assert machine.run("stat", "-c%U %a", f"/etc/prism/{name}.env").split() == ["root", "600"]
    assert "active" in machine.run("systemctl", "is-active", "prism-ttl.timer")
    assert machine.run("systemctl", "is-enabled", "prism-boot.service").strip() == "enabled"


def services_answer(machine, ports):
    jupyter, odd = ports
    token = secret(PRIVATE, "ws-1", "jupyter")
    assert asked(jupyter, "/api/kernels")[0] == 403
    assert asked(jupyter, "/api/kernels", Authorization=f"token {token}")[0] == 200
    argv, environment, folder = json.loads(asked(odd, "/")[1])
    home = "/home/researcher"
    assert argv == [f"{home}/say.py", str(odd), ODD, "a  b", "", "${HOME}", "%i"]
    assert folder == home
    expected = {
        "ODD": ODD,
        "SHARED": f"demo {ODD}",
        "OWN": "service",
        "SECRET": f"x{secret(PRIVATE, 'ws-1', 'odd')}x",
        "HOME": home,
        "USER": "researcher",
        "VIRTUAL_ENV": f"{home}/.venv",
    }
    assert {name: environment.get(name) for name in expected} == expected
    assert environment["PATH"].startswith(f"{home}/.venv/bin:{home}/.local/bin:")
    listening = machine.run("ss", "-Hltn", f"( sport = :{jupyter} or sport = :{odd} )")
    assert {line.split()[3] for line in listening.splitlines()} == {
        f"127.0.0.1:{port}" for port in ports
    }


def post_install_ran_once(machine):
    ran = machine.run("cat", "/home/researcher/ran")
    assert ran == f"researcher /home/researcher demo {ODD}\n"
    shell = ["runuser", "-l", "researcher", "-c", 'printf "%s\\n" "$SHARED"; command -v jupyter']
    assert machine.run(*shell) == f"demo {ODD}\n/home/researcher/.venv/bin/jupyter\n"


def secrets_are_kept(machine, template):
    everything = machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "say.py" in everything
    logged = machine.run("sh", "-c", "cat /var/log/cloud-init*.log")
    journal = machine.run("journalctl", "--no-pager")
    for name in template.services:
        token = secret(PRIVATE, "ws-1", name)
        for text in (everything, logged, journal, machine.console):
            assert token not in text
    reading = ["runuser", "-u", "guest", "--", "cat", "/etc/prism/odd.env"]
    assert machine.run(*reading, check=False) == ""


def powers_off_after_its_expiry(machine):
    """Its timer's own service, with a metadata service on loopback; it is asked twice."""
    now = datetime.now(UTC)
    tags = {
        "prism:launched-at": instant(now - timedelta(hours=2)),
        "prism:ttl": duration(timedelta(hours=3)),
    }
    with imds(tags) as served:
        address = f"http://127.0.0.1:{served.server_port}"
        line = f"/usr/bin/python3 -I /usr/local/lib/prism/ttl --address {address}"
        folder = "/run/systemd/system/prism-ttl.service.d"
        override = f"[Service]\nExecStart=\nExecStart={line}\n"
        machine.run("mkdir", "-p", folder)
        machine.run("tee", f"{folder}/here.conf", input=override)
        machine.run("systemctl", "daemon-reload")
        machine.run("systemctl", "start", "prism-ttl.service")
        assert machine.is_on
        assert served.asked
        served.tags = {**tags, "prism:ttl": "1h59m59s"}
        machine.run("systemctl", "start", "--no-block", "prism-ttl.service")
        machine.ended()
    assert "prism-ttl: going down, its time ended" in machine.console


def test_failed_setup_is_repeated_at_the_next_boot(machine):
    template = broken()
    machine.seed(rendered(template).gzipped)
    machine.boot()
    wait_for_stage(machine, BootStage.FAILED)
    boot = read(machine.console)
    assert boot.step == "post-install 2"
    assert "prism-log: the reason" in machine.console
    assert machine.run("systemctl", "is-failed", "prism-boot.service").strip() == "failed"
    assert machine.run("cat", "/home/admin/ran") == "one\n"
    machine.run("touch", "/home/admin/repaired")
    machine.run("systemctl", "poweroff")
    machine.ended()

    machine.boot()
    wait_for_stage(machine, BootStage.READY, count=2)
    assert machine.run("cat", "/home/admin/ran") == "one\ntwo\n"
    assert (
        machine.run("grep", "-c", "^== packages", "/var/log/cloud-init-output.log").strip() == "1"
    )


def broken():
    commands = (
        "echo one >>ran",
        "test -e repaired || { echo the reason; exit 3; }",
        "echo two >>ran",
    )
    return template(
        users=("admin",), package_manager="apt", packages={"apt": ("tree",)}, post_install=commands
    )


def test_service_that_exits_fails_the_boot(machine):
    dies = Service(command="sh -c 'exit 7'", port=free_port(), health="/")
    tested_template = template(services={"dies": dies})
    machine.seed(rendered(tested_template).gzipped)
    machine.boot()
    wait_for_stage(machine, BootStage.FAILED, seconds=300)
    assert read(machine.console).step == "service dies"


def test_rstudio_runs_only_as_a_service_of_prism_with_the_user_password(
    machine, tmp_path, monkeypatch
):
    lab, port = LIBRARY["r-research"], free_port()
    service = structs.replace(lab.services["rstudio"], port=port)
    template = structs.replace(
        lab, base="debian-12", users=("guest", "researcher"), services={"rstudio": service}
    )
    files = {"conda": posit.CONDA.encode(), "rstudio": posit.package(tmp_path)}
    with posit.published(files) as published:
        monkeypatch.setitem(MINIFORGE, "x86_64", published["conda"])
        monkeypatch.setattr(rstudio, "RSTUDIO", published["rstudio"])
        machine.seed(rendered(template).gzipped)
        machine.boot()
        wait_for_stage(machine, BootStage.READY)
    assert "tree" not in machine.run("dpkg-query", "-Wf${Package} ")
    assert machine.run("dpkg-query", "-Wf${Status}", "psmisc") == "install ok installed"
    own = "rstudio-server.service"
    assert machine.run("systemctl", "is-enabled", own, check=False).strip() == "masked"
    assert machine.run("sh", "-c", "test -e /var/lib/its-own-began || echo never") == "never\n"
    rserver_is_ours(machine, port)
    password_is_the_secret_and_opens_no_ssh(machine)


def rserver_is_ours(machine, port):
    argv, environment, account = json.loads(asked(port, "/auth-sign-in")[1])
    assert argv[0] == "/usr/lib/rstudio-server/bin/rserver"
    assert account == 0
    assert "PRISM_PASSWORD" not in environment
    assert environment["PATH"].startswith("/home/researcher/miniconda3/bin:")
    listening = machine.run("ss", "-Hltn", f"sport = :{port}").split()
    assert listening[3] == f"127.0.0.1:{port}"
    asked_of_conda = machine.run("cat", "/home/researcher/miniconda3/asked")
    assert asked_of_conda == (
        "install --yes --quiet -c conda-forge r-base r-tidyverse r-ggplot2\n"
    )
    output = machine.run("sh", "-c", "systemd-analyze verify /etc/systemd/system/prism-* 2>&1")
    assert "prism" not in output


def password_is_the_secret_and_opens_no_ssh(machine):
    password = secret(PRIVATE, "ws-1", "rstudio")
    become = ["runuser", "-u", "guest", "--", "su", "researcher", "-c", "id -un"]  # PAM decides
    assert machine.run(*become, input=f"{password}\n") == "researcher\n"
    assert machine.run(*become, input="another\n", check=False) == ""
    for name in ("admin", "guest"):
        assert machine.run("getent", "shadow", name).split(":")[1].startswith("!")
    machine.run("mkdir", "-p", "/run/sshd")
    ssh = machine.run("/usr/sbin/sshd", "-T").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no"} <= set(ssh)
    everything = machine.run("sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert "rserver" in everything
    logged = machine.run("sh", "-c", "cat /var/log/*.log")
    for text in (everything, logged, machine.run("journalctl", "--no-pager"), machine.console):
        assert password not in text
