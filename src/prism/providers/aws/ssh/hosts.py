"""How to log in to machines that are on, from the survey and their tags."""

from pathlib import Path

from prism.providers.aws.api import tags as names
from prism.providers.aws.compute.instance import Ec2Instance
from prism.providers.aws.compute.survey import InstanceCache
from prism.providers.aws.prerequisites.keys import has_key, key_of
from prism.providers.aws.ssh.model import MachineUnreachable, SshHost

USUAL = "ubuntu"  # the login of machines without a tag for it


class AwsHosts:
    """Implements `SshHosts`."""

    def __init__(self, instances: InstanceCache, home: Path) -> None:
        self._instances, self._home = instances, home

    def host(self, id: str) -> SshHost | None:
        """How to log in to a machine; asks EC2 only if it was off at the last survey."""
        instance = self._instances.known(id)
        if instance is None or instance.state != "running":
            instance = self._instances.look(id)
        if instance is None or instance.state != "running":
            return None
        address = instance.public_ip or instance.private_ip
        return None if address is None else self._ssh_host(instance, address)

    def _ssh_host(self, instance: Ec2Instance, address: str) -> SshHost:
        name = instance.tags.get(names.OUR_NAME, instance.id)
        profile = instance.tags.get(names.PROFILE, "")
        if not has_key(self._home, profile):
            raise MachineUnreachable(
                f"The key of {name} is not on this computer",
                details=f"profile {profile!r} has no key in {self._home / 'keys'}",
                remediation="Use the computer that launched it, or copy its key here",
            )
        return SshHost(
            id=instance.id,
            workspace=instance.key,
            name=name,
            address=address,
            user=instance.tags.get(names.LOGIN, USUAL),
            key=key_of(self._home, profile).private_path,
            boot=instance.boot,
        )
