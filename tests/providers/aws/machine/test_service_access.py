"""The services that a machine lists become endpoints, as `connect` shows them."""

import json

import msgspec
import pytest

from prism.providers.aws.machine.cloudinit.tokens import secret
from prism.providers.aws.machine.service_access import AwsServiceAccess
from prism.providers.aws.ssh.port_forwarding import AwsPortFinder
from prism.workspaces.routes import connection
from tests.providers.aws.machine.cloudinit.ordered import LIBRARY, files, rendered
from tests.providers.aws.ssh_machine import ID


def connected_services(machine_pool, document):
    """The services that `connect` returns for a machine that lists these."""
    (machine_pool.sshd.folder / "services.json").write_text(json.dumps(document))
    reach = AwsPortFinder(machine_pool.pool, machine_pool.forwards)
    access_of_services = AwsServiceAccess(
        machine_pool.pool, reach, services=f"{machine_pool.sshd.folder}/services.json"
    )
    return msgspec.to_builtins(connection(access_of_services.access(ID)))["services"]


def test_rstudio_has_the_working_user_and_the_secret_as_login(machine_pool, service):
    document = json.loads(
        files(rendered(LIBRARY["r-research"]))["/etc/prism/services.json"]["content"]
    )
    document["services"]["rstudio"]["port"] = service.port
    rstudio = connected_services(machine_pool, document)["rstudio"]
    assert rstudio.keys() == {"url", "username", "password"}
    assert rstudio["url"].startswith("http://127.0.0.1:")
    assert rstudio["username"] == "researcher"
    host = machine_pool.host(ID)
    assert rstudio["password"] == secret(host.key.read_bytes(), host.workspace, "rstudio")


@pytest.mark.parametrize("token", [True, False])
def test_other_services_have_a_token_or_no_secret(machine_pool, service, token):
    document = {"user": "ada", "services": {"it": {"port": service.port, "token": token}}}
    fields = {"url", "local_forward"} | ({"token"} if token else set())
    assert connected_services(machine_pool, document)["it"].keys() == fields


def test_service_that_does_not_listen_is_not_listed(machine_pool, service):
    service.close()
    document = {"user": "ada", "services": {"it": {"port": service.port, "password": True}}}
    assert connected_services(machine_pool, document) == {}
