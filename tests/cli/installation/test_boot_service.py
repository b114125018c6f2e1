"""`prism daemon install`: the unit of systemd, the line of cron, and the script that both run."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from prism.cli.checks.context import CheckContext
from prism.cli.checks.service import start_at_boot
from prism.cli.installation.boot_service import (
    SCRIPT,
    CronService,
    NoBootService,
    SystemdService,
    boot_service,
    installed_services,
    missing_program,
    script_text,
    settings_of,
    unit_name,
    unit_text,
    with_entry,
    without_entry,
    write_script,
)
from prism.client.transport.address import DaemonAddress
from prism.home import DEFAULT_HOME, folder_of
from tests.conftest import free_port
from tests.optional import not_none

ODD = 'a home of "100 %h" for $USER\'s \\work'
CRONTAB = """#!/bin/sh
# Like Debian's crontab(1): `-l` lists, `-` replaces.
if [ "$1" = -l ]; then
    [ -e {table} ] && exec cat {table}
    echo "no crontab for ada" >&2; exit 1
fi
exec cat > {table}
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> {log}
case "$*" in *is-enabled*) echo enabled;; esac
"""


def program(folder, name, text):
    """An executable of that name in a folder."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def odd_home(tmp_path):
    home = tmp_path / ODD
    home.mkdir()
    return home


@pytest.fixture
def crontab(tmp_path, monkeypatch):
    """The file of the only crontab, and a crontab(1) for it; no systemd."""
    table = tmp_path / "crontab"
    program(tmp_path / "bin", "crontab", CRONTAB.format(table=table))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    return table


