"""Reading the config again: by HUP and by `bgproxyctl reload`. Running sessions are never touched."""

from __future__ import annotations

import os
import signal

import harness
from harness import Backend, Case, FrontDoor, Peer, color_of, connect, end_of, free_port, says_back, session, tagged
from harness import wait_until


class Reload(Case):
    def listener(self, name: str, blue: str, green: str, bind: str = "127.0.0.1:0", **more: object) -> dict:
        return {"name": name, "bind": bind, "protocol": "tcp", "blue": [blue], "green": [green]} | more

    def reload(self, door: FrontDoor, how: str = "ctl") -> None:
        door.write_config()
        if how == "ctl":
            result = door.ctl("reload")
            self.assertEqual(result.returncode, 0, result.stderr)
            return
        done = len(door.events("reload"))
        door.signal(signal.SIGHUP)
        wait_until(lambda: len(door.events("reload")) > done, "the log says that the config was read again")

    def test_listeners_are_added_and_removed_while_others_go_on(self) -> None:
        for how in ("ctl", "hup"):
            with self.subTest(how):
                blue, green = self.colors()
                door = self.front_door(listeners=[
                    self.listener("keep", blue.address, green.address),
                    self.listener("go", blue.address, green.address, f"127.0.0.1:{free_port()}")])
                keep, go = door.address("keep"), door.address("go")
                standing = [self.open_session(keep, "blue"), self.open_session(go, "blue")]
                storm = self.enter(Peer("requests", keep))
                door.settings["listeners"] = [
                    self.listener("keep", blue.address, green.address),
                    self.listener("new", blue.address, green.address, f"127.0.0.1:{free_port()}",
                                  preview=f"127.0.0.1:{free_port()}")]
                self.reload(door, how)
                self.assertEqual([each["name"] for each in door.status()["listeners"]], ["keep", "new"])
                self.assertEqual(door.address("keep"), keep, "port 0 keeps the port it has")
                self.assertEqual(color_of(door.address("new")), "blue")
                self.assertEqual(color_of(door.preview("new")), "green")
                with self.assertRaises(ConnectionRefusedError):
                    connect(go)
                for sock in standing:
                    self.assertTrue(says_back(sock), "a session of a removed listener runs on")
                sessions = storm.finish()["sessions"]
                self.assertEqual([entry for entry in sessions if entry[3]], [])

    def test_a_listener_is_rebound(self) -> None:
        blue, green = self.colors()
        first, second = free_port(), free_port()
        door = self.front_door(blue.address, green.address, bind=f"127.0.0.1:{first}")
        standing = self.open_session(door.address(), "blue")
        door.settings["listeners"][0]["bind"] = f"127.0.0.1:{second}"
        self.reload(door)
        self.assertEqual(door.address(), f"127.0.0.1:{second}")
        self.assertEqual(color_of(f"127.0.0.1:{second}"), "blue")
        with self.assertRaises(ConnectionRefusedError):
            connect(f"127.0.0.1:{first}")
        self.assertTrue(says_back(standing))
        # And back, and a family further.
        door.settings["listeners"][0]["bind"] = f"[::1]:{first}"
        self.reload(door, "hup")
        self.assertEqual(color_of(f"[::1]:{first}"), "blue")

    def test_targets_change_for_new_sessions_only(self) -> None:
        blue, green = self.colors()
        other = self.enter(Backend(tagged("other")))
        door = self.front_door(blue.address, green.address)
        address = door.address()
        standing = self.open_session(address, "blue")
        door.settings["listeners"][0]["blue"] = [other.address]
        self.reload(door)
        self.assertEqual(door.address(), address)
        self.assertEqual([color_of(address) for _ in range(5)], ["other"] * 5)
        self.assertTrue(says_back(standing))
        wait_until(lambda: door.sessions("blue") == 1, "a session to a target that is gone still counts, and no other")
        self.assertEqual(door.switch("green")["lastSwitch"]["open"], 1)
        self.assertTrue(says_back(standing))
        standing.close()
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["ended"]), (1, 1))

    def test_preview_comes_moves_and_goes(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        listener = door.settings["listeners"][0]
        for port in (free_port(), free_port()):
            listener["preview"] = f"127.0.0.1:{port}"
            self.reload(door)
            self.assertEqual(color_of(f"127.0.0.1:{port}"), "green")
        del listener["preview"]
        self.reload(door)
        self.assertIsNone(door.preview())
        with self.assertRaises(ConnectionRefusedError):
            connect(f"127.0.0.1:{port}")
        self.assertEqual(color_of(door.address()), "blue")

    def test_two_listeners_swap_their_addresses(self) -> None:
        one, two, green = (self.enter(Backend(tagged(tag))) for tag in ("one", "two", "green"))
        first, second = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
        door = self.front_door(listeners=[self.listener("one", one.address, green.address, first),
                                          self.listener("two", two.address, green.address, second)])
        self.assertEqual((color_of(first), color_of(second)), ("one", "two"))
        for turn in range(6):
            door.settings["listeners"][0]["bind"], door.settings["listeners"][1]["bind"] = (
                door.settings["listeners"][1]["bind"], door.settings["listeners"][0]["bind"])
            self.reload(door)
            wanted = ("two", "one") if turn % 2 == 0 else ("one", "two")
            self.assertEqual((color_of(first), color_of(second)), wanted)

    def test_an_invalid_config_changes_nothing(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        address, config = door.address(), door.get("/v1/config")
        standing = self.open_session(address, "blue")
        with harness.listening() as taken:
            for text, word in (("{", ""), ('{"listeners": []}', "listeners"),
                               (door.config_file.read_text().replace('"bind"', '"bnd"'), "bnd"),
                               (door.config_file.read_text().replace('"tcp"', '"udp"'), "udp"),
                               (door.config_file.read_text().replace("127.0.0.1:0", harness.spell(taken)),
                                harness.spell(taken)),
                               (None, str(door.config_file))):
                with self.subTest(text=(text or "")[:30]):
                    door.config_file.unlink(missing_ok=True)
                    if text is not None:
                        door.config_file.write_text(text)
                    asked = len(door.lines)
                    result = door.ctl("reload")
                    self.assertEqual(result.returncode, 1, result.stdout)
                    self.assertIn(word, result.stderr)
                    self.wait_told(door, asked, word)
                    asked = len(door.lines)
                    door.signal(signal.SIGHUP)
                    self.wait_told(door, asked, word)
                    self.assertEqual(door.get("/v1/config"), config)
                    self.assertEqual((door.address(), color_of(address)), (address, "blue"))
                    self.assertTrue(says_back(standing))

    def wait_told(self, door: FrontDoor, since: int, word: str) -> None:
        door.wait_line(lambda line: word in line and "info" not in line.split(" ")[1], since=since,
                       what="the log says what is wrong")

    def test_a_config_that_cannot_be_opened_in_part_changes_nothing(self) -> None:
        """The first of two changes would work, the second cannot: neither is made."""
        blue, green = self.colors()
        other = self.enter(Backend(tagged("other")))
        door = self.front_door(blue.address, green.address)
        port = free_port()
        with harness.listening() as taken:
            door.settings["listeners"][0]["blue"] = [other.address]
            door.settings["listeners"] += [
                self.listener("fine", blue.address, green.address, f"127.0.0.1:{port}"),
                self.listener("taken", blue.address, green.address, harness.spell(taken))]
            door.write_config()
            self.assertEqual(door.ctl("reload").returncode, 1)
            self.assertEqual(color_of(door.address()), "blue")
            with self.assertRaises(ConnectionRefusedError):
                connect(f"127.0.0.1:{port}")
        self.reload(door)
        self.assertEqual(color_of(door.address()), "other")
        self.assertEqual(color_of(f"127.0.0.1:{port}"), "blue")

    def test_what_needs_a_restart_is_said_and_not_taken(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, workers=1)
        door.settings["workers"] = 2
        door.settings["stateFile"] = str(door.folder / "elsewhere.json")
        door.write_config()
        result = door.ctl("reload")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("workers", result.stdout)
        self.assertIn("stateFile", result.stdout)
        self.assertIn("start", result.stdout)
        config = door.get("/v1/config")
        self.assertEqual((config["workers"], config["stateFile"]), (1, str(door.state_file)))

    def test_a_reload_never_switches(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, active="blue")
        door.settings["active"] = "green"
        self.reload(door)
        self.assertEqual((door.status()["active"], color_of(door.address())), ("blue", "blue"))
        self.assertEqual(door.history(), [])

    def test_drain_timeouts_and_limits_take_effect_at_once(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        door.settings["drain"] = {"timeout": "2s", "spread": "0s"}
        door.settings["limits"] = {"sessions": 2}
        self.reload(door)
        clients = [self.open_session(door.address(), "blue") for _ in range(2)]
        waiting = self.client(door.address())
        waiting.settimeout(0.3)
        with self.assertRaises(TimeoutError):
            waiting.recv(1)
        door.switch("green")
        receipt = door.settled()
        self.assertEqual(receipt["cut"], 2)
        for client in clients:
            self.assertEqual(end_of(client), "reset")

    def test_a_reload_in_mid_drain_keeps_the_books(self) -> None:
        blue, green = self.colors()
        other = self.enter(Backend(tagged("other")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "10m", "spread": "0s"})
        old = [self.open_session(door.address(), "blue") for _ in range(6)]
        door.switch("green")
        door.settings["listeners"][0]["blue"] = [other.address]
        door.settings["listeners"].append(self.listener("more", blue.address, green.address))
        self.reload(door)
        old[0].close()
        door.wait_sessions(5, "blue")
        door.post("/v1/drain", now=True)
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["ended"], receipt["cut"]), (6, 1, 5))

    def many_reloads(self, address) -> None:
        """Listeners come and go, at addresses that `address()` gives; the one that stays serves everybody."""
        blue, green = self.color_peers()
        door = self.front_door(listeners=[self.listener("main", blue.address, green.address, address())])
        main = door.address()
        storm = self.enter(Peer("requests", main))
        for turn in range(40):
            extra = self.listener(f"extra-{turn}", blue.address, green.address, address(), preview=address())
            door.settings["listeners"] = door.settings["listeners"][:1] + ([extra] if turn % 2 else [])
            self.reload(door, ("ctl", "hup")[turn % 4 == 0])
            self.assertEqual(door.address(), main)
            if turn % 2:
                name = extra["name"]
                self.assertEqual(len({main, door.address(name), door.preview(name)}), 3)
                self.assertEqual((color_of(door.address(name)), color_of(door.preview(name))), ("blue", "green"))
            if turn == 4:
                descriptors = door.descriptors_open()
        sessions = storm.finish()["sessions"]
        self.assertEqual([entry for entry in sessions if entry[3]], [])
        self.assertLessEqual(door.descriptors_open(), descriptors + 8)

    def test_many_reloads_under_load_lose_and_leak_nothing(self) -> None:
        self.many_reloads(lambda: f"127.0.0.1:{free_port()}")

    def test_many_reloads_with_ports_of_the_kernels_choice(self) -> None:
        """Port 0 in several places is a different port in each."""
        self.many_reloads(lambda: "127.0.0.1:0")

    def test_unix_listeners_come_and_go_with_their_files(self) -> None:
        blue, green = self.colors()
        path = f"{self.folder()}/front.sock"
        door = self.front_door(listeners=[self.listener("main", blue.address, green.address),
                                          self.listener("local", blue.address, green.address, f"unix:{path}")])
        sock, _ = session(f"unix:{path}")
        self.enter(sock)
        local = door.settings["listeners"].pop()
        self.reload(door)
        self.assertFalse(os.path.exists(path))
        self.assertTrue(says_back(sock))
        door.settings["listeners"].append(local)
        self.reload(door)
        self.assertEqual(color_of(f"unix:{path}"), "blue")
