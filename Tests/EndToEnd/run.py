#!/usr/bin/env python3
"""Runs the end-to-end tests: `run.py [--list] [PATTERN]...`.

The modules run one after another; beside them run, one after another as well, those which mostly wait for other programs
and measure nothing (BESIDE).

A pattern is a part of `module.Class.test`, or a shell pattern. Each module runs in a process of its own, so that a test
that hangs or takes the interpreter down costs itself only. The last line is `N passed, N failed, N skipped`.

BGPROXY_BINARIES       folder of bgproxy and bgproxyctl (default: .build/release)
BGPROXY_TEST_SCALE     `full` for the sizes of the scenarios: 1 GiB, a thousand kills
BGPROXY_TEST_SCREENSHOTS  folder for the pictures that test_status_page takes (default: none are kept)
BGPROXY_TEST_SECONDS   the longest that one test may take (default 120; 900 with `full`)
"""

from __future__ import annotations

import argparse
import faulthandler
import fnmatch
import json
import os
import signal
import subprocess
import sys
import threading
import time
import unittest
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
FULL = os.environ.get("BGPROXY_TEST_SCALE") == "full"
SECONDS = int(os.environ.get("BGPROXY_TEST_SECONDS", "900" if FULL else "120"))


BESIDE = {"test_deploy", "test_deploy_together", "test_keepalived", "test_lab", "test_switch_both", "test_turquoise",
          "test_tutorial", "test_two_databases", "test_vanished"}


class TookTooLong(Exception):
    """Raised in a test by the watchdog."""


def tests_of(module: str) -> list[unittest.TestCase]:
    def flatten(suite: unittest.TestSuite) -> list[unittest.TestCase]:
        return [test for part in suite for test in (flatten(part) if isinstance(part, unittest.TestSuite) else [part])]

    return sorted(flatten(unittest.defaultTestLoader.loadTestsFromName(module)), key=lambda test: test.id())


