"""Every family of the metrics by its value, against the tester's own count; and no reload makes a counter fall."""

from __future__ import annotations

import os
import random
import re
import resource
import signal
import socket
import subprocess
import threading
import time
from collections import defaultdict
from pathlib import Path

import harness
from harness import Backend, BlackHole, FrontDoor, Task, connect, echo, end_of, free_port, says_back, tagged, wait_until
from scripted import Client, WebBackend, read_head
from test_disk import SmallDisk
from test_metrics import Metrics, WithMetrics, ask, web
from test_splice import SpliceCase

QUICK = {"probe": "auto", "interval": "100ms", "timeout": "500ms", "rise": 2, "fall": 2}
RARE = {"probe": "auto", "interval": "1h"}
DOCUMENTATION = harness.ROOT / "docs" / "metrics.md"


def listener(name: str, blue: str, green: str, **more: object) -> dict:
    return {"name": name, "bind": "127.0.0.1:0", "blue": [blue], "green": [green]} | more


def web_listener(name: str, blue: str, green: str, **more: object) -> dict:
    return listener(name, blue, green, protocol="http", **more)


class ValueCase(WithMetrics):
    def reload(self, door: FrontDoor, listeners: list[dict]) -> None:
        door.settings["listeners"] = listeners
        door.write_config()
        door.post("/v1/reload")

    def value(self, door: FrontDoor, name: str, **labels: str) -> float:
        return self.metrics(door).sum(name, **labels)

    def wait_state(self, door: FrontDoor, client: Client, state: str) -> None:
        wait_until(lambda: [session["state"] for session in door.get("/v1/sessions")["sessions"]
                            if session["client"].endswith(f":{client.port}")] == [state], f"the session is {state}")


class Breaking(WebBackend):
    """Breaks off in more ways."""

    def answer(self, sock: socket.socket, method: str, path: str, head: object) -> bool:
        if path == "/then-close":
            super().answer(sock, method, "/", head)
            return False
        if path == "/once" and self.paths.count("/once") == 1:
            return False
        return super().answer(sock, method, path, head)


