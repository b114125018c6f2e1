"""Whether packages can be downloaded: asked beside a launch, and remembered for some minutes."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import uv
from msgspec import Struct

ANSWER_SECONDS = 20.0
"""How long the registry may take."""
WAIT_SECONDS = 2.0
"""How long a launch waits for it, if no answer is known."""
VALID_SECONDS = 600.0
ATTEMPTS = 2
WITHOUT_RETRIES = {"UV_HTTP_RETRIES": "0"}  # between its own attempts uv waits for seconds


class RegistryResult(Struct, frozen=True):
    """What uv says if packages cannot be downloaded; else empty. `at` is a monotonic time."""

    at: float
    refusal: str


class RegistryCheck:
    """Lets uv resolve one package in the background, as an installation would."""

    def __init__(self, target: Path, clock: Callable[[], float]) -> None:
        """`target` is a folder that is never made."""
        self._target, self._clock = target, clock
        self._result: RegistryResult | None = None
        self._lock = threading.Lock()
        self._running: threading.Event | None = None  # set when the answer is there
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopped = False

    def ask(self) -> None:
        """Ask in the background, unless packages could be downloaded some minutes ago."""
        with self._lock:
            known = self._valid()
            if self._running or self._is_stopped or (known and not known.refusal):
                return
            self._running = answered = threading.Event()
        threading.Thread(target=self._run, args=(answered,), daemon=True).start()

    def refusal(self) -> str:
        """What uv says if packages cannot be downloaded; empty also if that is still unknown."""
        with self._lock:
            known, running = self._valid(), self._running
        if known is None and running:
            running.wait(WAIT_SECONDS)
            known = self._valid()
        return known.refusal if known else ""

    def stop(self) -> None:
        """Ask nothing more, and end what is asked now."""
        with self._lock:
            self._is_stopped = True
            if self._process:
                self._process.kill()

    def _valid(self) -> RegistryResult | None:
        result = self._result
        return result if result and self._clock() - result.at <= VALID_SECONDS else None

    def _run(self, answered: threading.Event) -> None:
        refusal: str | None = None
        try:
            for _ in range(ATTEMPTS):  # one failure may be a coincidence
                if not (refusal := self._attempt()):
                    break
        finally:
            with self._lock:
                self._running = self._process = None
                if refusal is not None and not self._is_stopped:
                    self._result = RegistryResult(self._clock(), refusal)
            answered.set()

    def _attempt(self) -> str | None:
        """Ask once; None if that is not wanted any more."""
        line = [os.fspath(uv.find_uv_bin()), "pip", "install", "--dry-run", "--no-cache"]
        with self._lock:
            if self._is_stopped:
                return None
            self._process = process = subprocess.Popen(
                [*line, "--python", sys.executable, "--target", str(self._target), "--", "pip"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                env=WITHOUT_RETRIES | os.environ,
                cwd="/",
            )
        try:
            _, errors = process.communicate(timeout=ANSWER_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
        if not process.returncode:
            return ""
        return errors.decode(errors="replace").strip() or "no answer"
