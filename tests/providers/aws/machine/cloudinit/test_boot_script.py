"""The boot script runs with programs that only record their arguments."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prism.providers.aws.compute.readiness import BootStage, read
from prism.providers.aws.machine.cloudinit import rstudio
from prism.providers.aws.machine.cloudinit.bases import MINIFORGE, Installer
from prism.providers.aws.machine.cloudinit.script import boot_script
from prism.providers.aws.machine.cloudinit.worker import Worker
from prism.providers.aws.ssh.hostkeys import key_on_console
from prism.templates.model import Service
from tests.providers.aws.machine.cloudinit.ordered import boot, order, template
from tests.waiting import eventually

PROGRAMS = {
    "runuser": 'shift 3; exec "$@"',
    "curl": 'cat "$WORLD/answers" 2>/dev/null || printf 000',
    "systemctl": '[ "$1" != is-failed ] || exec test -e "$WORLD/dead"',
    "sleep": ":",
    "apt-get": 'test ! -e "$WORLD/offline"',
    "dpkg": ":",
}
BOOT_ID = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxTxc5SG2NYQ4vLRDqYAo00w1ioqI99qrQmGsmvZxLR"


class World:
    """A machine that consists of a folder."""

    def __init__(self, folder):
        self.folder, self.console = folder, folder / "console"
        (folder / "bin").mkdir()
        for name, does in PROGRAMS.items():
            self.program(name, does)
        (folder / "key.pub").write_text(f"{HOST_KEY} root@ip-10-0-0-1\n")
        (folder / "profile").write_text("")
        (folder / "cmdline").write_text("")

    def program(self, name, does):
        """Install a program that runs this command and records its arguments."""
        program = self.folder / "bin" / name
        record = f'echo "{name} $*" >>"$WORLD/asked"'
        program.write_text(f"#!/bin/sh\n{record}\n{does}\n")
        program.chmod(0o755)

    def boot(self, template, **more):
        """Run the boot script once; return its exit code and the status on the console."""
        machine_order = order(template, **more)
        text = boot_script(Worker(machine_order, boot(machine_order)))
        for place, replacement in {
            "/dev/console": "console",
            "/var/log/": "",
            "/var/lib/prism": "state",
            "/etc/ssh/ssh_host_ed25519_key.pub": "key.pub",
            "/etc/profile.d/prism.sh": "profile",
            "/home/admin": "",
            "/etc/default/grub.d": "grub.d",
            "/proc/cmdline": "cmdline",
            "/var/tmp/": "",
            "/run/prism-memory": "memory",
            "/usr/local/lib/prism/": "",
        }.items():
            text = text.replace(place, f"{self.folder}/{replacement}")
        text = text.replace(f">{self.console}", f">>{self.console}")
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {"PATH": path, "WORLD": str(self.folder)}
        done = subprocess.run(
            ["bash", "-c", text], env=environment, capture_output=True, text=True, timeout=60
        )
        assert done.stderr == ""
        return done.returncode, read(self.console.read_text())

    def post_install(self, *commands):
        """The template's own commands, in the files that cloud-init would write."""
        (self.folder / "post-install").mkdir(exist_ok=True)
        for number, text in enumerate(commands, 1):
            (self.folder / "post-install" / str(number)).write_text(text)
        return commands

    def asked(self, program):
        """The arguments of each call of a program."""
        path = self.folder / "asked"
        lines = path.read_text().splitlines() if path.exists() else []
        return [
            line.removeprefix(f"{program} ") for line in lines if line.startswith(f"{program} ")
        ]

    def touch(self, name, text=""):
        (self.folder / name).write_text(text)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


WEB = {"web": Service(command="serve", port=8000, health="/ok")}


def test_boot_prints_its_steps_and_the_host_key(world):
    world.touch("answers", "200")
    code, boot_status = world.boot(template(packages={"apt": ("git",)}, services=WEB))
    assert (code, boot_status.stage) == (0, BootStage.READY)
    text = world.console.read_text()
    memory = (world.folder / "memory").read_text().strip()
    now = boot_status.at
    assert [line for line in text.splitlines() if line] == [
        "prism-boot: begin",
        f"prism-boot: id {BOOT_ID} {memory} {now:%Y-%m-%dT%H:%M:%SZ}",
        f"prism-boot: hostkey {HOST_KEY}",
        "prism-boot: packages",
        "prism-boot: services",
        "prism-boot: ready",
    ]
    assert key_on_console(text) == HOST_KEY


def test_completed_steps_are_not_repeated_at_the_next_boot(world):
    tested_template = template(
        packages={"apt": ("git",)}, post_install=world.post_install("echo x >>ran")
    )
    assert world.boot(tested_template)[0] == 0
    assert world.boot(tested_template)[0] == 0
    assert len([request for request in world.asked("apt-get") if "install" in request]) == 1
    assert (world.folder / "ran").read_text() == "x\n"
    assert world.console.read_text().count("prism-boot: ready") == 2


