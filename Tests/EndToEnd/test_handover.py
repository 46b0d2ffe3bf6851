"""Handover: a switch in which the two colors never serve at the same time, and every way in which it is given up."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import harness
from harness import Backend, FrontDoor, Peer, end_of, read_line, says_back, wait_until
from test_disk import SmallDisk
from web import Client, WebCase

V1, V2 = "App v1\n", "App v2\n"


class HandoverCase(WebCase):
    def http(self, **settings: object) -> FrontDoor:
        self.blue, self.green = self.python("blue", V1), self.python("green", V2)
        return self.http_door(self.blue, self.green, preview="127.0.0.1:0", **settings)

    def busy(self, door: FrontDoor, color: str = "blue") -> Client:
        """A client that waits for an answer which runs until the test lets it go."""
        client = self.asker(door.address())
        before = door.status()["colors"][color]["requests"]
        client.ask("/?until=go")
        self.wait_requests(door, color, before + 1)
        return client

    def let_go(self) -> None:
        (self.place / "go").touch()

    def start_handover(self, door: FrontDoor, *options: str, to: str = "green") -> subprocess.Popen[str]:
        process = door.start_ctl("switch", to, "--handover", *options)
        self.addCleanup(self.end_process, process)
        wait_until(lambda: door.status()["phase"] == "holding" or process.poll() is not None, "the handover has begun")
        return process

    def end_process(self, process: subprocess.Popen[str]) -> None:
        if process.poll() is None:
            process.kill()
        process.communicate()

    def outcome(self, process: subprocess.Popen[str]) -> tuple[int, str]:
        """Exit code, and what it said."""
        output, errors = process.communicate(timeout=60)
        return process.returncode, output + errors

    def held_askers(self, door: FrontDoor, count: int, before: int = 0) -> list[Client]:
        """Clients whose requests are held."""
        clients = [self.asker(door.address()) for _ in range(count)]
        for client in clients:
            client.ask()
        wait_until(lambda: door.status()["held"] == count + before, "all are held")
        return clients

    def answers(self, clients: list[Client]) -> set[str]:
        return {client.answer().text for client in clients}

    def check_nothing_happened(self, door: FrontDoor) -> None:
        """The old color goes on, and the books know of no switch."""
        status = door.status()
        self.assertEqual((status["active"], status["generation"], status["phase"], status["hold"], status["held"]),
                         ("blue", 0, "steady", None, 0))
        self.assertEqual(door.history(), [])
        self.assertEqual(self.asker(door.address()).get(), V1)

    def check_no_overlap(self, blue: list, green: list) -> None:
        """No request of one color runs at a moment at which one of the other does."""
        self.assertGreater(min(len(blue), len(green)), 50)
        latest = {"blue": 0.0, "green": 0.0}
        for began, ended, color in sorted([(*request[:2], "blue") for request in blue]
                                          + [(*request[:2], "green") for request in green]):
            other = "green" if color == "blue" else "blue"
            self.assertLessEqual(latest[other], began, f"{other} still worked when {color} began")
            latest[color] = max(latest[color], ended)


class NeverBoth(HandoverCase):
    """Both colors' servers log when each request began and ended."""

    def test_under_load_of_real_clients_the_logs_of_both_colors_never_overlap_and_nothing_fails(self) -> None:
        harness.need("wrk")
        door = self.http(drain={"timeout": "20s", "spread": "10s"})
        for color in ("blue", "green"):
            self.random_file(color, "data", 20000)
        users = 6
        pool = self.peer("urllib3", door.address(), str(users), library="urllib3")
        load = subprocess.Popen(
            ["wrk", "-t1", "-c16", "-d10m", "--timeout", "30s", f"http://{door.address()}/?wait=0.02"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.addCleanup(self.end_process, load)
        self.wait_requests(door, "blue", 100)
        for turn in range(harness.scaled(8, 40)):
            color = ("green", "blue")[turn % 2]
            answer = door.ctl("switch", color, "--handover")
            self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
            receipt = door.receipt()
            self.assertEqual((receipt["to"], receipt["spread"], receipt["cut"]), (color, 0, 0))
            self.assertEqual(receipt["open"], receipt["moved"], "all clients keep their connections")
            self.wait_requests(door, color, door.status()["colors"][color]["requests"] + 100)
        load.send_signal(signal.SIGINT)
        requests, errors = self.wrk_result(load)
        self.assertEqual(sum(errors.values()), 0, f"{errors} of {requests}")
        told = pool.finish()
        self.assertEqual([request for request in told["requests"] if request[3]], [])
        self.assertEqual(told["connections"], users)
        self.check_no_overlap(self.blue.finish()["requests"], self.green.finish()["requests"])

    def test_with_tcp_the_sessions_of_both_colors_never_overlap_and_nothing_fails(self) -> None:
        logs: dict[str, list] = {"blue": [], "green": []}

        def logged(color: str) -> harness.Handler:
            def serve(sock) -> None:
                """As an echo that greets; it has ended before the front door can know of it."""
                began = time.monotonic()
                try:
                    sock.sendall(f"{color}\n".encode())
                    while data := sock.recv(65536):
                        sock.sendall(data)
                finally:
                    logs[color].append((began, time.monotonic()))

            return serve

        blue, green = self.enter(Backend(logged("blue"))), self.enter(Backend(logged("green")))
        door = self.front_door(blue.address, green.address, drain={"timeout": "20s", "spread": "10s"})
        storms = [self.enter(Peer("requests", door.address())) for _ in range(4)]
        for turn in range(6):
            color = ("blue", "green")[turn % 2]
            before = door.status()["colors"][color]["accepted"]
            wait_until(lambda: door.status()["colors"][color]["accepted"] > before + 50, f"{color} serves")
            answer = door.ctl("switch", ("green", "blue")[turn % 2], "--handover")
            self.assertEqual(answer.returncode, 0, answer.stdout + answer.stderr)
        sessions = [session for storm in storms for session in storm.finish()["sessions"]]
        self.assertEqual([session for session in sessions if session[3]], [], f"of {len(sessions)} sessions")
        door.wait_sessions(0)
        wait_until(lambda: sum(map(len, logs.values())) == len(sessions), "the servers have written all down")
        self.check_no_overlap(logs["blue"], logs["green"])

    def test_with_tcp_it_waits_for_the_open_sessions_and_the_new_ones_wait_for_it(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address)
        old = self.open_session(door.address(), "blue")
        process = self.start_handover(door)
        new = self.client(door.address())
        wait_until(lambda: door.status()["held"] == 1, "the new session is held")
        status = door.status()
        self.assertEqual((status["phase"], status["active"], status["hold"]["handover"], status["hold"]["inFlight"]),
                         ("holding", "blue", "green", 1))
        self.assertTrue(says_back(old))
        self.assertEqual(len(green.connections), 0)
        old.close()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertEqual(read_line(new), b"green\n")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["ended"], receipt["moved"]), (1, 1, 0))
        self.assertGreater(receipt["heldMilliseconds"], 0)

    def test_it_waits_for_the_answers_that_run_and_counts_the_clients_that_moved(self) -> None:
        door = self.http()
        idle = [self.asker(door.address()) for _ in range(8)]
        self.assertEqual({client.get() for client in idle}, {V1})
        running = self.busy(door)
        began = time.monotonic()
        process = self.start_handover(door, "--reason", "two databases")
        held = self.held_askers(door, 5)
        all_held = time.monotonic()
        time.sleep(0.3)  # of what is counted, a part that is known
        least = time.monotonic() - all_held
        self.let_go()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertEqual((running.answer().text, self.answers(held)), (V1, {V2}))
        self.assertEqual({client.get() for client in idle}, {V2}, "on their own connections")
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["moved"], receipt["reason"]), (9, 9, "two databases"))
        self.assertGreaterEqual(receipt["heldMilliseconds"] / 1000, least - 0.01, "what the slow answer took")
        self.assertLess(receipt["heldMilliseconds"] / 1000, time.monotonic() - began)
        self.assertEqual(door.history(), [receipt])
        self.assertIn("held", text)

    def test_with_nothing_in_flight_it_is_done_at_once(self) -> None:
        # All that could end a wait comes after the patience of this test.
        door = self.http(drain={"timeout": "10m", "spread": "0s"}, timeouts={"hold": "10m"})
        client = self.asker(door.address())
        self.assertEqual(client.get(), V1)
        answer = door.ctl("switch", "green", "--handover")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertEqual(client.get(), V2)
        again = door.ctl("switch", "green", "--handover")
        self.assertEqual(again.returncode, 0, again.stderr)
        self.assertIn("active already", again.stdout)
        self.assertEqual(len(door.history()), 1)

    def test_preview_listeners_are_served_all_the_while(self) -> None:
        door = self.http()
        preview = self.asker(door.preview())
        self.assertEqual(preview.get(), V2)
        running = self.busy(door)
        process = self.start_handover(door)
        self.assertEqual((preview.get(), self.asker(door.preview()).get()), (V2, V2))
        self.assertEqual(door.status()["phase"], "holding", "they were served in it")
        self.let_go()
        self.assertEqual(self.outcome(process)[0], 0)
        self.assertEqual((running.answer().text, preview.get()), (V1, V1))


