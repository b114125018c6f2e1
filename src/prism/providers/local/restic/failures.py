"""Why restic failed, from its exit code and its output, as a message with the way out."""

import json
import re
from collections.abc import Iterator

from prism.copies.destinations import CopyDestination, DestinationKind
from prism.storage.model import StorageFailure

INSTALL = "Install restic: `sudo apt install restic` (Debian 13, Ubuntu 25.04 or newer)"
NO_REPOSITORY, LOCKED_EXIT_CODE, WRONG_PASSWORD = 10, 11, 12  # exit codes since restic 0.17
SHOWN_LENGTH = 300

NOT_INSTALLED = StorageFailure(
    "RESTIC_MISSING", f"restic, which makes the copies, is not installed. {INSTALL}"
)


class RepositoryFailed(Exception):
    """A destination cannot be used, or a copy cannot be made or read there."""

    def __init__(self, failure: StorageFailure) -> None:
        self.failure = failure
        super().__init__(failure.message)


NO_SESSION = "SSH_FAILED"

# By what the output contains, in lower case; the first that fits. `{}` stands for the destination.
PATTERNS: tuple[tuple[str, str, str], ...] = (
    (
        r"remote host identification has changed",
        "HOST_KEY_CHANGED",
        "{} has another host key than before: it may be another computer. If you know why, remove "
        "the old key with `ssh-keygen -R HOST`, and connect once with `ssh HOST`",
    ),
    (
        r"host key verification failed",
        "HOST_KEY_UNKNOWN",
        "the host key of {} is not known. Connect once with `ssh HOST` as the user of the daemon, "
        "and compare the key",
    ),
    (
        r"permission denied \(.*(publickey|password|keyboard)",
        "SSH_REFUSED",
        "{} does not accept a key of the daemon's user. Try `ssh -o BatchMode=yes HOST true`: it "
        "must work without a question",
    ),
    (
        r"no space left on device|disk quota exceeded|quotaexceeded|not enough space",
        "DESTINATION_FULL",
        "{} is full. Free space there, and copy again: what was copied is not copied twice",
    ),
    (
        r"read-only file system",
        "DESTINATION_READ_ONLY",
        "{} is mounted read-only",
    ),
    (
        r"nosuchbucket|bucket does not exist",
        "BUCKET_MISSING",
        "the bucket of {} does not exist. Make it: `aws s3 mb s3://BUCKET`",
    ),
    (
        r"invalidaccesskeyid|signaturedoesnotmatch|expiredtoken|invalidtoken|tokenrefreshrequired",
        "CREDENTIALS_REFUSED",
        "AWS does not accept the credentials for {}. Sign in again: `aws sso login` or "
        "`aws configure`",
    ),
    (
        r"access ?denied|403 forbidden|permission denied|operation not permitted",
        "DESTINATION_FORBIDDEN",
        "there is no permission to use {}",
    ),
    (
        r"could not resolve|no such host|connection refused|connection timed out|network is "
        r"unreachable|no route to host|connection reset|i/o timeout|connection closed",
        "DESTINATION_UNREACHABLE",
        "{} cannot be reached",
    ),
    (
        r"subsystem request failed|ssh command exited",
        "SFTP_MISSING",
        "{} has no SFTP, or its SSH ended. Try `sftp HOST`",
    ),
    (
        r"unable to start the sftp session",
        NO_SESSION,
        "the SSH session to {} ended, and did not say why. Try `ssh -o BatchMode=yes HOST true`",
    ),
    (
        r"ciphertext verification failed|hash mismatch|invalid data returned|integrity|"
        r"does not match id|repository contains errors|unexpected eof|tree .* not loaded|"
        r"pack .* (does not exist|missing)|is damaged|size mismatch|not found in (the )?index|"
        r"no such file or directory.*data/",
        "COPY_DAMAGED",
        "what is at {} is damaged",
    ),
)


def failure_of(code: int, output: str, destination: CopyDestination) -> StorageFailure:
    """The failure for an exit code other than 0, and the output of restic and ssh."""
    where, messages = destination.text, " ".join(lines_of(output))
    if code == WRONG_PASSWORD:
        return StorageFailure(
            "WRONG_PASSPHRASE",
            f"The copies at {where} have another passphrase. Put the right one into a file, and "
            "name the file in PRISM_COPY_PASSWORD_FILE",
        )
    if code == LOCKED_EXIT_CODE:
        return StorageFailure(
            "DESTINATION_LOCKED",
            f"Another program or computer is using the copies at {where}. Try later"
            f"{_with(messages)}",
        )
    if code == NO_REPOSITORY:
        return StorageFailure("NO_COPIES_THERE", f"There are no copies at {where}")
    for pattern, name, message in PATTERNS:
        if re.search(pattern, messages.lower()):
            return StorageFailure(name, f"{_capital(message.format(where))}{_with(messages)}")
    return StorageFailure("COPY_FAILED", f"restic failed at {where}{_with(messages or str(code))}")


def lines_of(output: str) -> Iterator[str]:
    """The messages in an output, which are lines of JSON or of text, without repetitions."""
    seen: set[str] = set()
    for line in output.splitlines():
        text = _text_of(line).strip()
        if text and text not in seen and not text.startswith("@@@"):
            seen.add(text)
            yield text


def _text_of(line: str) -> str:
    try:
        document = json.loads(line)
    except ValueError:
        return line
    if not isinstance(document, dict):
        return line
    error = document.get("error")
    within = error.get("message") if isinstance(error, dict) else error
    return str(document.get("message") or within or "")


def _with(messages: str) -> str:
    text = "".join(letter if letter.isprintable() else " " for letter in messages)
    text = text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]} …"
    return f" ({text})" if text else ""


def _capital(text: str) -> str:
    return text[0].upper() + text[1:]


def is_reachable_later(failure: StorageFailure) -> bool:
    """Whether the same request may succeed without a change by a person."""
    return failure.code in {"DESTINATION_UNREACHABLE", "DESTINATION_LOCKED"}


def why_not_mounted(destination: CopyDestination, reason: str) -> StorageFailure:
    """The failure if a folder, or the copies that were in it, are not there."""
    assert destination.kind is not DestinationKind.S3
    return StorageFailure(
        "DESTINATION_NOT_MOUNTED",
        f"{reason}. Is the disk of {destination.text} mounted? If it is a new disk, copy a "
        "snapshot to another folder of it",
    )