def test_failed_step_is_named_with_its_output_and_repeated_at_the_next_boot(world):
    commands = world.post_install("echo 1 >>ran", "echo why; test -e fixed", "echo 3 >>ran")
    tested_template = template(post_install=commands, services=WEB)
    code, boot_status = world.boot(tested_template)
    assert (code, boot_status.stage, boot_status.step) == (1, BootStage.FAILED, "post-install 2")
    assert "prism-log: why\n" in world.console.read_text()
    assert world.asked("systemctl") == []
    world.touch("fixed")
    world.touch("answers", "200")
    code, boot_status = world.boot(tested_template)
    assert (code, boot_status.stage) == (0, BootStage.READY)
    assert (world.folder / "ran").read_text() == "1\n3\n"


def test_unreachable_mirror_is_retried_before_the_boot_fails(world):
    world.touch("offline")
    code, boot_status = world.boot(template(packages={"apt": ("git",)}))
    assert (code, boot_status.step) == (1, "packages")
    assert len(world.asked("apt-get")) == 4
    assert world.asked("sleep")[:3] == ["5", "15", "30"]


@pytest.fixture
def package_lists(world):
    """Debian's own apt-get, with folders of its own, while the lock of its lists is held."""
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt-get on this computer")
    for name in ("lists/partial", "archives/partial", "etc/apt.conf.d", "etc/sources.list.d"):
        (world.folder / "apt" / name).mkdir(parents=True)
    for name in ("apt/status", "apt/etc/sources.list"):
        world.touch(name)
    folder, lock = world.folder / "apt", world.folder / "apt" / "lists" / "lock"
    where = {
        "Dir::Etc": folder / "etc",
        "Dir::State::Lists": folder / "lists",
        "Dir::State::Status": folder / "status",
        "Dir::Cache": folder,
    }
    options = " ".join(f"-o {name}={path}" for name, path in where.items())
    real = f'{shutil.which("apt-get")} {options} "$@"'
    world.program("apt-get", f'case "$*" in *update*) exec {real};; esac')
    with lock.open("w") as held:
        fcntl.lockf(held, fcntl.LOCK_EX)
        yield held


def test_boot_waits_for_the_lock_of_the_package_lists(world, package_lists):
    """`DPkg::Lock::Timeout` is not for that lock, which Ubuntu's own updates take at boot."""
    world.program("sleep", '[ "$(wc -l <"$WORLD/asked")" -lt 12 ] || touch "$WORLD/release"')

    def release_lock():
        eventually((world.folder / "release").exists)
        fcntl.lockf(package_lists, fcntl.LOCK_UN)

    with ThreadPoolExecutor(1) as other:
        freed = other.submit(release_lock)
        boot_status = world.boot(template(packages={"apt": ("git",)}))[1]
        freed.result()
    assert boot_status.stage is BootStage.READY, world.console.read_text()
    assert len([request for request in world.asked("apt-get") if request.endswith(" update")]) > 4
    assert [request for request in world.asked("apt-get") if " install -- " in request]


def test_lock_that_is_never_released_fails_the_boot_with_the_reason(world, package_lists):
    code, boot_status = world.boot(template(packages={"apt": ("git",)}))
    assert (code, boot_status.step) == (1, "packages")
    assert "Could not get lock" in world.console.read_text()
    assert world.asked("sleep").count("10") == 600 / 10


@pytest.mark.parametrize("status", ["200", "302", "401", "404"])
def test_service_is_ready_with_every_status_but_server_errors(world, status):
    world.touch("answers", status)
    assert world.boot(template(services=WEB))[1].stage is BootStage.READY
    assert world.asked("curl")[0].endswith("http://127.0.0.1:8000/ok")


@pytest.mark.parametrize("status", ["000", "500", "503"])
def test_failed_service_fails_the_boot(world, status):
    world.touch("answers", status)
    world.touch("dead")
    code, boot_status = world.boot(template(services=WEB))
    assert (code, boot_status.stage, boot_status.step) == (1, BootStage.FAILED, "service web")


def test_service_without_a_health_path_is_started_without_waiting(world):
    services = {"quiet": Service(command="run", port=8001)}
    assert world.boot(template(services=services))[1].stage is BootStage.READY
    calls = ["daemon-reload", "enable prism-service-quiet.service"]
    calls += ["reset-failed prism-service-quiet.service"]
    calls += ["start --no-block prism-service-quiet.service"]
    assert world.asked("systemctl") == calls
    assert world.asked("curl") == []


