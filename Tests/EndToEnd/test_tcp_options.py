"""Options of TCP sockets, by side, and source addresses: what the kernel has, seen with ss(8) and by the peers."""

from __future__ import annotations

import contextlib
import re
import socket
import statistics
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable

import harness
from harness import Backend, Case, Task, color_of, connect, end_of, free_port, port_of, says_back, tagged, wait_until
from networks import Network


def ss(what: str, side: str, port: int) -> str:
    """What ss(8) tells of the established sockets of the front door at a local (`sport`) or remote (`dport`) port."""
    harness.need("ss")
    result = subprocess.run([harness.find_program("ss"), what, "-H", "state", "established", f"{side} = :{port}"],
                            capture_output=True, text=True, check=True)
    return result.stdout


class TCPCase(Case):
    def door(self, **keys: object) -> harness.FrontDoor:
        blue, green = self.colors()
        self.target = port_of(blue.address)
        return self.front_door(listeners=[
            {"name": "main", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [blue.address],
             "green": [green.address]} | keys], workers=1)

    def reload(self, door: harness.FrontDoor, **keys: object) -> None:
        door.settings["listeners"][0] |= keys
        door.write_config()
        result = door.ctl("reload")
        self.assertEqual(result.returncode, 0, result.stderr)

    def refuses_to_start(self, *words: str, **keys: object) -> None:
        listener = {"name": "main", "bind": "127.0.0.1:0", "blue": ["127.0.0.1:1"], "green": ["127.0.0.1:2"]} | keys
        with harness.FrontDoor(listeners=[listener], start=False) as door:
            result = harness.bgproxy("--config", str(door.config_file))
            self.assertEqual(result.returncode, 1, result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)


