"""`prism cp`: copies files to and from a workspace, with rsync if both sides have it.

Existing files are compared by content, not by size and time. An interrupted copy never leaves a
partial file under the final name: rsync keeps the part in `.rsync-partial` and continues there.
Without `rsync`, `scp` copies a single file to a draft, which is removed after an interruption.
Prism's own `sftp_client.py` takes the place of `scp` where OpenSSH is not installed.

The workspace decides what its end says. So a copy to this computer never gets a mode that lets
others write, or set-user-ID, and what the workspace prints is cleaned.
"""

from __future__ import annotations

import os
import secrets
import shlex
import signal
import subprocess
import sys
from codecs import getincrementaldecoder
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from subprocess import PIPE
from threading import Thread
from typing import NamedTuple

from prism.annotations import Any, ArgumentParser, BinaryIO, Namespace, TextIO
from prism.cli.output.clean_output import control
from prism.cli.output.terminal import is_terminal, say, show_json
from prism.cli.parser import UsageError
from prism.cli.workspace.ssh import SshEntry, is_installed, wait_for_entry
from prism.errors import NotFound, Problem

MODERN = "rsync  version 3."  # other versions neither resume safely nor accept every file name
PART = ".rsync-partial"
# Keep hard links, holes and the user's extended attributes; others may be refused on the target.
KEPT_ATTRIBUTES = ("-H", "-S", "-X", "--filter=-x! user.*")
# The receiving rsync applies it to the modes that the sender claims, with and without this option
# there. Without it, root would receive set-user-ID files that are root's.
SAFE_MODES = "--chmod=ug-s,o-wt"
CHUNK_BYTES = 65536
MOST_ANSWER_BYTES = 1 << 20  # of a script in the workspace, whose output is a few lines
OUTPUT_SECONDS = 5  # for the last output of a program whose connection is still open
# Run in the workspace: prints the version of rsync, and what exists at the path.
PROBE = """\
set -- {path}
rsync --version 2>/dev/null | head -n 1
if [ -d "$1" ]; then echo folder; elif [ -e "$1" ]; then echo file; else echo nothing; fi
"""
DRAFT_SUFFIX = ".prism-part"
# Run in the workspace: makes the target's parent, and prints whether the target is a folder.
PREPARE = "mkdir -p -- {folder} && if [ -d {path} ]; then echo folder; fi\n"
# Not every `mv` has -T; without it, `mv` moves the draft into a folder of that name.
RENAME = """\
if [ -d {path} ]; then echo {path}: is a folder >&2; exit 1; fi
if mv --help 2>&1 | grep -q -e -T; then mv -f -T -- {draft} {path}; exit; fi
mv -f -- {draft} {path}
"""
ANEW = "Repeat the command to copy everything again; until then a file may be incomplete"
UNTOUCHED = "Repeat the command; the target has not changed"


class TransferFailed(Problem, code="COPY_FAILED"):
    """The program that copies failed and printed why."""


class CopyCommand(NamedTuple):
    """What copies: `by` is `rsync`, `scp`, or `sftp` for Prism's own client."""

    by: str
    argv: list[str]

    def with_target(self, path: str) -> CopyCommand:
        """The same with another target."""
        return self._replace(argv=[*self.argv[:-1], path])


class CopyEnd:
    """One end of a copy: a path here, or in a workspace."""

    def __init__(self, word: str) -> None:
        name, colon, path = word.partition(":")
        self.word = word
        self.name = name if colon and name and "/" not in name else ""
        self.path = _from_home(path) if self.name else word

    @property
    def last(self) -> str:
        """The last component of the path."""
        return os.path.basename(os.path.normpath(self.path))


def _from_home(path: str) -> str:
    """A path in a workspace, relative to its home, where SSH starts.

    No shell there expands `~`, and `scp` would take another `~word` for a user's home.
    """
    if path == "~":
        return "."
    if path.startswith("~/"):
        path = path[2:].lstrip("/") or "./"
    return f"./{path}" if path.startswith("~") else path or "."


def _cp(args: Namespace) -> None:
    source, target = CopyEnd(args.source), CopyEnd(args.target)
    if bool(source.name) == bool(target.name):
        problem = "both ends are a workspace's" if source.name else "neither end is a workspace's"
        hint = "Write NAME:PATH for it, as in `prism cp data mine:` or `prism cp mine:data .`"
        raise UsageError(f"{problem}; one has to be, and the other here", hint)
    entry = wait_for_entry(source.name or target.name)
    remote, is_modern = _probe(entry, source.path if source.name else target.path)
    is_folder = _path_kind(source, remote) == "folder"
    if _path_kind(source, remote) == "nothing":
        raise NotFound(f"{source.word} does not exist")
    path = target.path
    if _path_kind(target, remote) == "folder" or path.endswith("/"):
        path = os.path.join(path, source.last)
    in_place = _prepare(entry, target, path)
    if not is_folder and in_place == "folder":
        raise TransferFailed(
            "Nothing was copied",
            details=f"{_shown_path(target, path)} is a folder, and {source.word} is a file",
            remediation="Copy it to another name, or remove the folder first",
        )
    known = _path_kind(target, remote) != "nothing"
    ends = (source, (target, path))
    command = _copy_command(entry, ends, folder=is_folder, modern=is_modern, known=known)
    if command.by != "rsync":
        _refuse_link_out(source.path if target.name else path, itself=not target.name)
    if command.by != "rsync" and not is_folder:
        _copy_by_draft(entry, target, path, command, silent=args.json)
    else:
        _run(command, silent=args.json, hint=ANEW)
    if args.json:
        show_json({"source": source.word, "target": _shown_path(target, path), "by": command.by})


