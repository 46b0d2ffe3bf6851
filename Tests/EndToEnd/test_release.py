"""A release on trial: bake, ramp, and the way back that nobody has to ask for."""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import harness
from harness import FrontDoor, Task, check_receipt, split, wait_until
from scripted import Client, WebBackend
from test_health import QUICK, RARE, HealthCase

BAKE = {"minimumClients": 1, "minimumSamples": 20, "firstByte": "off"}
"""On a busy machine any answer may be late: only the tests of that look at it."""

DIED = ("health", "connectFailures")
"""What tells of a color that takes no connections: the targets' health, or the clients that notice a moment earlier."""


def client_from(address: str, source: str) -> Client:
    """A client of a certain address: all of 127.0.0.0/8 is this machine."""
    sock = socket.socket()
    sock.settimeout(harness.PATIENCE)
    sock.bind((source, 0))
    sock.connect(split(address)[1])
    client = Client.__new__(Client)
    client.sock = sock
    return client


class ReleaseCase(HealthCase):
    def trial_door(self, blue: WebBackend, green: WebBackend, **settings: object) -> FrontDoor:
        # Only a bound, where nobody takes longer on purpose.
        patient = {"drain": {"timeout": "30s", "spread": "1s"}, "timeouts": {"connect": "20s"}}
        door = self.door(blue, green, **{"health": QUICK, "bake": BAKE} | patient | settings)
        self.known(door)
        return door

    def asks(self, door: FrontDoor, count: int = 8) -> Load:
        return self.enter(Load(door.address(), count))

    def taken_back(self, door: FrontDoor) -> dict:
        wait_until(lambda: (door.status()["lastSwitch"] or {}).get("automatic"), "the release is taken back", 40)
        receipt = check_receipt(door.settled(40))
        self.assertEqual(door.status()["phase"], "steady")
        self.assertIsNone(door.status()["previous"], "there is nothing to roll back")
        return receipt


class Load:
    """Keep-alive clients that ask without pause, each from its own address, until they are stopped."""

    def __init__(self, address: str, count: int, path: str = "/"):
        self.answers: list[tuple[float, int, str]] = []
        """When it came, status, and who answered."""
        self.errors: list[str] = []
        self.connections: list[str] = []
        self._end = threading.Event()
        self._tasks = [Task(self._run, address, f"127.0.{number // 200}.{number % 200 + 1}", path)
                       for number in range(count)]

    def _run(self, address: str, source: str, path: str) -> None:
        while not self._end.is_set():
            with client_from(address, source) as client:
                self.connections.append(source)
                while not self._end.is_set():
                    try:
                        answer = client.ask("GET", path)
                    except (OSError, AssertionError, IndexError) as error:
                        self.errors.append(repr(error))
                        break
                    self.answers.append((time.monotonic(), answer.status, answer.body.decode()))
                    time.sleep(0.002)

    def stop(self) -> None:
        self._end.set()
        for task in self._tasks:
            task.result()

    def wait(self, condition: object, what: str) -> None:
        wait_until(lambda: any(map(condition, list(self.answers))), what)

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()


