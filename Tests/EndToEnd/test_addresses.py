"""Kinds of addresses, several listeners, several targets, preview listeners."""

from __future__ import annotations

import os
import socket
import stat
from collections import Counter

import harness
from harness import Backend, Case, Task, color_of, connect, end_of, fate, free_port, port_of, says_back, session, tagged


class Families(Case):
    def echo_through(self, address: str) -> None:
        size = 3 * harness.MIB
        with connect(address) as client:
            self.assertEqual(harness.read_line(client), b"blue\n")
            sender = Task(harness.send_pattern, client, size)
            self.assertEqual(harness.receive_hash(client, size), (size, sender.result()))
            client.shutdown(socket.SHUT_WR)
            self.assertEqual(end_of(client), "fin")

    def test_every_kind_of_listener_with_every_kind_of_target(self) -> None:
        folder = self.folder()
        kinds = {"v4": "127.0.0.1:0", "v6": "[::1]:0", "unix": f"unix:{folder}/KIND.sock"}
        blues = {kind: self.enter(Backend(tagged("blue"), address.replace("KIND", "blue")))
                 for kind, address in kinds.items()}
        greens = {kind: self.enter(Backend(tagged("green"), address.replace("KIND", "green")))
                  for kind, address in kinds.items()}
        door = self.front_door(listeners=[
            {"name": f"{front}-{back}", "bind": address.replace("KIND", f"front-{back}"), "protocol": "tcp",
             "blue": [blues[back].address], "green": [greens[back].address]}
            for front, address in kinds.items() for back in kinds])
        addresses = {listener["name"]: listener["bind"] for listener in door.status()["listeners"]}
        self.assertEqual(len(addresses), 9)
        for name, address in addresses.items():
            with self.subTest(name):
                self.echo_through(address)
        door.switch("green")
        self.assertEqual({color_of(address) for address in addresses.values()}, {"green"})
        door.stop()
        self.assertEqual([name for name in os.listdir(folder) if name.startswith("front-")], [],
                         "a clean end leaves no socket files")

    def test_resets_and_refusals_of_unix_targets(self) -> None:
        folder = self.folder()
        rst = self.enter(Backend(lambda sock: None, f"unix:{folder}/blue.sock"))
        door = self.front_door(rst.address, f"unix:{folder}/nobody.sock")
        self.assertEqual(fate(door.address()), "fin")
        door.switch("green")
        self.assertEqual(fate(door.address()), "reset")

    def test_all_addresses_of_both_families(self) -> None:
        blue, green = self.colors()
        port = free_port()
        door = self.front_door(blue.address, green.address, bind=f":{port}")
        for host in ("127.0.0.1", "127.0.0.5", "[::1]"):
            self.assertEqual(color_of(f"{host}:{port}"), "blue")
        self.assertEqual(port_of(door.address()), port)

    def test_names_are_looked_up(self) -> None:
        blue, green = self.colors()
        door = self.front_door(f"localhost:{port_of(blue.address)}", f"localhost:{port_of(green.address)}")
        self.assertEqual([color_of(door.address()) for _ in range(5)], ["blue"] * 5)

    def test_a_name_that_does_not_resolve_is_no_reason_not_to_start(self) -> None:
        blue, green = self.colors()
        door = self.front_door(["no-such-host.invalid:80", blue.address], ["no-such-host.invalid:80"])
        self.assertEqual([color_of(door.address()) for _ in range(5)], ["blue"] * 5)
        door.switch("green")
        self.assertEqual(fate(door.address()), "reset")

    def test_the_socket_of_a_unix_listener_is_a_socket(self) -> None:
        blue, green = self.colors()
        path = self.folder() / "front.sock"
        door = self.front_door(blue.address, green.address, bind=f"unix:{path}")
        self.assertTrue(stat.S_ISSOCK(path.stat().st_mode))
        self.assertEqual(door.address(), f"unix:{path}")

    def test_a_file_in_the_place_of_a_unix_listener_is_not_deleted(self) -> None:
        blue, green = self.colors()
        path = self.folder() / "front.sock"
        path.write_text("somebody's data")
        with harness.FrontDoor(blue.address, green.address, bind=f"unix:{path}", start=False) as door:
            result = harness.bgproxy("--config", str(door.config_file))
            self.assertEqual(result.returncode, 1, result.stderr)
            self.assertIn(str(path), result.stderr)
        self.assertEqual(path.read_text(), "somebody's data")