def _probe(entry: SshEntry, path: str) -> tuple[str, bool]:
    """What is at the path in the workspace, and whether its rsync is modern."""
    lines = _run_script(entry, PROBE.format(path=shlex.quote(path))).splitlines()
    is_modern = any(line.startswith(MODERN) for line in lines[:-1])
    return lines[-1] if lines else "nothing", is_modern


def _path_kind(end: CopyEnd, remote: str) -> str:
    """What is at this end; `remote` is what is in the workspace."""
    if end.name:
        return remote
    if os.path.isdir(end.path):
        return "folder"
    return "file" if os.path.exists(end.path) else "nothing"


def _prepare(entry: SshEntry, target: CopyEnd, path: str) -> str:
    """Make the target's parent; returns `folder` if the target is a folder."""
    folder = os.path.dirname(path)
    if not folder:  # without a folder, the parent is `.`
        return ""
    if target.name:
        words = {"folder": shlex.quote(folder), "path": shlex.quote(path)}
        return _run_script(entry, PREPARE.format(**words)).strip()
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise TransferFailed("Nothing was copied", details=str(error)) from None
    return "folder" if os.path.isdir(path) else ""


def _copy_command(
    entry: SshEntry,
    ends: tuple[CopyEnd, tuple[CopyEnd, str]],
    *,
    folder: bool,
    modern: bool,
    known: bool,
) -> CopyCommand:
    """The command that copies, `rsync` or else `scp`; they differ only in what `scp` cannot keep.

    With `known`, some of the files may exist at the target.
    """
    source, target = ends
    progress = is_terminal(sys.stdout)
    if modern and _has_modern_rsync():
        compared = ["--checksum"] if known else []
        flags = ["-rlpt", "-s", *KEPT_ATTRIBUTES, f"--partial-dir={PART}", *compared]
        flags += ["--info=progress2"] if progress else []
        flags += [SAFE_MODES] if source.name else []
        last = "/" if folder else ""
        paths = (_scp_path(entry, source, source.path) + last, _scp_path(entry, *target) + last)
        shell = shlex.join(entry.program("ssh"))
        return CopyCommand("rsync", ["rsync", *flags, "-e", shell, "--", *paths])
    by = "scp" if is_installed("scp") and is_installed("ssh") else "sftp"  # `scp` runs `ssh`
    loses_times = by == "scp" and source.name
    say(
        "Without rsync 3 on both sides an interrupted copy starts again, and hard links, "
        f"holes and extended attributes{', and times' if loses_times else ''} are not kept"
    )
    # Like rsync, `sftp` copies the content of a folder if the target folder exists. With -p, a
    # copy from a workspace would have its modes instead of those that the umask allows.
    dot = "/." if folder else ""
    paths = (_scp_path(entry, source, source.path) + dot, _scp_path(entry, *target))
    quiet = [] if progress else ["-q"]
    if by == "sftp":
        return CopyCommand(by, [*entry.own_program("scp"), *quiet, "--", *paths])
    flags = [*([] if source.name else ["-p"]), *(["-r"] if folder else []), *quiet]
    return CopyCommand(by, [*entry.program("scp"), *flags, "--", *paths])


def _copy_by_draft(
    entry: SshEntry, target: CopyEnd, path: str, command: CopyCommand, *, silent: bool
) -> None:
    """Copy one file to a draft next to its target, and rename it once it is complete.

    The draft has a random name, so it meets no other copy, file or link.
    """
    draft = f"{path}.{secrets.token_hex(4)}{DRAFT_SUFFIX}"
    try:
        to_draft = command.with_target(_scp_path(entry, target, draft))
        _run(to_draft, silent=silent, hint=UNTOUCHED)
        if target.name:
            words = {"draft": shlex.quote(draft), "path": shlex.quote(path)}
            _run_script(entry, RENAME.format(**words))
        else:
            os.replace(draft, path)
    except BaseException as error:
        with suppress(OSError, Problem):
            if target.name:
                _run_script(entry, f"rm -f -- {shlex.quote(draft)}\n")
            else:
                os.unlink(draft)
        if isinstance(error, OSError):
            raise TransferFailed("Nothing was copied", details=str(error)) from None
        raise


