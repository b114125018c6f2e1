"""An older database is restored while machines and volumes have changed since its backup."""

import contextlib

from prism.client import Client
from prism.errors import Conflict
from tests.faults.checker import OVER, was_never_made
from tests.faults.site import digest
from tests.waiting import eventually

MORE = 3  # steps after the backup
PATIENCE = 420


def restore_older_backup(site, checker, schedule, neighbour=None):
    """Change the site after a backup, restore the backup, and assert that nothing is destroyed.

    It uses the real commands: `prism backup`, `prism restore`, `prism recover --accept`.
    """
    backup = site.home.folder.parent / "older.backup"
    site.prism("backup", str(backup))
    schedule.run(MORE, ["nothing"] * MORE)
    checker.send(schedule._ask_launch()[1])
    checker.send(schedule._ask_create_volume()[1])
    checker.wait_until_settled()
    machines, hashes = set(site.machines()), hashes_of(site, checker)
    newest = max(site.database.events())
    for home in (site, *([neighbour] if neighbour else [])):
        home.end()
    site.database.engine.dispose()  # its connections are to the database that is replaced
    site.prism("restore", str(backup), "--yes")
    site.start()
    client = site.home.client
    status = eventually(lambda: degraded_reasons(client), PATIENCE)
    assert any("older than the machines" in problem for problem in status), status
    assert_deletion_refused(client, machines, hashes)
    older = {volume.name: volume.state for volume in client.volumes.list().ebs_volumes}
    site.prism("recover", "--accept")
    eventually(lambda: recovered(site, client, machines), PATIENCE)
    assert set(site.machines()) == machines, "a machine was destroyed or created"
    assert hashes_of(site, checker) == hashes, "the content of a volume has changed"
    since = [id for id, (event, _) in site.database.events().items() if id > newest]
    assert since, "there is no event with a number above those before the restore"
    attached = [
        volume
        for name, volume in checker.volumes.items()
        if volume.id is not None and not has_other_request(volume, older.get(name, "available"))
    ]
    with contextlib.suppress(AssertionError):  # differences are reported below
        eventually(lambda: not wrong_volumes(client, attached), PATIENCE)
    wrong = wrong_volumes(client, attached)
    assert not wrong, f"the state of the older database, not the real one: {wrong}"


def has_other_request(volume, older):
    """Whether the older database has another request for a volume, which is carried out now."""
    return older == "detaching" if volume.attached else older != "available"


def wrong_volumes(client, known):
    """Volumes that are missing in the API, or listed with the wrong attachment."""
    volumes = {volume.volume_id: volume.state for volume in client.volumes.list().ebs_volumes}
    return [
        (known_name, volumes.get(known_name.id))
        for known_name in known
        if volumes.get(known_name.id) != ("in-use" if known_name.attached else "available")
    ]


def degraded_reasons(client):
    """The reasons of the daemon, once its status is `degraded`."""
    status = client.daemon.status()
    return status.status == "degraded" and status.reasons


def recovered(site, client, machines):
    """Whether all machines are listed again; if not, run `prism recover` once more."""
    if machine_ids(client) == machines:
        return True
    site.prism("recover")
    return False


def machine_ids(client):
    """The machines of all workspaces that have one."""
    workspaces = client.workspaces.list()
    return {
        workspace.id
        for workspace in workspaces
        if workspace.state not in OVER and not was_never_made(workspace)
    }


def assert_deletion_refused(client: Client, machines, hashes):
    """Assert that nothing can be deleted before the operator has decided."""
    for workspace in client.workspaces.list():
        if workspace.id in machines:
            assert_refused(lambda name=workspace.name: client.workspaces.terminate(name, wait=0))
    for volume in client.volumes.list().ebs_volumes:
        if volume.volume_id in hashes:
            assert_refused(lambda name=volume.name: client.volumes.delete(name))


def assert_refused(do):
    try:
        do()
    except Conflict as no:
        assert no.code in {"DATABASE_OLDER", "IN_USE"}, no
    else:
        raise AssertionError("it was not refused")


def hashes_of(site, checker):
    """The hash of the content of each volume, by its id."""
    folders = {volume.id: site.data(volume.id) for volume in checker.volumes.values() if volume.id}
    return {id: data and digest(data) for id, data in folders.items()}