class GivenUp(HandoverCase):
    """The old color goes on, and no client is lost to it."""

    def planned(self, door: FrontDoor) -> float:
        """Seconds after which the handover under way will be given up."""
        hold = door.status()["hold"]
        return harness.wall_time(hold["until"]) - harness.wall_time(hold["since"])

    def check_given_up(self, door: FrontDoor, after: float) -> None:
        running = self.busy(door)
        began = time.monotonic()
        process = self.start_handover(door)
        held = self.held_askers(door, 10)
        self.assertAlmostEqual(self.planned(door), after, delta=0.1, msg="one second before the time is over")
        code, text = self.outcome(process)
        self.assertNotBefore(time.monotonic() - began, after, "the time of the handover")
        self.assertEqual(code, 1, text)
        self.assertIn("1 session", text)
        self.assertIn(self.blue.address, text)
        self.assertIn("busy", text)
        self.assertEqual(self.answers(held), {V1})
        self.let_go()
        self.assertEqual(running.answer().text, V1, "it was not touched")
        self.check_nothing_happened(door)
        door.wait_line(lambda line: harness.event_of(line) == "handover-given-up", what="it is in the log")

    # In four seconds whoever is to be held is.

    def test_a_second_before_the_drain_ends_it_is_given_up_naming_what_still_runs(self) -> None:
        self.check_given_up(self.http(drain={"timeout": "5s", "spread": "1s"}), 4)

    def test_a_second_before_the_hold_time_ends_it_is_given_up_naming_what_still_runs(self) -> None:
        self.check_given_up(self.http(drain={"timeout": "1m", "spread": "1s"}, timeouts={"hold": "5s"}), 4)

    def test_a_shorter_drain_of_the_command_counts(self) -> None:
        door = self.http(drain={"timeout": "1m", "spread": "1s"})
        running = self.busy(door)
        began = time.monotonic()
        answer = door.ctl("switch", "green", "--handover", "--drain", "2s")
        self.assertNotBefore(time.monotonic() - began, 1.0, "one second before the time is over")
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.let_go()
        self.assertEqual(running.answer().text, V1)
        self.check_nothing_happened(door)

    def test_with_tcp_a_session_that_stays_open_has_it_given_up(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "2s", "spread": "1s"})
        old = self.open_session(door.address(), "blue")
        process = self.start_handover(door)
        new = self.client(door.address())
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertIn("1 session", text)
        self.assertEqual(read_line(new), b"blue\n")
        self.assertTrue(says_back(old), "no spread in a handover")
        self.assertEqual(door.status()["active"], "blue")

    def test_when_the_client_that_asked_is_killed_the_old_color_goes_on(self) -> None:
        door = self.http()
        running = self.busy(door)
        process = self.start_handover(door)
        held = self.held_askers(door, 5)
        process.send_signal(signal.SIGKILL)
        self.assertEqual(self.answers(held), {V1})
        self.let_go()
        self.assertEqual(running.answer().text, V1)
        self.check_nothing_happened(door)
        door.wait_line(lambda line: "handover-given-up" in line and "gone" in line, what="the reason is in the log")

    def test_a_rollback_gives_it_up(self) -> None:
        door = self.http()
        running = self.busy(door)
        process = self.start_handover(door)
        held = self.held_askers(door, 5)
        answer = door.ctl("rollback")
        self.assertEqual(answer.returncode, 0, answer.stderr)
        self.assertIn("given up", answer.stdout)
        self.check_nothing_happened(door)
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertIn("rollback", text)
        self.assertEqual(self.answers(held), {V1})
        self.let_go()
        self.assertEqual(running.answer().text, V1)

    def test_a_stop_gives_it_up_and_serves_all_that_were_held(self) -> None:
        door = self.http(drain={"timeout": "1m", "spread": "0s"}, timeouts={"hold": "1m"})
        running = self.busy(door)
        process = self.start_handover(door)
        held = self.held_askers(door, 5)
        door.signal(signal.SIGTERM)
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertEqual(self.answers(held), {V1})
        self.let_go()
        self.assertEqual(running.answer().text, V1)
        self.assertEqual(door.wait_exit(), 0)

    def test_a_front_door_that_is_killed_in_it_comes_back_on_the_old_color(self) -> None:
        door = self.http()
        self.busy(door)
        process = self.start_handover(door)
        door.kill()
        code, text = self.outcome(process)
        self.assertIn(code, (1, 3), text)
        door.start()
        self.check_nothing_happened(door)

    def test_a_full_disk_has_the_old_color_go_on(self) -> None:
        folder = self.folder()
        folder.chmod(0o755)
        disk = self.enter(SmallDisk(folder / "state"))
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, folder=folder, drain={"timeout": "20s", "spread": "1s"})
        disk.fill()
        old = self.open_session(door.address(), "blue")
        process = self.start_handover(door)
        new = self.client(door.address())
        wait_until(lambda: door.status()["held"] == 1, "the new session is held")
        old.close()
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertIn("state", text)
        self.assertEqual(read_line(new), b"blue\n")
        self.assertEqual((door.status()["active"], door.status()["phase"]), ("blue", "steady"))
        disk.empty()


