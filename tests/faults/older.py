"""An older database is put back under machines and volumes that have gone on without it."""

import contextlib

from prism.client import Client
from prism.errors import Conflict
from tests.faults.checker import OVER, was_never_made
from tests.faults.site import digest
from tests.waiting import eventually

MORE = 3  # steps that the older database does not know
PATIENCE = 420


def put_back(site, checker, schedule, neighbour=None):
    """Go on after a backup, put it back, and look that it destroys nothing before or after.

    The real commands do it: `prism backup`, `prism restore`, `prism recover --accept`.
    """
    backup = site.home.folder.parent / "older.backup"
    site.prism("backup", str(backup))
    schedule.run(MORE, ["nothing"] * MORE)
    checker.send(schedule._ask_launch()[1])
    checker.send(schedule._ask_create_volume()[1])
    checker.settled()
    machines, hashes = set(site.machines()), hashes_of(site, checker)
    newest = max(site.database.events())
    for home in (site, *([neighbour] if neighbour else [])):
        home.end()
    site.database.engine.dispose()  # its connections are to what is being replaced
    site.prism("restore", str(backup), "--yes")
    site.start()
    client = site.home.client
    status = eventually(lambda: degraded(client), PATIENCE)
    assert any("older than the machines" in problem for problem in status), status
    refuses(client, machines, hashes)
    older = {volume.name: volume.state for volume in client.volumes.list().ebs_volumes}
    site.prism("recover", "--accept")
    eventually(lambda: recovered(site, client, machines), PATIENCE)
    assert set(site.machines()) == machines, "none was destroyed, none was made"
    assert hashes_of(site, checker) == hashes, "no volume was touched"
    since = [id for id, (event, _) in site.database.events().items() if id > newest]
    assert since, "events go on behind those that were given before"
    attached = [
        volume
        for name, volume in checker.volumes.items()
        if volume.id is not None and not goes_on(volume, older.get(name, "available"))
    ]
    with contextlib.suppress(AssertionError):  # what is wrong is said below
        eventually(lambda: not misjudged(client, attached), PATIENCE)
    wrong = misjudged(client, attached)
    assert not wrong, f"as the older database says, not as it is: {wrong}"


def goes_on(volume, older):
    """Whether what the older database wants of a volume is another thing, which is done now."""
    return older == "detaching" if volume.attached else older != "available"


def misjudged(client, known):
    """Volumes that are not known, or attached where they are not, or the other way round."""
    volumes = {volume.volume_id: volume.state for volume in client.volumes.list().ebs_volumes}
    return [
        (known_name, volumes.get(known_name.id))
        for known_name in known
        if volumes.get(known_name.id) != ("in-use" if known_name.attached else "available")
    ]


def degraded(client):
    """Why, once it says so."""
    status = client.daemon.status()
    return status.status == "degraded" and status.reasons


def recovered(site, client, machines):
    """Whether all are back; a place that could not be looked at in time is asked for again."""
    if living(client) == machines:
        return True
    site.prism("recover")
    return False


def living(client):
    """The machines of all workspaces that have one."""
    workspaces = client.workspaces.list()
    return {
        workspace.id
        for workspace in workspaces
        if workspace.state not in OVER and not was_never_made(workspace)
    }


def refuses(client: Client, machines, hashes):
    """Nothing is destroyed before the operator has decided."""
    for workspace in client.workspaces.list():
        if workspace.id in machines:
            refused(lambda name=workspace.name: client.workspaces.terminate(name, wait=0))
    for volume in client.volumes.list().ebs_volumes:
        if volume.volume_id in hashes:
            refused(lambda name=volume.name: client.volumes.delete(name))


def refused(do):
    try:
        do()
    except Conflict as no:
        assert no.code in {"DATABASE_OLDER", "IN_USE"}, no
    else:
        raise AssertionError("it was not refused")


def hashes_of(site, checker):
    """What is on each volume that is there, by its id."""
    folders = {volume.id: site.data(volume.id) for volume in checker.volumes.values() if volume.id}
    return {id: data and digest(data) for id, data in folders.items()}
