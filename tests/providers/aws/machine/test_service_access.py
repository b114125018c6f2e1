"""What a machine says it serves becomes a way in, and what `connect` shows of it."""

import json

import msgspec
import pytest

from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.ssh.port_forwarding import AwsReach
from prism.workspaces.reads import connection
from tests.providers.aws.machine.cloudinit.ordered import SHELF, files, rendered
from tests.providers.aws.ssh_machine import ID


def shown(seat, document):
    """What `connect` answers of services, where a machine says that it serves these."""
    (seat.sshd.folder / "services.json").write_text(json.dumps(document))
    reach = AwsReach(seat.pool, seat.forwards)
    doors = AwsServiceAccess(seat.pool, reach, services=f"{seat.sshd.folder}/services.json")
    return msgspec.to_builtins(connection(doors.access(ID)))["services"]


def test_rstudio_is_entered_by_its_worker_and_the_secret_of_the_service(machine_pool, service):
    document = json.loads(
        files(rendered(SHELF["r-research"]))["/etc/prism/services.json"]["content"]
    )
    document["services"]["rstudio"]["port"] = service.port
    rstudio = shown(machine_pool, document)["rstudio"]
    assert rstudio.keys() == {"url", "username", "password"}
    assert rstudio["url"].startswith("http://127.0.0.1:")
    assert rstudio["username"] == "researcher"
    host = machine_pool.host(ID)
    assert rstudio["password"] == secret(host.key.read_bytes(), host.workspace, "rstudio")


@pytest.mark.parametrize("token", [True, False])
def test_others_have_a_token_or_nothing(machine_pool, service, token):
    document = {"user": "ada", "services": {"it": {"port": service.port, "token": token}}}
    fields = {"url", "local_forward"} | ({"token"} if token else set())
    assert shown(machine_pool, document)["it"].keys() == fields


def test_what_does_not_answer_has_no_door(machine_pool, service):
    service.close()
    document = {"user": "ada", "services": {"it": {"port": service.port, "password": True}}}
    assert shown(machine_pool, document) == {}