class Forced(HandoverCase):
    def test_with_force_what_still_runs_is_cut_and_the_new_color_serves(self) -> None:
        door = self.http(drain={"timeout": "5s", "spread": "1s"})
        running = self.busy(door)
        began = time.monotonic()
        process = self.start_handover(door, "--force")
        held = self.held_askers(door, 5)
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertNotBefore(time.monotonic() - began, 4.0, "a second before the time is over")
        self.assertEqual(end_of(running.socket), "reset", "an answer that was cut does not look complete")
        self.assertEqual(self.answers(held), {V2})
        receipt = door.settled()
        self.assertEqual((receipt["open"], receipt["cut"], receipt["forced"]), (1, 1, True))

    def test_with_force_and_tcp_the_sessions_that_stay_are_reset(self) -> None:
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "5s", "spread": "1s"})
        old = self.open_session(door.address(), "blue")
        process = self.start_handover(door, "--force")
        new = self.client(door.address())
        self.assertTrue(says_back(old), "not before its time")
        code, text = self.outcome(process)
        self.assertEqual((code, end_of(old)), (0, "reset"), text)
        self.assertEqual(read_line(new), b"green\n")
        self.assertEqual(door.settled()["cut"], 1)


class During(HandoverCase):
    """The operator's command runs while nothing serves."""

    def wait_for(self, file: Path) -> str:
        return f"while [ ! -e {file} ]; do sleep 0.02; done"

    def test_the_command_runs_while_nothing_serves_and_then_the_new_color_does(self) -> None:
        door = self.http()
        running = self.busy(door)
        begun, go_on = self.place / "begun", self.place / "go-on"
        process = self.start_handover(
            door, "--during", f'echo "$BGPROXY_FROM $BGPROXY_TO" >{begun}.part; mv {begun}.part {begun}; '
                              f"{self.wait_for(go_on)}")
        held = self.held_askers(door, 5)
        self.assertFalse(begun.exists(), "not while something runs")
        self.let_go()
        wait_until(begun.exists, "the command runs")
        self.assertEqual(begun.read_text(), "blue green\n")
        # What ran has ended before the command began.
        self.assertEqual(running.answer().text, V1)
        status = door.status()
        self.assertEqual((status["phase"], status["active"], status["held"], status["hold"]["inFlight"]),
                         ("holding", "blue", 5, 0))
        self.assertEqual((door.sessions("blue"), door.sessions("green")), (0, 0))
        go_on.touch()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertEqual(self.answers(held), {V2})
        self.assertGreater(door.receipt()["heldMilliseconds"], 0)

    def test_a_command_that_fails_has_the_old_color_go_on(self) -> None:
        door = self.http()
        go_on = self.place / "go-on"
        process = self.start_handover(door, "--during", f"{self.wait_for(go_on)}; exit 7")
        held = self.held_askers(door, 5)
        go_on.touch()
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertIn("7", text)
        self.assertEqual(self.answers(held), {V1})
        self.check_nothing_happened(door)

    def test_a_command_that_takes_too_long_is_ended_before_the_old_color_goes_on(self) -> None:
        door = self.http(drain={"timeout": "5s", "spread": "1s"})
        number, works = self.place / "pid", self.place / "works"
        process = self.start_handover(
            door, "--during", f"echo $$ >{number}; while :; do read now rest </proc/uptime; echo $now >>{works}; "
                              "sleep 0.02; done")
        held = self.held_askers(door, 5)
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertIn("did not end in time", text)
        self.assertEqual(self.answers(held), {V1})
        self.check_nothing_happened(door)
        self.assertFalse(Path(f"/proc/{number.read_text().strip()}").exists(), "the command has ended")
        since_boot = time.clock_gettime(time.CLOCK_BOOTTIME) - time.monotonic()
        first = min(began for began, _, _, _ in self.blue.finish()["requests"]) + since_boot
        # What it was about to write when it was ended may be cut.
        last = float(works.read_text().splitlines()[-2])
        self.assertLessEqual(last, first, "it works no more when the old color serves again")

    def test_a_command_that_does_not_heed_the_signal_is_killed(self) -> None:
        door = self.http(drain={"timeout": "5s", "spread": "1s"})
        number = self.place / "pid"
        process = self.start_handover(
            door, "--during", f"trap '' TERM; echo $$ >{number}; while :; do sleep 0.02; done")
        held = self.held_askers(door, 5)
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertFalse(Path(f"/proc/{number.read_text().strip()}").exists(), "the command has ended")
        self.assertEqual(self.answers(held), {V1})
        self.check_nothing_happened(door)

    def test_when_bgproxyctl_is_killed_the_command_ends_and_the_old_color_goes_on(self) -> None:
        door = self.http()
        trace = self.place / "trace"
        process = self.start_handover(
            door, "--during", f"trap 'echo ended >>{trace}; exit' TERM; echo runs >{trace}; while :; do sleep 0.02; done")
        held = self.held_askers(door, 5)
        wait_until(lambda: trace.exists() and trace.read_text(), "the command runs")
        process.send_signal(signal.SIGKILL)
        self.assertEqual(self.answers(held), {V1})
        self.check_nothing_happened(door)
        # What it had for its output is closed with it.
        self.outcome(process)
        self.assertEqual(trace.read_text(), "runs\nended\n")

    def test_a_window_that_is_too_short_for_a_handover_is_refused(self) -> None:
        door = self.http()
        for options in (["--drain", "0s"], ["--drain", "99ms", "--during", "true"], ["--drain", "0s", "--force"]):
            answer = door.ctl("switch", "green", "--handover", *options)
            self.assertEqual(answer.returncode, 1, answer.stdout)
            self.assertIn("at least 100ms", answer.stderr)
        self.check_nothing_happened(door)

    def test_a_rollback_while_the_command_runs_ends_both(self) -> None:
        door = self.http()
        number = self.place / "pid"
        process = self.start_handover(door, "--during", f"echo $$ >{number}; while :; do sleep 0.02; done")
        wait_until(lambda: number.exists() and number.read_text(), "the command runs")
        held = self.held_askers(door, 5)
        self.assertEqual(door.ctl("rollback").returncode, 0)
        self.assertEqual(self.answers(held), {V1})
        code, text = self.outcome(process)
        self.assertEqual(code, 1, text)
        self.assertFalse(Path(f"/proc/{number.read_text().strip()}").exists(), "the command has ended")
        self.check_nothing_happened(door)

    def test_the_command_does_not_run_where_the_handover_is_given_up_before(self) -> None:
        door = self.http(drain={"timeout": "2s", "spread": "1s"})
        running = self.busy(door)
        trace = self.place / "trace"
        answer = door.ctl("switch", "green", "--handover", "--during", f"touch {trace}")
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.let_go()
        self.assertEqual(running.answer().text, V1)
        self.assertFalse(trace.exists())
        self.check_nothing_happened(door)

    def test_with_force_the_command_runs_after_what_ran_was_cut(self) -> None:
        # Half of the time for what runs, and the other half for the command.
        door = self.http(drain={"timeout": "8s", "spread": "1s"})
        running = self.busy(door)
        trace = self.place / "trace"
        process = self.start_handover(door, "--force", "--during", f"touch {trace}")
        held = self.held_askers(door, 5)
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertTrue(trace.exists())
        self.assertEqual(end_of(running.socket), "reset")
        self.assertEqual(self.answers(held), {V2})
        self.assertEqual(door.settled()["cut"], 1)


