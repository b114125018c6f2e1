"""Memory runs out, and the kernel kills a daemon or a workspace: nothing acknowledged is lost."""

from itertools import count

import pytest

from tests.faults.checker import Checker, Request
from tests.faults.conftest import VERSION_1
from tests.faults.site import LocalSite, SqliteFile
from tests.proofs import record
from tests.waiting import eventually

SOON = 60  # seconds until the kernel ends a program
LAUNCH = {"name": "mine", "template": "Plain Shell"}


@pytest.fixture
def site(tmp_path):
    database = SqliteFile(tmp_path)
    site = LocalSite(tmp_path, database)
    try:
        site.start()
        yield site
    finally:
        site.close()
        database.close()


@pytest.fixture
def checker(site):
    """Records what is acknowledged; a workspace runs already."""
    checker = Checker(site)
    checker.send_until_answered(
        Request("POST", "/instances/launch", LAUNCH, checker.launched("mine"))
    )
    checker.wait_until_settled()
    return checker


def project_request(checker, name):
    return Request("POST", "/projects", {"name": name}, lambda _: checker.projects.add(name))


@pytest.mark.timeout(300)
def test_daemon_that_the_kernel_kills_for_memory_loses_nothing(site, checker, memory_group):
    memory_group.limit(48)
    memory_group.add_victim(site.process.pid)
    names = (f"project-{number}" for number in count())
    unanswered = []
    checker.send_until_answered(project_request(checker, next(names)))
    with memory_group.exhausted():
        while site.process.poll() is None:
            request = project_request(checker, next(names))
            if not checker.send(request):
                unanswered.append(request)
    assert memory_group.kills() >= 1
    assert checker.projects
    site.start()
    for request in unanswered:
        checker.send_until_answered(request)
    checker.wait_until_settled()
    assert site.home.client.daemon.status().status == "healthy"
    record(
        "Disks that are full or fail, and memory that runs out: memory, the daemon is killed",
        f"{len(checker.projects)} requests acknowledged, the workspace ran on, nothing was lost",
    )


@pytest.mark.timeout(300)
@pytest.mark.skipif(not VERSION_1.is_dir(), reason="Prism's own groups limit the memory there")
def test_workspace_whose_programs_the_kernel_kills_for_memory_starts_again_with_its_volume(
    site, checker, memory_group
):
    checker.send_until_answered(
        Request(
            "POST",
            "/storage/volumes/create",
            {"name": "data", "type": "ebs", "size_gb": 1},
            checker.made_volume("data"),
        )
    )
    checker.wait_until_settled()
    checker.send_until_answered(
        Request(
            "POST",
            "/storage/volumes/data/attach",
            {"instance": "mine"},
            checker.attached("data", "mine"),
        )
    )
    checker.wait_until_settled()
    [supervisor] = site.home.machines()
    memory_group.limit(48)
    for process in (supervisor, *supervisor.children(recursive=True)):
        memory_group.add(process.pid)
    killed = memory_group.kills()
    hungry = site.home.cli("exec", "mine", "--", "python3", "-c", "bytearray(b'x') * 10**9")
    assert hungry.returncode == 137, hungry.stderr
    assert memory_group.kills() == killed + 1
    assert supervisor.is_running(), "one program too many ends no workspace"
    memory_group.add_victim(supervisor.pid)
    with memory_group.exhausted():
        eventually(lambda: not supervisor.is_running(), SOON)
    checker.workspaces["mine"] = "stopped"
    checker.wait_until_settled()
    assert site.home.client.workspaces.get("mine").failure.code == "MACHINE_DIED"
    checker.send_until_answered(
        Request("POST", "/instances/mine/start", {}, checker.is_now("mine", "running"))
    )
    checker.wait_until_settled()
    record(
        "Disks that are full or fail, and memory that runs out: memory, a workspace is killed",
        "a program that takes too much is killed alone; after the supervisor was killed, the "
        "workspace is stopped with the reason, starts again, and its volume is unchanged",
    )
