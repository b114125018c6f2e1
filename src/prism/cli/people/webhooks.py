"""`prism webhook …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking
from prism.cli.output.answers import show_message
from prism.cli.output.terminal import say, show_records
from prism.cli.output.time_format import local_time
from prism.cli.parser import no_arguments
from prism.client.notices import Webhooks


def _list(args: Namespace, answer: Any) -> None:
    show_records(
        answer["webhooks"],
        ("ID", "id"),
        ("HOST", "host"),
        ("OF", "person"),
        ("LAST SENT", lambda row: local_time(row["sent_at"]) if row["sent_at"] else "-"),
        ("WAITING", "waiting"),
        ("STATE", _state),
        flexible="STATE",
        none="No webhooks yet. Add one: `prism webhook add https://example.org/hook`",
    )


def _state(row: dict[str, Any]) -> str:
    if row["paused_at"]:
        return f"paused: {row['problem']}"
    return f"fails: {row['problem']}" if row["problem"] else "works"


def _show_added(args: Namespace, webhook: Any) -> None:
    say(f"{webhook['host']} gets your notices from now on ({webhook['id']}).")
    say("Its secret, with which requests are signed, is shown once:")
    print(webhook["secret"])


def _show_tested(args: Namespace, webhook: Any) -> None:
    say(f"A test is being sent to {webhook['host']}; `prism webhook list` shows the result")


def _url_argument(parser: ArgumentParser) -> None:
    parser.add_argument("url", metavar="URL", help="an https:// address")


def _id_argument(parser: ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="as `prism webhook list` shows it")


VERBS = {
    "add": (_url_argument, asking(Webhooks.add, "url"), _show_added),
    "list": (no_arguments, asking(Webhooks.page), _list),
    "remove": (_id_argument, asking(Webhooks.remove, "id"), show_message),
    "test": (_id_argument, asking(Webhooks.test, "id"), _show_tested),
}
