"""Protocol http: clients that keep their connection move between two requests. Scenario 33."""

from __future__ import annotations

import re
import socket
import subprocess
import threading

import harness
from harness import PATIENCE, find_program, need, port_of, read_line, tcp_sockets, wait_until
from scripted import Client, ScriptedCase, sha


class Moving(ScriptedCase):
    def test_33_each_answer_after_a_switch_is_the_new_colors_on_the_same_connection(self):
        door = self.door(*self.colors())
        client = self.client(door)
        port = client.port
        for round in range(10):
            color = ("blue", "green")[round % 2]
            for _ in range(3):
                self.assertEqual(client.color(), color)
            door.switch(("green", "blue")[round % 2])
        self.assertEqual(client.port, port)

    def test_an_idle_client_moves_at_once_and_leaves_no_backend_connection_behind(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        clients = [self.client(door) for _ in range(20)]
        for client in clients:
            self.assertEqual(client.color(), "blue")
        self.assertEqual(self.counts(door, "blue")["idle"], 20)
        door.switch("green")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"]), (20, 20))
        status = door.status()
        self.assertEqual((status["parked"], status["phase"]), (20, "steady"))
        self.assertEqual(status["colors"]["blue"]["sessions"] + status["colors"]["green"]["sessions"], 0)
        wait_until(lambda: not tcp_sockets(remote_port=port_of(blue.address), state="ESTABLISHED"),
                   "no connection to blue is left")
        for client in clients:
            self.assertEqual(self.state(door, client), "parked")
            self.assertEqual(client.color(), "green")

    def test_a_client_that_has_not_asked_yet_has_no_backend(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.wait_state(door, client, "parked")
        self.assertEqual((blue.connections, green.connections), ([], []))
        door.switch("green")
        self.assertEqual(client.color(), "green")
        self.assertEqual(blue.connections, [])

    def test_a_running_answer_ends_on_the_old_color_and_the_next_request_goes_to_the_new_one(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.send("GET", "/gate")
        blue.wait_at_gate()
        receipt = door.switch("green")["lastSwitch"]
        self.assertEqual((receipt["open"], receipt["remaining"]), (1, 1))
        self.assertEqual(self.state(door, client), "busy")
        with Client(door.address()) as other:
            self.assertEqual(other.color(), "green", "new work never waits for the old color")
        self.assertEqual(self.counts(door, "blue")["draining"], 1)
        blue.gate.set()
        self.assertEqual(client.answer().body, b"blue")
        receipt = door.settled()
        self.assertEqual((receipt["moved"], receipt["ended"]), (1, 0), "empty as soon as its last answer has ended")
        self.assertEqual(client.color(), "green")

    def test_a_slow_upload_ends_on_the_old_color(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        body = b"x" * 100_000
        client.sock.sendall(b"POST /sum HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + body[:50_000])
        wait_until(lambda: self.state(door, client) == "busy", "the upload has begun")
        door.switch("green")
        client.sock.sendall(body[50_000:])
        answer = client.answer()
        self.assertEqual((answer.body, answer.fields["x-sum"]), (b"blue", sha(body)))
        self.assertEqual(client.color(), "green")

    def test_pipelined_requests_are_answered_in_order_and_those_behind_the_switch_by_the_new_color(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.send("GET", "/gate")
        blue.wait_at_gate()
        door.switch("green")
        for number in range(10):
            client.send("GET", f"/n{number}")
        blue.gate.set()
        self.assertEqual([client.answer().body for _ in range(11)], [b"blue"] + [b"green"] * 10)
        self.assertEqual(green.paths, [f"/n{number}" for number in range(10)])
        self.assertEqual(blue.paths, ["/gate"])

    def test_a_client_that_pipelines_without_pause_moves_too(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        stopped, turn = threading.Event(), threading.Lock()
        sent, answers = [0], []
        room = threading.Semaphore(16)

        def ask() -> None:
            while not stopped.is_set():
                room.acquire(timeout=PATIENCE)
                with turn:
                    if stopped.is_set():
                        return
                    sent[0] += 1
                client.send("GET", f"/n{sent[0] - 1}")

        def read() -> None:
            while not stopped.is_set() or len(answers) < sent[0]:
                answers.append(client.answer().body.decode())
                room.release()

        asking, reading = harness.Task(ask), harness.Task(read)
        for color in ["green", "blue"] * 5:
            wait_until(lambda: len(answers) > 50, "answers come")
            door.switch(color)
            behind = sent[0] + 1
            wait_until(lambda: len(answers) > behind + 20, "answers come")
            self.assertEqual(set(answers[behind:behind + 20]), {color})
        with turn:
            stopped.set()  # from here on the number is final
        room.release()
        asking.result()
        reading.result()
        self.assertEqual(len(answers), sent[0])
        numbers = sorted(int(path[2:]) for backend in (blue, green) for path in backend.paths)
        self.assertEqual(numbers, list(range(sent[0])), "each request has reached one backend, once")

    def test_more_requests_than_may_wait_are_taken_as_answers_come(self):
        door = self.door(*self.colors())
        client = self.client(door)
        count = 500
        client.sock.sendall(b"".join(b"GET /n%d HTTP/1.1\r\nHost: x\r\n\r\n" % n for n in range(count)))
        self.assertEqual([client.answer().body for _ in range(count)], [b"blue"] * count)

    def test_the_receipt_counts_what_moved_and_what_ended(self):
        blue, green = self.colors()
        door = self.door(blue, green, drain={"timeout": "10m", "spread": "0s"})
        idle, busy, cut = self.client(door), self.client(door), self.client(door)
        self.assertEqual(idle.color(), "blue")
        for client in (busy, cut):
            client.send("GET", "/gate")
            blue.wait_at_gate()
        door.switch("green")
        harness.reset(busy.sock)
        wait_until(lambda: door.receipt()["ended"] == 1, "one has left")
        door.post("/v1/drain", now=True)
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"], receipt["ended"], receipt["cut"]), (3, 1, 1, 1))
        self.assertEqual(cut.end(), "reset")

    def test_a_rollback_returns_what_still_runs(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.send("GET", "/gate")
        blue.wait_at_gate()
        door.switch("green")
        door.rollback()
        receipt = door.history()[-2]
        self.assertEqual((receipt["open"], receipt["returned"]), (1, 1))
        blue.gate.set()
        self.assertEqual(client.answer().body, b"blue")
        self.assertEqual(client.color(), "blue")
        self.assertEqual(len(blue.connections), 1, "it has kept its backend")

    def test_preview_listeners_choose_the_idle_color_at_each_request(self):
        door = self.door(*self.colors(), preview="127.0.0.1:0")
        client = self.client(door.preview())
        for color in ("green", "blue", "green"):
            self.assertEqual(client.color(), color)
            door.switch(color)
        self.assertEqual(door.receipt()["open"], 0, "previews are in no receipt")

    def test_requests_are_counted_for_the_color_that_answered(self):
        door = self.door(*self.colors())
        counts = {"blue": 0, "green": 0}
        clients = [self.client(door) for _ in range(3)]
        for color in ["blue", "green", "blue"]:
            door.switch(color)
            for client in clients:
                for _ in range(4):
                    counts[client.color()] += 1
        self.assertEqual({color: self.counts(door, color)["requests"] for color in counts}, counts)
        self.assertEqual(sum(counts.values()), 36)

    def test_a_front_door_that_stops_ends_its_sessions_between_two_requests(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        idle, parked, busy = self.client(door), self.client(door), self.client(door)
        self.assertEqual(idle.color(), "blue")
        busy.send("GET", "/gate")
        blue.wait_at_gate()
        self.wait_state(door, parked, "parked")
        door.signal(15)
        self.assertEqual((idle.end(), parked.end()), ("fin", "fin"))
        blue.gate.set()
        self.assertEqual(busy.answer().body, b"blue")
        self.assertEqual(busy.end(), "fin")
        self.assertEqual(door.wait_exit(), 0)

    def test_a_client_that_half_closes_gets_its_answers_and_then_the_end(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.send("GET", "/gate")
        client.send("GET", "/")
        client.sock.shutdown(1)
        blue.wait_at_gate()
        blue.gate.set()
        self.assertEqual([client.answer().body for _ in range(2)], [b"blue", b"blue"])
        self.assertEqual(client.end(), "fin")
        door.wait_sessions(0)

    def test_sessions_say_what_they_are_doing(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.wait_state(door, client, "parked")
        client.send("GET", "/gate")
        blue.wait_at_gate()
        self.assertEqual(self.state(door, client), "busy")
        blue.gate.set()
        client.answer()
        self.assertEqual(self.state(door, client), "idle")
        self.assertIn(b"blue", client.ask("GET", "/upgrade", "Connection: upgrade", "Upgrade: echo").body or b"blue")
        self.assertEqual(self.state(door, client), "opaque")
        counts = self.counts(door, "blue")
        self.assertEqual((counts["idle"], counts["busy"], counts["opaque"]), (0, 0, 1))
        entry = next(s for s in door.get("/v1/sessions")["sessions"] if s["state"] == "opaque")
        self.assertIn("upgraded", entry["opaque"])


class Messages(ScriptedCase):
    """Each kind of message is whole, and its end is known: a switch in between moves the client."""

    def check(self, method: str = "GET", path: str = "/", *fields: str, body: bytes | None = None,
              text: bytes | None = None, version: str = "1.1"):
        door = self.door(*self.colors())
        client = self.client(door)
        for color in ("blue", "green"):
            door.switch(color)
            answer = client.ask(method, path, *fields, body=body, version=version)
            while 100 <= answer.status < 200:
                answer = client.answer(method)
            self.assertEqual(answer.body, color.encode() if text is None else text)
            self.assertEqual(self.state(door, client), "idle")
        return door, client

    def test_head(self):
        self.check("HEAD", text=b"")

    def test_204(self):
        self.check(path="/204", text=b"")

    def test_304(self):
        self.check(path="/304", text=b"")

    def test_interim_answers(self):
        self.check(path="/interim")

    def test_a_body_with_a_length(self):
        self.check("POST", "/sum", body=b"GET / HTTP/1.1\r\n\r\n" * 10_000)

    def test_a_body_of_which_nothing_is_sent_before_100(self):
        door = self.door(*self.colors())
        client = self.client(door)
        for color in ("blue", "green"):
            door.switch(color)
            client.sock.sendall(b"POST /sum HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
            self.assertEqual(client.answer().status, 100)
            client.sock.sendall(b"hello")
            answer = client.answer()
            self.assertEqual((answer.body.decode(), answer.fields["x-sum"]), (color, sha(b"hello")))

    def test_chunks_both_ways_with_trailers(self):
        door = self.door(*self.colors())
        client = self.client(door)
        for color in ("blue", "green"):
            door.switch(color)
            client.sock.sendall(b"POST /chunked HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                                b"5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nX-End: yes\r\n\r\n")
            answer = client.answer()
            self.assertEqual((answer.body.decode(), answer.trailers), (color, {"x-sum": "1"}))
            self.assertEqual(self.state(door, client), "idle")

    def test_http_1_0_with_keep_alive(self):
        # The server says HTTP/1.1, so it keeps the connection, and the client has asked for that.
        self.check("GET", "/", "Connection: keep-alive", version="1.0")

    def test_http_1_0_without_keep_alive_ends_with_the_backend(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.ask("GET", "/close", version="1.0").body, b"blue")
        self.assertEqual(client.end(), "fin")

    def test_an_answer_that_is_read_until_close(self):
        door = self.door(*self.colors())
        client = self.client(door)
        self.assertEqual(client.ask("GET", "/until-close").body, b"blue" * 1000)
        self.assertEqual(client.end(), "fin")

    def test_an_answer_that_says_close_ends_the_connection(self):
        door = self.door(*self.colors())
        client = self.client(door)
        self.assertEqual(client.ask("GET", "/close").body, b"blue")
        self.assertEqual(client.end(), "fin")

    def test_requests_behind_the_last_one_are_nobodys_and_end_with_it(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.sock.sendall(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n" + b"GET /late HTTP/1.1\r\n\r\n" * 3)
        self.assertEqual(client.answer().body, b"blue")
        self.assertEqual(client.end(), "fin")
        client.sock.close()
        door.wait_sessions(0)
        wait_until(lambda: not door.get("/v1/sessions")["sessions"], "no session is left")
        self.assertEqual(blue.paths, ["/"])

    def test_an_early_answer_leaves_the_upload_with_its_backend(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        client.sock.sendall(b"POST /early HTTP/1.1\r\nContent-Length: 10\r\n\r\nhello")
        self.assertEqual(client.answer().status, 413)
        door.switch("green")
        self.assertEqual(self.state(door, client), "busy")
        client.sock.sendall(b"world")
        self.assertEqual(client.color(), "green")
        self.assertEqual(blue.paths, ["/early"])

    def test_an_upgrade_stays_with_its_color_and_drains_as_tcp_does(self):
        blue, green = self.colors()
        door = self.door(blue, green, drain={"timeout": "10m", "spread": "0s"})
        client = self.client(door)
        client.send("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo")
        self.assertEqual(client.answer().status, 101)
        self.assertEqual(read_line(client.sock), b"blue\n")
        door.switch("green")
        client.sock.sendall(b"still here\n")
        self.assertEqual(read_line(client.sock), b"still here\n")
        door.post("/v1/drain", now=True)
        self.assertEqual(door.settled()["cut"], 1)
        self.assertEqual(client.end(), "reset")

    def test_a_tunnel_of_connect_is_opaque(self):
        door = self.door(*self.colors())
        client = self.client(door)
        client.send("CONNECT", "host:443")
        self.assertEqual(harness.read_line(client.sock), b"HTTP/1.1 200 Connected\r\n")
        self.assertEqual(harness.read_line(client.sock), b"\r\n")
        self.assertEqual(read_line(client.sock), b"blue\n")
        client.sock.sendall(b"GET / HTTP/1.1\r\n")
        self.assertEqual(read_line(client.sock), b"GET / HTTP/1.1\r\n")
        self.assertEqual(self.state(door, client), "opaque")

    def test_what_is_not_http_goes_through_as_it_is(self):
        peer = self.enter(harness.Backend(harness.echo))
        door = self.door(peer, f"127.0.0.1:{harness.free_port()}")
        client = self.client(door)
        client.sock.sendall(b"\x16\x03\x01\x02\x00garbage\n")
        self.assertEqual(read_line(client.sock), b"\x16\x03\x01\x02\x00garbage\n")
        self.assertEqual(self.state(door, client), "opaque")


class BackendsThatClose(ScriptedCase):
    def test_an_idle_backend_that_closes_costs_the_client_nothing(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        for round in range(3):
            self.assertEqual(client.color(), "blue")
            blue.connections[round].shutdown(socket.SHUT_RDWR)
            self.wait_state(door, client, "parked")
        self.assertEqual(len(blue.connections), 3)
        self.assertEqual(self.counts(door, "blue")["idleCloses"], 3)
        self.assertEqual(self.counts(door, "blue")["retries"], 0)

    def test_a_get_that_is_caught_by_the_close_is_sent_again_once(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        for path in ("/quit", "/reset"):
            # The second time it meets a fresh connection, where a close is an answer.
            client.send("GET", path)
            self.assertIn(client.end(), ("fin", "reset"))
            self.assertEqual(blue.paths.count(path), 2)
            client = self.client(door)
            self.assertEqual(client.color(), "blue")
        self.assertEqual(self.counts(door, "blue")["retries"], 2)

    def test_a_get_that_is_caught_by_the_close_gets_its_answer_from_another_connection(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        quits = []
        original = blue.answer

        def quit_once(sock, method, path, head):
            if path == "/once" and not quits:
                quits.append(path)
                return False
            return original(sock, method, path, head)

        blue.answer = quit_once
        for method in ("GET", "PUT", "DELETE"):
            quits.clear()
            self.assertEqual(client.ask(method, "/once", body=b"x" * 100 if method == "PUT" else None).body, b"blue", method)
        self.assertEqual(self.counts(door, "blue")["retries"], 3)

    def test_requests_that_cannot_be_sent_again_see_the_close(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        for send in (lambda c: c.send("POST", "/quit", body=b"x"),
                     lambda c: c.send("PUT", "/quit", body=b"x" * 20_000)):
            client = self.client(door)
            self.assertEqual(client.color(), "blue")
            send(client)
            self.assertIn(client.end(), ("fin", "reset"))
        self.assertEqual(blue.paths.count("/quit"), 2)
        self.assertEqual(self.counts(door, "blue")["retries"], 0)

    def test_pipelined_requests_are_sent_again_together_and_in_order(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        first = [True]
        original = blue.answer

        def quit_once(sock, method, path, head):
            if path == "/a" and first:
                first.clear()
                return False
            return original(sock, method, path, head)

        blue.answer = quit_once
        client.sock.sendall(b"".join(b"GET /%s HTTP/1.1\r\n\r\n" % p for p in (b"a", b"b", b"c")))
        self.assertEqual([client.answer().body for _ in range(3)], [b"blue"] * 3)
        self.assertEqual(blue.paths[-3:], ["/a", "/b", "/c"])

    def test_a_408_of_an_idle_backend_is_no_answer(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color("/surplus"), "blue")
        blue.gate.set()
        self.wait_state(door, client, "parked")
        self.assertEqual(client.color(), "blue")
        self.assertEqual(self.counts(door, "blue")["idleCloses"], 1)


class Load(harness.Case):
    """wrk, through many switches."""

    def pair(self, connections: int, switches: int) -> None:
        need("wrk", "nginx")
        folder = self.folder()
        folder.chmod(0o755)
        ports = [harness.free_port(), harness.free_port()]
        temporary = "".join(f"{kind}_temp_path {folder}/{kind}; " for kind in (
            "client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        servers = "".join(
            f'server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ return 200 "{name}\\n"; }} }}\n'
            for port, name in zip(ports, ("blue", "green")))
        (folder / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error;\n"
            f"events {{ worker_connections 8192; }} http {{ access_log off; keepalive_requests 100000000; {temporary}\n"
            f"{servers} }}")
        self.enter(harness.Program(folder, "nginx", [find_program("nginx"), "-e", f"{folder}/error", "-c",
                                                     f"{folder}/nginx.conf"], f"127.0.0.1:{ports[0]}"))
        main = {"name": "main", "bind": "127.0.0.1:0", "protocol": "http", "blue": [f"127.0.0.1:{ports[0]}"],
                "green": [f"127.0.0.1:{ports[1]}"]}
        door = self.front_door(listeners=[main])
        wrk = subprocess.Popen(
            [find_program("wrk"), "-t", "1", "-c", str(connections), "-d", "10m", "--timeout", "90s",
             f"http://{door.address()}/"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        try:
            wait_until(lambda: door.status()["colors"]["blue"]["requests"] > connections, "wrk is asking")
            for number in range(switches):
                color = ("green", "blue")[number % 2]
                before = door.status()["colors"][color]["requests"]
                door.switch(color)
                wait_until(lambda: door.status()["colors"][color]["requests"] > before, f"{color} is asked")
            receipts = door.history()
        finally:
            wrk.send_signal(2)
            output = wrk.communicate(timeout=PATIENCE)[0]
        self.assertNotIn("Socket errors", output)
        self.assertNotIn("Non-2xx", output)
        self.assertGreater(int(re.search(r"(\d+) requests in", output)[1]), connections * 2)
        for receipt in receipts:
            harness.check_receipt(receipt)
            self.assertEqual(receipt["cut"] + receipt["spread"], 0)
        self.assertGreater(sum(receipt["moved"] for receipt in receipts), switches)

    def test_wrk_with_64_connections_sees_no_error_through_many_switches(self):
        self.pair(64, 200)

    def test_wrk_with_512_connections_sees_no_error_through_many_switches(self):
        self.pair(512, 100)
