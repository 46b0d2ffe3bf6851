"""`bgproxyctl top` in a real terminal: what it shows, its keys, and how it leaves the terminal."""

from __future__ import annotations

import contextlib
import fcntl
import http.server
import itertools
import json
import os
import pty
import re
import select
import shlex
import signal
import socketserver
import struct
import subprocess
import termios
import threading
import unicodedata
from pathlib import Path
from typing import Any

from harness import BGPROXYCTL, PATIENCE, ROOT, Case, FrontDoor, connect, need, wait_until
from test_disk import SmallDisk

_numbers = itertools.count()

BACK = "\x1b[?1049l"
"""Back to the screen that was there before."""


PROMPT = r"^\$$"
"""Of the shell, when it waits. What is captured has no spaces at the ends of lines."""


class Screen:
    """A shell in a terminal of tmux."""

    def __init__(self, folder: Path, columns: int = 100, rows: int = 30):
        need("tmux")
        self._name = f"top-{os.getpid()}-{next(_numbers)}"
        self._environment = {key: value for key, value in os.environ.items() if key not in ("TMUX", "NO_COLOR")} | {
            "TMUX_TMPDIR": str(folder), "LC_ALL": "C.UTF-8"}
        self._output = folder / "output"
        self.tmux("new-session", "-d", "-x", str(columns), "-y", str(rows), "env PS1='$ ' bash --norc --noprofile")
        try:
            self.wait_text(PROMPT)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Screen:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):
            self.tmux("kill-server")

    def tmux(self, *arguments: str) -> str:
        return subprocess.run(["tmux", "-L", self._name, "-f", "/dev/null", *arguments], env=self._environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=True).stdout

    def text(self) -> str:
        return self.tmux("capture-pane", "-p")

    def rows(self) -> list[str]:
        return self.text().split("\n")[:-1]

    def press(self, *keys: str) -> None:
        self.tmux("send-keys", *keys)

    def type(self, command: str) -> None:
        self.tmux("send-keys", "-l", command)
        self.press("Enter")

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_text(self, pattern: str, timeout: float = PATIENCE) -> re.Match[str]:
        """Waits until the pattern is somewhere on the screen; lines are matched by ^ and $."""
        try:
            return wait_until(lambda: re.search(pattern, self.text(), re.MULTILINE), "", timeout, pause=0.05)
        except AssertionError:
            raise AssertionError(f"not on the screen within {timeout:g} s: {pattern}\n{self.text()}") from None

    def flags(self) -> str:
        """Whether the alternate screen, the cursor and wrapping are on."""
        return self.tmux("display-message", "-p", "#{alternate_on} #{cursor_flag} #{wrap_flag}").strip()

    def child(self) -> int:
        """The program that the shell runs."""
        shell = self.tmux("display-message", "-p", "#{pane_pid}").strip()
        children = Path(f"/proc/{shell}/task/{shell}/children")
        return int(wait_until(children.read_text, "the shell runs a program").split()[0])

    def start_top(self, door: FrontDoor | str, *options: str) -> None:
        path = door if isinstance(door, str) else door.admin_path
        self.type(shlex.join([BGPROXYCTL, "--socket", path, "top", *options]))

    def run(self, command: str) -> str:
        """What a command prints."""
        self._output.unlink(missing_ok=True)
        self.type(f"{command} >{self._output}.part 2>&1; mv {self._output}.part {self._output}")
        wait_until(self._output.exists, f"{command} has ended")
        return self._output.read_text()


class Terminal:
    """A program on a terminal whose bytes are looked at."""

    def __init__(self, *arguments: str, columns: int = 100, rows: int = 30, **environment: str):
        kept = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            [BGPROXYCTL, *arguments], stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            env=kept | {"TERM": "xterm"} | environment)
        self.slave = slave
        self.output = ""

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(10)
        for number in (self._master, self.slave):
            if number >= 0:
                os.close(number)

    def read(self) -> str:
        while select.select([self._master], [], [], 0)[0]:
            self.output += os.read(self._master, 65536).decode(errors="replace")
        return self.output

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def hang_up(self) -> None:
        """The window is closed."""
        os.close(self.slave)
        os.close(self._master)
        self._master = self.slave = -1

    def wait_exit(self) -> int:
        """The output must be taken, or it would wait for ever."""
        def ended() -> bool:
            if self._master >= 0:
                self.read()
            return self.process.poll() is not None

        wait_until(ended, "the program has ended")
        return self.process.returncode