class Targets(Case):
    def test_the_target_with_the_fewest_sessions_wins(self) -> None:
        backends = [self.enter(Backend(tagged(name))) for name in ("one", "two", "three")]
        door = self.front_door([backend.address for backend in backends], f"127.0.0.1:{free_port()}")
        held: dict[str, list[socket.socket]] = {"one": [], "two": [], "three": []}
        for _ in range(30):
            sock, tag = session(door.address())
            held[tag].append(self.enter(sock))
        self.assertEqual({tag: len(socks) for tag, socks in held.items()}, {"one": 10, "two": 10, "three": 10})
        said = {target["address"]: target["sessions"] for target in door.listener()["targets"]["blue"]}
        self.assertEqual(said, {backend.address: 10 for backend in backends})
        # Room is made at one of them: the next ones go there.
        for sock in held["two"]:
            sock.close()
        door.wait_sessions(20)
        tags = Counter()
        for _ in range(10):
            sock, tag = session(door.address())
            self.enter(sock)
            tags[tag] += 1
        self.assertEqual(tags, {"two": 10})

    def test_a_target_that_dies_and_comes_back(self) -> None:
        one, two = self.enter(Backend(tagged("one"))), self.enter(Backend(tagged("two")))
        door = self.front_door([one.address, two.address], f"127.0.0.1:{free_port()}")
        self.assertEqual({self.tag_that_stays(door) for _ in range(6)}, {"one", "two"})
        one.close()
        self.assertEqual({self.tag_that_stays(door) for _ in range(6)}, {"two"})
        again = self.enter(Backend(tagged("one"), one.address))
        # It may rest for a while after a refusal; then it has its share again.
        harness.wait_until(lambda: self.tag_that_stays(door) == "one", "it is used again", pause=0.2)
        self.assertTrue(again.connections)

    def tag_that_stays(self, door: harness.FrontDoor) -> str:
        sock, tag = session(door.address())
        self.enter(sock)
        return tag

    def test_many_targets_under_a_burst_are_balanced(self) -> None:
        backends = [self.enter(harness.Peer("serve", f"t{number}", "echo")) for number in range(4)]
        door = self.front_door([backend.address for backend in backends], f"127.0.0.1:{free_port()}")
        with harness.Herd(door.address(), 2000) as herd:
            self.assertEqual(sum(herd.tags.values()), 2000)
            self.assertGreater(min(herd.tags.values()), 400, herd.tags)
            said = [target["sessions"] for target in door.listener()["targets"]["blue"]]
            self.assertEqual(sum(said), 2000)
            self.assertLess(max(said) - min(said), 50, said)


class SeveralListeners(Case):
    def test_each_listener_has_its_own_targets_and_all_switch_at_once(self) -> None:
        names = ("web", "tls", "mail")
        backends = {(name, color): self.enter(Backend(tagged(f"{name}-{color}")))
                    for name in names for color in ("blue", "green")}
        door = self.front_door(listeners=[
            {"name": name, "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [backends[name, "blue"].address],
             "green": [backends[name, "green"].address], "preview": "127.0.0.1:0"} for name in names])
        for active, idle in (("blue", "green"), ("green", "blue"), ("blue", "green")):
            if door.status()["active"] != active:
                door.switch(active)
            for name in names:
                self.assertEqual(color_of(door.address(name)), f"{name}-{active}")
                self.assertEqual(color_of(door.preview(name)), f"{name}-{idle}")

    def test_the_receipt_counts_the_sessions_of_all_listeners(self) -> None:
        blue, green = self.colors()
        door = self.front_door(listeners=[
            {"name": f"l{number}", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [blue.address],
             "green": [green.address]} for number in range(4)])
        for number in range(4):
            for _ in range(number + 1):
                self.open_session(door.address(f"l{number}"), "blue")
        self.assertEqual(door.switch("green")["lastSwitch"]["open"], 10)


class Preview(Case):
    def test_preview_always_leads_to_the_idle_color(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, preview="127.0.0.1:0")
        main, preview = door.address(), door.preview()
        for turn in range(20):
            color = ("green", "blue")[turn % 2]
            door.switch(color)
            self.assertEqual((color_of(main), color_of(preview)), (color, ("blue", "green")[turn % 2]))

    def test_preview_is_not_counted_as_production(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, preview="127.0.0.1:0")
        peeks = []
        for _ in range(5):
            sock, tag = session(door.preview())
            peeks.append(self.enter(sock))
            self.assertEqual(tag, "green")
        green_now = door.status()["colors"]["green"]
        self.assertEqual((green_now["sessions"], green_now["draining"], green_now["accepted"]), (0, 0, 0))
        status = door.switch("green")
        self.assertEqual(status["lastSwitch"]["open"], 0)
        self.assertEqual(status["phase"], "steady")
        for sock in peeks:
            self.assertTrue(says_back(sock))
        self.assertEqual([entry["preview"] for entry in door.get("/v1/sessions")["sessions"]], [True] * 5)

    def test_preview_of_a_dead_color_is_reset_and_harms_nobody(self) -> None:
        blue = self.enter(Backend(tagged("blue")))
        door = self.front_door(blue.address, f"127.0.0.1:{free_port()}", preview="[::1]:0")
        for _ in range(5):
            self.assertEqual(fate(door.preview()), "reset")
            self.assertEqual(color_of(door.address()), "blue")
