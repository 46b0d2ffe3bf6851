"""config/keepalived/switch-both: two front doors are switched, both or none."""

from __future__ import annotations

import getpass
import os
import pwd
import signal
import subprocess
import unittest
from pathlib import Path

import harness
from harness import Case, FrontDoor, Program, color_of, find_program, wait_until

SWITCH_BOTH = str(harness.ROOT / "config" / "keepalived" / "switch-both")


def run(*command: str, timeout: float = 60.0, **options) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout,
                          check=False, **options)


def with_programs(path: str = os.environ.get("PATH", "")) -> dict[str, str]:
    """An environment in which bgproxyctl is found."""
    return os.environ | {"PATH": f"{harness.BINARIES}:{path}"}


class SwitchBoth(Case):
    def setUp(self) -> None:
        super().setUp()
        harness.need("bash")

    def doors(self) -> tuple[FrontDoor, FrontDoor]:
        self.blue, self.green = self.colors()
        self.first, self.second = (self.front_door(self.blue.address, self.green.address) for _ in range(2))
        return self.first, self.second

    def both(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return run(SWITCH_BOTH, *arguments, "--socket", self.first.admin_path, "--socket", self.second.admin_path,
                   env=with_programs())

    def assertActive(self, first: str, second: str) -> None:
        self.assertEqual((self.first.status()["active"], self.second.status()["active"]), (first, second))

    def assertCode(self, result: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        for text in said:
            self.assertIn(text, result.stderr if code else result.stdout)

    def make_stub(self, name: str, text: str) -> str:
        """A program that stands before bgproxyctl and ends as it does."""
        path = self.folder() / name
        path.write_text(f"#!/bin/bash\nset -e\n{text}\n")
        path.chmod(0o755)
        return str(path)

    def test_both_are_switched_and_the_options_go_to_both(self) -> None:
        doors = self.doors()
        result = self.both("green", "--reason", "it's two  words", "--drain=7s")
        self.assertCode(result, 0, f"{self.first.admin_path}: green", f"{self.second.admin_path}: green")
        self.assertActive("green", "green")
        for door in doors:
            self.assertEqual(door.receipt()["reason"], "it's two  words")
            self.assertEqual(color_of(door.address()), "green")
        self.assertCode(self.both("--check"), 0)
        self.assertCode(self.both("green"), 0, "green is active already")
        self.assertCode(self.both("rollback", "--reason", "v2 is slow"), 0, f"{self.second.admin_path}: blue")
        self.assertActive("blue", "blue")
        self.assertEqual([door.receipt()["reason"] for door in doors], ["v2 is slow"] * 2)

    def test_a_dry_run_changes_neither(self) -> None:
        self.doors()
        self.assertCode(self.both("green", "--dry-run"), 0, "would switch blue → green")
        self.assertEqual([door.status()["generation"] for door in (self.first, self.second)], [0, 0])

    def test_a_dry_run_runs_no_check_and_has_an_end(self) -> None:
        self.doors()
        ran = self.folder() / "ran"
        self.assertCode(self.both("green", "--dry-run", "--before", f"echo ran >>{ran}"), 0)
        self.assertFalse(ran.exists())
        self.assertCode(self.both("green", "--before", f"echo ran >>{ran}"), 0)
        self.assertEqual(ran.read_text().split(), ["ran", "ran"], "once for each")
        # Its limit leaves room for checks: here time runs faster, for the one that hangs.
        timeout = self.make_stub("timeout", 'limit=$2; [[ $limit -lt 100 || $3 != */hangs ]] || limit=1\n'
                                            f'exec {find_program("timeout")} "$1" "$limit" "${{@:3}}"')
        stub = self.make_stub("hangs", f'''[[ "$*" != *--dry-run* ]] || exec sleep 100
            exec bgproxyctl --socket {self.second.admin_path} "$@"''')
        result = run(SWITCH_BOTH, "blue", "--socket", self.first.admin_path, "--front-door", stub,
                     env=with_programs(f"{Path(timeout).parent}:{os.environ.get('PATH', '')}"))
        self.assertCode(result, 3, f"{stub} would not switch to blue; nothing was changed")
        self.assertActive("green", "green")

    def test_a_handover_has_its_command_run_once_and_there_and_back_it_is_the_same_way(self) -> None:
        self.doors()
        ran = self.folder() / "ran"
        during = f"bgproxyctl --socket {self.first.admin_path} status --json | grep -q '\"holding\"' && echo ran >>{ran}"
        for color in ("green", "blue"):
            ran.unlink(missing_ok=True)
            self.assertCode(self.both(color, "--handover", "--during", during), 0)
            self.assertActive(color, color)
            self.assertEqual(ran.read_text().split(), ["ran"], "while the one that was named first held its traffic")

    def test_with_a_command_in_the_handover_the_one_that_serves_goes_first(self) -> None:
        _, second = self.doors()
        self.open_session(second.address(), "blue")
        ran = self.folder() / "ran"
        order = ("green", "--handover", "--force", "--drain", "2s", "--during", f"touch {ran}")
        self.assertCode(self.both(*order), 1, f"{second.admin_path} serves", "name it first", "nothing was changed")
        self.assertActive("blue", "blue")
        self.assertFalse(ran.exists())
        self.first, self.second = self.second, self.first
        self.assertCode(self.both(*order), 0)
        self.assertActive("green", "green")
        self.assertTrue(ran.exists())

    def test_the_command_is_run_where_the_color_is_still_to_change(self) -> None:
        first, _ = self.doors()
        first.switch("green")
        ran = self.folder() / "ran"
        self.assertCode(self.both("green", "--handover", "--during", f"echo ran >>{ran}"), 0)
        self.assertActive("green", "green")
        self.assertEqual(ran.read_text().split(), ["ran"])

    def test_what_a_command_has_moved_is_not_left_behind_by_a_rollback(self) -> None:
        first, second = self.doors()
        ran = self.folder() / "ran"
        handover = ("--handover", "--during", f"echo ran >>{ran}")
        self.assertCode(self.break_the_second("exit 1", *handover), 6, "nothing is taken back",
                        f"{first.admin_path} leads to green", "'switch-both green'", "'switch-both blue --handover")
        self.assertActive("green", "blue")
        # Neither is it where the second one has switched, and only its answer was lost.
        self.assertCode(self.both("green"), 0, "green is active already")
        self.assertCode(self.both("blue", *handover), 0)
        lost = f"bgproxyctl --socket {second.admin_path} \"$@\" >/dev/null; exit 255"
        self.assertCode(self.break_the_second(lost, *handover), 3, "nothing is taken back")
        self.assertActive("green", "green")
        self.assertEqual(ran.read_text().split(), ["ran"] * 3)
        # That the other one had the color before says nothing of the data.
        self.assertCode(self.both("blue", *handover), 0)
        first.switch("green")
        self.assertCode(self.break_the_second("exit 255", *handover), 6, "same command line again")

    def test_a_disagreement_is_reported_and_mended(self) -> None:
        self.doors()
        self.first.switch("green")
        self.assertCode(self.both("--check"), 6, f"{self.first.admin_path} leads to green",
                        f"{self.second.admin_path} to blue")
        self.assertActive("green", "blue")
        self.assertCode(self.both("green"), 0)
        self.assertActive("green", "green")
        self.assertEqual(self.first.status()["generation"], 1, "the one that was right is left alone")
        self.assertCode(self.both("--check"), 0)

    def test_a_release_that_went_back_at_one_front_door_alone_goes_back_at_both(self) -> None:
        self.doors()
        self.assertCode(self.both("green"), 0)
        self.second.rollback()
        self.assertCode(self.both("--check"), 6)
        self.assertCode(self.both("rollback"), 0)
        self.assertActive("blue", "blue")

    def test_nothing_is_done_where_one_does_not_answer(self) -> None:
        self.doors()
        self.second.stop()
        for arguments in (["green"], ["rollback"], ["--check"]):
            self.assertCode(self.both(*arguments), 3, f"{self.second.admin_path} does not answer")
        self.assertEqual(self.first.status()["generation"], 0)

    def test_nothing_is_done_where_one_refuses(self) -> None:
        self.doors()
        healthy = self.second
        self.second = self.front_door(self.blue.address, f"127.0.0.1:{harness.free_port()}", health={})
        self.assertCode(self.both("green"), 1, f"{self.second.admin_path} would not switch to green", "refused")
        self.assertActive("blue", "blue")
        self.assertCode(self.both("green", "--force"), 0)
        self.second = healthy
        self.assertCode(self.both("green", "--expect", "blue"), 1, "nothing was changed")
        self.assertActive("green", "blue")

    def break_the_second(self, how: str, *options: str) -> subprocess.CompletedProcess[str]:
        """Switches to green, where the second one goes along with the dry run and not with the switch."""
        stub = self.make_stub("second-ctl", f'''
            case "$*" in
              *--dry-run* | status*) ;;
              switch*) {how} ;;
            esac
            exec bgproxyctl --socket {self.second.admin_path} "$@"''')
        return run(SWITCH_BOTH, "green", *options, "--socket", self.first.admin_path, "--front-door", stub,
                   env=with_programs())

    def test_the_first_is_taken_back_where_the_second_fails(self) -> None:
        first, _ = self.doors()
        client = self.open_session(first.address(), "blue")
        result = self.break_the_second("echo a disk is full >&2; exit 1")
        self.assertCode(result, 1, "did not switch to green", f"taking {first.admin_path} back to blue",
                        "a disk is full")
        self.assertActive("blue", "blue")
        self.assertEqual([receipt["to"] for receipt in first.history()], ["green", "blue"])
        self.assertTrue(harness.says_back(client), "who was there has noticed nothing")

    def test_with_no_undo_the_disagreement_stays_and_is_reported(self) -> None:
        self.doors()
        result = self.break_the_second("exit 1", "--no-undo")
        self.assertCode(result, 6, "the front doors disagree", f"{self.first.admin_path} leads to green")
        self.assertActive("green", "blue")

    def test_a_switch_of_which_only_the_answer_was_lost_is_taken_back_too(self) -> None:
        self.doors()
        lost = f"bgproxyctl --socket {self.second.admin_path} \"$@\" >/dev/null; exit 255"
        self.assertCode(self.break_the_second(lost), 3, "taking")
        self.assertActive("blue", "blue")

    def test_what_was_so_before_is_not_taken_back(self) -> None:
        self.doors()
        self.first.switch("green")
        self.assertCode(self.break_the_second("exit 1"), 6, "they disagree now", "the front doors disagree")
        self.assertActive("green", "blue")

    def test_one_that_dies_in_between_leaves_the_other_as_it_was(self) -> None:
        self.doors()
        self.assertCode(self.break_the_second(f"kill -9 {self.second.pid}"), 3, "does not answer", "taking")
        self.second.kill()
        self.assertEqual(self.first.status()["active"], "blue")
        self.second.start()
        self.assertActive("blue", "blue")

    def test_a_release_that_one_front_door_takes_back_is_taken_back_at_the_other(self) -> None:
        self.doors()
        self.assertCode(self.both("green", "--after", f"test $BGPROXY_SOCKET = {self.first.admin_path}"), 1, "taking")
        self.assertActive("blue", "blue")

    def lose_the_first(self, once: str, *options: str, kills: bool = True,
                       then: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Switches to green and loses the connection to the first one when its phase is `once`; makes the file `then`."""
        ctl, pid_file = f"bgproxyctl --socket {self.first.admin_path}", self.folder() / "pid"
        stub = self.make_stub("first-ctl", f'''
            case "$*" in
              *--dry-run* | status* | rollback*) exec {ctl} "$@" ;;
            esac
            {ctl} "$@" >/dev/null 2>&1 &
            echo $! >{pid_file}
            for ((tries = 0; tries < 300; tries++)); do
              [[ $({ctl} status --json) != *'"phase":"{once}"'* ]] || break
              sleep 0.05
            done
            {"kill -9 $!" if kills else ""}
            exit 255''')
        result = run(SWITCH_BOTH, "green", *options, "--front-door", stub, "--socket", self.second.admin_path,
                     env=with_programs())
        if then:
            then.touch()
        pid = pid_file.read_text().strip()
        wait_until(lambda: not Path(f"/proc/{pid}").exists(), "the bgproxyctl that was left behind has ended")
        return result

    def test_a_ramp_to_which_the_connection_was_lost_is_taken_back(self) -> None:
        first, _ = self.doors()
        # Each had green before: a rollback too many would lead there.
        self.assertCode(self.both("green"), 0)
        self.assertCode(self.both("blue"), 0)
        self.assertCode(self.lose_the_first("ramping", "--ramp", "50%:1m", "--wait"), 3, "back to blue")
        self.assertActive("blue", "blue")
        self.assertEqual((first.status()["ramp"], first.status()["phase"]), (None, "steady"))

    def test_a_handover_to_which_the_connection_was_lost_is_given_up(self) -> None:
        first, _ = self.doors()
        # Who stays keeps the handover from its end.
        self.open_session(first.address(), "blue")
        result = self.lose_the_first("holding", "--handover", kills=False)
        self.assertCode(result, 3, "back to blue")
        self.assertActive("blue", "blue")
        self.assertEqual((first.status()["hold"], first.status()["generation"]), (None, 0))

    def test_a_handover_whose_command_may_be_at_work_goes_on_when_the_connection_is_lost(self) -> None:
        first, _ = self.doors()
        then = self.folder() / "then"
        during = f"until [ -e {then} ]; do sleep 0.05; done"
        result = self.lose_the_first("holding", "--handover", "--during", during, kills=False, then=then)
        self.assertCode(result, 3, "goes on its way to green (holding)", "nothing is taken back",
                        "the same command")
        wait_until(lambda: first.status()["active"] == "green", "the handover comes to its end")
        self.assertEqual(first.status()["generation"], 1)

    def test_an_interrupt_while_the_command_runs_ends_it_and_says_how_to_go_on(self) -> None:
        self.doors()
        begun = self.folder() / "begun"
        process = subprocess.Popen(
            [SWITCH_BOTH, "green", "--handover", "--during", f"touch {begun}; sleep 100", "--socket",
             self.first.admin_path, "--socket", self.second.admin_path],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=with_programs())
        try:
            wait_until(begun.exists, "the command runs")
            process.terminate()
            said = process.communicate(timeout=60)[0]
        finally:
            process.kill()
            process.communicate()
        self.assertEqual((process.returncode, "same command line again" in said), (143, True), said)
        self.assertActive("blue", "blue")

    def test_with_no_undo_a_ramp_goes_on_and_is_told_how_to_end(self) -> None:
        self.doors()
        result = self.lose_the_first("ramping", "--ramp", "50%:1m", "--wait", "--no-undo")
        self.assertCode(result, 3, "goes on its way to green", "bgproxyctl rollback")
        self.assertEqual(self.first.status()["ramp"]["to"], "green")

    def test_where_one_does_not_answer_any_more_it_is_said_what_may_go_on_there(self) -> None:
        self.doors()
        self.assertCode(self.break_the_second(f"kill -9 {self.second.pid}; exit 255"), 3,
                        "may go on", "bgproxyctl rollback")
        self.second.kill()

    def test_the_ramp_of_somebody_else_is_not_taken_back(self) -> None:
        self.doors()
        ramp = f"bgproxyctl --socket {self.second.admin_path} switch green --ramp 50%:1m"
        self.assertCode(self.break_the_second(ramp), 1, f"taking {self.first.admin_path} back to blue")
        self.assertActive("blue", "blue")
        self.assertEqual(self.second.status()["ramp"]["to"], "green")

    def test_a_run_that_is_interrupted_takes_back_what_it_has_begun(self) -> None:
        # A terminal's interrupt goes to the group, and ends a `tee` that would have read what is said, too.
        for number, is_terminal, code in ((signal.SIGTERM, False, 143), (signal.SIGINT, True, 130),
                                          (signal.SIGHUP, True, 129)):
            with self.subTest(number.name):
                self.doors()
                process = subprocess.Popen(
                    [SWITCH_BOTH, "green", "--ramp", "50%:1m", "--wait", "--socket", self.first.admin_path,
                     "--socket", self.second.admin_path],
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                    env=with_programs(), start_new_session=True,
                    # A suite that runs in the background or under nohup(1) ignores it; who inherits that cannot trap it.
                    preexec_fn=lambda number=number: signal.signal(number, signal.SIG_DFL))
                try:
                    wait_until(lambda: self.first.status()["phase"] == "ramping", "the ramp has begun")
                    if is_terminal:
                        process.stdout.close()
                    (os.killpg if is_terminal else os.kill)(process.pid, number)
                    said = "" if is_terminal else process.communicate(timeout=60)[0]
                    self.assertEqual(process.wait(60), code, said)
                finally:
                    process.kill()
                    process.wait(10)
                self.assertEqual(self.first.receipt()["reason"], "switch-both: interrupted")
                self.assertActive("blue", "blue")
                self.assertEqual([door.status()["phase"] for door in (self.first, self.second)], ["steady"] * 2)

    def test_a_rollback_that_would_lead_to_two_colors_is_refused(self) -> None:
        self.doors()
        self.assertCode(self.both("green"), 0)
        self.assertCode(self.both("blue"), 0)
        self.first.switch("green")
        said = (f"would lead {self.first.admin_path} to blue and {self.second.admin_path} to green", "switch-both blue")
        self.assertCode(self.both("rollback"), 6, *said)
        self.assertActive("green", "blue")
        self.first.rollback()
        self.first.switch("green", ramp=[{"percent": 50, "time": "1m"}])
        self.assertCode(self.both("rollback"), 1, *said, "bgproxyctl rollback")
        self.assertActive("blue", "blue")
        self.assertEqual(self.first.status()["phase"], "ramping")

    def test_a_rollback_ends_what_is_under_way_at_both(self) -> None:
        self.doors()
        self.first.switch("green", ramp=[{"percent": 50, "time": "1m"}])
        self.second.switch("green", bake="1m")
        self.assertCode(self.both("rollback"), 0)
        self.assertActive("blue", "blue")
        self.assertEqual([door.status()["phase"] for door in (self.first, self.second)], ["steady"] * 2)

    def start_sshd(self) -> tuple[Program, str]:
        """A real sshd, and the command that leads to it."""
        harness.need("sshd", "ssh", "ssh-keygen")
        if pwd.getpwuid(os.getuid()).pw_shell.endswith(("nologin", "false")):
            raise unittest.SkipTest("this user may not log in")
        if harness.is_root():
            # Where sshd locks its network half up; a service that never ran has not made it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        place, port = self.folder(), harness.free_port()
        for key in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", f"{place}/{key}"], check=True)
        conf = place / "sshd.conf"
        conf.write_text(
            f"ListenAddress 127.0.0.1:{port}\nHostKey {place}/host\nAuthorizedKeysFile {place}/user.pub\nPidFile none\n"
            f"StrictModes no\nUsePAM no\nPermitRootLogin yes\nPasswordAuthentication no\n")
        sshd = self.enter(Program(place, "sshd", [find_program("sshd"), "-D", "-e", "-f", str(conf)],
                                  f"127.0.0.1:{port}"))
        return sshd, (f"ssh -F none -i {place}/user -p {port} -o IdentitiesOnly=yes -o StrictHostKeyChecking=no"
                      f" -o UserKnownHostsFile={place}/known -o LogLevel=ERROR {getpass.getuser()}@127.0.0.1")

    def test_over_ssh_the_options_arrive_as_they_were(self) -> None:
        self.doors()
        sshd, ssh = self.start_sshd()
        fronts = ("--front-door", f"{ssh} {harness.BGPROXYCTL} --socket {self.first.admin_path}",
                  "--socket", self.second.admin_path)
        reason = "it's $HOME; `two`  words"
        self.assertCode(run(SWITCH_BOTH, "green", *fronts, "--reason", reason, env=with_programs()), 0)
        self.assertEqual([door.receipt()["reason"] for door in (self.first, self.second)], [reason] * 2)
        sshd.__exit__()
        self.assertCode(run(SWITCH_BOTH, "blue", *fronts, env=with_programs()), 3, "does not answer",
                        "nothing was changed")

    def test_two_ways_to_one_front_door_are_no_two_front_doors(self) -> None:
        self.doors()
        result = run(SWITCH_BOTH, "green", "--socket", self.first.admin_path, "--front-door",
                     f"bgproxyctl --socket {self.first.admin_path}", env=with_programs())
        self.assertCode(result, 2, "one and the same front door")
        self.assertEqual(self.first.status()["generation"], 0)

    def test_wrong_usage_and_missing_tools_are_named(self) -> None:
        one, two = ("--socket", "/nowhere/1"), ("--socket", "/nowhere/2")
        for arguments, said in (
            ([], "name blue, green"), (["red", *one, *two], "unknown: red"), (["green", *one], "1 are named"),
            (["green", *one, *one], "the same one"), (["green", *one, *two, "--ramp", "10%:1m"], "--ramp needs --wait"),
            (["green", *one, *two, "--reason"], "--reason needs a value"),
            (["rollback", *one, *two, "--dry-run"], "rollback has no --dry-run"),
            (["--check", *one, *two, "--force"], "--check takes no --force"),
            (["rollback", *one, *two, "--during", "x"], "rollback takes no --during"),
            (["green", *one, "--front-door", "no-such-program x"], "no-such-program is not installed"),
        ):
            with self.subTest(arguments=arguments):
                self.assertCode(run(SWITCH_BOTH, *arguments, env=with_programs()), 2, said)
        nothing = self.folder()
        bash = find_program("bash")
        result = run(bash, SWITCH_BOTH, "green", *one, *two, env={"PATH": str(nothing)})
        self.assertCode(result, 2, "python3 is not installed")
        self.assertIn("Exit code", run(SWITCH_BOTH, "--help").stdout)


if __name__ == "__main__":
    unittest.main()