class Options(TCPCase):
    def congestion(self, side: str, port: int) -> str:
        names = re.findall(r"\b(reno|cubic|bbr)\b", ss("-tin", side, port))
        self.assertTrue(names)
        return names[0]

    def timers(self, side: str, port: int) -> list[float]:
        """Minutes or seconds until the next keepalive probe, in seconds, of the sockets that have any."""
        found = re.findall(r"timer:\(keepalive,(?:(\d+)min)?([\d.]*)(ms|sec)?", ss("-tno", side, port))
        return [float(minutes or 0) * 60 + float(rest or 0) * (0.001 if unit == "ms" else 1)
                for minutes, rest, unit in found]

    def sides(self, door: harness.FrontDoor) -> tuple[socket.socket, int]:
        """An open session, and the port of the front door's side of it towards the client."""
        return self.open_session(door.address(), "blue"), port_of(door.address())

    def test_congestion_by_side(self) -> None:
        default = open("/proc/sys/net/ipv4/tcp_congestion_control").read().strip()
        other = "reno" if default != "reno" else "cubic"
        if other not in open("/proc/sys/net/ipv4/tcp_available_congestion_control").read().split():
            raise self.skipTest("the kernel has one congestion control only")
        for tcp, client, target in (({}, default, default), ({"congestion": other}, other, other),
                                    ({"client": {"congestion": other}}, other, default),
                                    ({"congestion": other, "client": {"congestion": default}}, default, other)):
            with self.subTest(tcp):
                door = self.door(tcp=tcp)
                _, port = self.sides(door)
                self.assertEqual((self.congestion("sport", port), self.congestion("dport", self.target)),
                                 (client, target))

    def test_keepalive_by_side(self) -> None:
        door = self.door(tcp={"keepalive": "40s", "client": {"keepalive": "20s"}})
        _, port = self.sides(door)
        # While an acknowledgment is awaited, another timer is shown.
        found = wait_until(lambda: (each := self.timers("sport", port) + self.timers("dport", self.target))
                           and len(each) == 2 and each, "both sides have a timer")
        client, target = found
        self.assertTrue(10 < client <= 20.5 < 30 < target <= 40.5, (client, target))

    def test_without_keepalive_there_is_no_timer(self) -> None:
        door = self.door()
        _, port = self.sides(door)
        self.assertEqual(self.timers("sport", port) + self.timers("dport", self.target), [])

    def test_a_peer_that_vanished_is_noticed_by_keepalive(self) -> None:
        """Its packets are dropped from a moment on; one second of silence and five probes a second apart end it."""
        network = self.enter(Network())
        blue = self.enter(harness.Peer("serve", "blue", "echo", "127.0.0.1:5000", prefix=network.prefix))
        path = f"unix:{self.folder()}/clients.sock"
        self.front_door(listeners=[
            {"name": "main", "bind": path, "blue": [blue.address], "green": ["127.0.0.1:5001"],
             "tcp": {"target": {"keepalive": "1s"}}}], prefix=network.prefix)
        client = self.open_session(path, "blue")
        network.go_silent()
        began = time.monotonic()
        self.assertIn(end_of(client), ("fin", "reset"))
        # What was idle before has counted, too.
        self.assertAfter(time.monotonic() - began, 5, "one second and five probes")

    def test_user_timeout_ends_a_connection_whose_bytes_are_not_acknowledged(self) -> None:
        network = self.enter(Network())
        blue = self.enter(harness.Peer("serve", "blue", "echo", "127.0.0.1:5000", prefix=network.prefix))
        path = f"unix:{self.folder()}/clients.sock"
        door = self.front_door(listeners=[
            {"name": "main", "bind": path, "blue": [blue.address], "green": ["127.0.0.1:5001"],
             "tcp": {"userTimeout": "2s"}}], prefix=network.prefix)
        client = self.open_session(path, "blue")
        self.assertTrue(says_back(client))
        network.go_silent()
        client.sendall(b"nobody hears this")
        # The system's default is a quarter of an hour: nobody waits for that here.
        self.assertIn(end_of(client), ("fin", "reset"))
        door.wait_sessions(0)

    def test_a_congestion_control_that_the_kernel_lacks_is_refused_by_name(self) -> None:
        self.refuses_to_start("main: tcp.congestion:", "no congestion control nonesuch", "tcp_available_congestion_control",
                              tcp={"congestion": "nonesuch"})
        self.refuses_to_start("main: tcp.target.congestion:", tcp={"target": {"congestion": "nonesuch"}})

    def test_a_reload_changes_options_for_new_connections_and_refuses_bad_ones(self) -> None:
        door = self.door()
        old, port = self.sides(door)
        self.reload(door, tcp={"keepalive": "50s"})
        self.assertEqual(port_of(door.address()), port)
        new = self.open_session(door.address(), "blue")
        wait_until(lambda: (len(self.timers("sport", port)), len(self.timers("dport", self.target))) == (1, 1),
                   "the new session has the timer on both sides")
        self.assertTrue(says_back(old) and says_back(new))
        config = door.get("/v1/config")
        self.assertEqual(config["listeners"][0]["tcp"], {"keepalive": "50s"})
        door.settings["listeners"][0]["tcp"] = {"congestion": "nonesuch"}
        door.write_config()
        result = door.ctl("reload")
        self.assertEqual(result.returncode, 1)
        self.assertIn("tcp.congestion", result.stderr)
        self.assertEqual(door.get("/v1/config"), config)
        self.reload(door, tcp={})
        third = self.open_session(door.address(), "blue")
        self.assertTrue(says_back(third))
        # While an acknowledgment is awaited, another timer is shown.
        wait_until(lambda: len(self.timers("sport", port)) == 1, "only the second session has the timer")


