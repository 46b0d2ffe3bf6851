"""docs/tutorial.md is true: its commands are run, one after another in one shell, and print what it says they print."""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import select
import signal
import subprocess
import time
from dataclasses import dataclass, field

import harness
from harness import wait_until
from lab import Lab, LabCase

DOCUMENT = harness.ROOT / "docs" / "tutorial.md"


# --- The document --------------------------------------------------------------------------------------------------


@dataclass
class Command:
    """What is typed, where in the document, and the lines that it is to print."""

    line: int
    text: str
    output: list[str] = field(default_factory=list)


@dataclass
class Block:
    """What is shown between ```console and ```. In the second terminal it may go on with what runs there already, and
    end that with `^C`."""

    line: int
    in_second_terminal: bool
    commands: list[Command] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    """Lines before the first command."""


def blocks_of(text: str) -> list[Block]:
    found: list[Block] = []
    block: Block | None = None
    for number, line in enumerate(text.splitlines(), 1):
        if block is None:
            if re.fullmatch(r"```console( second terminal)?", line):
                block = Block(number, line.endswith("terminal"))
                found.append(block)
            elif line.startswith("```console"):
                raise AssertionError(f"line {number}: what is this terminal? {line}")
        elif line == "```":
            block = None
        elif line.startswith("$ "):
            block.commands.append(Command(number, line[2:]))
        else:
            (block.commands[-1] if block.commands else block).output.append(line)
    return found


def fenced(text: str, language: str) -> list[str]:
    """What the document shows of a file in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


VARYING = [
    (re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{7,}\b"), "RELEASE"),
    (re.compile(r"\b[0-9a-f]{7,40}\b"), "COMMIT"),
    (re.compile(r"\b(\d+h )?(\d+m )?\d+(\.\d+)? ?(µs|ms|s)\b|\b(\d+h )?\d+m\b"), "TIME"),
    (re.compile(r"\bpid \d+"), "pid PID"),
    # Tables are as wide as what they hold; git pads what the hook says.
    (re.compile(r"\t| {2,}(?=\S)"), "  "),
    (re.compile(r"\s+$"), ""),
]


def comparable(lines: list[str]) -> list[str]:
    """The lines without what varies from run to run."""
    for pattern, name in VARYING:
        lines = [pattern.sub(name, line) for line in lines]
    return lines


def difference(command: Command, printed: list[str]) -> str:
    """What is printed and not as the document says, as a diff; empty where all is as it says."""
    # A request of the second terminal may be under way just at the switch: then the receipt counts it.
    printed = [re.sub(r"^(  sessions  )\d open: \d (ended|moved|remaining)$", r"\1none were open", line)
               for line in printed]
    expected, actual = comparable(command.output), comparable(printed)
    if expected == actual:
        return ""
    return "\n".join([f"{DOCUMENT.name}:{command.line}: $ {command.text}",
                      *difflib.unified_diff(expected, actual, "the document", "printed", lineterm="")])


def runs_of(lines: list[str]) -> list[str]:
    """Each line once for as often as it is repeated: what `uniq` makes of them."""
    return [line for index, line in enumerate(lines) if index == 0 or line != lines[index - 1]]


# --- The terminals -------------------------------------------------------------------------------------------------


class Terminal:
    """A shell that is typed into; what it prints, errors too, comes in one stream."""

    def __init__(self, lab: Lab):
        self.lab = lab
        self._names = [  # longer ones first, where one begins like another
            ("/srv/bgproxy-lab", str(lab.folder)), ("127.0.0.1:8080", lab.front), ("127.0.0.1:8081", lab.preview),
            ("127.0.0.2:8082", lab.blue), ("127.0.0.3:8082", lab.green),
            ("127.0.0.2:2222", f"{lab.blue.rpartition(':')[0]}:{lab.ssh_port}"), ("deploy@", f"{lab.user}@")]
        self.process = subprocess.Popen(
            ["bash", "--norc", "--noprofile"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=harness.ROOT, env=lab.environment, start_new_session=True, bufsize=0)
        self._pending = b""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        self.process.stdin.close()
        self.process.stdout.close()

    def type(self, command: str) -> None:
        """The addresses, folder and user of the document are those of the test's lab."""
        for name, here in self._names:
            command = command.replace(name, here)
        self.process.stdin.write(f"{{ {command}\n}} </dev/null; printf '\\001\\n'\n".encode())

    def _as_in_document(self, text: str) -> str:
        for name, here in self._names:
            text = text.replace(here, name)
        return text.replace(self.lab.user, "deploy")

    def _read(self, seconds: float) -> bool:
        """More of what it prints, if more comes."""
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self.process.stdout.fileno(), 65536)
        self._pending += data
        return bool(data)

    def output(self) -> list[str]:
        """All lines of the command that was typed, once it has ended."""
        deadline = time.monotonic() + 60
        while b"\x01\n" not in self._pending:
            left = deadline - time.monotonic()
            if left <= 0 or not self._read(left):
                raise AssertionError(f"the command does not end; it printed: {self._pending.decode(errors='replace')}")
        printed, _, self._pending = self._pending.partition(b"\x01\n")
        return self._as_in_document(printed.decode()).splitlines()

    def so_far(self) -> list[str]:
        """The whole lines that a command which goes on has printed."""
        while self._read(0):
            pass
        return self._as_in_document(self._pending.decode().rpartition("\n")[0]).splitlines()

    def interrupt(self) -> None:
        """Control-C: it ends the command, and the shell that reads from no terminal with it."""

        def has_ended() -> bool:
            # Again where it came just between two commands of the loop, as one would.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGINT)
            return self.process.poll() is not None

        wait_until(has_ended, "Control-C ends the loop", pause=0.2)


