"""Holding: clients wait at the door, none is lost, and no backend knows of them."""

from __future__ import annotations

import json
import os
import signal
import socket
import time

import harness
from harness import BlackHole, Backend, FrontDoor, end_of, port_of, read_line, reset, says_back
from harness import tcp_sockets, wait_until
from web import WebCase

V1, V2 = "App v1\n", "App v2\n"


def greet_and_end(tag: str) -> harness.Handler:
    return lambda sock: sock.sendall(f"{tag}\n".encode())


class HoldCase(WebCase):
    def pause(self, door: FrontDoor, *options: str) -> str:
        answer = door.ctl("pause", *options)
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertEqual(door.status()["phase"], "paused")
        return answer.stdout

    def resume(self, door: FrontDoor) -> str:
        answer = door.ctl("resume")
        self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        self.assertNotEqual(door.status()["phase"], "paused")
        return answer.stdout

    def wait_held(self, door: FrontDoor, count: int) -> None:
        wait_until(lambda: door.status()["held"] == count, f"{count} sessions are held")

    def wait_phase(self, door: FrontDoor, phase: str) -> None:
        wait_until(lambda: door.status()["phase"] == phase, f"the phase is {phase}")

    def http_colors(self, **settings: object) -> tuple[Backend, Backend, FrontDoor]:
        blue, green = self.python("blue", V1), self.python("green", V2)
        return blue, green, self.http_door(blue, green, **settings)