class DeferAccept(TCPCase):
    def test_a_session_begins_with_the_first_byte(self) -> None:
        door = self.door(tcp={"deferAccept": True})

        def before_it_is_let_in(client: socket.socket, began: float) -> bool:
            time.sleep(0.3)  # less than the second after which a silent client is let in
            sessions = door.sessions()
            if time.monotonic() > began + 0.9:
                return False
            self.assertEqual(sessions, 0)
            client.sendall(b"hello")
            self.assertEqual(harness.read_exactly(client, 10), b"blue\nhello")
            return True

        self.assertTrue(self.is_soon(door, before_it_is_let_in))

    def is_soon(self, door: harness.FrontDoor, look: Callable[[socket.socket, float], bool]) -> bool:
        """Looks at what happens within a second, with one client after another: on a busy machine that may pass unseen."""
        for _ in range(10):
            began = time.monotonic()
            with connect(door.address()) as client:
                if look(client, began):
                    return True
            door.wait_sessions(0)
        return False

    def is_let_in_at_once(self, door: harness.FrontDoor) -> bool:
        def look(_: socket.socket, began: float) -> bool:
            wait_until(lambda: len(door.get("/v1/sessions")["sessions"]) == 1, "it is accepted")
            return time.monotonic() < began + 0.9

        return self.is_soon(door, look)

    def test_a_silent_client_is_let_in_after_a_second(self) -> None:
        door = self.door(tcp={"deferAccept": True})
        began = time.monotonic()
        self.assertEqual(color_of(door.address()), "blue")
        self.assertAfter(time.monotonic() - began, 1.0, "the kernel asks again")

    def test_off_unless_asked_for(self) -> None:
        for tcp in ({}, {"deferAccept": False}):
            for protocol in ("tcp", "http"):
                door = self.door(tcp=tcp, protocol=protocol)
                self.assertTrue(self.is_let_in_at_once(door))

    def test_clients_that_have_not_spoken_survive_a_reload_that_closes_their_socket(self) -> None:
        door = self.door(tcp={"deferAccept": True}, bind=f"127.0.0.1:{free_port()}")
        clients = [self.client(door.address()) for _ in range(30)]
        self.reload(door, bind=f"127.0.0.1:{free_port()}")
        for client in clients:
            client.sendall(b"late")
            self.assertEqual(harness.read_exactly(client, 9), b"blue\nlate")

    def test_clients_that_have_not_spoken_survive_the_beginning_of_a_stop(self) -> None:
        door = self.door(tcp={"deferAccept": True})
        clients = [self.client(door.address()) for _ in range(30)]
        door.post("/v1/stop")
        for client in clients:
            self.assertEqual(harness.read_line(client), b"blue\n")
            self.assertTrue(says_back(client))

    def test_a_reload_turns_it_off(self) -> None:
        door = self.door(tcp={"deferAccept": True})
        self.reload(door, tcp={"deferAccept": False})
        self.assertTrue(self.is_let_in_at_once(door))


class Sources(TCPCase):
    def peers(self, door: harness.FrontDoor, backend: Backend, count: int) -> list[str]:
        before = len(backend.connections)
        for _ in range(count):
            self.open_session(door.address())
        return [sock.getpeername()[0] for sock in backend.connections[before:]]

    def test_used_in_turn_and_changed_by_a_reload(self) -> None:
        blue, green = self.enter(Backend(tagged("blue"))), self.enter(Backend(tagged("green")))
        door = self.front_door(listeners=[
            {"name": "main", "bind": "127.0.0.1:0", "blue": [blue.address], "green": [green.address],
             "source": ["127.0.0.2", "127.0.0.3"]}])
        peers = self.peers(door, blue, 10)
        self.assertEqual(Counter(peers), {"127.0.0.2": 5, "127.0.0.3": 5})
        self.assertTrue(all(one != next_one for one, next_one in zip(peers, peers[1:])), peers)
        self.assertEqual(door.get("/v1/config")["listeners"][0]["source"], ["127.0.0.2", "127.0.0.3"])
        self.reload(door, source=["127.0.0.4"])
        self.assertEqual(set(self.peers(door, blue, 4)), {"127.0.0.4"})
        del door.settings["listeners"][0]["source"]
        self.reload(door)
        self.assertEqual(set(self.peers(door, blue, 4)), {"127.0.0.1"})

    def test_each_family_has_its_own_turns(self) -> None:
        four, six = self.enter(Backend(tagged("four"))), self.enter(Backend(tagged("six"), "[::1]:0"))
        door = self.front_door(listeners=[
            {"name": "main", "bind": "127.0.0.1:0", "blue": [four.address, six.address], "green": [four.address],
             "source": ["127.0.0.2", "127.0.0.3", "::1"]}])
        for _ in range(12):
            self.open_session(door.address())
        self.assertEqual(Counter(sock.getpeername()[0] for sock in four.connections), {"127.0.0.2": 3, "127.0.0.3": 3})
        self.assertEqual({sock.getpeername()[0] for sock in six.connections}, {"::1"})

    def test_an_address_that_this_machine_lacks_is_refused_by_name(self) -> None:
        self.refuses_to_start("main: source 192.0.2.7:", "no such address", source=["127.0.0.2", "192.0.2.7"])
        door = self.door()
        config = door.get("/v1/config")
        door.settings["listeners"][0]["source"] = ["192.0.2.7"]
        door.write_config()
        result = door.ctl("reload")
        self.assertEqual(result.returncode, 1)
        self.assertIn("192.0.2.7", result.stderr)
        self.assertEqual(door.get("/v1/config"), config)
        self.assertEqual(color_of(door.address()), "blue")

    def served(self, sources: list[str], clients: int) -> int:
        """How many sessions there can be at a time towards one target, with 40 local ports."""
        network = self.enter(Network(ports="40000 40039"))
        blue = self.enter(harness.Peer("serve", "blue", "echo", "127.0.0.1:5000", prefix=network.prefix))
        path = f"unix:{self.folder()}/clients.sock"
        door = self.front_door(listeners=[
            {"name": "main", "bind": path, "blue": [blue.address], "green": ["127.0.0.1:5001"]}
            | ({"source": sources} if sources else {})], prefix=network.prefix, timeouts={"connect": "1s"})
        served = 0
        with contextlib.ExitStack() as stack:
            for task in [Task(harness.session, path) for _ in range(clients)]:
                with contextlib.suppress(OSError):
                    sock, tag = task.result()
                    stack.enter_context(sock)
                    served += tag == "blue" and says_back(sock)
            if served < clients:
                door.wait_line(lambda line: "no free local port" in line, what="the log says that ports are missing")
        return served

    def test_one_address_runs_out_of_ports_and_two_have_twice_as_many(self) -> None:
        self.assertEqual(self.served([], 60), 40)
        self.assertEqual(self.served(["127.0.0.2"], 60), 40)
        self.assertEqual(self.served(["127.0.0.2", "127.0.0.3"], 100), 80)

    def test_an_address_that_goes_away_is_logged_and_the_next_one_used(self) -> None:
        network = self.enter(Network())
        network.ip("address", "add", "10.99.0.5/32", "dev", "lo")
        network.ip("address", "add", "10.99.0.6/32", "dev", "lo")
        blue = self.enter(harness.Peer("serve", "blue", "echo", "127.0.0.1:5000", prefix=network.prefix))
        path = f"unix:{self.folder()}/clients.sock"
        door = self.front_door(listeners=[
            {"name": "main", "bind": path, "blue": [blue.address], "green": ["127.0.0.1:5001"],
             "source": ["10.99.0.5", "10.99.0.6"]}], prefix=network.prefix)
        self.assertEqual([color_of(path) for _ in range(4)], ["blue"] * 4)
        network.ip("address", "delete", "10.99.0.5/32", "dev", "lo")
        self.assertEqual([color_of(path) for _ in range(6)], ["blue"] * 6)
        door.wait_line(lambda line: "10.99.0.5" in line and " warning " in line, what="the log names the address")