class Refused(HandoverCase):
    def test_another_switch_meanwhile_is_refused_with_a_clear_answer(self) -> None:
        door = self.http()
        running = self.busy(door)
        process = self.start_handover(door)
        for verb in (("switch", "green"), ("switch", "blue"), ("switch", "green", "--handover"), ("pause",)):
            answer = door.ctl(*verb)
            self.assertEqual(answer.returncode, 1, f"{verb}: {answer.stdout}")
            self.assertIn("handover to green is under way", answer.stderr)
        self.assertEqual(door.admin("POST", "/v1/switch", {"to": "green"})[0], 409)
        self.assertEqual(door.status()["phase"], "holding", "none of them has changed it")
        self.let_go()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertEqual(running.answer().text, V1)

    def test_none_begins_in_a_pause(self) -> None:
        door = self.http()
        door.post("/v1/pause")
        answer = door.ctl("switch", "green", "--handover")
        self.assertEqual(answer.returncode, 1, answer.stdout)
        self.assertIn("pause", answer.stderr)
        self.assertEqual(door.status()["phase"], "paused")
        door.post("/v1/resume")
        self.check_nothing_happened(door)

    def test_expect_and_dry_run_hold_nothing(self) -> None:
        door = self.http()
        self.assertEqual(door.ctl("switch", "green", "--handover", "--dry-run").returncode, 0)
        refused = door.ctl("switch", "green", "--handover", "--expect", "green")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("blue", refused.stderr)
        self.check_nothing_happened(door)

    def test_only_the_client_that_began_it_can_have_it_go_on(self) -> None:
        door = self.http()
        go_on = self.place / "go-on"
        process = self.start_handover(
            door, "--during", f"while [ ! -e {go_on} ]; do sleep 0.02; done")
        wait_until(lambda: door.status()["hold"]["inFlight"] == 0, "nothing serves")
        for proceed in (True, False):
            status, answer = door.admin("POST", "/v1/switch", {"to": "green", "handover": True, "proceed": proceed})
            self.assertEqual(status, 409, answer)
        self.assertEqual((door.status()["active"], door.status()["phase"]), ("blue", "holding"))
        go_on.touch()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)

    def test_options_that_belong_to_a_handover_need_one(self) -> None:
        door = self.http()
        self.assertEqual(door.ctl("switch", "green", "--during", "true").returncode, 2)
        self.check_nothing_happened(door)