class Bake(ReleaseCase):
    def test_a_release_that_holds_passes_and_the_drain_begins_then(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green, bake={"minimumClients": 1, "minimumSamples": 20})
        old = self.client(door)
        old.send("GET", "/gate")
        blue.wait_at_gate()
        status = door.switch("green", bake="1500ms")
        self.assertEqual((status["phase"], status["active"], status["previous"]), ("baking", "green", "blue"))
        self.assertEqual((status["bake"]["color"], status["drain"]), ("green", None))
        self.assertEqual({each["signal"] for each in self.read(door)},
                         {"health", "connectFailures", "resets", "serverErrors"}, "nobody knows what is late yet")
        wait_until(lambda: door.status()["phase"] == "draining", "the bake has passed")
        blue.gate.set()
        self.assertEqual(old.answer().status, 200)
        receipt = check_receipt(door.settled())
        self.assertEqual((receipt["to"], receipt["automatic"], receipt["cut"]), ("green", False, 0))
        self.assertEqual(door.status()["phase"], "steady")

    def read(self, door: FrontDoor) -> list[dict]:
        return wait_until(lambda: (door.status()["bake"] or {}).get("signals"), "it was looked at")

    def check_holds(self, door: FrontDoor, name: str, samples: int) -> dict:
        """What is read of a signal when it rests on so many samples. It is looked at again, and nothing is taken back."""
        def reading() -> dict | None:
            [found] = [each for each in self.read(door) if each["signal"] == name]
            return found if found["samples"] >= samples else None

        found = wait_until(reading, f"{name} rests on {samples} samples")
        time.sleep(1)  # five times what is between two looks
        status = door.status()
        self.assertEqual((status["phase"], status["active"], status["lastSwitch"]["automatic"]),
                         ("baking", "green", False))
        return found

    def test_during_a_bake_other_switches_are_refused_and_the_way_back_is_not(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        old = self.used(door)
        door.switch("green", bake="1m")
        for fields in ({"to": "blue"}, {"to": "blue", "handover": True}):
            code, answer = door.admin("POST", "/v1/switch", fields)
            self.assertEqual((code, answer["error"]["code"]), (409, "baking"))
        self.assertEqual(door.switch("green")["active"], "green", "it is active already")
        self.assertEqual(door.rollback()["active"], "blue")
        self.assertEqual(old.color(), "blue")
        receipt = door.settled()
        self.assertEqual((receipt["automatic"], receipt["cause"]), (False, None))
        self.assertEqual(door.rollback()["generation"], 2, "nothing is left to roll back")

    def test_a_release_that_dies_is_taken_back_and_no_request_fails_by_it(self) -> None:
        """Sixty-four clients; the new color's only target stops taking connections between two requests of each."""
        blue, green = self.colors()
        door = self.trial_door(blue, green, health=RARE)
        load = self.asks(door, 64)
        load.wait(lambda answer: answer[2] == "blue", "blue serves")
        door.switch("green", bake="1m")
        load.wait(lambda answer: answer[2] == "green", "green serves")
        green.close()
        died = time.monotonic()
        receipt = self.taken_back(door)
        took = time.monotonic() - died
        self.assertIn(receipt["cause"]["signal"], DIED)
        self.assertEqual((receipt["from"], receipt["to"]), ("green", "blue"))
        load.wait(lambda answer: answer[0] > died + took and answer[2] == "blue", "blue serves again")
        load.stop()
        failed = [answer for answer in load.answers if answer[1] != 200]
        # A request that was on its way into the dying target has met its end; none after that may.
        self.assertLessEqual(len(failed) + len(load.errors), 64)
        self.assertEqual([answer for answer in failed if answer[1] == 502], [], "a dead release was told to a client")

    def answers_badly(self, path: str, signal_name: str, **settings: object) -> dict:
        blue, green = self.colors()
        answer = green.answer

        def broken(sock: socket.socket, method: str, path_: str, head: object) -> bool:
            return answer(sock, method, path if path_ == "/" else path_, head)

        door = self.trial_door(blue, green, **settings)
        load = self.asks(door)
        load.wait(lambda answer: answer[2] == "blue", "blue serves")
        wait_until(lambda: len(load.answers) > 200, "blue is known")
        green.answer = broken
        door.switch("green", bake="1m")
        receipt = self.taken_back(door)
        load.stop()
        self.assertEqual(receipt["cause"]["signal"], signal_name)
        self.assertGreater(receipt["cause"]["value"], receipt["cause"]["limit"])
        line = door.wait_line(lambda line: "release-failed" in line, what="the log says so")
        self.assertIn(signal_name, line)
        return receipt

    def test_a_release_that_answers_with_errors_is_taken_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)

        fine = green.answer

        def broken(*arguments: Any) -> bool:
            # It breaks down when all have come.
            if len(green.connections) < 64:
                return fine(*arguments)
            arguments[0].sendall(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
            return True

        green.answer = broken
        load = self.asks(door, 64)
        wait_until(lambda: door.status()["colors"]["blue"]["idle"] + door.status()["colors"]["blue"]["busy"] == 64, "all ask")
        process = door.start_ctl("switch", "green", "--bake", "1m", "--wait")
        receipt = self.taken_back(door)
        output, errors = process.communicate(timeout=60)
        load.stop()
        self.assertEqual(process.returncode, 5, output + errors)
        self.assertIn("serverErrors", output + errors)
        self.assertEqual(receipt["cause"]["signal"], "serverErrors")
        # The books: sixty-four connections, each of which went to green and came back, and none ended.
        self.assertEqual(load.errors, [])
        self.assertEqual((receipt["open"], receipt["moved"], len(load.connections)), (64, 64, 64))
        there = next(each for each in door.history() if each["generation"] == receipt["generation"] - 1)
        self.assertEqual((there["open"], there["moved"]), (64, 64))

    def test_a_release_that_resets_is_taken_back(self) -> None:
        self.answers_badly("/reset", "resets")

    def test_a_release_that_hangs_up_without_an_answer_is_taken_back(self) -> None:
        self.answers_badly("/quit", "resets")

    def test_a_release_that_answers_no_more_is_taken_back(self) -> None:
        """It takes connections and is silent; what has not come yet counts as late."""
        blue, green = self.colors()
        is_over = threading.Event()
        self._stack.callback(is_over.set)
        green.answer = lambda *_: is_over.wait() is None
        # Who waits for an answer that does not come is cut at the end of the drain.
        door = self.trial_door(blue, green, bake={"minimumClients": 1, "minimumSamples": 5},
                               drain={"timeout": "2s", "spread": "1s"})
        load = self.asks(door)
        wait_until(lambda: len(load.answers) > 200, "blue is known")
        door.switch("green", bake="1m")
        self.assertEqual(self.taken_back(door)["cause"]["signal"], "firstByte")

    def test_what_one_client_does_takes_no_release_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green, bake=BAKE | {"minimumClients": 2})
        green.answer = lambda sock, *_: sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") is None
        door.switch("green", bake="10m")
        self.asks(door, 1)
        found = self.check_holds(door, "serverErrors", 50)
        self.assertEqual((found["value"], found["clients"]), (1, 1), "it has failed often")

    def test_a_release_that_was_forced_onto_a_color_whose_probes_fail_is_judged_by_its_traffic(self) -> None:
        blue, green = self.colors()
        probe = {"http": {"path": "/204", "status": "200"}}
        door = self.door(blue, green, health=QUICK | probe, bake=BAKE)
        self.known(door)
        self.assertEqual(door.switch("green", bake="1500ms", force=True)["phase"], "baking")
        load = self.asks(door, 4)
        wait_until(lambda: door.status()["phase"] == "steady", "the bake has passed")
        load.stop()
        self.assertEqual((door.status()["active"], door.receipt()["forced"]), ("green", True))

    def test_a_release_that_fails_stays_where_there_is_no_way_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        green.answer = lambda sock, *_: sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") is None
        door.switch("green", bake="1m")
        blue.stop_listening()
        self.wait_health(door, "blue", False)
        load = self.asks(door)
        door.wait_line(lambda line: "no-way-back" in line, what="it says so")
        self.assertEqual(door.status()["active"], "green")
        self.enter(WebBackend("blue", address=blue.address))
        self.assertEqual(self.taken_back(door)["to"], "blue")
        load.stop()

    def test_nobody_is_sent_back_to_a_color_that_has_died_unseen(self) -> None:
        """The idle color has no traffic that would tell, and its next probe is an hour away."""
        blue, green = self.colors()
        door = self.trial_door(blue, green, health=RARE)
        door.switch("green", bake="1m")
        blue.stop_listening()
        self.assertIs(door.status()["colors"]["blue"]["healthy"], True, "nobody has looked")
        green.answer = lambda sock, *_: sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") is None
        load = self.asks(door)
        door.wait_line(lambda line: "no-way-back" in line, what="it says so")
        load.stop()
        self.assertEqual(door.status()["active"], "green")
        self.assertEqual([answer for answer in load.answers if answer[1] == 502], [])

    def test_clients_that_hang_up_before_their_answer_take_no_release_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        door.switch("green", bake="10m")
        for _ in range(40):
            with Client(door.address()) as client:
                client.send("GET", "/gate")
                green.wait_at_gate()
                client.sock.shutdown(socket.SHUT_WR)
        green.gate.set()
        self.assertEqual(self.check_holds(door, "resets", 40)["value"], 0)

    def test_limits_that_a_reload_changes_count_at_once(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green, bake=BAKE | {"serverErrors": "off"})
        green.answer = lambda sock, *_: sock.sendall(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n") is None
        door.switch("green", bake="1m")
        load = self.asks(door)
        wait_until(lambda: door.status()["colors"]["green"]["requests"] > 200, "it has failed often")
        self.assertEqual(door.status()["phase"], "baking")
        door.settings["bake"] = BAKE
        door.write_config()
        door.post("/v1/reload")
        self.assertEqual(self.taken_back(door)["cause"]["signal"], "serverErrors")
        load.stop()

    def test_where_both_colors_are_dead_the_first_that_comes_back_serves(self) -> None:
        """As after a reboot, when the front door is up before its targets."""
        for first in ("green", "blue"):
            blue, green = self.colors()
            door = self.trial_door(blue, green)
            door.switch("green", bake="1m")
            door.kill()
            addresses = {"blue": blue.address, "green": green.address}
            blue.close()
            green.close()
            door.start()
            self.wait_health(door, "green", False)
            self.wait_health(door, "blue", False)
            self.assertEqual((door.status()["phase"], door.status()["active"]), ("baking", "green"))
            self.enter(WebBackend(first, address=addresses[first]))
            self.wait_health(door, first, True)
            if first == "blue":
                self.assertIn(self.taken_back(door)["cause"]["signal"], DIED)
            self.assertEqual(self.client(door).color(), first)
            self.assertEqual(door.status()["active"], first)

    def test_a_crash_in_the_middle_comes_back_baking(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        door.switch("green", bake="1m", reason="v2")
        for _ in range(harness.scaled(3, 20)):
            time.sleep(random.uniform(0, 0.1))
            door.kill()
            door.start()
            status = door.status()
            self.assertEqual((status["phase"], status["active"], status["bake"]["color"]), ("baking", "green", "green"))
            self.assertLessEqual(harness.wall_time(status["bake"]["until"]) - time.time(), 60)
        green.close()
        receipt = self.taken_back(door)
        self.assertEqual((receipt["to"], receipt["reason"]), ("blue", "v2"))

    def test_the_bake_of_the_config_counts_where_nothing_else_is_said(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green, bake=BAKE | {"time": "1m"})
        self.assertEqual(door.switch("green")["phase"], "baking")
        door.rollback()
        self.assertNotEqual(door.switch("green", bake="0s")["phase"], "baking")


class Ramp(ReleaseCase):
    SOURCES = [f"127.0.{net}.{host}" for net in range(4) for host in range(1, 51)]

    def who_answers(self, door: FrontDoor) -> dict[str, str]:
        colors = {}
        for source in self.SOURCES:
            with client_from(door.address(), source) as client:
                colors[source] = client.color()
        return colors

    def share(self, colors: dict[str, str]) -> float:
        return 100 * list(colors.values()).count("green") / len(colors)

    def in_time(self, door: FrontDoor, percents: list[int], look: Callable[[], list]) -> list[list]:
        """Ramps to green, and what is seen in each step. The steps last longer on a machine on which that takes longer."""
        for seconds in (2, 10, 40):
            seen, stayed = [], True
            status = door.switch("green", ramp=[{"percent": percent, "time": f"{seconds}s"} for percent in percents])
            self.assertEqual((status["phase"], status["active"]), ("ramping", "blue"))
            for step in range(1, len(percents) + 1):
                wait_until(lambda: self.step(door) >= step, f"step {step}", seconds + 20)
                seen.append(look())
                stayed = stayed and self.step(door) == step
            if stayed:
                return seen
            door.rollback()
            check_receipt(door.settled())
        self.fail("no step lasts as long as it takes to look at it")

    def step(self, door: FrontDoor) -> float:
        status = door.status()
        return status["ramp"]["step"] if status["ramp"] else float("inf")

    def test_a_share_of_the_clients_goes_to_the_release_and_each_stays_where_it_is(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)

        def look() -> list:
            return [door.status(), self.who_answers(door), self.who_answers(door)]

        (status, first, again), (_, second, _) = self.in_time(door, [25, 75], look)
        self.assertEqual((status["share"], status["ramp"]["step"]), ({"blue": 75, "green": 25}, 1))
        self.assertEqual(again, first, "a client has changed its color")
        self.assertTrue(10 <= self.share(first) <= 40, self.share(first))
        self.assertTrue(60 <= self.share(second) <= 90, self.share(second))
        self.assertEqual([source for source in first if first[source] == "green" and second[source] == "blue"], [])
        wait_until(lambda: door.status()["active"] == "green", "the ramp has ended", 60)
        self.assertEqual(set(self.who_answers(door).values()), {"green"})
        receipt = check_receipt(door.settled())
        self.assertEqual((receipt["generation"], receipt["from"], receipt["to"]),
                         (status["generation"] + 1, "blue", "green"))
        self.assertEqual(door.status()["previous"], "blue")

    def test_sessions_that_were_ramped_do_not_drain(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)

        clients: list[Client] = []

        def look() -> list:
            for client in clients:
                client.sock.close()
            clients[:] = [self.enter(client_from(door.address(), source)) for source in self.SOURCES[:40]]
            return [[client.color() for client in clients], door.status()]

        [(colors, status)] = self.in_time(door, [50], look)
        self.assertEqual(set(colors), {"blue", "green"})
        self.assertEqual([status["colors"][color]["draining"] for color in ("blue", "green")], [0, 0])
        wait_until(lambda: door.status()["active"] == "green", "the ramp has ended", 60)
        receipt = check_receipt(door.settled())
        self.assertEqual((receipt["open"], receipt["moved"]), (colors.count("blue"), colors.count("blue")))
        self.assertEqual({client.color() for client in clients}, {"green"})

    def test_sessions_of_the_release_that_still_drained_go_on_when_its_ramp_begins(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        door.switch("green")
        old = self.client(door)
        old.send("GET", "/upgrade", "Connection: Upgrade", "Upgrade: echo")
        text = b""
        while b"green\n" not in text:
            text += old.sock.recv(4096)
        door.switch("blue", drain="5s")
        switched = time.monotonic()
        self.assertEqual(door.status()["phase"], "draining")
        status = door.switch("green", ramp=[{"percent": 10, "time": "7s"}])
        self.assertIsNone(status["drain"])
        receipt = check_receipt(door.settled())
        self.assertEqual((receipt["open"], receipt["returned"]), (1, 1))
        time.sleep(max(0, switched + 6 - time.monotonic()))  # longer than the drain
        self.assertTrue(harness.says_back(old.sock))
        wait_until(lambda: door.status()["active"] == "green", "the ramp has ended")
        self.assertTrue(harness.says_back(old.sock))

    def test_the_way_back_takes_the_share_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        door.switch("green", ramp=[{"percent": 50, "time": "10m"}])
        clients = [self.enter(client_from(door.address(), source)) for source in self.SOURCES[:40]]
        count = [client.color() for client in clients].count("green")
        code, answer = door.admin("POST", "/v1/switch", {"to": "green"})
        self.assertEqual((code, answer["error"]["code"]), (409, "ramping"))
        status = door.rollback()
        self.assertEqual((status["active"], status["share"], status["ramp"]), ("blue", {"blue": 100, "green": 0}, None))
        receipt = check_receipt(door.settled())
        self.assertEqual((receipt["from"], receipt["to"], receipt["open"], receipt["moved"]),
                         ("green", "blue", count, count))
        self.assertEqual({client.color() for client in clients}, {"blue"})

    def test_a_release_that_dies_in_its_ramp_is_taken_back(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green, health=RARE)
        load = self.asks(door, 64)
        process = door.start_ctl("switch", "green", "--ramp", "50%:1m", "--wait")
        load.wait(lambda answer: answer[2] == "green", "green serves")
        green.close()
        receipt = self.taken_back(door)
        process.communicate(timeout=60)
        load.stop()
        self.assertEqual(process.returncode, 5)
        self.assertIn(receipt["cause"]["signal"], DIED)
        self.assertEqual((door.status()["active"], receipt["from"], receipt["to"]), ("blue", "green", "blue"))
        self.assertEqual([answer for answer in load.answers if answer[1] == 502], [])

    def test_a_crash_in_the_middle_comes_back_ramping_with_the_same_clients(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        door.switch("green", ramp=[{"percent": 30, "time": "10m"}], bake="1m")
        before = self.who_answers(door)
        for _ in range(harness.scaled(3, 20)):
            time.sleep(random.uniform(0, 0.05))
            door.kill()
            door.start()
            self.assertEqual(door.status()["phase"], "ramping")
        self.assertEqual(self.who_answers(door), before)

    def test_a_ramp_may_end_in_a_bake(self) -> None:
        blue, green = self.colors()
        door = self.trial_door(blue, green)
        result = door.ctl("switch", "green", "--ramp", "10%:300ms,50%:300ms", "--bake", "500ms", "--wait")
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual((door.status()["active"], door.status()["phase"]), ("green", "steady"))
