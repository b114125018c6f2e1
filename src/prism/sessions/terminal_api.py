"""Logging command lines in, over HTTP."""

from typing import Any

from litestar import Request, Response
from litestar.di import NamedDependency
from litestar.params import JSONBody

from prism.kit.http import READS, WITHOUT_KEY
from prism.kit.routes import Routes
from prism.sessions.api import API, NO_LOGIN, Login, LoginSettings, client_of
from prism.sessions.model import (
    AnsweredDeviceLogin,
    ApprovedTerminal,
    DeviceAnswer,
    DeviceLoginShown,
    DevicePoll,
    LoginUnavailable,
    NewDeviceLogin,
    StartedDeviceLogin,
    TerminalApproval,
    TerminalRequest,
    TerminalSession,
    UserCodeAnswer,
    UserCodeRequest,
)
from prism.sessions.terminal_login import TerminalLogins

Terminals = NamedDependency[TerminalLogins]
NOT_STORED = {"Cache-Control": "no-store"}
router = Routes(API, tags=["sessions"])


@router.post("/login/terminal", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def approve_terminal(
    data: JSONBody[TerminalApproval], terminal_logins: Terminals
) -> Response[ApprovedTerminal]:
    """Allow the command line of this browser's computer to use your rights."""
    return Response(terminal_logins.approve(data), headers=NOT_STORED)


@router.post(
    "/login/terminal/session", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True}
)
def begin_terminal_session(
    request: Request[Any, Any, Any],
    data: JSONBody[TerminalRequest],
    terminal_logins: Terminals,
    login: Login,
) -> Response[TerminalSession]:
    """Begin the session of a command line, with the code that its browser has brought."""
    _check_shared(login)
    new = terminal_logins.redeem(data, client_of(request.scope).address)
    return Response(new, headers=NOT_STORED)


@router.post("/login/device", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def start_device_login(
    request: Request[Any, Any, Any],
    data: JSONBody[NewDeviceLogin],
    terminal_logins: Terminals,
    login: Login,
) -> Response[StartedDeviceLogin]:
    """Begin a login on a computer without a browser: a person types a code into another one."""
    _check_shared(login)
    started = terminal_logins.start_device(data.computer, client_of(request.scope).address)
    return Response(started, headers=NOT_STORED)


@router.post(
    "/login/device/session", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True}
)
def poll_device_login(
    request: Request[Any, Any, Any],
    data: JSONBody[DevicePoll],
    terminal_logins: Terminals,
    login: Login,
) -> Response[DeviceAnswer]:
    """Whether somebody has answered; if they have allowed it, the session, once."""
    _check_shared(login)
    answer = terminal_logins.poll(data.device_code, client_of(request.scope).address)
    return Response(answer, headers=NOT_STORED)


@router.post(
    "/login/device/find",
    status_code=200,
    sync_to_thread=True,
    opt={WITHOUT_KEY: True, READS: True},
)
def find_device_login(
    data: JSONBody[UserCodeRequest], terminal_logins: Terminals
) -> DeviceLoginShown:
    """Which command line waits with a code, before you allow it."""
    return terminal_logins.find_device(data.user_code)


@router.post("/login/device/answer", status_code=200, sync_to_thread=True, opt={WITHOUT_KEY: True})
def answer_device_login(
    data: JSONBody[UserCodeAnswer], terminal_logins: Terminals
) -> AnsweredDeviceLogin:
    """Allow a command line to use your rights, or deny it."""
    return terminal_logins.answer_device(data)


def _check_shared(login: LoginSettings) -> None:
    if not login.shared:
        raise LoginUnavailable(NO_LOGIN, remediation="Use it without a login: `prism list`")