class Repeated(HandoverCase):
    def test_the_way_back_after_a_handover_is_a_handover_or_a_rollback(self) -> None:
        door = self.http()
        client = self.asker(door.address())
        self.assertEqual(client.get(), V1)
        self.assertEqual(door.ctl("switch", "green", "--handover").returncode, 0)
        self.assertEqual(client.get(), V2)
        self.assertEqual(door.ctl("rollback").returncode, 0)
        self.assertEqual(client.get(), V1)
        self.assertEqual(door.ctl("switch", "green", "--handover").returncode, 0)
        self.assertEqual(door.ctl("switch", "blue", "--handover").returncode, 0)
        self.assertEqual(client.get(), V1)
        self.assertEqual([receipt["to"] for receipt in door.history()], ["green", "blue", "green", "blue"])

    def test_sessions_that_drain_from_an_earlier_switch_count_as_work_in_flight(self) -> None:
        """A session of the idle color would otherwise serve at the same moment as the color that becomes active."""
        blue, green = self.colors()
        door = self.front_door(blue.address, green.address, drain={"timeout": "30s", "spread": "1s"})
        old = self.open_session(door.address(), "blue")
        door.switch("green")
        process = self.start_handover(door, to="blue")
        self.assertEqual(door.status()["hold"]["inFlight"], 1)
        self.assertIsNone(process.poll())
        old.close()
        code, text = self.outcome(process)
        self.assertEqual(code, 0, text)
        self.assertEqual(harness.color_of(door.address()), "blue")