@pytest.fixture
def systemd_root(tmp_path, monkeypatch):
    """A root folder on which systemd seems to run, and a systemctl that notes its calls."""
    root = tmp_path / "root"
    (root / "run/systemd/system").mkdir(parents=True)
    program(tmp_path / "bin", "systemctl", SYSTEMCTL.format(log=tmp_path / "calls"))
    program(tmp_path / "bin", "loginctl", "#!/bin/sh\necho Linger=yes\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return root


# ------------------------------------------------------------ the texts
@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is missing")
@pytest.mark.parametrize("is_root", [True, False])
def test_systemd_accepts_the_unit(odd_home, tmp_path, is_root):
    script = odd_home / SCRIPT
    script.touch()
    unit = tmp_path / "prism.service"
    unit.write_text(unit_text(str(odd_home), str(script), is_root=is_root))
    scope = [] if is_root else ["--user"]
    done = subprocess.run(
        ["systemd-analyze", "verify", *scope, unit],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    ours = [line for line in done.stderr.splitlines() if unit.name in line]
    assert (done.returncode, ours) == (0, []), "systemd also checks the units of the system"
    assert "KillMode=process\n" in unit.read_text(), "workspaces outlive their daemon"


def test_script_runs_the_daemon_with_the_environment_of_the_shell(odd_home):
    log = odd_home / "daemon.log"
    daemon = program(odd_home, "pris'md", '#!/bin/sh\nenv; echo "arguments: $*"\n')
    shell = {
        "PATH": os.environ["PATH"],
        "HTTPS_PROXY": "http://user:it's@proxy:3128",
        "no_proxy": "localhost",
        "AWS_PROFILE": "lab",
        "AWS_SECRET_ACCESS_KEY": "hidden",
        "EDITOR": "vi",
        "PRISM_URL": "http://elsewhere",
    }
    text = script_text(str(odd_home), [str(daemon), "a b"], str(log), shell)
    assert "hidden" not in text
    subprocess.run(["/bin/sh", "-c", text], env={}, check=True)
    lines = log.read_text().splitlines()
    assert f"PRISM_HOME={odd_home}" in lines
    assert "HTTPS_PROXY=http://user:it's@proxy:3128" in lines
    assert {"no_proxy=localhost", "AWS_PROFILE=lab", "arguments: a b"} <= {*lines}
    assert not any(line.startswith(("EDITOR", "PRISM_URL")) for line in lines)


def test_script_is_private_and_is_checked_for_its_program(odd_home):
    service = CronService(str(odd_home))
    assert missing_program(service) == f"{odd_home}/{SCRIPT}"
    write_script(service, ["/bin/true"], str(odd_home / "log"))
    assert os.stat(service.script).st_mode & 0o777 == 0o700
    assert missing_program(service) is None
    write_script(service, ["/gone/prismd"], str(odd_home / "log"))
    assert missing_program(service) == "/gone/prismd"


def test_crontab_keeps_the_lines_of_others():
    before = "# mine\n0 5 * * * backup\n@reboot /bin/sh /other/start-at-boot\n5 5 * * * last"
    after = with_entry(before, "/h 100%/start-at-boot")
    assert after == f"{before}\n@reboot /bin/sh '/h 100\\%/start-at-boot'\n"
    assert with_entry(after, "/h 100%/start-at-boot") == after, "only once"
    assert without_entry(after, "/h 100%/start-at-boot") == f"{before}\n"
    assert without_entry(before, "/h") == before


def test_settings_of_the_daemon_are_told_from_those_of_a_client():
    shell = {"PRISM_AUTH": "tokens", "PRISM_PORT": "", "PRISM_URL": "http://x", "PRISM_X": "1"}
    assert settings_of(shell, {"PRISM_AUTH", "PRISM_PORT", "PRISM_URL"}) == {
        "PRISM_AUTH": "tokens"
    }


def test_each_home_has_a_unit_of_its_own():
    assert unit_name(folder_of(DEFAULT_HOME)) == "prism.service"
    assert unit_name("/a") != unit_name("/b")


# ------------------------------------------------------------ cron
def test_install_by_cron_takes_the_settings_along_and_uninstall_undoes_it(prism, home, crontab):
    crontab.write_text("0 5 * * * backup\n")
    (home / "env").write_text("PRISM_USER=ada@example.org\n")
    path = {"PATH": os.environ["PATH"], "PRISM_PUBLIC_URL": "https://prism.example.org"}
    done = prism("daemon", "install", PRISM_AUTH="tokens", **path)
    assert done.returncode == 0, done.stderr
    assert "starts when this computer starts, by the crontab of" in done.stdout
    assert "PRISM_AUTH" in done.stderr
    assert crontab.read_text() == f"0 5 * * * backup\n@reboot /bin/sh {home}/{SCRIPT}\n"
    settings = (home / "env").read_text()
    assert "PRISM_USER=ada@example.org\n" in settings
    assert "PRISM_AUTH=tokens\n" in settings
    assert "PRISM_PUBLIC_URL=https://prism.example.org\n" in settings
    assert prism("daemon", "install", **path).returncode == 0
    assert crontab.read_text().count("@reboot") == 1
    [finding] = start_at_boot(context(home))
    assert (finding.level, finding.message) == (
        "broken",
        "it would not start: cron does not run, which would start it",
    )
    assert "`service cron start`" in finding.fix
    removed = prism("daemon", "uninstall", **path)
    assert "removed from the crontab of" in removed.stdout
    assert (crontab.read_text(), (home / SCRIPT).exists()) == ("0 5 * * * backup\n", False)
    assert "Nothing starts the daemon" in prism("daemon", "uninstall", **path).stderr


def test_uninstall_of_prism_names_and_removes_what_starts_it_at_boot(
    prism, home, environ, crontab, tmp_path
):
    crontab.write_text("0 5 * * * backup\n")
    path = {"PATH": os.environ["PATH"], "PRISM_PORT": str(free_port())}  # it starts the daemon
    assert prism("daemon", "install", **path).returncode == 0
    environ["HOME"] = str(tmp_path)  # the home of Prism and the home of the user differ
    (home / "workspaces").mkdir()
    (home / "daemon.lock").touch()
    rehearsal = prism("uninstall", "--dry-run", "--data", "keep", **path)
    assert "would remove the start of the daemon at boot: the crontab of" in rehearsal.stdout
    assert crontab.read_text().count("@reboot") == 1
    done = prism("uninstall", "--yes", "--data", "keep", **path)
    assert done.returncode == 0, done.stderr
    assert "done: remove the start of the daemon at boot: the crontab of" in done.stdout
    assert (crontab.read_text(), (home / SCRIPT).exists()) == ("0 5 * * * backup\n", False)


def test_bad_setting_is_refused_before_anything_is_written(prism, home, crontab):
    done = prism("daemon", "install", PATH=os.environ["PATH"], PRISM_DATABASE_URL="mysql://x")
    assert (done.returncode != 0, "PRISM_DATABASE_URL" in done.stderr) == (True, True)
    assert not crontab.exists()
    assert not (home / SCRIPT).exists()
    assert not (home / "env").exists()


def test_daemon_elsewhere_is_not_installed_here(prism, crontab):
    done = prism("daemon", "install", PATH=os.environ["PATH"], PRISM_URL="http://there:1")
    assert done.returncode != 0
    assert "PRISM_URL names a daemon elsewhere" in done.stderr
    assert not crontab.exists()


def test_refusal_of_cron_is_said(odd_home, tmp_path, monkeypatch):
    program(tmp_path / "bin", "crontab", "#!/bin/sh\necho 'You are not allowed' >&2; exit 1\n")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    with pytest.raises(NoBootService, match="cron refused") as caught:
        CronService(str(odd_home)).install()
    assert "You are not allowed" in str(caught.value.details)
    assert [*installed_services(str(odd_home), str(tmp_path))] == []


def test_computer_without_systemd_and_cron_is_told_what_to_install(
    odd_home, tmp_path, monkeypatch
):
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(NoBootService, match="Nothing on this computer") as caught:
        boot_service(str(odd_home), str(tmp_path))
    assert "apt install cron" in str(caught.value.remediation)


REAL_CRON = """
mount -t tmpfs none /var/spool/cron
mkdir -m 1730 /var/spool/cron/crontabs
{prism} daemon install >&2 && crontab -l && {prism} daemon uninstall >&2 && crontab -l
"""


@pytest.mark.skipif(
    os.geteuid() != 0 or not os.access("/usr/bin/crontab", os.X_OK),
    reason="needs root: only root may hide the crontabs of this computer from a real crontab",
)
def test_real_crontab_takes_the_line(environ, home):
    script = REAL_CRON.format(prism=Path(sys.executable).parent / "prism")
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script],
        env=environ,
        capture_output=True,
        text=True,
    )
    assert done.stdout == f"@reboot /bin/sh {home}/{SCRIPT}\n", done.stderr


