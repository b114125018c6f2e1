"""Checks a name and a password by PAM, in a process of its own that ends with the answer.

PAM's modules are programs of the system. They may wait for a directory that does not answer, take
over signals, or crash; the daemon ends this process if it takes too long. The password comes by
standard input, so that it is in no list of processes.
"""

import ctypes
import grp
import json
import os
import pwd
import resource
import sys
from typing import Any

ROOT = 0
PR_SET_DUMPABLE = 4
PASSWORD_EXPIRED = 12  # PAM_NEW_AUTHTOK_REQD: the password was right


def answer(service: str, name: str, password: str, address: str = "") -> dict[str, Any]:
    """Whether the password is right; the account's id and groups, also if it is not.

    `address` is that of the computer where somebody has typed them.
    """
    from pamela import PAMError  # noqa: PLC0415  loads libpam; may be missing

    try:
        account = pwd.getpwnam(name)
    except KeyError:
        account = None
    about: dict[str, Any] = {"uid": account.pw_uid if account else None}
    if account is not None and account.pw_uid == ROOT:
        return about  # the web is no place to try root's password
    try:
        # Unknown names too: PAM delays wrong answers, and no shorter answer tells them apart.
        authenticate(service, name, password, address)
    except PAMError as error:
        return about | {"is_expired": error.errno == PASSWORD_EXPIRED}
    if account is None or account.pw_name != name:
        return about  # a directory that knows the same account by several names
    ids = os.getgrouplist(name, account.pw_gid)
    return about | {"is_right": True, "groups": [*filter(None, map(group_name, ids))]}


def authenticate(service: str, name: str, password: str, address: str) -> None:
    """Ask PAM for the password and the account; raises `PAMError`.

    As `pamela.authenticate` does, which cannot tell modules such as `pam_faillock` and
    `pam_access` from where somebody logs in.
    """
    import pamela  # noqa: PLC0415  loads libpam; may be missing

    answers = pamela.new_simple_password_conv((password,), "utf-8")
    handle = pamela.pam_start(service, name, conv_func=answers)
    if address:
        handle.set_item(pamela.PAM_RHOST, address)
    code = pamela.PAM_AUTHENTICATE(handle, 0) or pamela.PAM_ACCT_MGMT(handle, 0)
    pamela.pam_end(handle, code)


def group_name(id: int) -> str | None:
    """The name of a group; None if it has none."""
    try:
        return grp.getgrgid(id).gr_name
    except KeyError:
        return None


def leave_no_core() -> None:
    """Let no crash of a module write this process, with the password, into a file."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)  # programs that collect them, too


def main() -> None:
    """Read a request, and write the answer; what modules print goes nowhere."""
    leave_no_core()
    request = json.load(sys.stdin)
    nowhere = os.open(os.devnull, os.O_RDWR)
    with os.fdopen(os.dup(1), "w") as answers:
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        try:
            result = answer(**request)
        except (AttributeError, ImportError, OSError) as error:
            result = {"problem": f"PAM cannot be used: {type(error).__name__}"}
        json.dump(result, answers)


if __name__ == "__main__":
    main()