class TrafficTest(ValueCase):
    def test_resets_early_resets_idle_closes_and_requests_that_are_sent_again(self) -> None:
        blue = self.enter(Breaking("blue"))
        green = self.enter(Breaking("green"))

        def greet_and_reset(sock: socket.socket) -> None:
            sock.sendall(b"hello\n")
            sock.recv(1)
            harness.reset(sock)

        def reset_at_once(sock: socket.socket) -> None:
            sock.recv(1)
            harness.reset(sock)

        late, early = self.enter(Backend(greet_and_reset)), self.enter(Backend(reset_at_once))
        door = self.serving(listeners=[
            web_listener("web", blue.address, green.address, preview="127.0.0.1:0"),
            listener("late", late.address, late.address), listener("early", early.address, early.address)])

        client = self.enter(Client(door.address("web")))
        self.assertEqual(client.color(), "blue")
        self.assertEqual(client.color("/once"), "blue", "sent again, and the client has not noticed")
        client = self.enter(Client(door.address("web")))
        for _ in range(3):
            self.assertEqual(client.color("/then-close"), "blue")
            self.wait_state(door, client, "parked")
        for method, path in (("POST", "/quit"), ("POST", "/reset"), ("POST", "/reset")):
            client = self.enter(Client(door.address("web")))
            client.send(method, path, body=b"")
            client.end()
        blue.gate.set()
        client = self.enter(Client(door.address("web")))
        client.send("GET", "/half")
        with self.assertRaises(ConnectionResetError):
            harness.read_all(client.sock)
        client = self.enter(Client(door.preview("web")))
        client.send("POST", "/reset", body=b"")
        client.end()
        for name, count in (("late", 2), ("early", 3)):
            for _ in range(count):
                with connect(door.address(name)) as sock:
                    if name == "late":
                        self.assertEqual(harness.read_line(sock), b"hello\n")
                    sock.sendall(b"x")
                    self.assertEqual(end_of(sock), "reset")
        wait_until(lambda: self.value(door, "bgproxy_resets_total") == 9, "all that broke off is counted")
        metrics = self.metrics(door)
        for name, web, preview, others in (
                ("bgproxy_resets_total", 3, 1, {"late": 2, "early": 3}),
                ("bgproxy_early_resets_total", 3, 1, {"late": 0, "early": 3}),
                ("bgproxy_idle_closes_total", 3, 0, {"late": 0, "early": 0}),
                ("bgproxy_retries_total", 1, 0, {"late": 0, "early": 0})):
            with self.subTest(name):
                at_blue = {"listener": "web", "color": "blue", "target": blue.address, "traffic": "production"}
                at_green = {"listener": "web", "color": "green", "target": green.address, "traffic": "preview"}
                self.assertEqual(metrics.sum(name, **at_blue), web)
                self.assertEqual(metrics.sum(name, **at_green), preview)
                for other, count in others.items():
                    self.assertEqual(metrics.sum(name, listener=other, color="blue"), count, other)
                self.assertEqual(metrics.sum(name), web + preview + sum(others.values()), "and nowhere else")
        # What was sent again counts for the target each time that it got it.
        asked = len(blue.log)
        self.assertEqual(metrics.sum("bgproxy_requests_total", target=blue.address, traffic="production"), asked)

    def test_refusals_by_their_reason(self) -> None:
        dead, fine = f"127.0.0.1:{free_port()}", self.enter(Backend(tagged("fine")))
        hole = self.enter(BlackHole())
        door = self.serving(listeners=[
            web_listener("dead", dead, dead, preview="127.0.0.1:0"), web_listener("hole", hole.address, hole.address),
            listener("raw", dead, fine.address), listener("fine", fine.address, fine.address)],
            timeouts={"connect": "300ms", "hold": "300ms"})

        def refused(address: str, status: int) -> None:
            with Client(address) as client:
                self.assertEqual(client.ask().status, status)

        for _ in range(2):
            refused(door.address("dead"), 502)
        refused(door.preview("dead"), 502)
        refused(door.address("hole"), 504)
        for _ in range(3):
            self.assertIn(harness.fate(door.address("raw")), ("fin", "reset"))
        door.post("/v1/pause")
        for _ in range(2):
            refused(door.address("dead"), 503)
        self.assertEqual(harness.fate(door.address("fine")), "fin")
        metrics = self.metrics(door)
        expected = {("dead", "production", "unreachable"): 2, ("dead", "preview", "unreachable"): 1,
                    ("hole", "production", "timeout"): 1, ("raw", "production", "unreachable"): 3,
                    ("dead", "production", "hold"): 2, ("fine", "production", "hold"): 1}
        for labels, value in metrics.samples["bgproxy_refused_total"]:
            key = (labels["listener"], labels["traffic"], labels["reason"])
            self.assertEqual(value, expected.pop(key, 0), key)
        self.assertEqual(expected, {})
        self.assertEqual(metrics.sum("bgproxy_held_total", traffic="production"), 3)
        self.assertEqual(metrics.sum("bgproxy_held_total", traffic="preview"), 0)

    def test_clients_without_a_backend_and_sessions_with_one(self) -> None:
        blue, green = self.enter(WebBackend("blue")), self.enter(WebBackend("green"))
        raw = self.enter(Backend(tagged("raw")))
        door = self.serving(listeners=[web_listener("web", blue.address, green.address, preview="127.0.0.1:0"),
                                       listener("raw", raw.address, raw.address)])
        clients = [self.enter(Client(door.address("web"))) for _ in range(3)]
        self.enter(Client(door.preview("web")))
        self.open_session(door.address("raw"), "raw")
        wait_until(lambda: self.value(door, "bgproxy_parked", listener="web") == 4, "four have asked for nothing")
        self.assertEqual(clients[0].color(), "blue")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_parked", listener="web"), 3)
        self.assertEqual(metrics.sum("bgproxy_parked", listener="raw"), 0)
        self.assertEqual(metrics.sum("bgproxy_open_connections", listener="web"), 4)
        self.assertEqual(metrics.sum("bgproxy_open_sessions", listener="web", color="blue"), 1)
        self.assertEqual(metrics.sum("bgproxy_open_sessions"), 2)
        for name, address in (("web", blue.address), ("raw", raw.address)):
            labels = {"listener": name, "color": "blue", "target": address}
            self.assertEqual(metrics.sum("bgproxy_target_sessions", **labels), 1)
            self.assertEqual(metrics.sum("bgproxy_target_connects_total", **labels), 1)
        self.assertEqual(metrics.sum("bgproxy_target_sessions"), 2)

    def test_a_session_limit_and_what_else_stops_accepting(self) -> None:
        backend = self.enter(Backend(tagged("blue")))
        door = self.serving(backend.address, backend.address, workers=2, limits={"sessions": 3})
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_session_limit"), 3)
        self.assertEqual(metrics.sum("bgproxy_workers"), 2)
        self.assertEqual({labels["limit"]: value for labels, value in metrics.samples["bgproxy_limit_reached_total"]},
                         {"sessions": 0, "descriptors": 0, "ports": 0, "source": 0})
        inside = [self.open_session(door.address(), "blue") for _ in range(3)]
        waits = self.client(door.address())
        wait_until(lambda: self.value(door, "bgproxy_limit_reached_total", limit="sessions") > 0, "it is reached")
        self.assertEqual(self.value(door, "bgproxy_open_connections"), 3)
        inside[0].close()
        self.assertEqual(harness.read_line(waits), b"blue\n")
        inside[1].close()
        door.wait_sessions(2)
        address, limits = door.address(), resource.prlimit(door.pid, resource.RLIMIT_NOFILE)
        # No number above what is in use is left.
        resource.prlimit(door.pid, resource.RLIMIT_NOFILE, (door.descriptors_open() // 2, limits[1]))
        late = self.client(address)
        door.wait_line(lambda line: "limit" in line and "no descriptor" in line, what="the log tells of it")
        resource.prlimit(door.pid, resource.RLIMIT_NOFILE, limits)
        # It is served, or was accepted when there was none left for its target.
        self.assertIn(end_of(late), ("data", "fin", "reset"))
        metrics = self.metrics(door)
        self.assertGreater(metrics.sum("bgproxy_limit_reached_total", limit="descriptors"), 0)
        self.assertEqual(metrics.sum("bgproxy_limit_reached_total", limit="ports"), 0)
        self.assertEqual(metrics.sum("bgproxy_limit_reached_total", limit="source"), 0)


class HeldTest(ValueCase):
    """How long clients were held, by whatever it was."""

    def held(self, metrics: Metrics, reason: str) -> tuple[float, float]:
        name = "bgproxy_held_duration_seconds"
        return metrics.sum(name + "_count", reason=reason), metrics.sum(name + "_sum", reason=reason)

    def test_a_pause_counts_for_each_that_it_held_however_that_ended(self) -> None:
        blue = self.enter(WebBackend("blue"))
        raw = self.enter(Backend(tagged("raw")))
        door = self.serving(listeners=[web_listener("web", blue.address, blue.address),
                                       listener("raw", raw.address, raw.address)])
        self.assertEqual(self.held(self.metrics(door), "hold"), (0, 0))
        began = time.monotonic()
        door.post("/v1/pause")
        asking = [self.enter(Client(door.address("web"))) for _ in range(3)]
        for client in asking:
            client.send()
        waits, leaves = self.client(door.address("raw")), self.client(door.address("raw"))
        wait_until(lambda: self.value(door, "bgproxy_held_sessions") == 5, "all are held")
        all_held = time.monotonic()
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_held_sessions", listener="web"), 3)
        self.assertEqual(self.held(metrics, "hold"), (0, 0), "it is counted when it ends")
        leaves.close()
        wait_until(lambda: self.held(self.metrics(door), "hold")[0] == 1, "one has left")
        time.sleep(0.3)  # what the histogram is to have seen
        held = time.monotonic() - all_held
        door.post("/v1/resume")
        for client in asking:
            self.assertEqual(client.answer().body, b"blue")
        self.assertEqual(harness.read_line(waits), b"raw\n")
        metrics = self.metrics(door)
        count, seconds = self.held(metrics, "hold")
        self.assertEqual(count, 5)
        self.assertGreaterEqual(seconds, 4 * held * 0.99)
        self.assertLessEqual(seconds, 5 * (time.monotonic() - began))
        self.assertEqual(metrics.sum("bgproxy_held_total"), 5)
        self.assertEqual(metrics.sum("bgproxy_held_sessions"), 0)
        self.assertEqual(self.held(metrics, "trial"), (0, 0))
        # The request begins to wait for its answer when the backend gets it: that it was held is not in there.
        first = "bgproxy_first_byte_duration_seconds"
        self.assertEqual(metrics.sum(first + "_count", protocol="http"), 3)
        self.assertLess(metrics.sum(first + "_sum", protocol="http"), 3 * (time.monotonic() - all_held - held))

    def test_a_release_that_takes_nothing_holds_its_clients_until_it_was_taken_back(self) -> None:
        blue, green = self.enter(WebBackend("blue")), self.enter(WebBackend("green"))
        door = self.serving(listeners=[web_listener("web", blue.address, green.address)], health=RARE,
                            bake={"minimumClients": 1, "minimumSamples": 1}, timeouts={"connect": "20s"})
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        door.switch("green", bake="1m")
        green.close()
        with Client(door.address("web")) as client:
            self.assertEqual(client.color(), "blue", "the client has not noticed")
        # Who was held is let go as soon as the way back is stored.
        wait_until(lambda: self.value(door, "bgproxy_switches_total", kind="automatic") == 1, "it was taken back")
        metrics = self.metrics(door)
        self.assertEqual(self.held(metrics, "trial")[0], 1)
        self.assertGreater(self.held(metrics, "trial")[1], 0)
        self.assertEqual(self.held(metrics, "hold")[0], 0)


class TimesTest(ValueCase):
    def test_an_answer_is_timed_once_however_many_pieces_it_comes_in_and_whoever_waits_behind_it(self) -> None:
        """The next of those that are pipelined is waited for from the end of the answer before it."""
        pieces = 6
        more = threading.Semaphore(0)

        def serve(sock: socket.socket) -> None:
            buffer = b""
            while buffer.count(b"\r\n\r\n") < 2:
                buffer += sock.recv(65536)
            sock.sendall(f"HTTP/1.1 200 OK\r\nContent-Length: {pieces}\r\n\r\n".encode())
            for _ in range(pieces):
                more.acquire(timeout=harness.PATIENCE)
                sock.sendall(b"x")
            more.acquire(timeout=harness.PATIENCE)
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            sock.recv(1)

        backend = self.enter(Backend(serve))
        door = self.serving(listeners=[web_listener("web", backend.address, backend.address)])
        client = self.enter(Client(door.address("web")))
        client.sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 2)
        self.assertEqual(read_head(client.sock).status, 200)
        name = "bgproxy_first_byte_duration_seconds"
        for piece in range(pieces):
            self.assertEqual(self.value(door, name + "_count"), 1, f"before piece {piece}")
            more.release()
            self.assertEqual(harness.read_exactly(client.sock, 1), b"x")
        before = self.value(door, name + "_sum")
        waited = time.monotonic()
        time.sleep(0.2)  # what the histogram is to have seen
        waited = time.monotonic() - waited
        more.release()
        self.assertEqual(read_head(client.sock).status, 200)
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum(name + "_count"), 2)
        self.assertGreaterEqual(metrics.sum(name + "_sum") - before, waited * 0.99)

    def test_times_by_listener_are_those_of_all_together(self) -> None:
        slow = self.enter(Backend(web(b"fine\n", delay=0.02)))
        fast, raw = self.enter(Backend(web(b"fine\n"))), self.enter(Backend(tagged("raw")))
        door = self.serving(listeners=[web_listener("slow", slow.address, slow.address, preview="127.0.0.1:0"),
                                       web_listener("fast", fast.address, fast.address),
                                       listener("raw", raw.address, raw.address)])

        def once(address: str) -> None:
            with connect(address) as sock:
                ask(sock)

        once(door.preview("slow"))
        for count, color in ((3, "blue"), (2, "green")):
            for _ in range(count):
                once(door.address("slow"))
                once(door.address("fast"))
                self.assertEqual(harness.color_of(door.address("raw")), "raw")
            door.switch("green")
        # The preview's is counted nowhere.
        metrics = self.metrics(door)
        for of_all, of_each in (
                ("bgproxy_connect_duration_seconds", "bgproxy_listener_connect_duration_seconds"),
                ("bgproxy_first_byte_duration_seconds", "bgproxy_listener_first_byte_duration_seconds")):
            for color, count in (("blue", 3), ("green", 2)):
                for name in ("slow", "fast", "raw"):
                    self.assertEqual(metrics.sum(of_each + "_count", listener=name, color=color), count, of_each)
                self.assertEqual(metrics.sum(of_all + "_count", color=color), 3 * count)
                self.assertAlmostEqual(metrics.sum(of_all + "_sum", color=color),
                                       metrics.sum(of_each + "_sum", color=color), delta=1e-6)
                for bound in {labels["le"] for labels, _ in metrics.samples[of_each + "_bucket"]}:
                    self.assertEqual(metrics.sum(of_all + "_bucket", color=color, le=bound),
                                     metrics.sum(of_each + "_bucket", color=color, le=bound), (of_each, bound))
        name = "bgproxy_listener_first_byte_duration_seconds"
        self.assertGreaterEqual(metrics.sum(name + "_sum", listener="slow"), 5 * 0.02)
        self.assertEqual(metrics.sum(name + "_bucket", listener="slow", le="0.016384"), 0)
        self.assertEqual(metrics.sum("bgproxy_listener_connect_duration_seconds_count"), 15)

        # What a listener has counted stays with its name, and goes to nobody else.
        listeners = door.settings["listeners"]
        for other in ("second", "third", "fourth"):
            self.reload(door, [listeners[0], listeners[1] | {"name": other}, listeners[2]])
            metrics = self.metrics(door)
            self.assertEqual(metrics.sum(name + "_count", listener=other), 0)
            self.assertEqual(metrics.sum(name + "_count", listener="slow"), 5)
        once(door.address("fourth"))
        self.assertEqual(self.value(door, name + "_count", listener="fourth"), 1)


