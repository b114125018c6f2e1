"""How machines that are on are entered, read from what a survey shows of them."""

from pathlib import Path

from prism.providers.aws import tags as names
from prism.providers.aws.ground.keys import held, key_of
from prism.providers.aws.instance import Instance
from prism.providers.aws.ssh.model import Host, MachineUnreachable
from prism.providers.aws.survey import Book

USUAL = "ubuntu"  # of machines that do not say whom to enter them as


class AwsHosts:
    """Implements `ssh.model.Hosts`: address, user and key of a machine, by its tags."""

    def __init__(self, book: Book, home: Path) -> None:
        self._book, self._home = book, home

    def host(self, id: str) -> Host | None:
        """How to enter it; asks EC2 only where the last survey did not show it on."""
        it = self._book.known(id)
        if it is None or it.state != "running":
            it = self._book.look(id)
        if it is None or it.state != "running":
            return None
        address = it.public_ip or it.private_ip
        return None if address is None else self._entered(it, address)

    def _entered(self, it: Instance, address: str) -> Host:
        name, profile = it.tags.get(names.OUR_NAME, it.id), it.tags.get(names.PROFILE, "")
        if not held(self._home, profile):
            raise MachineUnreachable(
                f"The key of {name} is not on this computer",
                details=f"profile {profile!r} has no key in {self._home / 'keys'}",
                remediation="Use the computer that launched it, or copy its key here",
            )
        return Host(
            id=it.id,
            workspace=it.key,
            name=name,
            address=address,
            user=it.tags.get(names.LOGIN, USUAL),
            key=key_of(self._home, profile).private_path,
            boot=it.boot,
        )
