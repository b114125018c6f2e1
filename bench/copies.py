"""The processor time of a snapshot of many small files, in turns with `cp -a`."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from page import Report

from prism.agent.copies import tree_copy

FILES, IN_ONE_FOLDER, TURNS = 15_000, 100, 9


def copies(report: Report) -> None:
    """Copy a tree in memory, if possible, so that no disk is measured."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        source, spent = tree(Path(folder)), {"cp": list[float](), "ours": list[float]()}
        for _ in range(TURNS):
            for program in spent:
                draft = Path(folder) / "draft"
                draft.mkdir()
                spent[program].append(processor_time(command(program, source, draft)))
                shutil.rmtree(draft)
    ours, plain = min(spent["ours"]), min(spent["cp"])
    text = f"{ours:.2f} s, median {median(spent['ours']):.2f} s"
    report.say(f"copy of {FILES:,} small files with its manifest, CPU time", text)
    text = f"{plain:.2f} s, median {median(spent['cp']):.2f} s"
    text += f"; Prism's copy takes {ours / plain:.2f} ×"
    report.say("… `cp -a` alone, alternately", text)


def tree(folder: Path) -> Path:
    """Files of up to 700 bytes."""
    for number in range(FILES):
        at = folder / "source" / str(number // IN_ONE_FOLDER)
        at.mkdir(parents=True, exist_ok=True)
        (at / f"file{number}").write_text(f"content {number}\n" * (number % 40))
    return folder / "source"


def command(program: str, source: Path, draft: Path) -> list[str]:
    """The command that copies `source` to `draft/data`."""
    if program == "cp":
        return ["cp", "-a", str(source), str(draft / "data")]
    order = {
        "source": str(source),
        "target": str(draft / "data"),
        "manifest": str(draft / "manifest.json"),
    }
    return [sys.executable, "-I", "-S", tree_copy.__file__, json.dumps(order)]


def processor_time(argv: list[str]) -> float:
    """Run a program; the seconds it takes. Its input stays open until it ends."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.DEVNULL}
    with subprocess.Popen(argv, **pipes) as process:  # type: ignore[call-overload]
        if process.wait():
            raise SystemExit(f"{argv[0]} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
