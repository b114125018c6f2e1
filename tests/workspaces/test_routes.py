"""The command with which people connect, which they paste into a shell."""

import pytest

from prism.errors import Unavailable
from prism.workspaces.ports import Access
from prism.workspaces.routes import connection


@pytest.mark.parametrize(
    "user", ["x$(touch /tmp/never)", "-oProxyCommand=x", "x y", "x;y", "x\n", "", "x`y`", "x@y"]
)
def test_user_that_a_shell_would_interpret_is_in_no_command(user):
    with pytest.raises(Unavailable):
        connection(Access(host="127.0.0.1", user=user, ssh_port=22, ssh_key="/k"))


@pytest.mark.parametrize("user", ["ubuntu", "my-box", "a_b.c", "9lives"])
def test_user_of_a_machine_is_in_the_command(user):
    answer = connection(Access(host="127.0.0.1", user=user, ssh_port=22, ssh_key="/k"))
    assert answer.ssh.command == f"ssh -p 22 -i /k {user}@127.0.0.1"