class ScriptedDoor:
    """Answers at an admin socket with a status that no front door would give."""

    def __init__(self, folder: Path, status: dict[str, Any]):
        self.path = str(folder / "scripted.sock")
        body = json.dumps(status).encode()

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(self.path, Handler)
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def __enter__(self) -> ScriptedDoor:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


class TopTests(Case):
    def screen(self, columns: int = 100, rows: int = 30) -> Screen:
        return self.enter(Screen(self.folder(), columns, rows))

    def two_colors(self, **settings: Any) -> FrontDoor:
        blue, green = self.colors()
        return self.front_door(blue.address, green.address, **settings)

    def wait_frame(self, screen: Screen, columns: int, rows: int) -> list[str]:
        """The lines of a view that has filled a window of this size."""
        def frame() -> list[str] | None:
            lines = screen.rows()
            fills = len(lines) == rows and lines[0].startswith("bgproxy ") and lines[-1].startswith("q quit")
            return lines if fills and max(cells(line) for line in lines) <= columns else None

        try:
            return wait_until(frame, "", pause=0.05)
        except AssertionError:
            raise AssertionError(f"the view does not fill {columns}x{rows}:\n{screen.text()}") from None

    # What it shows

    def test_both_colors_are_shown_and_which_is_live_and_a_switch_changes_it(self) -> None:
        door, screen = self.two_colors(drain={"timeout": "90s"}), self.screen()
        for _ in range(3):
            self.open_session(door.address(), "blue")
        screen.start_top(door)
        screen.wait_text(r"^BLUE is live · steady · nothing to roll back$")
        screen.wait_text(r"^blue   LIVE  ━{20,} +100 %, 3 sessions$")
        screen.wait_text(r"^green  idle  ─{20,} +0 %, 0 sessions$")
        screen.wait_text(rf"^bgproxy \S+  pid {door.pid}  up \d")
        screen.wait_text(r"^main +blue +127\.0\.0\.1:\d+ +not known yet +3$")

        self.assertEqual(door.ctl("switch", "green", "--reason", "release\n42 日本").returncode, 0)
        self.open_session(door.address(), "green")
        screen.wait_text(r"^GREEN is live for \d+s · draining · a rollback leads to blue$")
        screen.wait_text(r"^blue   draining  ━+─+ +75 %, 3 sessions$")
        screen.wait_text(r"^green  LIVE      ━+─+ +25 %, 1 session$")
        screen.wait_text(r"^last switch  blue → green at .* by uid \d+: release\\n42 日本$")
        screen.wait_text(r"^\d\d:\d\d:\d\d  switch +blue → green: release\\n42 日本$")
        def left() -> int:
            minutes, seconds = screen.wait_text(
                r"^drain  ─+ 3 of 3 sessions left, (?:(\d+)m)? ?(?:(\d+)s)? until the deadline$").groups()
            return 60 * int(minutes or 0) + int(seconds or 0)

        first = left()
        wait_until(lambda: left() <= first - 2, "the countdown goes on", pause=0.05)

        self.assertEqual(door.ctl("drain", "--now").returncode, 0)
        screen.wait_text(r"^GREEN is live for .* · steady · ")
        self.assertNotIn("drain  ", screen.text())

    def test_figures_are_those_of_the_traffic(self) -> None:
        blue, green = self.colors()
        door, screen = self.front_door(blue.address, green.address), self.screen(140, 40)
        screen.start_top(door)
        screen.wait_text("BLUE is live")
        address, stop = door.address(), threading.Event()

        def traffic() -> None:
            while not stop.wait(0.02):
                with contextlib.suppress(OSError):
                    connect(address).close()

        thread = threading.Thread(target=traffic, daemon=True)
        thread.start()
        try:
            # New sessions, no requests, nothing from the clients, and a greeting to each.
            screen.wait_text(r"^blue +[1-9]\d* +0 +0 B +[1-9]")
            screen.wait_text(r"^NEW SESSIONS/s  last \d min, peak [1-9]")
            screen.wait_text(r"^blue   .*[▁-█]$")
            screen.wait_text(r"^blue .* none$")
            green.stop_listening()
            door.switch("green")
            screen.wait_text(r"^green .* \d+ not connected$")
        finally:
            stop.set()
            thread.join(5)

    def test_a_release_on_trial_is_shown_with_what_is_watched(self) -> None:
        door, screen = self.two_colors(), self.screen()
        screen.start_top(door)
        screen.wait_text("BLUE is live")
        door.switch("green", ramp=[{"percent": 10, "time": "60s"}], bake="60s")
        screen.wait_text(r"^green  on trial, 10 %  ")
        screen.wait_text(r"^ramping green: step 1 of 1, 10 % of the clients, \d+s left; ")
        screen.wait_text(r"^       health: all well   connectFailures 0 % of 0 \(limit 1 %\)")
        door.rollback()
        screen.wait_text(r"^BLUE is live .*· steady")
        door.post("/v1/pause", max="60s")
        screen.wait_text(r"^paused: 0 sessions held, nothing in flight; traffic resumes by itself in \d+s$")
        door.post("/v1/resume")
        for _ in range(2):
            self.open_session(door.address(), "blue")
        door.switch("green", bake="60s")
        screen.wait_text(r"^green  LIVE, on trial  ")
        screen.wait_text(r"^blue   kept for the way back  .* 2 sessions$")
        screen.wait_text(r"^baking green: \d+s left; ")

    def test_a_way_back_that_is_not_on_disk_is_told(self) -> None:
        folder = self.folder()
        disk = self.enter(SmallDisk(folder / "state"))
        door, screen = self.two_colors(folder=folder), self.screen()
        screen.start_top(door)
        door.switch("green")
        screen.wait_text(r"^GREEN is live")
        self.assertNotIn("NOT ON DISK", screen.text())
        disk.fill()
        door.rollback()
        screen.wait_text(r"^NOT ON DISK: the switch to blue; after a crash green would be live again$")
        disk.empty()
        wait_until(lambda: "NOT ON DISK" not in screen.text(), "the write has been tried again", pause=0.05)

    def test_texts_of_others_do_nothing_to_the_terminal(self) -> None:
        door, screen = self.two_colors(), self.screen(60, 24)
        status = door.get("/v1/status?recent=1m")
        evil = "\x1b[2J\x1b[5;5HEVIL\x9b3;3H\r\nnext\u202e\x07\x1b]0;title\x07日本" + "漢" * 100
        status["recent"]["events"] = [{"at": "2026-01-31T10:00:00.000Z", "event": "evil", "message": evil}]
        status["version"] = evil
        status["listeners"][0]["targets"]["blue"][0]["address"] = evil
        title = screen.tmux("display-message", "-p", "#{pane_title}")
        scripted = self.enter(ScriptedDoor(self.folder(), status))
        screen.start_top(scripted.path)
        screen.wait_text(r"^BLUE is live")
        screen.wait_text(r"^10:00:00  evil  \\u001b\[2J\\u001b\[5;5HEVIL\\u009b3;3H\\r\\nnext")
        for columns, rows in ((60, 24), (40, 10), (90, 30)):
            screen.resize(columns, rows)
            lines = self.wait_frame(screen, columns, rows)
            self.assertTrue(lines[0].startswith("bgproxy \\u001b[2J"), lines[0])
            # A line that is wider would be cut, and would not end as one that was made to fit.
            self.assertTrue(lines[0].endswith("…"), lines[0])
            self.assertLessEqual(max(cells(line) for line in lines), columns)
        self.assertEqual(screen.tmux("display-message", "-p", "#{pane_title}"), title)

    # Keys and sizes

    def test_keys_sort_pause_explain_and_quit(self) -> None:
        door, screen = self.two_colors(), self.screen()
        screen.start_top(door)
        screen.wait_text(r"^LISTENER +COLOR +TARGET +HEALTH▲ +SESSIONS ")
        for head in ("SESSIONS▼", "LISTENER▲", "COLOR▲", "TARGET▲", "HEALTH▲", "SESSIONS▼"):
            screen.press("s")
            screen.wait_text(head)
        screen.wait_text(r"^q quit .*s sort: sessions")
        screen.press("r")
        screen.wait_text("SESSIONS▲")
        screen.press("?")
        screen.wait_text(r"^p, space +freeze the view")
        screen.press("?")
        screen.wait_text(r"^LISTENER")

        screen.press("p")
        screen.wait_text(r" VIEW PAUSED$")
        door.switch("green")
        other = self.screen()
        other.start_top(door)
        # As long as this view needs to hear of it twice.
        def age() -> int:
            minutes, seconds = other.wait_text(r"^GREEN is live for (?:(\d+)m)? ?(?:(\d+)s)?").groups()
            return 60 * int(minutes or 0) + int(seconds or 0)

        first = age()
        wait_until(lambda: age() >= first + 3, "time goes on", pause=0.05)
        self.assertRegex(screen.text(), r"(?m)^BLUE is live · steady")
        screen.press("Space")
        screen.wait_text(r"^GREEN is live")
        self.assertNotIn("PAUSED", screen.text())
        screen.press("q")
        screen.wait_text(PROMPT)
        self.assertEqual(screen.run("echo $?").strip(), "0")

    def test_the_manual_page_names_the_keys_that_the_help_does(self) -> None:
        door, screen = self.two_colors(), self.screen()
        screen.start_top(door)
        screen.wait_text(r"^BLUE is live")
        screen.press("?")
        screen.wait_text(r"^bars  ")
        lines = [line.strip() for line in screen.rows()]
        quits = next(at for at, line in enumerate(lines) if line.startswith("q  "))
        helped = [line.split("  ")[0].split(", ") for line in lines[quits:lines.index("", quits)]]
        self.assertIn(["p", "space"], helped)
        page = (ROOT / "docs" / "man" / "bgproxyctl.1").read_text()
        section = page.partition("\n.Ss top\n")[2].partition("\n.S")[0]
        explained = [item.replace("\\&", "").split(" , ") for item in re.findall(r"(?m)^\.It Ic (.*)$", section)]
        for keys in helped:
            self.assertTrue(any(set(keys) <= set(item) for item in explained), f"{keys} of {explained}")

    def test_targets_that_have_no_room_are_scrolled_to(self) -> None:
        blue, green = self.colors()
        targets = [f"127.0.0.1:{port}" for port in range(2001, 2021)]
        door = self.front_door(targets, [green.address])
        screen = self.screen(80, 24)
        screen.start_top(door)
        screen.wait_text(r"1–\d+ of 21$")
        screen.wait_text(r"^main +blue +127\.0\.0\.1:2001 ")
        screen.press("Down")
        screen.wait_text(r"2–\d+ of 21$")
        self.assertNotIn(":2001 ", screen.text())
        screen.press("End")
        screen.wait_text(rf"^main +green +{green.address} ")
        screen.press("Home")
        screen.wait_text(r"^main +blue +127\.0\.0\.1:2001 ")

    def test_the_view_follows_the_size_of_the_window(self) -> None:
        door, screen = self.two_colors(), self.screen(100, 30)
        self.open_session(door.address(), "blue")
        door.switch("green", drain="90s")
        screen.start_top(door)
        screen.wait_text("GREEN is live")
        for columns, rows in ((40, 10), (120, 40), (20, 4), (80, 24)):
            screen.resize(columns, rows)
            lines = self.wait_frame(screen, columns, rows)
            self.assertTrue(lines[1].startswith("GREEN is live"), lines)
            if (columns, rows) == (40, 10):
                self.assertRegex(lines[2], r"^blue   draining  ━+ +1$")
                self.assertRegex(screen.text(), r"(?m)^drain  1 of 1 left, (1m )?\d+s$")
            self.assertEqual(sum(line.startswith("green  LIVE") for line in lines), rows > 4)

    # The terminal

    def test_the_terminal_is_as_before_after_every_end(self) -> None:
        door, screen = self.two_colors(), self.screen()
        before, flags = screen.run("stty -a"), screen.flags()
        self.assertIn("icanon", before)

        def end(how: str) -> None:
            if how in ("q", "C-c", "C-\\"):
                screen.press(how)
            else:
                os.kill(screen.child(), signal.Signals[how])

        screen.type("ulimit -c 0")
        for how, code in (("q", 0), ("C-c", 130), ("C-\\", 131), ("SIGTERM", 143), ("SIGHUP", 129)):
            screen.type("clear; echo what was'' there before")
            screen.wait_text(r"^what was there before$")
            screen.start_top(door)
            screen.wait_text(r"^BLUE is live")
            self.assertEqual(screen.flags(), "1 0 0")
            self.assertNotIn("what was there", screen.text())
            end(how)
            screen.wait_text(r"^what was there before$")
            wait_until(lambda: screen.flags() == flags, f"the terminal is as before {how}: {screen.flags()}")
            screen.type("echo code $?")
            screen.wait_text(rf"^code {code}$")
            self.assertEqual(screen.run("stty -a"), before, how)

    def test_it_can_be_suspended_and_comes_back(self) -> None:
        door, screen = self.two_colors(), self.screen()
        before, flags = screen.run("stty -a"), screen.flags()
        screen.start_top(door)
        screen.wait_text(r"^BLUE is live")
        for times, color in enumerate(("green", "blue"), 1):
            screen.press("C-z")
            wait_until(lambda: screen.text().count("Stopped") == times, "the shell says that it has stopped", pause=0.05)
            self.assertEqual(screen.flags(), flags)
            self.assertEqual(screen.run("stty -a"), before)
            door.switch(color)
            screen.type("fg")
            screen.wait_text(rf"^{color.upper()} is live")
            screen.wait_text(r"^q quit ")
            self.assertEqual(screen.flags(), "1 0 0")
        screen.press("q")
        wait_until(lambda: screen.flags() == flags, "the terminal is as before")
        self.assertEqual(screen.run("stty -a"), before)

    def test_a_window_that_is_closed_ends_it(self) -> None:
        door = self.two_colors()
        with Terminal("--socket", door.admin_path, "top") as terminal:
            wait_until(lambda: "is live" in terminal.read(), "the view is drawn")
            terminal.hang_up()
            terminal.wait_exit()

    # A front door that does not answer

    def test_a_front_door_that_goes_away_is_told_and_its_return_is_noticed(self) -> None:
        door, screen = self.two_colors(), self.screen()
        screen.start_top(door)
        screen.wait_text(rf"pid {door.pid} ")
        door.switch("green")
        door.kill()
        screen.wait_text(r"NO ANSWER for \d+s$")
        screen.wait_text(r"^no front door answers at .*")
        door.start()
        screen.wait_text(rf"pid {door.pid} ")
        screen.wait_text(r"^GREEN is live")
        self.assertNotIn("NO ANSWER", screen.text())

    def test_keys_work_while_the_front_door_hangs(self) -> None:
        door, screen = self.two_colors(), self.screen()
        screen.start_top(door, "--timeout", "1h")
        screen.wait_text(r"^BLUE is live")
        door.signal(signal.SIGSTOP)
        try:
            screen.wait_text(r"NO ANSWER for \d+s$")
            screen.wait_text(r"^the front door says nothing")
            screen.press("s")
            screen.wait_text("SESSIONS▼")
            screen.press("q")
            screen.wait_text(PROMPT)
        finally:
            door.signal(signal.SIGCONT)

    # The bytes

    def test_it_redraws_without_flicker(self) -> None:
        frame_begin, frame_end = "\x1b[?2026h", "\x1b[?2026l"
        for _ in range(5):
            output = self.some_frames(frame_end)
            # On a busy machine the front door may once be too slow: then all is drawn in another light.
            if "NO ANSWER" not in output:
                break
        begin, *frames = output.split(frame_begin)
        self.assertEqual(begin, "\x1b[?1049h\x1b[?25l\x1b[?7l")
        *whole, last = frames
        for frame in whole:
            self.assertTrue(frame.endswith(frame_end), repr(frame))
        self.assertEqual(last.partition(frame_end)[2], frame_end + "\x1b[0m\x1b[?7h\x1b[?25h" + BACK)
        # Nothing is erased but the rest of a line, and what is as before is not drawn again.
        self.assertNotRegex(output, r"\x1b\[[0-3]?J")
        self.assertNotIn("\n", output)
        self.assertEqual(len(re.findall(r"\x1b\[\d+;1H", frames[0])), 30)
        for frame in frames[1:]:
            self.assertLess(len(re.findall(r"\x1b\[\d+;1H", frame)), 20)
            self.assertNotIn("FAILED/min", frame)

    def some_frames(self, frame_end: str) -> str:
        """What a view writes from its beginning to its end, in which both colors were live."""
        door = self.two_colors()
        with Terminal("--socket", door.admin_path, "top") as terminal:
            wait_until(lambda: frame_end in terminal.read(), "the first frame")
            raw = termios.tcgetattr(terminal.slave)[3]
            self.assertFalse(raw & (termios.ICANON | termios.ECHO))
            self.assertTrue(raw & termios.ISIG)
            for color in ("green", "blue"):
                door.switch(color)
                wait_until(lambda: f"{color.upper()}" in terminal.read(), f"{color} is live")
                terminal.press("s")
            wait_until(lambda: terminal.read().count(frame_end) >= 6, "some frames")
            terminal.press("q")
            self.assertEqual(terminal.wait_exit(), 0)
            self.assertEqual(termios.tcgetattr(terminal.slave), terminal.before)
            return terminal.read()

    def test_colors_are_left_out_where_they_are_not_wanted(self) -> None:
        door = self.two_colors()
        paint = re.compile(r"\x1b\[[1-9][0-9;]*m")
        for options, environment, has_paint in (
            ((), {}, True), (("--no-color",), {}, False), ((), {"NO_COLOR": "1"}, False),
        ):
            with Terminal("--socket", door.admin_path, "top", *options, **environment) as terminal:
                wait_until(lambda: "quit" in terminal.read(), "the view is drawn")
                terminal.press("q")
                self.assertEqual(terminal.wait_exit(), 0)
                self.assertEqual(bool(paint.search(terminal.output)), has_paint, (options, environment))

    # Refusals

    def test_without_a_terminal_it_is_refused_and_says_what_to_use(self) -> None:
        door = self.two_colors()
        result = door.ctl("top")
        self.assertEqual((result.returncode, result.stdout), (2, ""))
        self.assertRegex(result.stderr, r"^bgproxyctl: top needs a terminal; .*`status`.*`watch`")
        for arguments, environment, words in (
            (("--json",), {}, "not for --json; `status --json` and `watch --json`"),
            ((), {"TERM": "dumb"}, "needs a terminal that can move its cursor"),
        ):
            with Terminal("--socket", door.admin_path, "top", *arguments, **environment) as terminal:
                self.assertEqual(terminal.wait_exit(), 2)
                self.assertIn(words, terminal.read())
                self.assertNotIn("\x1b", terminal.output)

    def test_without_a_front_door_it_ends_as_other_verbs_do(self) -> None:
        with Terminal("--socket", str(self.folder() / "none.sock"), "top") as terminal:
            self.assertEqual(terminal.wait_exit(), 3)
            self.assertIn("no front door answers at", terminal.read())
            self.assertNotIn("\x1b", terminal.output)
