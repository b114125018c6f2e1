"""Copies a tree that a workspace may be changing, and writes down what it copied.

    python -I -S tree_copy.py '{"source": …, "target": …, "manifest": …}'

A program of its own, so that the daemon neither waits nor shares its interpreter; it ends when
its standard input does, so none outlives the daemon.

After the first pass it looks at the whole tree again. If nothing is different, all files were
as they were copied at the moment between the two passes: the copy is of one moment. What is
different is copied again, a few times. The last line of the output says in JSON how it ended.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
from contextlib import suppress
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from prism.agent.copies.copy_check import CopyCheck, hash_files
from prism.agent.copies.file_copy import StopRequest, TreeCopyFailed, TreeCopyStopped
from prism.agent.copies.manifest import differences, load, save
from prism.agent.copies.tree_check import check_tree
from prism.agent.copies.tree_copier import TreeCopier, message_of
from prism.agent.protocol import DISK_FULL_ERRORS, CopyAnswer, CopyTask
from prism.agent.system.safe_paths import Directory, identity, remove_tree


def copy(task: CopyTask, stop: StopRequest) -> CopyAnswer:
    """Copy a tree; with a manifest `expected`, the copy has to match that."""
    expected = load(path) if (path := task.get("expected")) else None
    if not os.path.isdir(task["target"]):
        os.mkdir(task["target"], 0o700)
    with Directory.at(task["source"]) as source, Directory.at(task["target"]) as target:
        if task.get("machines"):
            _Flush(source).wait()  # at once, so that no file waits for the disk when it is copied
        copier = TreeCopier(source, target, stop, task.get("omitted", ""))
        one_moment = copier.run(task.get("machines", ()))
        _require_present(task["source"], source)
        flushed = _Flush(target)  # the disk works while we compare
        check = CopyCheck(copier.root, copier.folder_attributes)
        check.run(target)
        if expected is not None:
            hash_files(target, expected, copier.root, stop)
            if wrong := differences(expected, copier.root):
                raise TreeCopyFailed(f"it is not what its manifest says: {'; '.join(wrong)}")
        if task.get("manifest"):
            save(task["manifest"], copier.root, hashed=check.is_hashed, one_moment=one_moment)
        flushed.wait()
    return {
        "one_moment": one_moment,
        "used": check.used,
        "hashed": check.is_hashed,
        "left_out": sorted(copier.left_out)[:5],
    }


def finish_hashes(task: CopyTask, stop: StopRequest) -> CopyAnswer:
    """Add to a manifest the hashes that are not in it yet."""
    os.nice(19)
    root = load(task["manifest"])
    with Directory.at(task["source"]) as source:
        hash_files(source, None, root, stop)
    save(task["manifest"], root, hashed=True, one_moment=task.get("one_moment"))
    return {"hashed": True}


def check(task: CopyTask, stop: StopRequest) -> CopyAnswer:
    """Compare a received tree with the manifest that came with it, and write a new manifest."""
    assert task["expected"] is not None
    with Directory.at(task["source"]) as tree:
        flushed = _Flush(tree)  # the disk works while we compare
        result = check_tree(tree, task["expected"], stop)
        save(task["manifest"], result.root, hashed=True, one_moment=result.one_moment)
        os.unlink(task["expected"])
        flushed.wait()
    return {"one_moment": result.one_moment, "used": result.used_bytes, "hashed": True}


def _require_present(path: str, source: Directory) -> None:
    """Raise if the tree was removed while it was read: then much of it is missing."""
    with suppress(OSError):
        if identity(os.stat(path, follow_symlinks=False)) == source.identity:
            return
    raise TreeCopyFailed("it was removed while it was copied")


class _Flush:
    """Writes a tree to the disk, in a thread, since that takes long."""

    def __init__(self, tree: Directory) -> None:
        self._tree, self._why = tree, ""
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    def wait(self) -> None:
        """Write the rest, which is little; raises if the disk failed."""
        self._thread.join()
        self._work()
        if self._why:
            raise TreeCopyFailed(f"files cannot be written to the disk: {self._why}")

    def _work(self) -> None:
        if sys.platform != "linux":
            os.sync()
            return
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.syncfs(self._tree.fileno()):
            self._why = os.strerror(ctypes.get_errno())


def main(words: list[str]) -> int:
    """Carry out the task, and print the result."""
    task: CopyTask = json.loads(words[1])
    gc.disable()  # there are many entries and no cycles
    os.umask(0)  # each copy gets the mode of its source, in a folder of our own
    stop = StopRequest()
    work = {"copy": copy, "hash": finish_hashes, "check": check}[task.get("do", "copy")]
    try:
        answer = work(task, stop)
    except TreeCopyStopped:
        if task.get("draft"):
            with suppress(OSError):
                remove_tree(task["draft"])
        return 3
    except (TreeCopyFailed, ValueError) as why:
        code = getattr(why.__cause__, "errno", None)
        answer = {"failed": str(why), "full": code in DISK_FULL_ERRORS}
    except OSError as error:
        answer = {
            "failed": message_of(error, str(error.filename or "")),
            "full": error.errno in DISK_FULL_ERRORS,
        }
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv))  # everything is written, and freeing all entries would take long
