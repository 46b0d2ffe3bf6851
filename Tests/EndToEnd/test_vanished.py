"""Readers of the public address whose machine is gone: their connections are not closed, and nothing is acknowledged any more."""

from __future__ import annotations

from harness import Backend, Case, FrontDoor, connect, echo, read_all, read_line, wait_until
from networks import Network
from test_metrics import Metrics


class VanishedReaders(Case):
    def metrics(self, door: FrontDoor) -> Metrics:
        with connect(f"unix:{door.admin_path}") as sock:
            sock.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            return Metrics(read_all(sock).partition(b"\r\n\r\n")[2].decode())

    def door_with_a_vanished_reader(self) -> FrontDoor:
        network = self.enter(Network())
        backend = self.enter(Backend(echo))
        door = self.front_door(backend.address, backend.address, bind=f"unix:{self.folder()}/clients.sock",
                               admin={"metrics": "127.0.0.1:9180"}, prefix=network.prefix)
        with network.inside():
            reader = self.enter(connect("127.0.0.1:9180"))
        reader.sendall(b"GET /v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.assertIn(b"200", read_line(reader))
        self.assertEqual(self.metrics(door).sum("bgproxy_event_readers"), 1)
        network.go_silent()
        return door

    def test_a_reader_of_events_whose_machine_is_gone_is_dropped_with_a_word(self) -> None:
        """One is noticed by what it is sent; the other one by keepalive: nothing happens there that it could be sent."""
        told, quiet = self.door_with_a_vanished_reader(), self.door_with_a_vanished_reader()
        told.switch("green")
        for door in (told, quiet):
            [line] = wait_until(lambda: door.events("events-reader-dropped"), "the reader is dropped", timeout=75)
            self.assertIn('reason="its machine does not answer" at=metrics', line)
            metrics = self.metrics(door)
            self.assertEqual(metrics.sum("bgproxy_event_readers"), 0)
            self.assertEqual(metrics.sum("bgproxy_readers_dropped_total"), 1)
