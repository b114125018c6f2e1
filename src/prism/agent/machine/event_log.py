"""The supervisor's messages for people: `logs/console.log`."""

import time
from pathlib import Path

from prism.agent.machine.output_logs import OutputLog
from prism.agent.protocol import IdleReport, ObservedMachine, ObservedService


class EventLog:
    """Appends a line for each change of a machine."""

    def __init__(self, logs: Path) -> None:
        self._logs, self._log = logs, OutputLog(logs / "console.log")

    def note(self, before: ObservedMachine, now: ObservedMachine) -> None:
        """Write what has changed, unless the machine is gone."""
        if now["phase"] == "gone" or not (lines := list(_news(before, now))):
            return
        self._logs.mkdir(exist_ok=True)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._log.write("".join(f"{at} {line}\n" for line in lines).encode(errors="replace"))


def _news(before: ObservedMachine, now: ObservedMachine) -> list[str]:
    lines = []
    stage = now["stage"] if now["phase"] == "starting" else None
    if (now["phase"], stage) != (before.get("phase"), before.get("stage") if stage else None):
        lines.append(f"{now['phase']}: {stage}" if stage else str(now["phase"]))
    if (failure := now["failure"]) and failure != before.get("failure"):
        lines.append(f"{failure['code']}: {failure['message']}")
    lines += [f"note: {note}" for note in now["notes"] if note not in before.get("notes", ())]
    lines += _of_services(before.get("services", {}), now["services"])
    return lines + _of_idleness(before.get("idle") or {}, now.get("idle") or {})


def _of_services(before: dict[str, ObservedService], now: dict[str, ObservedService]) -> list[str]:
    lines = []
    for name, service in now.items():
        was = before.get(name, {})
        if service["answered"] and not was.get("answered"):
            lines.append(f"service {name} answers on port {service['port']}")
        if service["crashes"] > was.get("crashes", 0):
            lines.append(f"service {name} ended with exit code {service['exit']}")
    return lines


def _of_idleness(before: IdleReport, now: IdleReport) -> list[str]:
    acted = now.get("acted")
    if not acted or acted == before.get("acted"):
        return []
    how = "put to sleep" if acted["action"] == "hibernate" else "stopped"
    minutes = int(acted["seconds"] / 60)
    note = f" ({acted['note']})" if acted["note"] else ""
    return [f"idle for {minutes} minutes under profile {acted['profile']}: {how}{note}"]