class ReleaseTest(ValueCase):
    def promtool(self, metrics: Metrics) -> None:
        result = subprocess.run([harness.find_program("promtool"), "check", "metrics"], input=metrics.text, text=True,
                                capture_output=True, timeout=30, check=False)
        self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))

    def in_phase(self, door: FrontDoor, phase: str) -> Metrics:
        """What is told in a phase is valid, and true."""
        metrics = self.metrics(door)
        phases = {labels["phase"]: value for labels, value in metrics.samples["bgproxy_phase"]}
        self.assertEqual({name for name, value in phases.items() if value}, {phase})
        self.assertEqual(set(phases), {"stopping", "paused", "holding", "ramping", "baking", "draining", "steady"})
        self.promtool(metrics)
        status = door.status()
        for color, share in (status["share"] or {status["active"]: 100}).items():
            self.assertEqual(metrics.sum("bgproxy_share_ratio", color=color), share / 100)
        self.assertEqual(metrics.sum("bgproxy_share_ratio"), 1)
        self.assertEqual(metrics.sum("bgproxy_active", color=status["active"]), 1)
        self.assertEqual(metrics.sum("bgproxy_active"), 1)
        self.assertEqual(metrics.sum("bgproxy_generation"), status["generation"])
        for color in ("blue", "green"):
            self.assertEqual(metrics.sum("bgproxy_color_healthy", color=color), 1)
        deadline = metrics.samples.get("bgproxy_drain_deadline_timestamp_seconds")
        self.assertEqual(deadline is not None, status["drain"] is not None)
        if deadline:
            self.assertAlmostEqual(deadline[0][1], harness.wall_time(status["drain"]["deadline"]), delta=0.01)
        self.assertEqual(metrics.sum("bgproxy_state_persisted"), 1)
        return metrics

    def test_in_every_phase_promtool_has_no_complaint_and_the_gauges_are_what_is_true(self) -> None:
        harness.need("promtool")
        blue, green = self.enter(Backend(tagged("blue"))), self.enter(Backend(tagged("green")))
        door = self.serving(blue.address, green.address, preview="127.0.0.1:0", health=QUICK,
                            drain={"timeout": "10m"}, timeouts={"hold": "10m"})
        wait_until(lambda: None not in [each["healthy"] for each in door.status()["colors"].values()], "probed")
        old = self.open_session(door.address(), "blue")
        self.in_phase(door, "steady")
        door.switch("green", ramp=[{"percent": 30, "time": "10m"}])
        metrics = self.in_phase(door, "ramping")
        self.assertEqual(metrics.sum("bgproxy_share_ratio", color="green"), 0.3)
        door.rollback()
        door.switch("green", bake="10m", drain="2m")
        self.in_phase(door, "baking")
        door.rollback()
        door.switch("green", bake="0s", drain="2m")
        metrics = self.in_phase(door, "draining")
        self.assertEqual(metrics.sum("bgproxy_draining_sessions", color="blue"), 1)
        self.assertEqual(metrics.sum("bgproxy_draining_sessions"), 1)
        door.post("/v1/pause")
        self.in_phase(door, "paused")
        door.post("/v1/resume")
        busy = self.open_session(door.address(), "green")
        self.assertEqual(self.value(door, "bgproxy_handovers_given_up_total"), 0)
        handover = Task(door.admin, "POST", "/v1/switch", {"to": "blue", "handover": True, "drain": "2m"})
        wait_until(lambda: door.status()["phase"] == "holding", "the handover has begun")
        self.in_phase(door, "holding")
        door.rollback()
        self.assertEqual(handover.result()[0], 409)
        metrics = self.in_phase(door, door.status()["phase"])
        self.assertEqual(metrics.sum("bgproxy_handovers_given_up_total"), 1)
        door.signal(signal.SIGTERM)
        wait_until(lambda: door.status()["phase"] == "stopping", "it stops")
        metrics = self.in_phase(door, "stopping")
        self.assertEqual(metrics.sum("bgproxy_draining_sessions"), 2, "of both colors")
        for sock in (old, busy):
            self.assertTrue(says_back(sock))
            sock.close()
        self.assertEqual(door.wait_exit(), 0)

    def test_health_of_colors_and_targets(self) -> None:
        blue, green, fails = (self.enter(Backend(tagged(name))) for name in ("blue", "green", "fails"))
        door = self.serving(listeners=[
            {"name": "one", "bind": "127.0.0.1:0", "blue": [blue.address], "green": [green.address, fails.address]},
            listener("two", blue.address, green.address)], health=QUICK)
        name = "bgproxy_target_healthy"
        wait_until(lambda: len(self.metrics(door).samples.get(name, [])) == 5, "all were probed")
        self.assertEqual(self.value(door, name), 5)
        fails.close()
        wait_until(lambda: self.value(door, name, target=fails.address) == 0, "one of them fails")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum(name), 4)
        self.assertEqual(metrics.sum("bgproxy_color_healthy", color="green"), 1, "each listener has another")
        green.close()
        wait_until(lambda: self.value(door, "bgproxy_color_healthy", color="green") == 0, "green has none any more")
        # Each listener probes its own targets, and the color is unhealthy as soon as one of them has none.
        wait_until(lambda: self.value(door, name, color="green") == 0, "none of green's targets is healthy")
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum(name, color="blue"), 2)
        self.assertEqual(metrics.sum("bgproxy_color_healthy", color="blue"), 1)

    def test_a_state_that_is_not_on_disk(self) -> None:
        folder = self.folder()
        disk = self.enter(SmallDisk(folder / "state"))
        blue, green = self.colors()
        door = self.serving(blue.address, green.address, folder=folder)
        door.switch("green")
        self.assertEqual(self.value(door, "bgproxy_state_persisted"), 1)
        disk.fill()
        door.rollback()
        wait_until(lambda: self.value(door, "bgproxy_state_persisted") == 0, "the write has failed")
        disk.empty()
        wait_until(lambda: self.value(door, "bgproxy_state_persisted") == 1, "it was tried again")
        self.assertEqual(self.value(door, "bgproxy_switches_total", color="blue", kind="rollback"), 1)


