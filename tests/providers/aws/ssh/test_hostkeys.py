import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import cast

from prism.providers.aws.compute.console import Console
from prism.providers.aws.ssh.hostkeys import HostKeys
from prism.providers.aws.ssh.model import SshHost
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


def test_host_that_is_forgotten_while_its_file_is_read_does_not_disturb_the_reader(
    tmp_path, monkeypatch
):
    keys = HostKeys(tmp_path / "keys", cast(Console, None))
    keys.learn(ID, f"prism-boot: hostkey {keypair(tmp_path / 'host')}\n")
    host = SshHost(
        id=ID, workspace="ws_1", name="lab", address="198.51.100.1", user="u", key=tmp_path
    )
    keys.known_hosts(host)
    forgetting = threading.Thread(target=keys.forget, args=(ID,))
    read_text = Path.read_text

    def forget_and_read(path, *how):
        forgetting.start()
        forgetting.join(0.2)  # it waits for this read
        return read_text(path, *how)

    monkeypatch.setattr(Path, "read_text", forget_and_read)
    assert keys.known_hosts(host) == tmp_path / "keys" / ID
    forgetting.join()
    assert not (tmp_path / "keys" / ID).exists()