class Tutorial(LabCase):
    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        self.text = DOCUMENT.read_text()

    def test_each_command_of_the_tutorial_prints_what_the_tutorial_says(self) -> None:
        lab = self.lab()
        first = self.enter(Terminal(lab))
        second: Terminal | None = None
        history: list[str] = []
        """What the second terminal is to have shown up to now; blocks overlap, so only the changes count."""
        for block in blocks_of(self.text):
            if not block.in_second_terminal:
                self.assertEqual(block.output, [], f"line {block.line}: output without a command")
                for command in block.commands:
                    self.check(first, command)
                continue
            shown = block.output
            if block.commands:
                self.assertEqual((second, len(block.commands)), (None, 1), f"line {block.line}: one command at a time")
                second = self.enter(Terminal(lab))
                second.type(block.commands[0].text)
                shown = block.commands[0].output
            self.watch(second, history, shown, block.line)
            if shown[-1] == "^C":
                second.interrupt()
                second = None
        self.assertIsNone(second, "the second terminal's loop is ended by ^C")
        self.assertEqual(lab.leftovers(), [], "the tutorial cleans up")

    def check(self, terminal: Terminal, command: Command) -> None:
        """Types a command, and compares what it prints."""

        def differs() -> str:
            terminal.type(command.text)
            return difference(command, terminal.output())

        # It says how the last probe went, and on a busy machine one may have taken too long: the next one tells.
        deadline = time.monotonic() + (harness.PATIENCE if command.text == "bgproxyctl health" else 0)
        while (found := differs()) and time.monotonic() < deadline:
            time.sleep(0.5)
        self.assertEqual(found, "")

    def watch(self, terminal: Terminal, history: list[str], shown: list[str], line: int) -> None:
        """Waits until the second terminal has shown this, and checks that it has shown nothing else in between."""
        lines = [text for text in shown if text != "^C"]
        history[:] = runs_of(history + lines)
        least = len(lines) - lines.index(lines[-1])

        def is_shown() -> bool:
            seen = terminal.so_far()
            self.assertEqual(runs_of(seen), history[:len(runs_of(seen))], f"{DOCUMENT.name}:{line}: the second terminal")
            return runs_of(seen) == history and seen[-least:] == lines[-least:]

        wait_until(is_shown, f"{DOCUMENT.name}:{line}: the second terminal shows {shown}")

    def test_the_document_has_what_is_compared(self) -> None:
        blocks = blocks_of(self.text)
        commands = [command for block in blocks for command in block.commands]
        self.assertGreater(len(commands), 25)
        self.assertEqual(sum(block.in_second_terminal for block in blocks), 3)
        self.assertEqual([c.line for c in commands if re.match(r"(curl|bgproxyctl|git push)", c.text) and not c.output],
                         [], "these commands print something")

    def test_a_line_that_is_not_printed_as_the_document_says_is_told(self) -> None:
        [block] = blocks_of("```console\n$ git push blue main\nremote: deployed main 1a2b3c4 in 9 ms   (pid 7)\n```\n")
        command = block.commands[0]
        self.assertEqual(difference(command, ["remote: deployed main abcdef0 in 1.5 ms  (pid 812)      "]), "")
        self.assertEqual(comparable(["healthy   9s   512 µs"]), comparable(["healthy   1m 5s   2.5 ms"]))
        self.assertEqual(comparable(["healthy   9s   0s ago"]), comparable(["healthy   2m   0s ago"]))
        for printed in (["remote: deployed next abcdef0 in 1.5 ms  (pid 812)"], [], [*command.output, "more"],
                        ["remote: deployed main abcdef0 in 1.5 ms"], ["remote: deployed main nothing in 1 ms  (pid 1)"]):
            self.assertIn("1: $ git push blue main".replace("1", str(command.line)), difference(command, printed))

    def test_the_configuration_for_servers_of_ones_own_is_valid(self) -> None:
        [configuration] = fenced(self.text, "json5")
        file = self.folder() / "bgproxy.json5"
        file.write_text(configuration)
        answer = harness.bgproxy("--check", "--config", str(file))
        self.assertEqual((answer.returncode, answer.stderr), (0, ""))

    def test_the_systemd_unit_is_valid(self) -> None:
        harness.need("systemd-analyze")
        [unit] = fenced(self.text, "ini")
        file = self.folder() / "bgproxy.service"
        file.write_text(unit.replace("/usr/local/bin/bgproxy", harness.BGPROXY))
        answer = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False,
                                timeout=60)
        self.assertEqual((answer.returncode, [line for line in answer.stderr.splitlines() if file.name in line]), (0, []),
                         answer.stderr)

    def test_the_links_of_the_document_lead_somewhere(self) -> None:
        anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
                   for heading in re.findall(r"^#+ (.*)$", self.text, re.MULTILINE)}
        for target in re.findall(r"\]\(([^)]+)\)", self.text):
            path, _, anchor = target.partition("#")
            if path:
                self.assertTrue((DOCUMENT.parent / path).exists(), target)
            else:
                self.assertIn(anchor, anchors)