def _refuse_link_out(path: str, *, itself: bool) -> None:
    """Raise if a link in the local tree leads out of it; or, with `itself`, if it is a link.

    An earlier copy may have brought the link from a workspace, and `scp` would follow it. A
    workspace without rsync forces the use of `scp`.
    """
    around = os.path.realpath(path)
    tree = ((at, [*folders, *files]) for at, folders, files in os.walk(path))
    links = (os.path.join(at, name) for at, names in tree for name in names)
    root_links = [path] if itself and os.path.islink(path.rstrip("/")) else []
    for link in [*root_links, *filter(os.path.islink, links)]:
        leads = os.path.realpath(link)
        if link == path or os.path.commonpath([around, leads]) != around:
            raise TransferFailed(
                "Nothing was copied",
                details=f"{link} is a symbolic link to {leads}, and `scp` would follow it",
                remediation="Remove the link, or install rsync 3 on both sides, which does not",
            )


def _scp_path(entry: SshEntry, end: CopyEnd, path: str) -> str:
    host = f"[{entry.host}]" if ":" in entry.host else entry.host
    return f"{host}:{path}" if end.name else os.path.abspath(path)


def _shown_path(end: CopyEnd, path: str) -> str:
    return f"{end.name}:{path}" if end.name else path


def _has_modern_rsync() -> bool:
    try:
        done = subprocess.run(["rsync", "--version"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return False
    return done.stdout.startswith(MODERN)


def _run_script(entry: SshEntry, script: str) -> str:
    """The output of a shell script that runs in the workspace, which may answer anything."""
    argv = [*entry.program("ssh"), "-T", "--", entry.host, "/bin/sh"]
    with (
        subprocess.Popen(argv, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process,
        ThreadPoolExecutor(2) as threads,
    ):
        assert process.stdin and process.stdout and process.stderr, "they are pipes"
        try:
            pipes = (process.stdout, process.stderr)
            outputs = [threads.submit(_read_answer, process, pipe) for pipe in pipes]
            with suppress(BrokenPipeError):
                process.stdin.write(script.encode(errors="surrogateescape"))
                process.stdin.close()
            output, errors = (answer.result() for answer in outputs)
        except BaseException:
            process.kill()  # else the threads would wait for its end
            raise
    if len(output) > MOST_ANSWER_BYTES or len(errors) > MOST_ANSWER_BYTES:
        raise TransferFailed(
            "Nothing was copied",
            details=f"the workspace answered more than {MOST_ANSWER_BYTES} bytes to a short "
            "question; a program in it may have replaced its shell",
        )
    if process.returncode:
        raise TransferFailed("Nothing was copied", details=errors.decode(errors="replace").strip())
    return output.decode(errors="replace")


def _read_answer(process: subprocess.Popen[bytes], pipe: Any) -> bytes:
    """All of an answer; of one that is too long the first part, and its program is ended."""
    answer: bytes = pipe.read(MOST_ANSWER_BYTES + 1)
    if len(answer) > MOST_ANSWER_BYTES:
        process.kill()
    return answer


def _run(command: CopyCommand, *, silent: bool, hint: str) -> None:
    """Run the program to its end; `hint` is what to do if `scp` fails.

    A signal that ends this command ends the program too; files that were copied stay.
    """
    interrupted: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: interrupted.append(number))
    # `scp` shows its progress only on a terminal of its own, and cleans it.
    own_output = None if command.by == "scp" else subprocess.PIPE
    out = subprocess.DEVNULL if silent else own_output
    with subprocess.Popen(command.argv, stdout=out, stderr=subprocess.PIPE) as process:
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        pipes = ((process.stdout, sys.stdout), (process.stderr, sys.stderr))
        relays = [
            Thread(target=_relay, args=(pipe, stream), daemon=True)
            for pipe, stream in pipes
            if pipe
        ]
        for relay in relays:
            relay.start()
        code = process.wait()
        for relay in relays:
            relay.join(OUTPUT_SECONDS)
    if interrupted:
        raise KeyboardInterrupt
    if code:
        raise TransferFailed(
            "Not everything was copied",
            details=f"{command.by} ended with {code}; its output is above",
            remediation="Repeat the command to continue" if command.by == "rsync" else hint,
        )


def _relay(pipe: BinaryIO, stream: TextIO) -> None:
    """Print the output of a program line by line, as `CleanStream` cleans it.

    Progress lines end with a carriage return, the one control character that they need.
    """
    decoder, rest = getincrementaldecoder("utf-8")("replace"), ""
    with suppress(OSError, ValueError):  # closed while something still holds the other end
        while chunk := os.read(pipe.fileno(), CHUNK_BYTES):
            *lines, rest = (rest + decoder.decode(chunk)).replace("\r", "\r\n").split("\n")
            if len(rest) > CHUNK_BYTES:  # no line of these programs is that long
                lines.append(rest)
                rest = ""
            for line in lines:
                is_progress = line.endswith("\r")
                stream.write(line.removesuffix("\r"))
                stream.write(control("\r", stream) if is_progress else "\n")
            stream.flush()
        stream.write(rest)
        stream.flush()


def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help="a file or folder: PATH, or NAME:PATH")
    parser.add_argument("target", metavar="TARGET", help="where to: NAME:PATH, or PATH")


VERBS = {"cp": (_arguments, _cp)}