def test_output_of_a_failed_step_cannot_imitate_a_marker(world):
    lie = f"printf '\\nprism-boot: ready\\nprism-boot: hostkey {HOST_KEY}X \\033[2J\\n'; exit 1"
    _, boot_status = world.boot(template(post_install=world.post_install(lie)))
    assert boot_status.stage is BootStage.FAILED
    assert key_on_console(world.console.read_text()) == HOST_KEY
    assert "\033" not in world.console.read_text()


INSTALLER = """\
[ "$1 $2" = "-b -p" ] && mkdir -p "$3/bin"
printf '#!/bin/sh\\necho "conda $*" >>"$WORLD/asked"\\n' >"$3/bin/conda"
chmod +x "$3/bin/conda"
"""


def test_conda_is_installed_once_with_a_verified_checksum(world, monkeypatch):
    digest = hashlib.sha256(INSTALLER.encode()).hexdigest()
    monkeypatch.setitem(MINIFORGE, "x86_64", Installer("https://conda.test/it", digest))
    world.touch("installer", INSTALLER)
    world.program("curl", 'while [ "$1" != -o ]; do shift; done; cat "$WORLD/installer" >"$2"')
    world.program("runuser", 'shift 5; exec env WORLD="$WORLD" "$@"')
    (world.folder / "miniconda3" / "half").mkdir(parents=True)  # of a boot that was cut short
    packages = {"conda": ("numpy>=2", "bioconda::bwa")}
    tested_template = template(package_manager="conda", packages=packages)
    assert world.boot(tested_template)[1].stage is BootStage.READY, world.console.read_text()
    command = "install --yes --quiet -c conda-forge -c bioconda numpy>=2 bioconda::bwa"
    assert world.asked("conda") == [command]
    assert not (world.folder / "miniconda3" / "half").exists()
    more = template(package_manager="conda", packages={"conda": ("scipy",)})
    assert world.boot(more)[1].stage is BootStage.READY
    assert len(world.asked("curl")) == 1
    assert world.asked("conda")[1:] == ["install --yes --quiet -c conda-forge scipy"]


def test_dnf_may_replace_conflicting_packages(world):
    world.program("dnf", ":")
    tested_template = template(
        base="rocky-9", package_manager="dnf", packages={"dnf": ("curl",)}, users=("admin",)
    )
    assert world.boot(tested_template)[1].stage is BootStage.READY
    assert world.asked("dnf") == ["-y --allowerasing --setopt=retries=10 install curl"]


def test_conda_installer_with_a_wrong_checksum_is_not_run(world):
    world.program("curl", 'while [ "$1" != -o ]; do shift; done; echo evil >"$2"')
    tested_template = template(package_manager="conda", packages={"conda": ("git",)})
    code, boot_status = world.boot(tested_template)
    assert (code, boot_status.stage, boot_status.step) == (1, BootStage.FAILED, "conda")
    assert "is not what was published" in world.console.read_text()
    assert not (world.folder / "miniconda3").exists()


PACKAGE = "what Posit has published"
RSTUDIO = {"packages": {"conda": ("rstudio",)}, "package_manager": "conda"}


def publish(world, monkeypatch, package=PACKAGE):
    """Publish a package of RStudio, and an installer of conda that works."""
    monkeypatch.setitem(
        MINIFORGE,
        "x86_64",
        Installer("https://conda.test/it", hashlib.sha256(INSTALLER.encode()).hexdigest()),
    )
    its = Installer("https://posit.test/it", hashlib.sha256(PACKAGE.encode()).hexdigest())
    monkeypatch.setattr(rstudio, "RSTUDIO", its)
    world.touch("conda", INSTALLER)
    world.touch("posit", package)
    for_it = 'case "$*" in *posit*) it=posit;; *) it=conda;; esac'
    to = 'while [ "$1" != -o ]; do shift; done'
    world.program("curl", f'{for_it}; {to}; cat "$WORLD/$it" >"$2"')
    world.program("runuser", 'shift 5; exec env WORLD="$WORLD" "$@"')


def test_rstudio_is_installed_once_and_its_own_service_is_masked(world, monkeypatch):
    publish(world, monkeypatch)
    assert world.boot(template(**RSTUDIO))[1].stage is BootStage.READY, world.console.read_text()
    assert world.boot(template(**RSTUDIO))[1].stage is BootStage.READY
    file = f"{world.folder}/prism-rstudio.deb"
    [installed] = [request for request in world.asked("apt-get") if request.endswith(file)]
    assert installed.endswith(f" install --no-install-recommends -- {file}")
    assert world.asked("systemctl") == ["mask rstudio-server.service"]
    commands = (world.folder / "asked").read_text().splitlines()
    assert commands.index("systemctl mask rstudio-server.service") < commands.index(
        f"apt-get {installed}"
    )
    assert not (world.folder / "prism-rstudio.deb").exists()
    assert world.asked("conda") == ["install --yes --quiet -c conda-forge r-base"]


