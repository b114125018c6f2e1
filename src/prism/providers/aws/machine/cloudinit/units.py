"""The systemd units of a machine."""

from prism.providers.aws.machine.cloudinit.rstudio import PASSWORD
from prism.providers.aws.machine.cloudinit.words import unit_word
from prism.providers.aws.machine.cloudinit.worker import Worker

LIBRARY = "/usr/local/lib/prism"
UNITS = "/etc/systemd/system"
SECRETS = "/etc/prism"
SERVICES = f"{SECRETS}/services.json"
"""What the machine serves, for everybody who comes in to read; no secret is in it."""

# It may be started by cloud-init's last step as well as by the system, so it is ordered after
# neither; it lasts as long as the setup, so nothing may wait for it to end.
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

# The first minutes are for whoever has started it to say for how long.
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

# A machine that wakes up tells its console that its services answer, as one that boots does.
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

# What stands in the unit of a service that people log in to, where others name an account.
ROOT = """\
# As root: PAM tells nobody else whether another account's password is right, and nobody else
# can begin an R session as that account. Who works here can become root anyway.
User=root"""


def unit_of(service: str) -> str:
    """The name of a service's unit."""
    return f"prism-service-{service}.service"


def secrets_of(service: str) -> str:
    """The file with a service's environment, which only root can read."""
    return f"{SECRETS}/{service}.env"


def service_unit(worker: Worker, name: str) -> str:
    """The unit of one service of the template.

    `env` looks the program up on the PATH of its environment, which systemd does not; and a
    program that runs out of memory ends alone, not with all that it belongs to.
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
