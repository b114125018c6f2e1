import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import cast

from prism.providers.aws.compute.console import Console
from prism.providers.aws.ssh.hostkeys import HostKeys
from tests.providers.aws.ssh_machine import ID, keypair

THREADS = 2


def test_threads_that_learn_the_same_key_at_once_all_succeed(tmp_path, monkeypatch):
    keys = HostKeys(tmp_path / "keys", cast(Console, None))
    console = f"prism-boot: hostkey {keypair(tmp_path / 'host')}\n"
    together = threading.Barrier(THREADS)
    replace = Path.replace

    def replace_together(draft: Path, target: Path) -> Path:
        with suppress(threading.BrokenBarrierError):  # the other one waits for this write
            together.wait(timeout=0.2)  # both have written their drafts
        return replace(draft, target)

    monkeypatch.setattr(Path, "replace", replace_together)
    with ThreadPoolExecutor(THREADS) as pool:
        learnt = list(pool.map(lambda _: keys.learn(ID, console), range(THREADS)))
    assert learnt == [keys.known(ID)] * THREADS
    assert [file.name for file in (tmp_path / "keys").iterdir()] == [ID]