class Pause(HoldCase):
    def test_a_pause_of_two_seconds_under_load_loses_no_request(self) -> None:
        harness.need("wrk")
        blue = self.nginx("blue", V1)
        door = self.http_door(blue, blue)
        load = self.wrk(door.address(), 600)
        self.addCleanup(load.kill)
        self.wait_requests(door, "blue", 500)
        self.assertIn("paused: ", self.pause(door, "--wait", "--max", "1h"))
        # All are held that ask, and at the backend there is nobody.
        self.wait_held(door, 64)
        status = door.status()
        self.assertEqual((status["colors"]["blue"]["sessions"], status["hold"]["inFlight"]), (0, 0))
        port = port_of(blue.address)
        wait_until(lambda: not tcp_sockets(remote_port=port, state="ESTABLISHED"), "no connection to a backend is kept")
        served = self.requests(door)
        began = time.monotonic()
        door.post("/v1/pause", max="2s")
        self.wait_phase(door, "steady")
        self.assertNotBefore(time.monotonic() - began, 2.0, "the longest that the pause may last")
        self.wait_requests(door, "blue", served + 500)
        self.assertEqual((door.status()["held"], door.status()["hold"]), (0, None))
        load.send_signal(signal.SIGINT)
        requests, errors = self.wrk_result(load)
        self.assertEqual(sum(errors.values()), 0, f"{errors} of {requests}")

    def test_a_pause_under_load_of_new_sessions_loses_none(self) -> None:
        blue, green = self.color_peers("hello")
        door = self.front_door(blue.address, green.address)
        storms = [self.enter(harness.Peer("storm", door.address())) for _ in range(3)]
        wait_until(lambda: door.status()["colors"]["blue"]["accepted"] > 50, "the load is there")
        for _ in range(3):
            self.pause(door, "--wait")
            self.wait_held(door, 3)
            before = door.status()["colors"]["blue"]["accepted"]
            self.resume(door)
            wait_until(lambda: door.status()["colors"]["blue"]["accepted"] > before + 50, "it goes on")
        sessions = [session for storm in storms for session in storm.finish()["sessions"]]
        self.assertEqual([session for session in sessions if session[3]], [], f"of {len(sessions)} sessions")
        self.assertGreater(len(sessions), 150)

    def test_pause_returns_at_once_and_with_wait_when_nothing_is_in_flight(self) -> None:
        blue, green, door = self.http_colors()
        client = self.asker(door.address())
        client.ask("/?until=go")
        self.wait_requests(door, "blue", 1)
        self.assertIn("1 in flight", self.pause(door))
        self.assertEqual(door.status()["hold"]["inFlight"], 1)
        waiting = door.start_ctl("pause", "--wait")
        self.addCleanup(waiting.kill)
        wait_until(lambda: len(door.events("pause")) == 2, "it waits")
        self.assertIsNone(waiting.poll(), "for the answer that runs")
        (self.place / "go").touch()
        answer, errors = waiting.communicate(timeout=harness.PATIENCE)
        self.assertEqual(waiting.returncode, 0, errors)
        self.assertIn("nothing in flight", answer)
        self.assertEqual(client.answer().text, V1, "it was not touched")
        self.resume(door)
        self.assertEqual(client.get(), V1)

    def test_with_tcp_open_sessions_go_on_and_new_ones_wait_without_a_backend(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        old = self.open_session(door.address(), "blue")
        self.pause(door)
        new = self.client(door.address())
        new.sendall(b"early\n")
        self.wait_held(door, 1)
        self.assertTrue(says_back(old))
        self.assertEqual(len(blue.connections), 1)
        states = {session["state"]: session for session in door.get("/v1/sessions")["sessions"]}
        self.assertEqual(set(states), {"open", "held"})
        self.assertEqual((states["held"]["color"], states["held"]["target"]), (None, ""))
        waiting = door.start_ctl("pause", "--wait")
        old.close()
        output, errors = waiting.communicate(timeout=harness.PATIENCE)
        self.assertEqual(waiting.returncode, 0, errors)
        self.assertIn("1 session held, nothing in flight", output)
        self.resume(door)
        self.assertEqual(harness.read_exactly(new, 11), b"blue\nearly\n", "what it has sent is not lost")

    def test_idle_keep_alive_clients_park_and_survive_a_pause_that_is_longer_than_a_client_waits(self) -> None:
        blue, green, door = self.http_colors(timeouts={"hold": "300ms"})
        clients = [self.asker(door.address()) for _ in range(10)]
        self.assertEqual({client.get() for client in clients}, {V1})
        self.pause(door, "--wait", "--max", "1h")
        wait_until(lambda: door.status()["parked"] == 10, "all are parked")
        self.assertEqual((door.status()["held"], door.sessions("blue")), (0, 0))
        time.sleep(1)  # the pause
        self.resume(door)
        self.assertEqual({client.get() for client in clients}, {V1})


class Release(HoldCase):
    """With one worker there is one order."""

    def test_held_sessions_go_on_in_the_order_of_their_arrival(self) -> None:
        names: dict[socket.socket, int] = {}

        def name(sock: socket.socket) -> None:
            names[sock] = int(read_line(sock))
            sock.sendall(b"ok\n")

        blue = self.enter(Backend(name))
        door = self.front_door(blue.address, blue.address, arguments=("--workers", "1"))
        self.pause(door)
        clients = []
        for number in range(100):
            clients.append(self.client(door.address()))
            clients[-1].sendall(f"{number}\n".encode())
        self.wait_held(door, 100)
        self.assertIn("100 sessions waited", self.resume(door))
        self.assertEqual({read_line(client) for client in clients}, {b"ok\n"})
        self.assertEqual([names[sock] for sock in blue.connections], list(range(100)))

    def test_held_requests_go_on_in_the_order_of_their_arrival(self) -> None:
        paths: dict[socket.socket, str] = {}

        def name(sock: socket.socket) -> None:
            paths[sock] = read_line(sock).split()[1].decode()
            while read_line(sock) != b"\r\n":
                pass
            sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")

        blue = self.enter(Backend(name))
        door = self.http_door(blue, blue, workers=1, timeouts={"hold": "10m"})
        self.pause(door)
        # In another order than that of their connections.
        clients = [self.asker(door.address()) for _ in range(60)]
        for number, client in enumerate(reversed(clients)):
            client.ask(f"/{number}")
            self.wait_held(door, number + 1)
        self.resume(door)
        self.assertEqual({client.answer().text for client in clients}, {"ok"})
        self.assertEqual([paths[sock] for sock in blue.connections], [f"/{number}" for number in range(60)])

    def test_who_comes_while_others_still_go_on_waits_behind_them(self) -> None:
        names: dict[socket.socket, int] = {}

        def name(sock: socket.socket) -> None:
            names[sock] = int(read_line(sock))
            # Silent for a moment, so that it takes a while until all have gone on.
            time.sleep(0.2)
            sock.sendall(b"ok\n")

        blue = self.enter(Backend(name))
        door = self.front_door(blue.address, blue.address, arguments=("--workers", "1"))
        self.pause(door)
        clients = []
        for number in range(400):
            if number == 300:
                self.wait_held(door, 300)
                door.post("/v1/resume")
            clients.append(self.client(door.address()))
            clients[-1].sendall(f"{number}\n".encode())
        self.assertEqual({read_line(client) for client in clients}, {b"ok\n"})
        self.assertEqual([names[sock] for sock in blue.connections], list(range(400)))

    def test_a_hold_time_that_ends_while_they_go_on_does_not_let_all_loose(self) -> None:
        """Towards a target that takes no connection eight go on in a quarter of a second, and no more when all have waited
        for as long as anybody does."""
        hole = self.enter(BlackHole())
        door = self.front_door(hole.address, hole.address, arguments=("--workers", "2"),
                               timeouts={"hold": "4s", "connect": "1m"})
        self.pause(door, "--max", "1h")
        clients = [self.client(door.address()) for _ in range(200)]
        connected = time.monotonic()
        self.wait_held(door, len(clients))
        began = time.monotonic()
        door.post("/v1/resume")
        while time.monotonic() < connected + 4.8:
            held = door.status()["held"]
            least = len(clients) - 16 - 32 * (time.monotonic() - began)
            self.assertGreaterEqual(held, least, f"{time.monotonic() - connected:.2f} s after the last of them came")
            time.sleep(0.05)

    def test_thousands_that_wait_are_all_served_by_a_server_with_the_usual_backlog(self) -> None:
        blue = self.nginx("blue", V1, backlog=511)
        door = self.http_door(blue, blue, timeouts={"hold": "10m"})
        self.pause(door)
        count = harness.scaled(2000, 8000)
        clients = []
        while len(clients) < count:
            for _ in range(min(500, count - len(clients))):
                clients.append(self.asker(door.address()))
                clients[-1].ask()
            self.wait_held(door, len(clients))
        self.resume(door)
        self.assertEqual({client.answer().text for client in clients}, {V1})
        colors = door.status()["colors"]["blue"]
        self.assertEqual((colors["connectFailures"], colors["requests"]), (0, count))

    def test_a_server_with_a_short_backlog_is_not_overrun(self) -> None:
        """Where the server speaks first, a connection that its full backlog has dropped would be silent for ever."""
        blue = self.enter(Backend(greet_and_end("blue"), backlog=64))
        door = self.front_door(blue.address, blue.address, timeouts={"hold": "10m"})
        self.pause(door)
        clients = []
        while len(clients) < 2000:
            clients += [self.client(door.address()) for _ in range(500)]
            self.wait_held(door, len(clients))
        self.resume(door)
        self.assertEqual({read_line(client) for client in clients}, {b"blue\n"})

    def test_a_server_that_answers_slowly_does_not_keep_the_others_waiting(self) -> None:
        blue, green, door = self.http_colors(timeouts={"hold": "10m"})
        self.pause(door)
        clients = [self.asker(door.address()) for _ in range(400)]
        for client in clients:
            client.ask("/?until=go")
        self.wait_held(door, len(clients))
        self.resume(door)
        # None has been answered when the last one is at the server.
        self.wait_requests(door, "blue", len(clients))
        (self.place / "go").touch()
        self.assertEqual({client.answer().text for client in clients}, {V1})

    def test_a_switch_in_a_pause_applies_to_all_that_are_held(self) -> None:
        blue, green = self.python("blue", V1), self.python("green", V2)
        tcp = self.colors()
        door = self.front_door(listeners=[
            {"name": "web", "bind": "127.0.0.1:0", "protocol": "http", "blue": [blue.address],
             "green": [green.address]},
            {"name": "tcp", "bind": "127.0.0.1:0", "protocol": "tcp", "blue": [tcp[0].address],
             "green": [tcp[1].address]}])
        web = [self.asker(door.address("web")) for _ in range(20)]
        self.assertEqual({client.get() for client in web}, {V1})
        self.pause(door, "--wait")
        for client in web:
            client.ask()
        raw = [self.client(door.address("tcp")) for _ in range(20)]
        self.wait_held(door, 40)
        answer = door.ctl("switch", "green")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        status = door.status()
        self.assertEqual((status["active"], status["phase"], status["held"]), ("green", "paused", 40))
        self.resume(door)
        self.assertEqual({client.answer().text for client in web}, {V2})
        self.assertEqual({read_line(client) for client in raw}, {b"green\n"})
        self.assertEqual((len(tcp[0].connections), door.sessions("blue")), (0, 0))
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["heldMilliseconds"]), (0, 0), "nothing was open any more")