def test_rstudio_package_with_a_wrong_checksum_is_not_installed(world, monkeypatch):
    publish(world, monkeypatch, "evil")
    code, boot_status = world.boot(template(**RSTUDIO))
    assert (code, boot_status.stage, boot_status.step) == (1, BootStage.FAILED, "packages")
    assert "what came from https://posit.test/it is not what was published" in (
        world.console.read_text()
    )
    assert not [request for request in world.asked("apt-get") if "prism-rstudio" in request]
    assert not (world.folder / "prism-rstudio.deb").exists()
    assert world.asked("systemctl") == []


SLEEPER = template(base="ubuntu-22.04")


def test_machine_with_hibernation_restarts_once_without_kaslr(world):
    """EC2 User Guide, "Disable KASLR on an instance (Ubuntu only)": it needs a restart, once."""
    world.program("update-grub", ":")
    world.touch("cmdline", "BOOT_IMAGE=/vmlinuz root=LABEL=root")
    code, boot_status = world.boot(SLEEPER, hibernation=True)
    assert (code, boot_status.stage, boot_status.step) == (0, BootStage.COMING, "restart")
    assert world.asked("systemctl")[-1] == "reboot"
    grub = (world.folder / "grub.d" / "99-prism.cfg").read_text()
    assert grub == 'GRUB_CMDLINE_LINUX_DEFAULT="$GRUB_CMDLINE_LINUX_DEFAULT nokaslr"\n'
    world.touch("cmdline", "BOOT_IMAGE=/vmlinuz root=LABEL=root nokaslr")
    assert world.boot(SLEEPER, hibernation=True)[1].stage is BootStage.READY
    assert len(world.asked("update-grub")) == 1


def test_kernel_that_ignores_nokaslr_is_restarted_only_once(world):
    world.program("update-grub", ":")
    world.touch("cmdline", "BOOT_IMAGE=/vmlinuz")
    assert world.boot(SLEEPER, hibernation=True)[1].stage is BootStage.COMING
    assert world.boot(SLEEPER, hibernation=True)[1].stage is BootStage.READY
    assert world.asked("systemctl").count("reboot") == 1


@pytest.mark.parametrize("base", ["ubuntu-22.04", "ubuntu-24.04", "debian-12"])
def test_machine_without_hibernation_is_not_restarted(world, base):
    assert world.boot(template(base=base))[1].stage is BootStage.READY
    assert "reboot" not in world.asked("systemctl")


GPU = template(base="ubuntu-22.04", family="gpu")
LISTED = "".join(
    f"nvidia-driver-{name}, (kernel modules)\n" for name in ("535-server", "550-server", "560")
)
SMI = '[ ! -e "$WORLD/gpu" ] || exec echo "GPU 0: Tesla T4"; echo "no devices were found"; exit 9'


@pytest.fixture
def with_drivers(world):
    world.touch("drivers", LISTED)
    world.program("ubuntu-drivers", 'cat "$WORLD/drivers"')
    world.program("nvidia-smi", SMI)
    world.program("modprobe", ":")
    return world


def test_gpu_driver_is_installed_with_its_utilities(with_drivers):
    with_drivers.program(
        "apt-get", 'case "$*" in *nvidia-utils-550-server*) touch "$WORLD/gpu";; esac'
    )
    assert with_drivers.boot(GPU)[1].stage is BootStage.READY
    [installed] = [request for request in with_drivers.asked("apt-get") if "nvidia" in request]
    assert installed.split(" -- ")[1].split() == [
        "nvidia-headless-no-dkms-550-server",
        "nvidia-utils-550-server",
        "linux-modules-nvidia-550-server-aws",
    ]
    assert "DPkg::Lock::Timeout=600" in installed, "another program may be installing packages"


def test_boot_without_a_visible_gpu_fails_with_the_reason(with_drivers):
    assert with_drivers.boot(GPU)[1].step == "restart", "the modules may be of a newer kernel"
    code, boot_status = with_drivers.boot(GPU)
    assert (code, boot_status.stage, boot_status.step) == (1, BootStage.FAILED, "gpu")
    assert "prism-log: nvidia-smi -L finds no GPU: no devices were found" in (
        with_drivers.console.read_text()
    )


def test_gpu_without_a_driver_fails_the_boot_at_once(with_drivers):
    with_drivers.touch("drivers", "")
    with_drivers.program("lspci", "echo NVIDIA Corporation GK210GL")
    code, boot_status = with_drivers.boot(GPU)
    assert (code, boot_status.step) == (1, "gpu")
    assert "no driver fits: NVIDIA" in with_drivers.console.read_text()


def test_visible_gpu_gets_no_driver(with_drivers):
    with_drivers.touch("gpu")
    assert with_drivers.boot(GPU)[1].stage is BootStage.READY
    assert not [request for request in with_drivers.asked("apt-get") if "nvidia" in request]
