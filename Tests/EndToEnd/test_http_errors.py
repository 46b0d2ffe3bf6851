"""Protocol http: the answers that the front door gives in a backend's place, and where it gives none."""

from __future__ import annotations

import http.client

import harness
from harness import BlackHole, free_port, port_of, wait_until
from scripted import Client, ScriptedCase


class Refusals(ScriptedCase):
    def dead(self) -> str:
        return f"127.0.0.1:{free_port()}"

    def check_refusal(self, door: harness.FrontDoor, status: int, method: str = "GET", body: bytes | None = None):
        """Asks with a library that insists on well-formed answers."""
        host, port = door.address().rsplit(":", 1)
        connection = http.client.HTTPConnection(host, int(port), timeout=harness.PATIENCE)
        connection.request(method, "/", body)
        answer = connection.getresponse()
        text = answer.read()
        self.assertEqual(answer.status, status)
        self.assertEqual(answer.getheader("Connection"), "close")
        if method == "HEAD":
            self.assertEqual(text, b"")
            self.assertGreater(int(answer.getheader("Content-Length")), 0)
        else:
            self.assertEqual(len(text), int(answer.getheader("Content-Length")))
            self.assertRegex(text, rb"\Abgproxy: [^\n]+\n\Z")
        connection.close()
        return answer

    def test_502_where_no_target_can_be_reached(self):
        door = self.door(self.dead(), self.dead())
        for method in ("GET", "HEAD", "POST"):
            answer = self.check_refusal(door, 502, method, b"x" * 1000 if method == "POST" else None)
            self.assertEqual(answer.reason, "Bad Gateway")
            self.assertIsNone(answer.getheader("Retry-After"))
        self.assertEqual(self.counts(door, "blue")["connectFailures"], 3)
        door.wait_sessions(0)

    def test_502_reaches_a_client_that_is_still_uploading(self):
        door = self.door(self.dead(), self.dead())
        client = self.client(door)
        client.sock.sendall(b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n\r\n" + b"x" * 5_000_000)
        answer = client.answer()
        self.assertEqual((answer.status, answer.fields["connection"]), (502, "close"))
        self.assertEqual(client.sock.recv(1), b"", "and then the end")

    def test_who_does_not_speak_http_is_reset_and_not_answered(self):
        door = self.door(self.dead(), self.dead())
        for text in (b"SSH-2.0-OpenSSH_9.2\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\r\n"):
            with self.subTest(text):
                client = self.client(door)
                client.sock.sendall(text)
                self.assertEqual(client.end(), "reset")

    def test_502_for_one_request_of_http_1_0(self):
        door = self.door(self.dead(), self.dead())
        client = self.client(door)
        self.assertEqual(client.ask(version="1.0").status, 502)
        self.assertEqual(client.end(), "fin")

    def test_504_where_a_target_does_not_answer_the_connect(self):
        hole = self.enter(BlackHole())
        door = self.door(hole.address, self.dead(), timeouts={"connect": "300ms"})
        self.assertEqual(self.check_refusal(door, 504).reason, "Gateway Timeout")

    def test_504_where_a_backend_does_not_answer_in_time(self):
        blue, green = self.colors()
        # Which counts before the request as well.
        door = self.door(blue, green, timeouts={"idle": "2s"})
        client = self.client(door)
        client.send("GET", "/gate")
        self.assertEqual(client.answer().status, 504)
        self.assertEqual(client.end(), "fin")

    def test_503_with_retry_after_where_a_hold_takes_too_long(self):
        blue, green = self.colors()
        door = self.door(blue, green, timeouts={"hold": "300ms"})
        kept = self.client(door)
        self.assertEqual(kept.color(), "blue")
        door.post("/v1/pause", max="30s")
        answer = self.check_refusal(door, 503)
        self.assertGreaterEqual(int(answer.getheader("Retry-After")), 1)
        self.check_refusal(door, 503, "HEAD")
        answer = kept.ask("POST", "/", body=b"hello")
        self.assertEqual((answer.status, answer.fields["retry-after"]), (503, "1"))
        self.assertEqual(kept.end(), "fin")
        self.assertEqual(len(blue.log), 1)
        door.post("/v1/resume")

    def test_never_in_the_middle_of_an_answer(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        client.send("GET", "/half")
        self.assertIn(b"200 OK", harness.read_line(client.sock))
        while harness.read_line(client.sock) != b"\r\n":
            pass
        self.assertEqual(harness.read_exactly(client.sock, 4), b"blue")
        blue.stop_listening()
        blue.gate.set()
        self.assertEqual(client.end(), "reset")

    def test_nor_behind_an_answer_that_is_still_to_come(self):
        # The first answer is the backend's; the second request goes to a color that is dead.
        blue, green = self.colors()
        door = self.door(blue, self.dead())
        client = self.client(door)
        client.send("GET", "/gate")
        blue.wait_at_gate()
        door.switch("green")
        client.send("GET", "/")
        blue.gate.set()
        self.assertEqual([client.answer().status for _ in range(2)], [200, 502])
        self.assertEqual(client.end(), "fin")

    def test_a_switch_away_from_a_dead_color_heals_a_parked_client(self):
        blue, green = self.colors()
        door = self.door(blue, green)
        client = self.client(door)
        self.assertEqual(client.color(), "blue")
        blue.close()
        self.wait_state(door, client, "parked")
        door.switch("green")
        self.assertEqual(client.color(), "green")

    def test_tcp_gets_no_answer_of_the_front_doors(self):
        door = self.front_door(self.dead(), self.dead())
        self.assertEqual(harness.fate(door.address()), "reset")

    def test_refused_clients_leave_nothing_behind(self):
        door = self.door(self.dead(), self.dead())
        before = door.descriptors_open()
        for _ in range(50):
            with Client(door.address()) as client:
                self.assertEqual(client.ask().status, 502)
        door.wait_sessions(0)
        wait_until(lambda: not door.get("/v1/sessions")["sessions"], "no session is left")
        door.wait_descriptors(before)
        harness.check_no_close_wait(port_of(door.address()))
