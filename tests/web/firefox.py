"""Firefox by WebDriver BiDi, which it speaks itself: nothing between the tests and the browser."""

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.waiting import eventually

LISTENING = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
PREFERENCES = """\
user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("app.update.enabled", false);
"""
# Whether an element can be clicked, once it was scrolled to and two frames were drawn.
IN_VIEW = """
async it => {
  const frame = () => new Promise(requestAnimationFrame);
  it.scrollIntoView({block: "center", behavior: "instant"});
  await frame();
  const {top, bottom} = it.getBoundingClientRect();
  await frame();
  const rests = it.getBoundingClientRect().top === top;
  if (it.matches(":disabled, [aria-disabled=true]")) return false;
  return rests && top >= 0 && bottom <= innerHeight;
}
"""
BIGGEST = 64 * 1024 * 1024  # bytes of an answer


class Firefox:
    """A tab of a Firefox of its own."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, count(1)
        self.errors: list[str] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded"])
        self._tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """The result of a command; events that arrive before it are recorded."""
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv())).get("id") != number:
            entry = answer.get("params", {})
            if answer.get("method") == "log.entryAdded" and entry["level"] == "error":
                self.errors.append(entry["text"])
        if answer["type"] == "error":
            raise AssertionError(f"{method}: {answer['error']}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result

    def open(self, url: str) -> None:
        """Goes to a page, and waits until it is loaded."""
        self.send("browsingContext.navigate", context=self._tab, url=url, wait="complete")

    def reload(self) -> None:
        """Loads the page again."""
        self.send("browsingContext.reload", context=self._tab, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression that is a text, a number or a boolean."""
        target = {"context": self._tab}
        answer = self.send(
            "script.evaluate", expression=expression, target=target, awaitPromise=True
        )
        assert answer["type"] == "success", answer
        return answer["result"].get("value")

    def text(self) -> str:
        """What the page shows."""
        return str(self.evaluate("document.body.innerText"))

    def sees(self, text: str) -> None:
        """Waits until the page shows a text."""
        eventually(lambda: text in self.text(), 120)

    def nodes(self, role: str, name: str) -> list[dict[str, Any]]:
        """The elements with that role and that accessible name, as for a screen reader."""
        locator = {"type": "accessibility", "value": {"role": role, "name": name}}
        answer = self.send("browsingContext.locateNodes", context=self._tab, locator=locator)
        return list(answer["nodes"])

    def click(self, role: str, name: str) -> None:
        """Clicks an element as a mouse does, once it is enabled and rests in the window."""
        node = eventually(lambda: self._ready(role, name), 120)
        origin = {"type": "element", "element": {"sharedId": node["sharedId"]}}
        moves = [
            {"type": "pointerMove", "x": 0, "y": 0, "origin": origin},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        self._act({"type": "pointer", "id": "mouse", "actions": moves})

    def _ready(self, role: str, name: str) -> dict[str, Any] | None:
        for node in self.nodes(role, name):
            answer = self.send(
                "script.callFunction",
                functionDeclaration=IN_VIEW,
                arguments=[{"sharedId": node["sharedId"]}],
                target={"context": self._tab},
                awaitPromise=True,
            )
            if answer["type"] == "success" and answer["result"]["value"]:
                return node
        return None

    def type(self, text: str) -> None:
        """Types on the keyboard, into what has the focus; a newline is Enter."""
        keys = [
            {"type": way, "value": "\ue007" if letter == "\n" else letter}
            for letter in text
            for way in ("keyDown", "keyUp")
        ]
        self._act({"type": "key", "id": "keyboard", "actions": keys})

    def _act(self, source: dict[str, Any]) -> None:
        self.send("input.performActions", context=self._tab, actions=[source])


@contextmanager
def run_firefox(program: str, folder: Path) -> Iterator[Firefox]:
    """A Firefox with an empty profile in a folder; it ends with the block."""
    folder.mkdir()
    (folder / "user.js").write_text(PREFERENCES)
    command = [program, "--headless", "--remote-debugging-port", "0", "--profile", str(folder)]
    env = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "MOZ_HEADLESS_WIDTH": "1280"}
    env["MOZ_HEADLESS_HEIGHT"] = "1000"
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            lines = (LISTENING.search(line) for line in process.stderr)
            address = next(match.group(1) for match in lines if match)
            with connect(f"{address}/session", max_size=BIGGEST, open_timeout=60) as socket:
                yield Firefox(socket)
        finally:
            process.terminate()
            process.communicate()
