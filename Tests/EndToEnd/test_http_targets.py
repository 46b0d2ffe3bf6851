"""Protocol http with more than one target or listener, other kinds of addresses, reloads, and what operators are told."""

from __future__ import annotations

import json
from typing import Any

import harness
from harness import Backend, read_line, wait_until
from scripted import ScriptedCase, WebBackend, sha


class Targets(ScriptedCase):
    def listener(self, blue: list[str], green: list[str], **more: Any) -> dict[str, Any]:
        return {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": blue, "green": green} | more

    def test_when_one_of_two_targets_goes_down_idle_clients_go_on_with_the_other(self) -> None:
        blue = [self.enter(WebBackend(name)) for name in ("one", "two")]
        door = self.front_door(listeners=[self.listener([each.address for each in blue], [blue[0].address])])
        clients = [self.client(door) for _ in range(20)]
        self.assertEqual({client.color() for client in clients}, {"one", "two"})
        blue[0].close()
        self.assertEqual({client.color() for client in clients}, {"two"})
        self.assertEqual(self.counts(door, "blue")["connectFailures"], 0, "no client has noticed")

    def test_clients_move_between_unix_sockets_and_tcp(self) -> None:
        folder = self.folder()
        blue = self.enter(WebBackend("blue", address=f"unix:{folder}/blue.sock"))
        green = self.enter(WebBackend("green"))
        door = self.front_door(listeners=[self.listener([blue.address], [green.address]), {
            "name": "local", "bind": f"unix:{folder}/door.sock", "protocol": "http", "blue": [green.address],
            "green": [blue.address]}])
        over_tcp, over_unix = self.client(door), self.client(f"unix:{folder}/door.sock")
        body = bytes(300_000)
        for turn in range(6):
            for client, color in ((over_tcp, ("blue", "green")[turn % 2]), (over_unix, ("green", "blue")[turn % 2])):
                answer = client.ask("PUT", "/sum", body=body)
                self.assertEqual((answer.body.decode(), answer.fields["x-sum"]), (color, sha(body)))
                self.assertEqual(client.color("/chunked"), color)
            door.switch(("green", "blue")[turn % 2])

    def test_all_listeners_move_together_and_tcp_sessions_stay(self) -> None:
        web, raw = self.colors(), [self.enter(Backend(harness.tagged(color))) for color in ("blue", "green")]
        door = self.front_door(listeners=[
            self.listener([web[0].address], [web[1].address]),
            self.listener([web[0].address], [web[1].address], name="second"),
            {"name": "raw", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [raw[0].address],
             "green": [raw[1].address]}])
        clients = [self.client(door.address(name)) for name in ("main", "second")]
        self.assertEqual([client.color() for client in clients], ["blue", "blue"])
        session = self.open_session(door.address("raw"), "blue")
        receipt = door.switch("green")["lastSwitch"]
        self.assertEqual(receipt["open"], 3)
        self.assertEqual([client.color() for client in clients], ["green", "green"])
        self.assertTrue(harness.says_back(session))
        wait_until(lambda: door.receipt()["moved"] == 2, "both have moved")
        self.assertEqual(door.receipt()["remaining"], 1)

    def test_after_a_reload_a_client_goes_on_with_the_new_targets_when_the_old_one_ends(self) -> None:
        old, new = self.enter(WebBackend("old")), self.enter(WebBackend("new"))
        door = self.front_door(listeners=[self.listener([old.address], [old.address])])
        idle, busy = self.used(door, "old"), self.client(door)
        busy.send("GET", "/gate")
        old.wait_at_gate()
        door.settings["listeners"][0]["blue"] = [new.address]
        door.write_config()
        self.assertEqual(door.ctl("reload").returncode, 0)
        self.assertEqual(self.client(door).color(), "new")
        old.gate.set()
        self.assertEqual(busy.answer().body, b"old")
        old.close()
        self.assertEqual((idle.color(), busy.color()), ("new", "new"))

    def test_clients_of_a_listener_that_is_removed_go_on_and_move(self) -> None:
        blue, green = self.colors()
        first, second = (self.listener([blue.address], [green.address], name=name) for name in ("first", "second"))
        door = self.front_door(listeners=[first, second])
        used, unused = self.client(door.address("first")), self.client(door.address("first"))
        self.assertEqual(used.color(), "blue")
        self.wait_state(door, unused, "parked")
        door.settings["listeners"] = [second]
        door.write_config()
        self.assertEqual(door.ctl("reload").returncode, 0)
        self.assertEqual(used.color(), "blue")
        # Reloads that come later take nothing away from them.
        for _ in range(3):
            self.assertEqual(door.ctl("reload").returncode, 0)
        door.switch("green")
        self.assertEqual((used.color(), unused.color()), ("green", "green"))

    def test_a_reload_that_changes_the_protocol_is_for_new_sessions(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        before = self.used(door)
        door.settings["listeners"][0]["protocol"] = "tcp"
        door.write_config()
        self.assertEqual(door.ctl("reload").returncode, 0)
        after = self.used(door)
        self.assertEqual((self.state(door, before), self.state(door, after)), ("idle", "open"))
        door.switch("green")
        self.assertEqual((before.color(), after.color()), ("green", "blue"))


class Operators(ScriptedCase):
    def test_bgproxyctl_tells_what_each_session_is_doing(self) -> None:
        blue, green = self.colors()
        door = self.door(blue, green)
        parked, idle, busy, opaque = self.client(door), self.used(door), self.client(door), self.client(door)
        busy.send("GET", "/gate")
        blue.wait_at_gate()
        opaque.send("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo")
        self.assertEqual((opaque.answer().status, read_line(opaque.sock)), (101, b"blue\n"))
        self.wait_state(door, parked, "parked")
        listed = json.loads(door.ctl("sessions", "--json").stdout)
        states = {harness.port_of(session["client"]): (session["state"], session["color"])
                  for session in listed["sessions"]}
        self.assertEqual(states, {idle.port: ("idle", "blue"), busy.port: ("busy", "blue"),
                                  opaque.port: ("opaque", "blue"), parked.port: ("parked", None)})
        table = door.ctl("sessions").stdout
        for word in ("idle", "busy", "opaque", "parked"):
            self.assertRegex(table, rf"\b{word}\b")
        status = door.status()
        counts = status["colors"]["blue"]
        self.assertEqual((counts["idle"], counts["busy"], counts["opaque"], counts["sessions"], status["parked"]),
                         (1, 1, 1, 3, 1))
        blue.gate.set()

    def test_protocol_http_without_a_file(self) -> None:
        blue, green = self.colors()
        folder = self.folder()
        door = self.front_door(folder=folder, use_file=False, arguments=(
            "--listen", "127.0.0.1:0", "--blue", blue.address, "--green", green.address, "--protocol", "http",
            "--socket", f"{folder}/admin/admin.sock", "--state", f"{folder}/state/state.json"))
        name = door.status()["listeners"][0]["name"]
        self.assertEqual(door.listener(name)["protocol"], "http")
        client = self.client(door.address(name))
        self.assertEqual(client.color(), "blue")
        door.switch("green")
        self.assertEqual(client.color(), "green")
