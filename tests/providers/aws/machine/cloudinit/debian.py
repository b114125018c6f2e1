"""A Debian 12 like EC2's image, made by debootstrap from the mirror of this computer."""

import os
import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
WITH = "systemd,systemd-sysv,dbus,openssh-server,sudo,iproute2,python3,ca-certificates"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
BEGIN = "-----BEGIN CERTIFICATE-----"
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
# The settings of its image for EC2, but without changes to the network of this computer.
CLOUD = """\
datasource_list: [NoCloud]
network: {config: disabled}
locale: false
resize_rootfs: false
growpart: {mode: "off"}
system_info: {default_user: {name: admin}}
"""


def mirror():
    """The Debian mirror of this computer's apt; None if it has packages of another system."""
    if not shutil.which("apt-get"):
        return None
    filters = ["--format", "$(REPO_URI) $(COMPONENT)", "Created-By: Packages", "Origin: Debian"]
    listing = subprocess.run(["apt-get", "indextargets", *filters], capture_output=True, text=True)
    places = [line.split()[0] for line in listing.stdout.splitlines() if line.endswith(" main")]
    plain = [place.rstrip("/") for place in places if "security" not in place]
    return next(iter(plain), None)


def lacking():
    """Why none can be made here, or None."""
    if os.getuid() != 0:
        return "only root can make a Debian root"
    if not shutil.which("debootstrap"):
        return "debootstrap is not installed"
    return None if mirror() else "apt has no Debian packages here, so there is no mirror"


def debootstrapped(folder):
    """A fresh root in a folder."""
    keyring = [f"--keyring={KEYRING}"] if KEYRING.exists() else []
    bootstrap = ["debootstrap", "--variant=minbase", *keyring, f"--include={WITH}", SUITE]
    _run(*bootstrap, str(folder), mirror(), log=folder.parent / "debootstrap.log")
    shutil.copy("/etc/resolv.conf", folder / "etc/resolv.conf")
    # A test need not survive a power failure, and dpkg waits for the disk after each file.
    (folder / "etc/dpkg/dpkg.cfg.d/hasty").write_text("force-unsafe-io\n")
    _trust(folder)
    apt = ["chroot", str(folder), "apt-get", "-qq", "-o", "Acquire::Check-Date=false"]
    install = [*apt, "install", "--yes", "--no-install-recommends", "cloud-init"]
    _run(*install, log=folder.parent / "cloud-init.log")
    (folder / "etc/cloud/cloud.cfg.d/99-here.cfg").write_text(CLOUD)
    # None of its services may listen on the addresses of this computer.
    (folder / "etc/systemd/system/ssh.service").symlink_to("/dev/null")
    _make_homes_private(folder)
    (folder / "etc/machine-id").write_text("")
    for key in (folder / "etc/ssh").glob("ssh_host_*"):
        key.unlink()
    return folder


def _make_homes_private(folder):
    """Accounts cannot enter each other's home, as on Ubuntu (shadow's login.defs)."""
    file = folder / "etc/login.defs"
    lines = [line for line in file.read_text().splitlines() if not line.startswith("HOME_MODE")]
    file.write_text("\n".join([*lines, "HOME_MODE 0750", ""]))


def _trust(folder):
    """Install the certificate authorities of this computer, whose network it uses."""
    own = folder / "usr/local/share/ca-certificates/this-machine"
    own.mkdir(parents=True)
    known = (folder / "etc/ssl/certs/ca-certificates.crt").read_text()
    for number, text in enumerate(AUTHORITIES.read_text().split(BEGIN)[1:]):
        if text.partition("-----END")[0] not in known:
            (own / f"{number}.crt").write_text(BEGIN + text)
    _run("chroot", str(folder), "update-ca-certificates", log=folder.parent / "trust.log")


def _run(*command, log):
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    with log.open("w") as out:
        done = subprocess.run(command, stdout=out, stderr=out, stdin=-3, env=environment)
    assert done.returncode == 0, f"{command[0]}: {log.read_text()[-3000:]}"
