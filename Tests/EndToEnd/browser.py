"""A headless Chromium, driven over the DevTools protocol: JSON texts that end with a NUL, on two pipes."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import harness

OPTIONS = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
           "--disable-component-update", "--disable-default-apps", "--disable-extensions", "--disable-sync",
           "--disable-dev-shm-usage", "--mute-audio", "--hide-scrollbars", "--remote-debugging-pipe"]

PATIENCE = 60.0
"""Where many processes have to get their turn, on a busy machine, before anything is seen."""


class Browser:
    """Skips the test where there is none."""

    def __init__(self) -> None:
        harness.need("chromium", "bash")
        self._folder = tempfile.TemporaryDirectory(prefix="bgproxy-e2e-chromium-", ignore_cleanup_errors=True)
        self._changed = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._events: list[dict[str, Any]] = []
        self._last = 0
        self._is_ended = False
        theirs_in, ours_out = _pipe()
        ours_in, theirs_out = _pipe()
        # Chromium reads from descriptor 3 and writes to 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out} {theirs_in}<&- {theirs_out}>&-'
        self._log = Path(self._folder.name) / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                ["bash", "-c", script, "bash", harness.find_program("chromium"), *OPTIONS,
                 f"--user-data-dir={self._folder.name}/profile", "about:blank"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(theirs_in, theirs_out),
                env=os.environ | {"TZ": "UTC", "HOME": self._folder.name})
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._reader = threading.Thread(target=self._read, args=(os.fdopen(ours_in, "rb", buffering=0),), daemon=True)
        self._reader.start()
        try:
            self.call("Browser.getVersion")
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> Browser:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close", timeout=5)
        for stop in (lambda: None, self.process.terminate, self.process.kill):
            stop()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
                break
        self._reader.join(5)
        self._out.close()
        self._folder.cleanup()

    def _read(self, stream: Any) -> None:
        rest = b""
        with stream:
            while data := stream.read(1 << 16):
                *texts, rest = (rest + data).split(b"\0")
                with self._changed:
                    for message in map(json.loads, texts):
                        if "id" in message:
                            self._answers[message["id"]] = message
                        else:
                            self._events.append(message)
                    self._changed.notify_all()
        with self._changed:
            self._is_ended = True
            self._changed.notify_all()

    def call(self, method: str, session: str | None = None, timeout: float = PATIENCE,
             **parameters: Any) -> dict[str, Any]:
        with self._changed:
            self._last += 1
            number = self._last
            message = {"id": number, "method": method, "params": parameters}
            self._out.write(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
            deadline = time.monotonic() + timeout
            while number not in self._answers:
                left = deadline - time.monotonic()
                if self._is_ended or left <= 0:
                    raise AssertionError(f"{method}: no answer of chromium\n{self._log.read_text()[-2000:]}")
                self._changed.wait(left)
            answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer["result"]

    def events(self, session: str, method: str) -> list[dict[str, Any]]:
        """What a page has told of so far."""
        with self._changed:
            return [event["params"] for event in self._events
                    if event.get("sessionId") == session and event["method"] == method]

    def open(self, url: str, width: int = 1100, height: int = 900, dark: bool = False) -> Page:
        page = Page(self)
        page.look(width, height, dark)
        page.call("Page.navigate", url=url)
        return page


class Page:
    """A page in a tab of its own, with what it asked for and complained of since the start."""

    def __init__(self, browser: Browser):
        self.browser = browser
        target = browser.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def look(self, width: int, height: int = 900, dark: bool = False, **others: str) -> None:
        """The size of the window, and what its user prefers."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        wishes = {"prefers-color-scheme": "dark" if dark else "light"} | others
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.call("Emulation.setEmulatedMedia", features=features)

    def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is waited for."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise AssertionError(f"{expression}: {answer['exceptionDetails']}")
        return answer["result"].get("value")

    def text(self, selector: str = "body") -> str:
        """What people read there; empty where there is nothing."""
        return self.evaluate(f"document.querySelector({json.dumps(selector)})?.innerText ?? ''")

    def wait_text(self, selector: str, *parts: str, timeout: float = PATIENCE) -> str:
        try:
            return harness.wait_until(
                lambda: all(part in (text := self.text(selector)) for part in parts) and text,
                "", timeout, pause=0.05)
        except AssertionError:
            raise AssertionError(f"{selector} does not say {parts} but: {self.text(selector)}") from None

    def requests(self) -> list[tuple[str, str]]:
        """Method and URL of each."""
        return [(event["request"]["method"], event["request"]["url"])
                for event in self.browser.events(self.session, "Network.requestWillBeSent")]

    def complaints(self) -> list[str]:
        """Errors of scripts, of the console and of the browser: violations of the policy are among the last."""
        told = self.browser.events(self.session, "Runtime.exceptionThrown")
        console = [event for event in self.browser.events(self.session, "Runtime.consoleAPICalled")
                   if event["type"] in ("error", "warning", "assert")]
        log = [event["entry"] for event in self.browser.events(self.session, "Log.entryAdded")
               if event["entry"]["level"] == "error"]
        return [json.dumps(each) for each in [*told, *console, *log]]

    def screenshot(self, file: Path, whole: bool = True) -> bytes:
        answer = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        picture = base64.b64decode(answer["data"])
        file.write_bytes(picture)
        return picture

    def accessible(self) -> list[tuple[str, str]]:
        """Role and name of what a reader of the screen is told of."""
        nodes = self.call("Accessibility.getFullAXTree")["nodes"]
        return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes
                if not node.get("ignored") and "role" in node]


def _pipe() -> tuple[int, int]:
    """With descriptors that are none of those that the browser is to have."""
    ends = os.pipe()
    moved = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in ends)
    for end in ends:
        os.close(end)
    return moved