# ------------------------------------------------------------ systemd
@pytest.mark.parametrize("is_root", [True, False])
def test_unit_is_enabled_checked_and_removed(odd_home, systemd_root, tmp_path, is_root):
    service = SystemdService(str(odd_home), str(systemd_root), is_root=is_root)
    write_script(service, ["/bin/true"], str(odd_home / "log"))
    assert service.install() == []
    folder = systemd_root / "etc/systemd/system" if is_root else tmp_path / "config/systemd/user"
    assert service.unit == folder / service.name
    assert service.unit.exists()
    assert service.problem() is None
    service.remove()
    assert not service.unit.exists()
    scope = "" if is_root else "--user "
    assert (tmp_path / "calls").read_text().splitlines() == [
        f"{scope}daemon-reload",
        f"{scope}enable {service.name}",
        f"{scope}is-enabled {service.name}",
        f"{scope}disable {service.name}",
        f"{scope}daemon-reload",
    ]


def test_lingering_that_is_refused_is_said(odd_home, systemd_root, tmp_path):
    program(tmp_path / "bin", "loginctl", "#!/bin/sh\necho 'Access denied' >&2; exit 1\n")
    service = SystemdService(str(odd_home), str(systemd_root), is_root=False)
    [note] = service.install()
    assert "Access denied" in note
    assert "`sudo loginctl enable-linger " in note
    assert "`sudo loginctl enable-linger " in not_none(service.problem()).fix


def test_unit_that_systemd_refuses_is_not_left(odd_home, systemd_root, tmp_path):
    program(tmp_path / "bin", "systemctl", "#!/bin/sh\necho 'Unit is masked' >&2; exit 1\n")
    service = SystemdService(str(odd_home), str(systemd_root), is_root=True)
    with pytest.raises(NoBootService, match="systemctl daemon-reload") as caught:
        service.install()
    assert "Unit is masked" in str(caught.value.details)
    assert not service.unit.exists()


def test_doctor_knows_what_starts_at_boot(odd_home, systemd_root, tmp_path, monkeypatch):
    [finding] = start_at_boot(context(odd_home, systemd_root))
    assert (finding.level, "`prism daemon install`" in finding.message) == ("ok", True)
    service = SystemdService(str(odd_home), str(systemd_root))
    service.install()
    [finding] = start_at_boot(context(odd_home, systemd_root))
    assert (finding.level, SCRIPT in finding.message) == ("broken", True)
    write_script(service, ["/bin/true"], str(odd_home / "log"))
    [finding] = start_at_boot(context(odd_home, systemd_root))
    assert (finding.level, finding.message) == ("ok", f"by {service.unit}")


def context(home, root="/nowhere"):
    """What doctor sees on that computer."""
    return CheckContext(address=DaemonAddress(str(home)), environ={}, root=Path(root))