class Limits(HoldCase):
    def test_a_held_http_client_is_told_503_and_when_to_come_again(self) -> None:
        blue, green, door = self.http_colors(timeouts={"hold": "1s"})
        client = self.asker(door.address())
        self.assertEqual(client.get(), V1)
        self.pause(door)
        began = time.monotonic()
        client.ask()
        answer = client.answer()
        self.assertNotBefore(time.monotonic() - began, 1.0, "the hold time")
        self.assertEqual((answer.status, answer.getheader("Connection")), (503, "close"))
        self.assertGreaterEqual(int(answer.getheader("Retry-After")), 1)
        self.assertEqual(end_of(client.socket), "fin")
        self.wait_held(door, 0)
        door.wait_sessions(0)
        self.resume(door)
        self.assertEqual(self.asker(door.address()).get(), V1)

    def test_a_held_tcp_client_is_closed_when_it_has_waited_long_enough(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, timeouts={"hold": "1s"})
        self.pause(door)
        began = time.monotonic()
        client = self.client(door.address())
        self.assertEqual(end_of(client), "fin")
        self.assertNotBefore(time.monotonic() - began, 1.0, "the hold time")
        self.wait_held(door, 0)
        self.assertEqual(len(blue.connections), 0)
        self.assertEqual(door.status()["phase"], "paused", "the pause itself goes on")

    def test_held_sessions_are_bounded_by_the_session_limit_and_the_others_wait_in_the_backlog(self) -> None:
        blue = self.enter(Backend(greet_and_end("blue")))
        door = self.front_door(blue.address, blue.address, limits={"sessions": 8})
        self.pause(door)
        clients = [self.client(door.address()) for _ in range(20)]
        self.wait_held(door, 8)
        door.wait_line(lambda line: "session limit is reached" in line, what="the limit is told")
        self.assertEqual(door.status()["held"], 8)
        self.resume(door)
        for client in clients:
            self.assertEqual(read_line(client), b"blue\n")
            client.close()

    def test_held_sessions_hold_no_descriptor_but_their_own(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.pause(door)
        before = door.descriptors_open()
        clients = [self.client(door.address()) for _ in range(200)]
        self.wait_held(door, 200)
        self.assertLessEqual(door.descriptors_open() - before, 200 + 2)
        for client in clients:
            reset(client)
        self.wait_held(door, 0)
        door.wait_descriptors(before + 2)

    def test_a_client_that_leaves_while_it_is_held_reaches_no_backend(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.pause(door)
        leaving, staying = self.client(door.address()), self.client(door.address())
        self.wait_held(door, 2)
        reset(leaving)
        self.wait_held(door, 1)
        self.resume(door)
        self.assertEqual(read_line(staying), b"blue\n")
        self.assertEqual(len(blue.connections), 1)

    def test_clients_that_hang_up_without_a_word_take_nobodys_place(self) -> None:
        """As the checks of a load balancer do."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, limits={"sessions": 5})
        self.pause(door)
        for _ in range(20):
            self.client(door.address()).close()
        client = self.client(door.address())
        self.wait_held(door, 1)
        self.resume(door)
        self.assertEqual(read_line(client), b"blue\n")
        self.assertEqual(len(blue.connections), 1)

    def test_a_request_whose_client_has_half_closed_is_served_after_the_pause(self) -> None:
        blue, green, door = self.http_colors()
        self.pause(door)
        client = self.client(door.address())
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        self.wait_held(door, 1)
        self.resume(door)
        self.assertRegex(harness.read_all(client).decode(), r"(?s)\AHTTP/1\.1 200 .*App v1\n\Z")

    def test_what_a_tcp_client_has_sent_before_it_half_closed_arrives_after_the_pause(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        self.pause(door)
        client = self.client(door.address())
        client.sendall(b"x" * 10000)
        client.shutdown(socket.SHUT_WR)
        self.wait_held(door, 1)
        self.resume(door)
        self.assertEqual(harness.read_all(client), b"blue\n" + b"x" * 10000)


class Operator(HoldCase):
    def door(self, **settings: object) -> FrontDoor:
        self.blue, self.green = self.colors()
        return self.front_door(self.blue.address, self.green.address, **settings)

    def test_when_a_client_that_waits_for_quiet_is_killed_traffic_resumes(self) -> None:
        door = self.door()
        running = self.open_session(door.address(), "blue")
        waiting = door.start_ctl("pause", "--wait", "--max", "1h")
        self.wait_phase(door, "paused")
        new = self.client(door.address())
        self.wait_held(door, 1)
        waiting.send_signal(signal.SIGKILL)
        waiting.communicate()
        self.assertEqual(read_line(new), b"blue\n")
        self.assertEqual(door.status()["phase"], "steady")
        self.assertTrue(says_back(running))
        door.wait_line(lambda line: "resume" in line and "gone" in line, what="the reason is in the log")

    def test_a_pause_that_several_wait_in_ends_with_the_last_of_them(self) -> None:
        door = self.door()
        self.open_session(door.address(), "blue")
        first, second = (door.start_ctl("pause", "--wait", "--max", "1h") for _ in range(2))
        wait_until(lambda: len(door.events("pause")) == 2, "both wait")
        for process, phase in ((first, "paused"), (second, "steady")):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            self.wait_phase(door, phase)

    def test_a_pause_that_somebody_wants_outlives_a_client_that_waits_in_it(self) -> None:
        door = self.door()
        self.open_session(door.address(), "blue")
        self.pause(door)
        waiting = door.start_ctl("pause", "--wait", "--max", "1h")
        wait_until(lambda: len(door.events("pause")) == 2, "it waits")
        waiting.send_signal(signal.SIGKILL)
        waiting.communicate()
        client = self.client(door.address())
        self.wait_held(door, 1)
        self.assertEqual(door.status()["phase"], "paused")
        self.resume(door)
        self.assertEqual(read_line(client), b"blue\n")

    def test_a_stop_while_a_pause_begins_lets_the_traffic_go_on(self) -> None:
        """Both are on their way while the front door stands still, so that either may come first."""
        blue, green = self.python("blue", V1), self.python("green", V2)
        for _ in range(5):
            door = self.http_door(blue, green, drain={"timeout": "10m", "spread": "1s"})
            client = self.asker(door.address())
            self.assertEqual(client.get(), V1)
            door.signal(signal.SIGSTOP)
            pausing = door.start_ctl("pause")
            wait_until(lambda: harness.waits_for_answer(pausing), "the pause was asked for")
            client.ask()
            door.signal(signal.SIGTERM)
            door.signal(signal.SIGCONT)
            self.assertEqual(client.answer().text, V1, "long before the drain's deadline")
            self.assertEqual(door.wait_exit(), 0)
            pausing.communicate()

    def test_watchers_are_told_of_a_pause_and_of_its_end(self) -> None:
        door = self.door()
        watching = door.start_ctl("watch", "--json")
        self.addCleanup(watching.communicate)
        self.addCleanup(watching.kill)
        wait_until(lambda: "bgproxy_event_readers 1" in door.get("/metrics").decode(), "it watches")
        for verb in ("pause", "resume"):
            self.assertEqual(door.ctl(verb).returncode, 0)
        events = [json.loads(watching.stdout.readline())["event"] for _ in range(2)]
        self.assertEqual(events, ["pause", "resume"])

    def test_a_pause_whose_client_did_not_wait_outlives_it(self) -> None:
        door = self.door()
        self.pause(door, "--wait")
        client = self.client(door.address())
        self.wait_held(door, 1)
        self.assertEqual(door.status()["phase"], "paused")
        self.resume(door)
        self.assertEqual(read_line(client), b"blue\n")

    def test_wait_says_what_was_still_running_when_the_pause_ends_before(self) -> None:
        door = self.door()
        self.open_session(door.address(), "blue")
        answer = door.ctl("pause", "--wait", "--max", "1s")
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.assertIn("1 session", answer.stderr)
        self.assertIn(self.blue.address, answer.stderr)
        self.assertEqual(door.status()["phase"], "steady")

    def test_a_second_pause_decides_how_long_it_lasts(self) -> None:
        door = self.door()
        self.pause(door, "--max", "1h")
        client = self.client(door.address())
        self.wait_held(door, 1)
        first = door.status()["hold"]
        began = time.monotonic()
        second = door.post("/v1/pause", max="1s")["hold"]
        self.assertEqual(first["since"], second["since"])
        self.assertLess(second["until"], first["until"])
        self.assertEqual(read_line(client), b"blue\n")
        self.assertNotBefore(time.monotonic() - began, 1.0, "the shorter time")

    def test_resume_without_a_pause_says_so_and_changes_nothing(self) -> None:
        door = self.door()
        self.assertIn("not paused", self.resume(door))
        self.assertEqual(door.admin("POST", "/v1/resume", {})[0], 200)
        self.assertEqual(harness.color_of(door.address()), "blue")

    def test_impossible_times_are_refused(self) -> None:
        door = self.door()
        self.assertEqual(door.ctl("pause", "--max", "soon").returncode, 2)
        for time_text in ("", "0s", "-1s", "soon"):
            status, answer = door.admin("POST", "/v1/pause", {"max": time_text})
            self.assertEqual(status, 400, answer)
        self.assertEqual(door.status()["phase"], "steady")

    def test_status_tells_of_the_pause_to_people_and_programs(self) -> None:
        door = self.door()
        self.pause(door, "--max", "1m")
        self.client(door.address())
        self.wait_held(door, 1)
        hold = door.status()["hold"]
        self.assertEqual((hold["inFlight"], hold["handover"], hold["by"]["uid"]), (0, None, os.geteuid()))
        self.assertAlmostEqual(harness.wall_time(hold["until"]) - harness.wall_time(hold["since"]), 60, delta=1)
        text = door.ctl("status").stdout
        self.assertIn("paused", text)
        self.assertIn("1 session held", text)
        self.resume(door)
        self.assertIsNone(door.status()["hold"])

    def test_a_stop_ends_the_pause_and_serves_all_that_were_held(self) -> None:
        blue, green, door = self.http_colors(drain={"timeout": "10m", "spread": "0s"})
        clients = [self.asker(door.address()) for _ in range(30)]
        self.pause(door, "--max", "1h")
        for client in clients:
            client.ask()
        self.wait_held(door, 30)
        door.signal(signal.SIGTERM)
        self.assertEqual({client.answer().text for client in clients}, {V1})
        self.assertEqual({end_of(client.socket) for client in clients}, {"fin"})
        self.assertEqual(door.wait_exit(), 0)

    def test_no_pause_begins_while_the_front_door_stops(self) -> None:
        door = self.door(drain={"timeout": "1m", "spread": "0s"})
        self.open_session(door.address(), "blue")
        door.signal(signal.SIGTERM)
        self.wait_phase(door, "stopping")
        self.assertEqual(door.admin("POST", "/v1/pause", {})[0], 409)
        self.assertEqual(door.ctl("pause").returncode, 1)
        door.stop()

    def test_a_front_door_that_is_killed_in_a_pause_serves_again_after_its_start(self) -> None:
        door = self.door()
        self.pause(door, "--max", "1h")
        door.kill()
        door.start()
        self.assertEqual((door.status()["phase"], harness.color_of(door.address())), ("steady", "blue"))

    def test_preview_listeners_are_served_in_a_pause(self) -> None:
        blue, green = self.python("blue", V1), self.python("green", V2)
        door = self.http_door(blue, green, preview="127.0.0.1:0")
        before = self.asker(door.preview())
        self.assertEqual(before.get(), V2)
        self.pause(door, "--wait")
        self.assertEqual((before.get(), self.asker(door.preview()).get()), (V2, V2))
        door.switch("green")
        self.assertEqual(before.get(), V1, "the idle color, at each request")