class SplicedTest(SpliceCase, ValueCase):
    def test_bytes_that_went_through_pipes_and_the_pipes(self) -> None:
        size = 24 * harness.MIB
        backend = self.enter(Backend(lambda sock: harness.send_pattern(sock, size)))
        door = self.serving(backend.address, backend.address, splice="auto")
        metrics = self.metrics(door)
        self.assertEqual((metrics.sum("bgproxy_spliced_bytes_total"), metrics.sum("bgproxy_splice_pipes")), (0, 0))
        with connect(door.address()) as client:
            begun = len(self.read_until_spliced(door, client))
            self.stall(door)
            metrics = self.metrics(door)
            self.assertEqual(metrics.sum("bgproxy_splice_pipes"), self.pipes(door))
            self.assertGreaterEqual(metrics.sum("bgproxy_splice_pipes"), 1)
            self.assertEqual(begun + len(harness.read_all(client)), size)
        door.wait_sessions(0)
        metrics = self.metrics(door)
        self.assertEqual(metrics.sum("bgproxy_sent_bytes_total"), size)
        self.assertEqual(metrics.sum("bgproxy_spliced_bytes_total"), self.spliced(door))
        self.assertTrue(0 < metrics.sum("bgproxy_spliced_bytes_total") <= size)


class ProcessTest(ValueCase):
    def test_the_process_is_the_one_that_the_kernel_knows(self) -> None:
        before = time.time()
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address, workers=3)
        after = time.time()
        page = os.sysconf("SC_PAGE_SIZE")

        def figures() -> tuple[int, int, float, int]:
            """Resident and virtual bytes, seconds of processor time, and descriptors."""
            statm = Path(f"/proc/{door.pid}/statm").read_text().split()
            return int(statm[1]) * page, int(statm[0]) * page, door.cpu_seconds(), door.descriptors_open()

        earlier = figures()
        metrics = self.metrics(door)
        later = figures()
        for position, (name, slack) in enumerate((
                ("process_resident_memory_bytes", 4 * harness.MIB), ("process_virtual_memory_bytes", 128 * harness.MIB),
                ("process_cpu_seconds_total", 0.05), ("process_open_fds", 2))):
            value = metrics.sum(name)
            self.assertGreaterEqual(value, min(earlier[position], later[position]) - slack, name)
            self.assertLessEqual(value, max(earlier[position], later[position]) + slack, name)
        self.assertEqual(metrics.sum("process_max_fds"), resource.prlimit(door.pid, resource.RLIMIT_NOFILE)[0])
        self.assertTrue(before - 1 <= metrics.sum("process_start_time_seconds") <= after + 1)
        self.assertEqual(metrics.sum("bgproxy_workers"), 3)
        version = harness.bgproxy("--version").stdout.split()[-1]
        self.assertEqual(metrics.samples["bgproxy_build_info"], [({"version": version}, 1)])
        crowd = [self.open_connection(door) for _ in range(20)]
        # A client's and a backend's for each.
        self.assertGreaterEqual(self.value(door, "process_open_fds"), later[3] - 2 + 2 * len(crowd))

    def open_connection(self, door: FrontDoor) -> socket.socket:
        sock = self.client(door.address())
        self.assertTrue(says_back(sock))
        return sock

    def test_log_lines_that_nobody_takes(self) -> None:
        """Standard error is a pipe that is full: lines wait, and those beyond the queue are lost."""
        backend = self.enter(Backend(echo))
        door = self.serving(backend.address, backend.address)
        self.assertEqual(self.value(door, "bgproxy_log_lines_lost_total"), 0)
        refused = 0
        door.settings["listeners"] = []
        door.write_config()
        with door._changed:  # its reader waits for this before it takes the next line
            while not (lost := self.value(door, "bgproxy_log_lines_lost_total")):
                self.assertLess(refused, 20_000)
                for _ in range(500):
                    self.assertEqual(door.admin("POST", "/v1/reload")[0], 409)
                    refused += 1
        self.assertLess(lost, refused)
        self.assertEqual(self.value(door, "bgproxy_reloads_total", result="refused"), refused)
        told = door.wait_line(lambda line: "log-lines-lost" in line, what="the log says how many")
        self.assertIn(f"count={lost:.0f}", told)


