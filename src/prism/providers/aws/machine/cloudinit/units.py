"""The systemd units of a machine."""

from prism.providers.aws.machine.cloudinit.rstudio import PASSWORD
from prism.providers.aws.machine.cloudinit.words import unit_word
from prism.providers.aws.machine.cloudinit.worker import Worker

LIBRARY = "/usr/local/lib/prism"
UNITS = "/etc/systemd/system"
SECRETS = "/etc/prism"
SERVICES = f"{SECRETS}/services.json"
"""The list of the machine's services; every user there may read it, so it contains no secret."""

# cloud-init's last step or systemd starts the unit, so it is ordered after neither. It runs until
# the setup has ended, so no unit may wait for it.
BOOT = f"""\
[Unit]
Description=Sets this workspace up
Wants=network-online.target
After=network-online.target

[Service]
Type=exec
ExecStart=/bin/bash {LIBRARY}/boot
TimeoutStopSec=10

[Install]
WantedBy=multi-user.target
"""

TTL = f"""\
[Unit]
Description=Powers this workspace off when its time has passed

[Service]
Type=oneshot
ExecStart=/usr/bin/python3 -I {LIBRARY}/ttl
"""

# In the first minutes after a start, the daemon may still write a new expiry.
TTL_TIMER = """\
[Unit]
Description=Looks every minute whether this workspace's time has passed

[Timer]
OnBootSec=3min
OnUnitActiveSec=1min
AccuracySec=10s

[Install]
WantedBy=timers.target
"""

# After a resume, as after a boot, the console must show that the services answer.
WOKEN = """\
[Unit]
Description=Tells that this workspace is awake again
After=systemd-hibernate.service hibernate.target

[Service]
Type=oneshot
ExecStart=/usr/bin/systemctl restart --no-block prism-boot.service

[Install]
WantedBy=hibernate.target
"""

# For a service with its own login: it runs as root instead of a user.
ROOT = """\
# As root: PAM tells nobody else whether another account's password is right, and nobody else
# can begin an R session as that account. Who works here can become root anyway.
User=root"""


def unit_of(service: str) -> str:
    """The name of a service's unit."""
    return f"prism-service-{service}.service"


def secrets_of(service: str) -> str:
    """The path of the file with a service's environment; only root can read it."""
    return f"{SECRETS}/{service}.env"


def service_unit(worker: Worker, name: str) -> str:
    """The unit of one service of the template.

    systemd would not search for the program on the PATH of the service's environment, so `env`
    does. When memory runs out, the kernel kills one process, not the whole unit.
    """
    command = " ".join(unit_word(word) for word in worker.command(name))
    start = f"ExecStart=/usr/bin/env -- {command}"
    account = f"User={worker.name}\nWorkingDirectory={worker.home}"
    if worker.asks_password(name):
        account = ROOT
        set_password = f'printf "%s\\n" "{worker.name}:${PASSWORD}" | /usr/sbin/chpasswd'
        start = (
            f"ExecStartPre=/bin/sh -c {unit_word(set_password)}\n"
            f"ExecStart=/usr/bin/env -u {PASSWORD} -- {command}"
        )
    return f"""\
[Unit]
Description=Service {name} of this workspace
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=120
StartLimitBurst=5

[Service]
{account}
EnvironmentFile={secrets_of(name)}
{start}
Restart=on-failure
RestartSec=3
OOMPolicy=continue

[Install]
WantedBy=multi-user.target
"""
