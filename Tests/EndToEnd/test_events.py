"""Events: what people who watch are told, at both entrances, and one audit line for each change."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading

import harness
from harness import Backend, Case, connect, tagged, wait_until


class Watcher:
    """Reads `GET /v1/events` until the end of the block."""

    def __init__(self, address: str):
        self.events: list[dict] = []
        self.sock = connect(address)
        self.sock.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.stream = self.sock.makefile("rb")
        assert b" 200 " in self.stream.readline()
        while self.stream.readline() not in (b"\r\n", b""):
            pass
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self) -> None:
        try:
            for line in self.stream:
                self.events.append(json.loads(line))
        except (OSError, ValueError):
            pass

    def wait(self, name: str, since: int = 0) -> dict:
        return wait_until(lambda: next((event for event in self.events[since:] if event["event"] == name), None),
                          f"{name}; there were {[event['event'] for event in self.events]}")

    def __enter__(self) -> Watcher:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()


class EventsCase(Case):
    def readers(self, door: harness.FrontDoor) -> float:
        with connect(f"unix:{door.admin_path}") as sock:
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return float(re.search(rb"(?m)^bgproxy_event_readers (\d+)", harness.read_all(sock))[1])


class EventsTest(EventsCase):
    def test_every_kind_of_news_is_told_at_both_entrances(self) -> None:
        blue = self.enter(Backend(tagged("blue")))
        green = Backend(tagged("green"))
        self.addCleanup(green.__exit__, None, None, None)
        door = self.front_door(
            blue.address, green.address, admin={"metrics": "127.0.0.1:0"}, limits={"sessions": 2},
            drain={"timeout": "1m", "spread": "0s"}, health={"interval": "100ms", "rise": 1, "fall": 1})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        watcher = self.enter(Watcher(f"unix:{door.admin_path}"))
        looker = self.enter(Watcher(door.status()["metrics"]))
        wait_until(lambda: self.readers(door) == 2, "both are heard")

        with self.open_session(door.address(), "blue"):
            receipt = door.switch("green", reason="the release")["lastSwitch"]
            told = watcher.wait("switch")
            self.assertEqual(told["receipt"]["generation"], receipt["generation"])
            self.assertEqual((told["receipt"]["reason"], told["message"]), ("the release", "blue → green: the release"))
            progress = watcher.wait("drain")
            self.assertEqual((progress["drain"]["remaining"], progress["drain"]["initial"]), (1, 1))
            door.post("/v1/drain", extend="1m")
            self.assertIn("1m", watcher.wait("drain-changed")["message"])
        settled = watcher.wait("settled")
        self.assertEqual(harness.check_receipt(settled["receipt"])["ended"], 1)

        door.switch("blue", bake="300ms")
        watcher.wait("bake")
        watcher.wait("bake-passed")
        green.__exit__(None, None, None)
        self.assertIn(green.address, watcher.wait("target-down")["message"])
        before = len(watcher.events)
        door.switch("green", force=True, bake="1m")
        watcher.wait("bake", since=before)
        door.rollback()

        door.post("/v1/pause")
        watcher.wait("pause")
        door.post("/v1/resume")
        watcher.wait("resume")

        door.write_config()
        door.post("/v1/reload")
        watcher.wait("reload")
        door.config_file.write_text("{ listeners: 5 }")
        self.assertEqual(door.admin("POST", "/v1/reload", {})[0], 409)
        self.assertIn("listeners", watcher.wait("reload-refused")["message"])

        sessions = [self.open_session(door.address()) for _ in range(2)]
        with connect(door.address()):
            self.assertIn("session limit", watcher.wait("limit")["message"])
        self.assertEqual(len(sessions), 2)

        looker.wait("limit")
        told = [[event["event"] for event in each.events[:each.events.index(each.wait("limit")) + 1]]
                for each in (looker, watcher)]
        self.assertEqual(told[0], told[1])
        remembered = [event["event"] for event in door.get("/v1/status?recent=1s")["recent"]["events"]]
        remembered = remembered[:len(remembered) - remembered[::-1].index("limit")]
        kept = [event for event in told[0] if event != "drain"]
        self.assertEqual(remembered[-len(kept):], kept, "who comes later finds the same")

    def test_a_release_that_fails_is_told_with_its_cause(self) -> None:
        blue = self.enter(Backend(tagged("blue")))
        green = Backend(tagged("green"))
        self.addCleanup(green.__exit__, None, None, None)
        door = self.front_door(blue.address, green.address,
                               health={"interval": "100ms", "rise": 1, "fall": 1})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        watcher = self.enter(Watcher(f"unix:{door.admin_path}"))
        door.switch("green", bake="1m", reason="v2")
        green.__exit__(None, None, None)
        failed = watcher.wait("bake-failed")
        self.assertIn("green is taken back", failed["message"])
        self.assertEqual(failed["receipt"]["cause"]["signal"], "health")
        self.assertEqual(failed["receipt"]["kind"], "automatic")
        # In the order of what happened, to those who watch and in the log.
        kinds = ("switch", "bake", "bake-failed")
        self.assertEqual([event["event"] for event in watcher.events if event["event"] in kinds],
                         ["switch", "bake", "switch", "bake-failed"])
        door.wait_line(lambda line: harness.event_of(line) == "bake", what="the bake is in the log")
        logged = [harness.event_of(line) for line in door.lines]
        self.assertLess(logged.index("switch"), logged.index("bake"))

    def test_recent_traffic_has_steps_and_is_bounded(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        recent = wait_until(
            lambda: next((answer for answer in [door.get("/v1/status?recent=10m")["recent"]] if answer["samples"]), None),
            "a first sample")
        self.assertEqual(recent["stepSeconds"], 2)
        before = len(recent["samples"])
        self.assertEqual(harness.color_of(door.address()), "blue")
        wait_until(lambda: sum(sample["colors"]["blue"]["accepted"] for sample in
                               door.get("/v1/status?recent=10m")["recent"]["samples"]) == 1, "the session is in a step")
        self.assertGreaterEqual(before, 1)
        self.assertNotIn("recent", door.status())
        for query in ("recent=", "recent=soon", "recent=-1s", "recent=1m&recent=1m", "other=1"):
            self.assertEqual(door.admin("GET", f"/v1/status?{query}")[0], 400, query)


class WatchTest(EventsCase):
    """`bgproxyctl watch` at its end."""

    def door(self) -> harness.FrontDoor:
        blue, green = self.colors()
        return self.front_door(blue.address, green.address, drain={"timeout": "1m"})

    def watch(self, door: harness.FrontDoor) -> subprocess.Popen[str]:
        process = door.start_ctl("watch")
        self.addCleanup(lambda: (process.kill(), process.communicate()))
        wait_until(lambda: self.readers(door) == 1, "it is heard")
        return process

    def test_an_orderly_stop_ends_it_with_0(self) -> None:
        door = self.door()
        process = self.watch(door)
        door.post("/v1/stop")
        output, errors = process.communicate(timeout=harness.PATIENCE)
        self.assertEqual((process.returncode, errors), (0, ""))
        self.assertRegex(output, r"Z stopping no new sessions; ")
        self.assertEqual(door.wait_exit(), 0)

    def test_one_that_came_while_it_stopped_has_heard_of_it(self) -> None:
        door = self.door()
        with self.open_session(door.address(), "blue"):
            door.post("/v1/stop")
            process = self.watch(door)
        output, errors = process.communicate(timeout=harness.PATIENCE)
        self.assertEqual((process.returncode, errors), (0, ""))
        self.assertEqual(output.count("Z stopping "), 1)
        self.assertEqual(door.wait_exit(), 0)

    def test_a_front_door_that_is_killed_ends_it_with_3_and_a_message(self) -> None:
        door = self.door()
        process = self.watch(door)
        door.kill()
        _, errors = process.communicate(timeout=harness.PATIENCE)
        self.assertEqual(process.returncode, 3)
        self.assertRegex(errors, r"^bgproxyctl: the events have ended, and not by a stop: ")


class AuditTest(Case):
    CHANGES = {"switch", "rollback", "drain", "ramp", "pause", "resume", "reload", "reload-refused", "stop"}

    def changes(self, door: harness.FrontDoor) -> list[str]:
        return [event for line in door.lines if (event := harness.event_of(line)) in self.CHANGES]

    def test_each_change_leaves_one_line_that_names_who_and_why_whatever_is_logged(self) -> None:
        for arguments in ((), ("--log-format", "json"), ("--log-level", "error")):
            with self.subTest(arguments=arguments):
                blue, green = self.colors()
                door = self.front_door(blue.address, green.address, arguments=arguments)
                forged = 'why\n2026-01-31T10:00:00.000Z info switch uid=0 "forged" }\n{"event":"switch"}'
                expected = []
                with self.open_session(door.address(), "blue"):
                    for change, event in (
                            (lambda: door.switch("green", reason=forged), "switch"),
                            (lambda: door.post("/v1/drain", extend="5s"), "drain"),
                            (lambda: door.rollback(reason=forged), "rollback"),
                            (lambda: door.switch("green", reason=forged, ramp=[{"percent": 10, "time": "1m"}]), "ramp"),
                            (lambda: door.rollback(reason=forged), "rollback"),
                            (lambda: door.post("/v1/pause"), "pause"),
                            (lambda: door.post("/v1/resume"), "resume"),
                            (lambda: door.post("/v1/reload"), "reload")):
                        before = len(door.lines)
                        change()
                        line = door.wait_line(lambda line, event=event: harness.event_of(line) == event, since=before,
                                              what=event)
                        has_reason = event in ("switch", "rollback", "ramp")
                        self.check(line, "json" in arguments, forged if has_reason else None)
                        expected.append(event)
                # What changes nothing leaves no line of a change.
                for path, body in (("/v1/switch", {"to": "green", "expect": "green"}), ("/v1/drain", {"now": True}),
                                   ("/v1/switch", {"to": "green", "dryRun": True}), ("/v1/switch", {"to": "blue"}),
                                   ("/v1/resume", {}), ("/v1/rollback", {})):
                    door.admin("POST", path, body)
                door.config_file.write_text("{ listeners: 5 }")
                self.assertEqual(door.admin("POST", "/v1/reload", {})[0], 409)
                door.post("/v1/stop")
                self.assertEqual(door.wait_exit(), 0)
                # To the very end: a second line of a change would have come by now.
                self.assertEqual(self.changes(door), [*expected, "reload-refused", "stop"])

    def test_a_release_that_is_taken_back_leaves_its_line_too(self) -> None:
        blue = self.enter(Backend(tagged("blue")))
        green = Backend(tagged("green"))
        self.addCleanup(green.__exit__, None, None, None)
        door = self.front_door(blue.address, green.address, arguments=("--log-level", "warning"),
                            health={"interval": "100ms", "rise": 1, "fall": 1})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        door.switch("green", bake="1m", reason="v2")
        green.__exit__(None, None, None)
        line = door.wait_line(lambda line: harness.event_of(line) == "rollback", what="it is taken back")
        self.assertIn(f" uid={os.geteuid()} pid={door.pid} reason=v2 ", line)
        self.assertIn(" automatic=true cause=\"health: 1 listeners without a healthy target\"", line)
        door.signal(signal.SIGTERM)
        self.assertEqual(door.wait_exit(), 0)
        self.assertEqual(self.changes(door), ["switch", "rollback", "stop"])
        stop = next(line for line in door.lines if harness.event_of(line) == "stop")
        self.assertIn(f" uid={os.getuid()} pid={os.getpid()} reason=signal", stop)

    def check(self, line: str, is_json: bool, reason: str | None) -> None:
        if is_json:
            fields = json.loads(line)
            self.assertEqual((fields["uid"], fields["pid"]), (os.getuid(), os.getpid()))
            self.assertEqual(fields.get("reason"), reason)
        else:
            self.assertIn(f" uid={os.getuid()} pid={os.getpid()}", line)
            if reason:
                written = json.dumps(reason, ensure_ascii=False)
                self.assertIn(f" reason={written}", line)