class DocumentationTest(ValueCase):
    def test_the_tables_have_the_type_and_the_labels_of_every_family_that_is_served(self) -> None:
        blue, green = self.enter(Backend(echo)), self.enter(Backend(echo))
        door = self.serving(blue.address, green.address, preview="127.0.0.1:0", health=QUICK)
        wait_until(lambda: door.status()["colors"]["green"]["healthy"], "green is healthy")
        with connect(door.address()) as sock:
            self.assertTrue(says_back(sock))
            door.switch("green", drain="1m")
            metrics = self.metrics(door)
        served = {}
        for name, kind in re.findall(r"(?m)^# TYPE (\S+) (\S+)", metrics.text):
            samples = metrics.samples[name + "_bucket" if kind == "histogram" else name]
            served[name] = (kind, {label for labels, _ in samples for label in labels} - {"le"})
        documented = {}
        for row in re.findall(r"(?m)^\| (`(?:bgproxy|process)_.*?) \| (\w+) \|([^|]*)\|", DOCUMENTATION.read_text()):
            for name in re.findall(r"`(\w+)`", row[0]):
                self.assertNotIn(name, documented, "twice")
                documented[name] = (row[1], set(row[2].replace(",", " ").split()))
        self.assertEqual(documented, served)

    def test_no_two_families_have_one_name_where_the_ending_of_a_counter_is_left_out(self) -> None:
        """In OpenMetrics a family's name is that of its counter without `_total`."""
        backend = self.enter(Backend(echo))
        text = self.metrics(self.serving(backend.address, backend.address)).text
        names = [name.removesuffix("_total") for name in re.findall(r"(?m)^# TYPE (\S+)", text)]
        self.assertEqual(sorted(names), sorted(set(names)))

    def test_the_value_of_every_family_is_looked_at_by_a_test(self) -> None:
        here = Path(__file__).parent
        modules = [*here.glob("test_metrics*.py"), here / "test_public_address.py"]
        tests = "".join(path.read_text() for path in modules)
        rows = re.findall(r"(?m)^\| (`.*?) \|", DOCUMENTATION.read_text())
        names = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
        self.assertGreater(len(names), 40)
        self.assertEqual([name for name in names if f'"{name}' not in tests], [])


