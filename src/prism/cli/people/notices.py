"""`prism notices …`."""

from __future__ import annotations

from prism.annotations import Any, ArgumentParser, Namespace
from prism.cli.connection import asking, daemon
from prism.cli.output.terminal import say, show_records
from prism.cli.output.time_format import hours, local_time
from prism.cli.parser import UsageError, no_arguments
from prism.client.notices import Notices

CHANNELS = ("mail", "webhook")


def _list(args: Namespace, answer: Any) -> None:
    notices = answer["notices"]
    if not notices:
        return say("No new notices" if args.unread else "No notices")
    for notice in notices:
        mark = " " if notice["read_at"] else "•"
        print(f"{mark} {local_time(notice['at'])}  {notice['title']}  ({notice['id']})")
        for line in notice["text"].splitlines():
            print(f"      {line}")
        if notice["command"]:
            print(f"      {notice['command']}")
    return None


def _list_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--unread", action="store_true", help="only those not marked as read")
    parser.add_argument(
        "--limit", type=int, default=30, metavar="N", help="how many at most (30); up to 1000"
    )


def _read_arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "ids", metavar="ID", nargs="*", help="one notice (else all), as `list` shows it"
    )


def _read(args: Namespace) -> Any:
    return daemon().call(Notices.read, args.ids or None)


def _show_read(args: Namespace, answer: Any) -> None:
    count = answer["read"]
    say("1 notice is marked as read" if count == 1 else f"{count} notices are marked as read")


def _settings(args: Namespace, answer: Any) -> None:
    show_records(
        answer["kinds"],
        ("KIND", "kind"),
        ("MAIL", lambda row: "yes" if row["mail"] else "no"),
        ("WEBHOOK", lambda row: "yes" if row["webhook"] else "no"),
        ("ABOUT", "title"),
        flexible="ABOUT",
    )
    parts = [f"{part} %" for part in sorted({*answer["usual_thresholds"], *answer["thresholds"]})]
    print(f"Limits and budgets: at {', '.join(parts)}")
    print(f"Expiries: {answer['expiry_hours']} h before")
    address = answer["mail_address"]
    print(f"Mail: to {address}" if address else f"Mail: none, because {answer['no_mail']}")
    if answer["mail_problem"]:
        print(f"The last mail failed: {answer['mail_problem']}")


def _set(args: Namespace) -> Any:
    changed: dict[str, dict[str, bool]] = {}
    if args.on or args.off:
        present = daemon().call(Notices.settings)["kinds"]
        known = {row["kind"]: {name: row[name] for name in CHANNELS} for row in present}
        for words, value in ((args.on, True), (args.off, False)):
            for word in words or []:
                kind, channels = _kind_and_channels(word, known)
                row = changed.setdefault(kind, dict(known[kind]))
                row.update(dict.fromkeys(channels, value))
    values: dict[str, Any] = {"kinds": changed} if changed else {}
    if args.threshold is not None:
        values["thresholds"] = [part for part in args.threshold if part]
    if args.expiry is not None:
        if args.expiry < 1 or args.expiry != round(args.expiry):
            raise UsageError("--expiry takes whole hours, from 1h on", "try --expiry 4h")
        values["expiry_hours"] = round(args.expiry)
    if not values:
        raise UsageError("nothing to change", "give --on, --off, --threshold or --expiry")
    return daemon().call(Notices.set, **values)


def _kind_and_channels(word: str, known: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The kind and the channels of `expiry` or `expiry:mail`."""
    kind, _, channel = word.partition(":")
    if kind not in known:
        raise UsageError(f"{kind!r} is no kind of notice", f"choose from {', '.join(known)}")
    if channel and channel not in CHANNELS:
        raise UsageError(f"{channel!r} is no channel", f"choose from {', '.join(CHANNELS)}")
    return kind, (channel,) if channel else CHANNELS


def _set_arguments(parser: ArgumentParser) -> None:
    kinds = "a kind, as `sleep`, or one channel of it, as `sleep:mail`"
    parser.add_argument("--on", metavar="KIND", action="append", help=f"send {kinds}")
    parser.add_argument("--off", metavar="KIND", action="append", help=f"do not send {kinds}")
    parser.add_argument(
        "--threshold",
        type=int,
        metavar="PERCENT",
        action="append",
        help="a threshold of your own of limits and budgets; 0 removes yours",
    )
    parser.add_argument(
        "--expiry", type=hours, metavar="TIME", help="how long before an expiry, such as 4h or 2d"
    )


def _show_test(args: Namespace, notice: Any) -> None:
    say("A test was sent; `prism notices settings` and `prism webhook list` show failures")


VERBS = {
    "list": (_list_arguments, asking(Notices.page, "unread", "limit"), _list),
    "read": (_read_arguments, _read, _show_read),
    "settings": (no_arguments, asking(Notices.settings), _settings),
    "set": (_set_arguments, _set, _settings),
    "test": (no_arguments, asking(Notices.test), _show_test),
}
