"""Health: probes, the gate, and who gets sessions."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import harness
from harness import Backend, FrontDoor, connect, free_port, reset, wait_until
from scripted import ScriptedCase, WebBackend

# A probe's timeout is no test's subject here: a server that is late is not to be taken for one that is down.
QUICK = {"interval": "100ms", "timeout": "1m", "rise": 2, "fall": 2}
RARE = {"interval": "1h", "timeout": "1m"}


class HealthCase(ScriptedCase):
    def wait_health(self, door: FrontDoor, color: str, is_healthy: bool | None) -> None:
        wait_until(lambda: door.status()["colors"][color]["healthy"] is is_healthy, f"{color}: healthy {is_healthy}")

    def known(self, door: FrontDoor) -> None:
        """Returns when both colors have been probed."""
        wait_until(lambda: None not in [color["healthy"] for color in door.status()["colors"].values()], "probed")

    def target(self, door: FrontDoor, color: str, number: int = 0) -> dict:
        return [each for each in door.get("/v1/health")["health"] if each["color"] == color][number]


class Probes(HealthCase):
    def test_a_target_that_takes_connections_is_healthy_and_one_that_refuses_is_not(self) -> None:
        blue = self.enter(WebBackend("blue"))
        door = self.door(blue, f"127.0.0.1:{free_port()}", health=QUICK)
        self.known(door)
        status = door.status()
        self.assertEqual([status["colors"][color]["healthy"] for color in ("blue", "green")], [True, False])
        listener = status["listeners"][0]["targets"]
        self.assertEqual([listener[color][0]["healthy"] for color in ("blue", "green")], [True, False])
        report = self.target(door, "green")
        self.assertEqual((report["probe"], report["result"], report["healthy"]), ("tcp", "connection refused", False))
        self.assertIsNotNone(report["since"])
        text = door.ctl("health").stdout
        self.assertIn("connection refused", text)
        self.assertEqual(len(json.loads(door.ctl("health", "--json").stdout)["health"]), 2)

    def test_a_target_that_dies_and_comes_back_is_told_of_by_log_and_event(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=QUICK)
        self.known(door)
        green.stop_listening()
        self.wait_health(door, "green", False)
        self.assertTrue(door.wait_line(lambda line: "target-down" in line and green.address in line))
        self.enter(WebBackend("green", address=green.address))
        self.wait_health(door, "green", True)
        self.assertTrue(door.wait_line(lambda line: "target-up" in line and green.address in line))

    def test_an_answer_that_is_not_as_expected_makes_a_target_unhealthy(self) -> None:
        blue = self.enter(WebBackend("blue"))
        for path, status, body, is_healthy in (
                ("/204", "200-399", None, True), ("/204", "200", None, False), ("/", "200", "gree", True),
                ("/", "200", "blue", False), ("/chunked", "200", "green", True), ("/reset", "200-399", None, False),
                ("/quit", "200-399", None, False)):
            green = self.enter(WebBackend("green"))
            http = {"path": path, "status": status} | ({"body": body} if body else {})
            door = FrontDoor(listeners=[
                {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": [blue.address],
                 "green": [green.address], "health": {"http": http}}], health=QUICK)
            with door:
                self.known(door)
                self.assertIs(door.status()["colors"]["green"]["healthy"], is_healthy, f"{http}")
                report = self.target(door, "green")
                self.assertEqual(report["probe"], "http")
                self.assertNotIn("timed out", report["result"] or "", f"{http}")

    def test_what_a_client_makes_a_backend_do_marks_no_target_down(self) -> None:
        def reject(sock: socket.socket) -> None:
            """As a server of TLS does with garbage; a probe sends nothing."""
            if sock.recv(100):
                reset(sock)

        backend = self.enter(Backend(reject))
        door = self.front_door(backend.address, backend.address, health=QUICK)
        self.known(door)
        for _ in range(30):
            with connect(door.address()) as client:
                client.sendall(b"GET / HTTP/1.1\r\n\r\n")
                harness.end_of(client)
        self.assertEqual(self.target(door, "blue")["against"], 0)
        self.assertEqual([line for line in door.lines if "target-down" in line], [])

    def test_a_refused_connection_of_real_traffic_is_looked_into_at_once(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=RARE)
        self.known(door)
        blue.stop_listening()
        self.assertEqual(self.client(door).ask().status, 502)
        self.wait_health(door, "blue", False)


class Choice(HealthCase):
    def two_targets(self, **settings) -> tuple[FrontDoor, WebBackend, WebBackend]:
        one, other = self.enter(WebBackend("one")), self.enter(WebBackend("other"))
        door = self.front_door(listeners=[
            {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": [one.address, other.address],
             "green": [one.address]}], **settings)
        return door, one, other

    def test_an_unhealthy_target_gets_no_sessions_while_another_is_healthy(self) -> None:
        door, one, other = self.two_targets(health=QUICK | {"http": {"path": "/204", "status": "204"}})
        self.known(door)
        # It goes on taking connections; only its probes fail.
        one.answer = lambda sock, method, path, head: False
        wait_until(lambda: self.target(door, "blue", 0)["healthy"] is False, "its probes fail")
        for _ in range(10):
            self.assertEqual(self.client(door).color(), "other")
        self.assertIs(door.status()["colors"]["blue"]["healthy"], True, "one target is enough")

    def test_all_are_tried_where_none_is_healthy(self) -> None:
        door, one, other = self.two_targets(health=QUICK | {"http": {"path": "/", "status": "404"}})
        self.wait_health(door, "blue", False)
        self.assertEqual({self.client(door).color() for _ in range(20)}, {"one", "other"})


class Gate(HealthCase):
    def test_a_switch_to_a_dead_color_is_refused_with_the_reason(self) -> None:
        blue = self.enter(WebBackend("blue"))
        dead = f"127.0.0.1:{free_port()}"
        door = self.door(blue, dead, health=QUICK)
        self.known(door)
        for fields in ({}, {"dryRun": True}, {"handover": True}, {"ramp": [{"percent": 10, "time": "1s"}]}):
            code, answer = door.admin("POST", "/v1/switch", {"to": "green"} | fields)
            self.assertEqual((code, answer["error"]["code"]), (409, "unhealthy"), fields)
            self.assertIn(f"{dead}: connection refused", answer["error"]["message"])
        result = door.ctl("switch", "green")
        self.assertEqual(result.returncode, 1)
        self.assertIn("connection refused", result.stderr)
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 0))
        self.assertEqual(door.ctl("switch", "green", "--force").returncode, 0)
        receipt = door.receipt()
        self.assertEqual((receipt["to"], receipt["forced"]), ("green", True))

    def test_a_color_that_died_a_moment_ago_is_found_out_by_asking_now(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=RARE)
        self.known(door)
        green.stop_listening()
        self.assertIs(door.status()["colors"]["green"]["healthy"], True, "nobody has looked since")
        code, answer = door.admin("POST", "/v1/switch", {"to": "green"})
        self.assertEqual((code, answer["error"]["code"]), (409, "unhealthy"))
        self.assertEqual(door.status()["active"], "blue")

    def test_a_switch_whose_client_has_gone_while_the_gate_asked_does_not_come_true_later(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=RARE | {"http": {"path": "/gate"}})
        blue.gate.set()
        green.gate.set()
        self.known(door)
        green.gate.clear()
        checked, asked = self.target(door, "green")["checkedAt"], len(green.log)
        process = door.start_ctl("switch", "green")
        wait_until(lambda: len(green.log) > asked, "the gate asks")
        process.kill()
        process.communicate()
        door.status()  # whoever is gone by now has been found to be
        green.gate.set()
        harness.wait_until(lambda: self.target(door, "green")["checkedAt"] != checked, "the probe has ended")
        door.status()  # whatever follows from it has been done
        self.assertEqual((door.status()["active"], door.status()["generation"]), ("blue", 0))

    def test_a_handover_to_a_color_that_dies_meanwhile_is_given_up(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=QUICK)
        self.known(door)
        gone = f"{self.folder()}/gone"
        process = door.start_ctl(
            "switch", "green", "--handover", "--during", f"while [ ! -e {gone} ]; do sleep 0.02; done")
        harness.wait_until(lambda: door.status()["phase"] == "holding", "it holds")
        green.stop_listening()
        self.wait_health(door, "green", False)
        Path(gone).touch()
        output, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, 1, output)
        self.assertIn("connection refused", errors)
        self.assertEqual(door.status()["active"], "blue")

    def test_every_listener_needs_a_target(self) -> None:
        blue, green = self.colors()
        door = self.front_door(listeners=[
            {"name": "web", "bind": "127.0.0.1:0", "protocol": "http", "blue": [blue.address],
             "green": [green.address]},
            {"name": "api", "bind": "127.0.0.1:0", "protocol": "http", "blue": [blue.address],
             "green": [f"127.0.0.1:{free_port()}"]}], health=QUICK)
        self.known(door)
        code, answer = door.admin("POST", "/v1/switch", {"to": "green"})
        self.assertEqual(code, 409)
        self.assertIn("listener api", answer["error"]["message"])

    def test_the_way_back_is_refused_only_from_what_serves_to_what_does_not(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=QUICK)
        self.known(door)
        door.switch("green")
        blue.stop_listening()
        self.wait_health(door, "blue", False)
        result = door.ctl("rollback")
        self.assertEqual((result.returncode, door.status()["active"]), (1, "green"))
        self.assertIn("connection refused", result.stderr)
        green.stop_listening()
        self.wait_health(door, "green", False)
        self.assertEqual(door.ctl("rollback").returncode, 0, "both are dead: the operator knows better")
        self.assertEqual(door.status()["active"], "blue")

    def test_the_way_back_to_a_dead_color_can_be_forced(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green, health=QUICK)
        self.known(door)
        door.switch("green")
        blue.stop_listening()
        self.wait_health(door, "blue", False)
        self.assertEqual(door.ctl("rollback", "--force").returncode, 0)
        self.assertEqual(door.status()["active"], "blue")