def matches(name: str, patterns: list[str]) -> bool:
    return not patterns or any(pattern in name or fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


# --- In the process of a module ------------------------------------------------------------------------------------


class Reporter(unittest.TestResult):
    """Writes one line of JSON for each test that begins or ends."""

    def __init__(self, stream) -> None:
        super().__init__()
        self.stream = stream
        self.began = 0.0

    def _say(self, test: unittest.TestCase, outcome: str, detail: str = "") -> None:
        record = {"test": test.id(), "outcome": outcome, "detail": detail, "seconds": time.monotonic() - self.began}
        print(json.dumps(record), file=self.stream, flush=True)

    def startTest(self, test) -> None:
        super().startTest(test)
        self.began = time.monotonic()
        self.told = False
        self._say(test, "begins")
        signal.alarm(SECONDS)
        # Where the alarm cannot be raised (a call that never returns to the interpreter).
        faulthandler.dump_traceback_later(SECONDS + 20, exit=True)

    def stopTest(self, test) -> None:
        signal.alarm(0)
        faulthandler.cancel_dump_traceback_later()
        super().stopTest(test)

    def addSuccess(self, test) -> None:
        self._say(test, "passed")

    def addError(self, test, err) -> None:
        self._say(test, "failed", self._exc_info_to_string(err, test))

    addFailure = addError

    def addSkip(self, test, reason) -> None:
        self._say(test, "skipped", reason)

    def addSubTest(self, test, subtest, err) -> None:
        # The first that fails fails the test; the others are part of its text.
        if err is not None:
            print(f"{subtest}\n{self._exc_info_to_string(err, test)}", file=sys.stderr)
            if not self.told:
                self.told = True
                self._say(test, "failed", self._exc_info_to_string(err, test))


def run_module(module: str, names: list[str]) -> None:
    def too_long(*_: object) -> None:
        raise TookTooLong(f"the test took longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, too_long)
    faulthandler.enable()
    reporter = Reporter(os.fdopen(int(os.environ["BGPROXY_TEST_RESULTS"]), "w"))
    for test in tests_of(module):
        if test.id() in names:
            test.run(reporter)
    # Threads of scripted peers may still wait for something that never comes.
    sys.stderr.flush()
    reporter.stream.flush()
    os._exit(0)


# --- In the runner -------------------------------------------------------------------------------------------------


class Results:
    """What has come of the tests, of all lanes together."""

    def __init__(self) -> None:
        self.counts = {"passed": 0, "failed": 0, "skipped": 0}
        self.failures: list[str] = []
        self.lock = threading.Lock()

    def record(self, test: str, outcome: str, seconds: float, detail: str = "") -> None:
        word = {"passed": "ok  ", "failed": "FAIL", "skipped": "skip"}[outcome]
        text = f"{word} {test} ({seconds:.1f} s)" + (f": {detail}" if outcome == "skipped" else "")
        if outcome == "failed":
            text += "\n     " + detail.strip().replace("\n", "\n     ")
        with self.lock:
            self.counts[outcome] += 1
            if outcome == "failed":
                self.failures.append(text)
            print(text, flush=True)


class Lane:
    """Modules, one after another."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.group: int | None = None

    def run(self, modules: dict[str, list[str]]) -> None:
        for module, names in modules.items():
            self.module(module, names)

    def module(self, module: str, names: list[str]) -> None:
        """Runs these tests, each once, whatever happens to the process that runs them."""
        left = list(names)
        while left:
            begun: str | None = None
            told: set[str] = set()
            reading, writing = os.pipe()
            os.set_inheritable(writing, True)
            process = subprocess.Popen(
                [sys.executable, __file__, "--module", module, *left], pass_fds=(writing,), cwd=FOLDER,
                start_new_session=True, stdin=subprocess.DEVNULL,
                env=os.environ | {"BGPROXY_TEST_RESULTS": str(writing), "PYTHONDONTWRITEBYTECODE": "1"})
            self.group = process.pid
            os.close(writing)
            # Programs that a test has started inherit nothing of the pipe: Python closes it in them.
            watchdog = threading.Timer((SECONDS + 60) * len(left), process.kill)
            # A run that is ended does not wait for it.
            watchdog.daemon = True
            watchdog.start()
            with os.fdopen(reading) as results:
                for line in results:
                    result = json.loads(line)
                    if result["outcome"] == "begins":
                        begun = result["test"]
                    elif result["test"] not in told:
                        told.add(result["test"])
                        self.results.record(result["test"], result["outcome"], result["seconds"], result["detail"])
            code = process.wait()
            watchdog.cancel()
            self.end_group()
            left = [name for name in left if name not in told]
            if not left:
                return
            # The process went down in the middle of a test, or without running anything.
            culprit = begun if begun in left else left[0]
            self.results.record(culprit, "failed", 0.0, f"the process of the test ended with code {code}")
            left.remove(culprit)

    def end_group(self) -> None:
        """What a test has left running is ended by the group that this runner made for it."""
        if self.group is not None:
            try:
                os.killpg(self.group, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self.group = None


def main() -> int:
    if sys.argv[1:2] == ["--module"]:
        sys.path.insert(0, str(FOLDER))
        run_module(sys.argv[2], sys.argv[3:])
    parser = argparse.ArgumentParser(usage="run.py [--list] [PATTERN]...")
    parser.add_argument("--list", action="store_true", help="name the tests and end")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    sys.path.insert(0, str(FOLDER))
    sys.dont_write_bytecode = True
    chosen = {}
    for file in sorted(FOLDER.glob("test_*.py")):
        names = [test.id() for test in tests_of(file.stem) if matches(test.id(), options.patterns)]
        if names:
            chosen[file.stem] = names
    if options.list:
        print("\n".join(name for names in chosen.values() for name in names))
        return 0
    import harness

    if not os.access(harness.BGPROXY, os.X_OK) or not os.access(harness.BGPROXYCTL, os.X_OK):
        print(f"end to end: {harness.BINARIES} lacks bgproxy or bgproxyctl; build with `swift build -c release` first")
        print("0 passed, 1 failed, 0 skipped")
        return 1
    results = Results()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lane, beside = Lane(results), Lane(results)
    thread = threading.Thread(
        target=beside.run, args=({module: names for module, names in chosen.items() if module in BESIDE},), daemon=True)
    try:
        thread.start()
        lane.run({module: names for module, names in chosen.items() if module not in BESIDE})
        thread.join()
    finally:
        lane.end_group()
        beside.end_group()
    # Once more, where nobody has to look for them.
    if results.failures:
        print("", *results.failures, "", sep="\n")
    if not chosen:
        print("no test matches")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**results.counts))
    return 1 if results.failures or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