class ReloadFuzzTest(ValueCase):
    """Listeners come and go and come back, with other addresses and targets, while their sessions live on."""

    NAMES = ("a", "b", "c", "d")

    def test_no_counter_falls_and_none_is_another_ones(self) -> None:
        for seed in range(harness.scaled(2, 20)):
            with self.subTest(seed=seed):
                self.fuzz(random.Random(seed))

    def fuzz(self, dice: random.Random) -> None:
        pool = [self.enter(Backend(echo)).address for _ in range(3)]
        ports = {name: free_port() for name in self.NAMES}

        def drawn() -> list[dict]:
            names = [name for name in self.NAMES if dice.random() < 0.6] or ["a"]
            binds = [ports[name] for name in names]
            if dice.random() < 0.3:
                dice.shuffle(binds)
            return [{"name": name, "bind": f"127.0.0.1:{port}", "blue": dice.sample(pool, dice.randint(1, 2)),
                     "green": dice.sample(pool, dice.randint(1, 2))} for name, port in zip(names, binds)]

        def counters(metrics: Metrics) -> dict[tuple, float]:
            return {(name, *sorted(labels.items())): value for name, samples in metrics.samples.items()
                    if name.endswith(("_total", "_count", "_bucket", "_sum")) for labels, value in samples}

        door = self.serving(listeners=drawn(), workers=2)
        sessions: list[socket.socket] = []
        made: dict[str, int] = defaultdict(int)
        """By listener: connections ever, bytes ever, and what of it came since its series last began."""
        moved: dict[str, int] = defaultdict(int)
        since: dict[str, int] = {}
        owner: dict[socket.socket, str] = {}
        last = counters(self.metrics(door))
        is_over = threading.Event()

        def read_meanwhile() -> None:
            """Also what is collected while a reload comes into force tells of each what is its own."""
            while not is_over.is_set():
                for labels, value in self.metrics(door).samples["bgproxy_connections_total"]:
                    self.assertLessEqual(value, made[labels["listener"]], labels)

        reader = Task(read_meanwhile)
        self.addCleanup(is_over.set)

        def talk(sock: socket.socket) -> None:
            size = dice.randint(1, 300)
            self.assertTrue(says_back(sock, b"x" * size))
            moved[owner[sock]] += size

        for _ in range(40):
            for _ in range(dice.randint(0, 4)):
                chosen = dice.choice(door.settings["listeners"])
                made[chosen["name"]] += 1
                sock = self.client(chosen["bind"])
                owner[sock] = chosen["name"]
                since[chosen["name"]] = since.get(chosen["name"], 0) + 1
                talk(sock)
                sessions.append(sock)
            while sessions and dice.random() < 0.4:
                sessions.pop(dice.randrange(len(sessions))).close()
            for sock in sessions:
                if dice.random() < 0.4:
                    talk(sock)
            if dice.random() < 0.2:
                door.switch("green" if door.status()["active"] == "blue" else "blue")
            self.reload(door, drawn())
            metrics = self.metrics(door)
            now = counters(metrics)
            fallen = {key: (last[key], value) for key, value in now.items() if value < last.get(key, 0)}
            self.assertEqual(fallen, {}, "counters that fell")
            last = now
            present = {labels["listener"] for labels, _ in metrics.samples["bgproxy_connections_total"]}
            since = {name: count for name, count in since.items() if name in present}
            for name in present:
                connections = metrics.sum("bgproxy_connections_total", listener=name)
                self.assertTrue(since.get(name, 0) <= connections <= made[name],
                                f"{name}: {since.get(name, 0)} <= {connections} <= {made[name]}")
                self.assertLessEqual(metrics.sum("bgproxy_sent_bytes_total", listener=name), moved[name], name)
                for family in ("bgproxy_sessions_total", "bgproxy_listener_connect_duration_seconds_count",
                               "bgproxy_listener_first_byte_duration_seconds_count"):
                    self.assertLessEqual(metrics.sum(family, listener=name), made[name], (family, name))
        is_over.set()
        reader.result()
        for sock in sessions:
            sock.close()