class Closing(TCPCase):
    def test_a_client_that_hangs_up_between_requests_leaves_no_time_wait_towards_the_target(self) -> None:
        """Protocol http: the backend has been told by FIN, reads it as the end, and its port here is free at once."""
        ends: list[str] = []
        # One that closes at once may be faster than the front door's own close.
        may_close = threading.Event()
        self._stack.callback(may_close.set)

        def serve(sock: socket.socket) -> None:
            while True:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    data = sock.recv(4096)
                    if not data:
                        ends.append("fin")
                        may_close.wait()
                        return
                    head += data
                sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

        backend = self.enter(Backend(serve))
        door = self.front_door(listeners=[
            {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": [backend.address],
             "green": [backend.address]}])
        for _ in range(50):
            with connect(door.address()) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answer = b""
                while not answer.endswith(b"\r\n\r\nok"):
                    answer += client.recv(4096)
        door.wait_sessions(0)
        self.assertEqual(harness.tcp_sockets(remote_port=port_of(backend.address), state="TIME_WAIT"), 0)
        wait_until(lambda: len(ends) == 50, "the backend sees the end of its connections, and no reset")


class Fairness(TCPCase):
    def test_a_flood_of_connections_does_not_starve_sessions(self) -> None:
        """Thousands of connections a second come and go on one worker; a session answers within a few ticks."""
        blue, green = self.color_peers()
        door = self.front_door(blue.address, green.address, workers=1)
        standing = self.open_session(door.address(), "blue")
        floods = [self.enter(harness.Peer("requests", door.address())) for _ in range(3)]
        times: list[float] = []
        accepted, until = door.status()["colors"]["blue"]["accepted"], time.monotonic() + 3
        while len(times) < 100 or time.monotonic() < until:
            began = time.monotonic()
            self.assertTrue(says_back(standing))
            times.append(time.monotonic() - began)
        wait_until(lambda: door.status()["colors"]["blue"]["accepted"] > accepted + 300, "the flood goes on")
        for flood in floods:
            self.assertEqual([session for session in flood.finish()["sessions"] if session[3]], [])
        # One or another may have met a busy machine.
        self.assertLess(statistics.median(times), 0.5)
