"""Protocol http under chance: clients that send everything that HTTP/1.1 has, backends that answer in every way, an operator
who does not rest. Each answer must be the client's own, whole, and of the right color."""

from __future__ import annotations

import bisect
import collections
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import harness
from harness import FrontDoor, Peer, scaled, wait_until
from web import WebCase

PROGRAM = str(Path(__file__).resolve().parent / "soak_peers.py")
SEED = os.environ.get("BGPROXY_TEST_SEED") or str(random.SystemRandom().randrange(1 << 32))
TURNS = scaled(60, 1000)

Request = tuple[str, str, float, float, str, str, bool]
"""Id, method, when it began and ended, color, what went wrong, whether the client itself went away."""

WAS_CLOSED = ("ended before the answer", "'' where 100 was due", "ConnectionResetError", "BrokenPipeError")


class Soak(WebCase):
    def setUp(self) -> None:
        super().setUp()
        self.chance = random.Random(SEED)
        self.changes: list[tuple[float, float, str]] = []

    def peers(self, kinds: str = "all", idle: float = 0, **settings: Any) -> FrontDoor:
        self.backends = [self.enter(Peer("serve", color, str(idle), program=PROGRAM)) for color in ("blue", "green")]
        settings = {"drain": {"timeout": "1m", "spread": "0s"}, "timeouts": {"hold": "1m"}} | settings
        door = self.http_door(*self.backends, **settings)
        self.before = door.descriptors_open()
        self.users = [self.enter(Peer("ask", door.address(), f"{SEED}.{number}", "12", kinds, program=PROGRAM))
                      for number in range(2)]
        self.wait_requests(door, "blue", 100)
        return door

    def rest(self, door: FrontDoor, turn: int) -> None:
        """After each tenth change so much is served that most of it began and ended in between, whatever the pace."""
        if turn % 10 == 9:
            self.served(door, 200)

    def served(self, door: FrontDoor, count: int) -> None:
        goal = self.requests(door) + count
        wait_until(lambda: self.requests(door) >= goal, "requests are served")

    def change(self, door: FrontDoor, color: str, **options: Any) -> None:
        asked = time.monotonic()
        status, answer = door.admin("POST", "/v1/switch", {"to": color} | options)
        self.assertEqual(status, 200, f"{answer}, seed {SEED}")
        self.changes.append((asked, time.monotonic(), color))

    def finish(self, door: FrontDoor) -> list[Request]:
        """Ends the clients; all that the front door has had is gone with them."""
        requests: list[Request] = []
        for user in self.users:
            told = user.finish()
            requests += [tuple(request) for request in told["requests"]]
        try:
            wait_until(lambda: not door.get("/v1/sessions")["sessions"], "no session is left")
        except AssertionError:
            self.fail(f"sessions are left: {door.get('/v1/sessions')['sessions'][:3]}, seed {SEED}")
        wait_until(lambda: door.status()["phase"] == "steady" and door.receipt()["settled"], "all is settled")
        status = door.status()
        self.assertEqual((status["held"], status["parked"], status["hold"]), (0, 0, None))
        door.wait_descriptors(self.before + 2)
        self.logs = [backend.finish()["requests"] for backend in self.backends]
        return requests

    # Verdicts

    def check_answers(self, requests: list[Request], allowed: Any = lambda request: False) -> None:
        wrong = [request for request in requests if request[5] and not request[6] and not allowed(request)]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} of {len(requests)} requests, seed {SEED}")
        self.assertGreater(sum(not request[5] for request in requests), 10 * TURNS)

    def check_logs(self, requests: list[Request]) -> None:
        """Nothing was served twice, and what was answered was served where the answer says."""
        served = collections.Counter(identity for log in self.logs for identity, _, _ in log)
        self.assertEqual([identity for identity, count in served.items() if count > 1], [], f"seed {SEED}")
        places = {identity: color for color, log in zip(("blue", "green"), self.logs) for identity, _, _ in log}
        wrong = [request for request in requests if not request[5] and places.get(request[0]) != request[4]]
        self.assertEqual(wrong[:5], [], f"seed {SEED}")

    def check_changes(self, requests: list[Request]) -> None:
        """Between two switches there is one color."""
        answers = [answered for _, answered, _ in self.changes]
        checked = 0
        for request in requests:
            _, _, began, ended, color, error, _ = request
            index = bisect.bisect_left(answers, began) - 1
            until = self.changes[index + 1][0] if index + 1 < len(self.changes) else float("inf")
            if not error and ended < until:
                expected = self.changes[index][2] if index >= 0 else "blue"
                self.assertEqual(color, expected, f"{request}, after change {index + 1}, seed {SEED}")
                checked += 1
        self.assertGreater(checked, len(self.changes))

    def check_no_overlap(self) -> None:
        """Never a request at one color while there is one at the other."""
        spans = sorted((began, ended, color) for color, log in zip(("blue", "green"), self.logs)
                       for _, began, ended in log)
        last = {"blue": (0.0, 0.0), "green": (0.0, 0.0)}
        for began, ended, color in spans:
            other = "green" if color == "blue" else "blue"
            self.assertGreaterEqual(began, last[other][1], f"{color} began before {other} had ended, seed {SEED}")
            if ended > last[color][1]:
                last[color] = (began, ended)
        colors = [color for _, _, color in spans]
        self.assertGreater(sum(one != other for one, other in zip(colors, colors[1:])), len(self.changes) // 2)

    # Tests

    def test_through_switches_each_client_gets_its_own_answers_of_the_right_color(self) -> None:
        door = self.peers()
        color = "blue"
        for turn in range(TURNS):
            color = "green" if color == "blue" else "blue"
            self.change(door, color)
            if self.chance.random() < 0.7:
                self.served(door, self.chance.randrange(1, 40))
            self.rest(door, turn)
        counts = [door.status()["colors"][color]["requests"] for color in ("blue", "green")]
        requests = self.finish(door)
        self.check_answers(requests)
        self.check_logs(requests)
        self.check_changes(requests)
        self.assertEqual(sum(map(len, self.logs)), len(requests))
        self.assertEqual(self.requests(door), len(requests), "as counted by the front door")
        self.assertTrue(all(counts))

    def test_through_switches_pauses_and_the_way_back_nothing_is_lost(self) -> None:
        door = self.peers()
        color = "blue"
        for turn in range(TURNS):
            match self.chance.choice(("switch", "switch", "rollback", "pause", "pause --wait")):
                case "switch":
                    color = "green" if color == "blue" else "blue"
                    self.change(door, color)
                case "rollback":
                    asked = time.monotonic()
                    color = door.rollback()["active"]
                    self.changes.append((asked, time.monotonic(), color))
                case pause:
                    status, answer = door.admin("POST", "/v1/pause", {"wait": pause != "pause", "max": "10s"})
                    self.assertEqual(status, 200, f"{answer}, seed {SEED}")
                    if pause != "pause":
                        self.assertEqual(door.sessions(), 0, f"seed {SEED}")
                    if self.chance.random() < 0.5:
                        color = "green" if color == "blue" else "blue"
                        self.change(door, color)
                    self.assertEqual(door.admin("POST", "/v1/resume", {})[0], 200)
            self.served(door, self.chance.randrange(1, 40))
            self.rest(door, turn)
        requests = self.finish(door)
        self.check_answers(requests)
        self.check_logs(requests)
        self.check_changes(requests)

    def test_through_handovers_the_colors_never_serve_at_the_same_time(self) -> None:
        door = self.peers()
        color = "blue"
        for turn in range(TURNS // 2):
            color = "green" if color == "blue" else "blue"
            self.change(door, color, handover=True)
            self.served(door, self.chance.randrange(1, 60))
            self.rest(door, turn)
        requests = self.finish(door)
        self.check_answers(requests)
        self.check_logs(requests)
        self.check_changes(requests)
        self.check_no_overlap()

    def test_clients_that_go_away_in_the_midst_of_it_cost_the_others_nothing(self) -> None:
        door = self.peers("abort")
        color = "blue"
        for turn in range(TURNS):
            color = "green" if color == "blue" else "blue"
            self.change(door, color)
            self.served(door, self.chance.randrange(1, 40))
            self.rest(door, turn)
        requests = self.finish(door)
        self.assertGreater(sum(request[6] for request in requests), 10)
        self.check_answers(requests)
        self.check_logs(requests)
        self.check_changes(requests)

    def test_backends_that_close_idle_connections_cost_at_most_what_cannot_be_sent_again(self) -> None:
        door = self.peers(idle=0.01)
        color = "blue"
        for turn in range(TURNS):
            color = "green" if color == "blue" else "blue"
            self.change(door, color)
            self.served(door, self.chance.randrange(20, 60))
            self.rest(door, turn)

        def idle_closes() -> int:
            return sum(color["idleCloses"] for color in door.status()["colors"].values())

        wait_until(lambda: idle_closes() > 10, "backends have closed idle connections")
        requests = self.finish(door)
        self.check_answers(requests, lambda request: request[1] in ("POST", "PUT")
                           and any(text in request[5] for text in WAS_CLOSED))
        self.check_logs(requests)
        self.check_changes(requests)

    def test_whatever_the_operator_does_no_client_gets_a_wrong_answer(self) -> None:
        """Cuts, clients that wait too long, and what each of them meets: an end or an error, never another's bytes."""
        door = self.peers("abort", idle=0.02, drain={"timeout": "200ms", "spread": "100ms"},
                          timeouts={"hold": "1500ms", "connect": "1s"})
        for turn in range(TURNS):
            color = self.chance.choice(("blue", "green"))
            match self.chance.choice(("switch", "switch", "handover", "force", "rollback", "cut", "pause", "max")):
                case "switch":
                    door.admin("POST", "/v1/switch", {"to": color})
                case "handover":
                    door.admin("POST", "/v1/switch", {"to": color, "handover": True})
                case "force":
                    door.admin("POST", "/v1/switch", {"to": color, "handover": True, "force": True, "drain": "20ms"})
                case "rollback":
                    door.admin("POST", "/v1/rollback", {})
                case "cut":
                    door.admin("POST", "/v1/switch", {"to": color})
                    door.admin("POST", "/v1/drain", {"now": True})
                case "pause":
                    door.admin("POST", "/v1/pause", {"max": "10s"})
                    door.admin("POST", "/v1/switch", {"to": color})
                    door.admin("POST", "/v1/resume", {})
                case "max":
                    self.assertEqual(door.admin("POST", "/v1/pause", {"max": "50ms"})[0], 200)
                    wait_until(lambda: door.status()["hold"] is None, "traffic resumes by itself")
            self.served(door, self.chance.randrange(1, 30))
        self.served(door, 10 * TURNS)
        requests = self.finish(door)
        wrong = [request for request in requests if request[5].startswith(("AssertionError", "ValueError"))
                 and not any(text in request[5] for text in ("'' where 100 was due", "HTTP/1.1 503"))]
        self.assertEqual(wrong[:5], [], f"{len(wrong)} of {len(requests)} requests, seed {SEED}")
        self.assertGreater(sum(not request[5] for request in requests), 10 * TURNS)
        self.check_logs(requests)

    def test_reloads_and_switches_under_load_lose_nothing(self) -> None:
        door = self.peers()
        blue, green = (backend.address for backend in self.backends)
        main = door.settings["listeners"][0]
        color = "blue"
        for turn in range(TURNS // 2):
            change = self.chance.choice(("targets", "listener", "drain", "nothing"))
            if change == "targets":
                # The same servers by other addresses: what was connected before goes on.
                for name, address in (("blue", blue), ("green", green)):
                    port = harness.port_of(address)
                    main[name] = [address] if self.chance.random() < 0.5 else [address, f"localhost:{port}"]
            elif change == "listener":
                door.settings["listeners"] = [main]
                if self.chance.random() < 0.5:
                    door.settings["listeners"].append(main | {"name": "other", "protocol": "tcp"})
            elif change == "drain":
                door.settings["drain"] = {"timeout": f"{self.chance.randrange(5, 20)}s", "spread": "0s"}
            door.write_config()
            status, answer = door.admin("POST", "/v1/reload", {})
            self.assertEqual(status, 200, f"{answer}, seed {SEED}")
            color = "green" if color == "blue" else "blue"
            self.change(door, color)
            self.served(door, self.chance.randrange(1, 60))
            self.rest(door, turn)
        requests = self.finish(door)
        self.check_answers(requests)
        self.check_logs(requests)
        self.check_changes(requests)

    def test_a_stop_under_load_cuts_no_answer(self) -> None:
        """What has reached a backend is answered; the rest meets the end of a connection between two requests."""
        door = self.peers()
        self.served(door, 1000)
        door.signal(signal.SIGTERM)
        self.assertEqual(door.wait_exit(), 0)
        requests = [tuple(request) for user in self.users for request in user.finish()["requests"]]
        self.logs = [backend.finish()["requests"] for backend in self.backends]
        served = {identity for log in self.logs for identity, _, _ in log}
        answered = {request[0] for request in requests if not request[5]}
        self.assertEqual(sorted(served - answered)[:5], [], f"seed {SEED}")
        wrong = [request for request in requests
                 if request[5] and not any(text in request[5] for text in (*WAS_CLOSED, "ConnectionRefused"))]
        self.assertEqual(wrong[:5], [], f"seed {SEED}")
        self.assertGreater(len(answered), 1000)
