"""An older database is put back under machines and volumes that have gone on without it."""

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
    for it in (site, *([neighbour] if neighbour else [])):
        it.end()
    site.database.engine.dispose()  # its connections are to what is being replaced
    site.prism("restore", str(backup), "--yes")
    site.start()
    client = site.home.client
    status = eventually(lambda: degraded(client), PATIENCE)
    assert any("older than the world" in it for it in status), status
    refuses(client, machines, hashes)
    site.prism("recover", "--accept")
    eventually(lambda: living(client) == machines, PATIENCE)
    assert set(site.machines()) == machines, "none was destroyed, none was made"
    assert hashes_of(site, checker) == hashes, "no volume was touched"
    since = [id for id, (event, _) in site.database.events().items() if id > newest]
    assert since, "events go on behind those that were given before"
    volumes = {it.volume_id: it for it in client.volumes.list().ebs_volumes}
    there = [it for it in checker.volumes.values() if it.id is not None]
    lost = [it.id for it in there if it.id not in volumes]
    assert not lost, f"volumes that are there are not known: {lost}"
    wrong = [it for it in there if bool(it.attached) != (volumes[it.id].state == "in-use")]
    assert not wrong, f"attached as the older database says, not as it is: {wrong}"


def degraded(client):
    """Why, once it says so."""
    said = client.daemon.status()
    return said.status == "degraded" and said.reasons


def living(client):
    """The machines of all workspaces that have one."""
    found = client.workspaces.list()
    return {it.id for it in found if it.state not in OVER and not was_never_made(it)}


def refuses(client: Client, machines, hashes):
    """Nothing is destroyed before the operator has decided."""
    for it in client.workspaces.list():
        if it.id in machines:
            refused(lambda name=it.name: client.workspaces.terminate(name, wait=0))
    for it in client.volumes.list().ebs_volumes:
        if it.volume_id in hashes:
            refused(lambda name=it.name: client.volumes.delete(name))


def refused(do):
    try:
        do()
    except Conflict as no:
        assert no.code in {"DATABASE_OLDER", "IN_USE"}, no
    else:
        raise AssertionError("it was not refused")


def hashes_of(site, checker):
    """What is on each volume that is there, by its id."""
    found = {it.id: site.data(it.id) for it in checker.volumes.values() if it.id}
    return {id: data and digest(data) for id, data in found.items()}
