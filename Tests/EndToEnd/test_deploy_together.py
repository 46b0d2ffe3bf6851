"""Deployment by git push: several pushes at once, and pushes that are killed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from harness import Task, wait_until
from test_deploy import GATED, DeployCase, Environment, gated, is_alive


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])


class Together(DeployCase):
    """More than one push at a time, and pushes that are killed."""

    def rival(self, environment: Environment) -> Environment:
        """Another working copy of the same repository."""
        other = Environment(self.ground / "rival", self.variables, environment.color, environment.web_root)
        other.repository = environment.repository
        other.git("pull", "--quiet", str(environment.repository), "main")
        return other

    def two(self) -> tuple[Environment, Environment]:
        blue = self.environment()
        blue.release("App v1\n")
        (self.ground / "rival").mkdir()
        return blue, self.rival(blue)

    def test_push_that_comes_while_another_builds_waits_and_is_refused_when_main_has_moved(self) -> None:
        blue, rival = self.two()
        blue.set("build", GATED)
        first, second = blue.commit("App v2\n"), rival.commit("App v3\n")
        with blue.pushing() as push:
            self.wait_for("began")
            with rival.pushing() as late:
                hook = (blue.releases / ".build.lock").read_text().partition("-")[0]
                self.assertIn(f"waiting for another deployment to {blue.web_root}: process {hook}; `kill {hook}` on",
                              late.stdout.readline())
                (self.builds / "open").touch()
                self.assertEqual(push.wait(60), 0)
                self.assertEqual(late.wait(60), 1, "its main is not a descendant of what main is by then")
                self.assertIn("rejected", late.stdout.read())
        self.assertLive(blue, "App v2\n", first)
        rival.push("--force")
        self.assertLive(blue, "App v3\n", second)
        self.assertClean(blue)

    def test_many_pushes_at_once_leave_the_web_root_at_the_tip_of_main(self) -> None:
        blue, rival = self.two()
        for turn in range(3):
            blue.commit(f"ours {turn}\n")
            rival.commit(f"theirs {turn}\n")
            pushes = [Task(lambda e=e: e.push("--force", code=None)) for e in (blue, rival)]
            said = [push.result() for push in pushes]
            self.assertIn("deployed main", "".join(said))
            text = blue.git("show", "main:index.html", cwd=blue.repository)
            self.assertLive(blue, f"{text}\n")
        blue.release("App v9\n", "--force")
        self.assertLive(blue, "App v9\n")
        self.assertClean(blue)

    def test_hook_killed_in_its_build_leaves_the_live_tree_and_the_next_push_works(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        tip, live = blue.tip(), blue.live()
        blue.set("build", GATED)
        blue.commit("App v2\n")
        with blue.pushing() as push:
            os.kill(self.wait_for("began"), 0)
            os.killpg(push.pid, signal.SIGKILL)
            self.assertNotEqual(push.wait(10), 0)
        self.assertEqual((blue.tip(), blue.live(), blue.served()), (tip, live, "App v1\n"))
        self.assertEqual(len(blue.names()), 3, "what was staged lies there")
        blue.set("build", "")
        blue.push()
        self.assertLive(blue, "App v2\n")
        self.assertEqual(blue.names(), [live, blue.live(), "initial"])
        self.assertClean(blue)

    def test_hook_killed_alone_fails_its_push_and_holds_up_no_other(self) -> None:
        blue = self.environment("blue", "--build", GATED)
        commit = blue.commit("App v1\n")
        with blue.pushing() as push:
            build = self.wait_for("began")
            os.kill(int((blue.releases / ".build.lock").read_text().partition("-")[0]), signal.SIGKILL)
            wait_until(lambda: not is_alive(build), "its build has ended")
            self.assertEqual(push.wait(60), 1)
            blue.set("build", "")
            self.assertNotIn("waiting", blue.push())
            self.assertLive(blue, "App v1\n", commit)
        blue.release("App v2\n")
        self.assertLive(blue, "App v2\n")
        self.assertClean(blue)

    def test_deployment_that_another_waits_for_is_ended_by_the_signal_that_is_named(self) -> None:
        blue, rival = self.two()
        # The first build does not heed it, and so is killed.
        blue.set("build", f"[ -e first ] && trap '' TERM; {GATED}")
        live = blue.live()
        blue.commit("App v2\n", first="")
        rival.commit("App v3\n")
        with blue.pushing() as push:
            build = self.wait_for("began")
            with rival.pushing() as late:
                hook = int(re.search(r"process (\d+);", late.stdout.readline())[1])
                (self.builds / "began").unlink()
                os.kill(hook, signal.SIGTERM)
                self.assertEqual(push.wait(60), 1)
                wait_until(lambda: not is_alive(build), "its build has ended")
                self.assertEqual((blue.live(), blue.served()), (live, "App v1\n"))
                self.wait_for("began")
                (self.builds / "open").touch()
                self.assertEqual(late.wait(60), 0)
        self.assertLive(blue, "App v3\n")
        self.assertClean(blue)

    def test_push_that_waits_is_ended_by_a_signal(self) -> None:
        blue, rival = self.two()
        blue.set("build", GATED)
        blue.commit("App v2\n")
        rival.commit("App v3\n")
        with blue.pushing() as push:
            self.wait_for("began")
            self.tool("flock", 'echo $PPID >"$BUILDS/waits"; exec REAL "$@"\n')
            with rival.pushing() as late:
                self.assertIn("waiting", late.stdout.readline())
                os.kill(self.wait_for("waits"), signal.SIGTERM)
                self.assertEqual(late.wait(60), 1)
            (self.builds / "open").touch()
            self.assertEqual(push.wait(60), 0)
        self.assertLive(blue, "App v2\n")
        self.assertClean(blue)

    def test_repository_whose_web_root_was_given_up_is_an_ordinary_one(self) -> None:
        blue, _ = self.two()
        server = ["git", "-C", str(blue.repository)]
        subprocess.run([*server, "config", "--unset", "bgproxy.webRoot"], check=True)
        subprocess.run([*server, "branch", "other", "main"], check=True)
        subprocess.run([*server, "pack-refs", "--all"], check=True)

    def test_push_that_comes_when_another_has_been_agreed_to_does_not_build_in_vain(self) -> None:
        blue, rival = self.two()
        blue.set("build", 'echo built >>"$BUILDS/built"')
        blue.hold_branch()
        commit = blue.commit("App v2\n")
        rival.commit("App v3\n")
        with blue.pushing() as push:
            self.wait_for("moving")
            first = (blue.releases / ".build.lock").read_text()
            with rival.pushing() as late:
                wait_until(lambda: (blue.releases / ".build.lock").read_text().strip() not in ("", first.strip()),
                           "the second push has the lock")
                (self.builds / "move").touch()
                self.assertEqual((push.wait(60), late.wait(60)), (0, 1))
                self.assertIn("refused: main has moved meanwhile", late.stdout.read())
        self.assertEqual((self.builds / "built").read_text(), "built\n")
        self.assertLive(blue, "App v2\n", commit)

    def leave(self, environment: Environment, owner: str) -> str:
        """What a push that had been agreed to left when it was killed; returns the release."""
        commit = environment.git("rev-parse", "HEAD")
        release = f"20010101T000000Z-{commit[:7]}"
        (environment.releases / release).mkdir()
        pending = environment.releases / ".pending"
        for state in ("release", "agreed"):
            (pending / f"{owner}.{state}.{commit}").symlink_to(release)
        (pending / f"{owner}.index").touch()
        return release

    def test_process_that_has_the_number_of_one_that_left_something_does_not_protect_it(self) -> None:
        blue = self.environment()
        for owner in (str(os.getpid()), f"{os.getpid()}-1"):
            blue.commit(f"App of {owner}\n")
            release = self.leave(blue, owner)
            blue.push()
            self.assertNotIn(release, blue.names())
            self.assertClean(blue)

    def test_release_of_a_killed_push_goes_live_or_is_removed_and_never_both(self) -> None:
        """Its hook, which is left alone, makes the release live while the next push removes it."""
        self.tool("mv", f"""
            for last; do :; done
            case $last in */current) [ -e "$BUILDS/go" ] || {{ {gated("renames", "go")}; }} ;; esac
            exec REAL "$@"
        """)
        self.tool("rm", f"""
            [ "$1" != -rf ] || [ -e "$BUILDS/remove" ] || {{ {gated("removes", "remove")}; }}
            exec REAL "$@"
        """)
        for first in ("removed", "live"):
            with self.subTest(first):
                (self.ground / first).mkdir()
                for name in ("go", "remove"):
                    (self.builds / name).touch()
                blue = Environment(self.ground / first, self.variables, "blue")
                blue.setup()
                blue.release("App v1\n")
                (self.ground / "rival").mkdir(exist_ok=True)
                for file in self.builds.iterdir():
                    file.unlink()
                commit = blue.commit("App v2\n")
                with blue.pushing() as push:
                    renames = self.wait_for("renames")
                    os.kill(parent(parent(renames)), signal.SIGKILL)
                    push.wait(10)
                    if first == "live":
                        (self.builds / "go").touch()
                        wait_until(lambda: not is_alive(renames), "the release is renamed")
                        self.assertLive(blue, "App v2\n", commit)
                        self.assertNotEqual(blue.tip(), commit)
                        (self.builds / "remove").touch()
                        blue.commit("App v3\n")
                        blue.push()
                    else:
                        blue.commit("App v3\n")
                        with blue.pushing() as late:
                            self.wait_for("removes")
                            (self.builds / "go").touch()
                            wait_until(lambda: not is_alive(renames), "the release is not renamed")
                            self.assertEqual(blue.served(), "App v1\n")
                            (self.builds / "remove").touch()
                            self.assertEqual(late.wait(60), 0)
                self.assertLive(blue, "App v3\n")
                self.assertClean(blue)

    def kill_at_steps(self) -> None:
        """Has the programs that change something count their calls, and before call number $KILL_AT kill the process
        group that they are in; with $KILL_AFTER, after it, if that makes a release live."""
        for name in ("ln", "mkdir", "mv", "rm"):
            self.tool(name, """
                echo "$0 $*" >>"$BUILDS/steps"
                for last; do :; done
                [ $(wc -l <"$BUILDS/steps") -eq "${KILL_AT-0}" ] || exec REAL "$@"
                case $KILL_AFTER$last in yes*/current) REAL "$@" ;; esac
                echo >"$BUILDS/killed"
                kill -9 0
            """)

    def test_killed_at_any_step_a_push_leaves_one_whole_tree_live_and_no_branch_that_is_not(self) -> None:
        blue = self.environment("blue", "--keep", "2")
        parts = {f"part{number}": "" for number in range(20)}
        for number in range(2):
            blue.commit(f"App v{number}\n", **dict.fromkeys(parts, f"App v{number}\n"))
            blue.push()
        self.kill_at_steps()
        moments, states = set(), set()
        for step in range(1, 60):
            for after in ("", "yes"):
                text = f"App v{step} {after}\n"
                commit = blue.commit(text, **dict.fromkeys(parts, text))
                self.leave(blue, "0-0")
                for name in ("steps", "killed"):
                    (self.builds / name).unlink(missing_ok=True)
                self.variables |= {"KILL_AT": str(step), "KILL_AFTER": after}
                with blue.pushing() as push:
                    code = push.wait(60)
                del self.variables["KILL_AT"]
                killed = (self.builds / "killed").exists()
                whole = {(blue.web_root / name).read_text() for name in ("index.html", *parts)}
                self.assertEqual(len(whole), 1)
                if blue.tip() == commit:
                    self.assertLive(blue, text)
                states.add((blue.tip() == commit, blue.served() == text))
                blue.push()
                self.assertLive(blue, text, commit)
                if not killed:
                    break
                call = (self.builds / "steps").read_text().splitlines()[step - 1]
                moments.add(Path(call.split()[0]).name)
                if not call.endswith("/current"):
                    break
            if not killed:
                self.assertEqual(code, 0)
                break
        self.assertEqual(moments, {"ln", "mkdir", "mv", "rm"})
        self.assertEqual(states, {(False, False), (False, True), (True, True)}, "each has been met")
        blue.release("App v99\n")
        self.assertLive(blue, "App v99\n")
        self.assertEqual(len(blue.names()), 3)
        self.assertClean(blue)

    def test_deployment_by_hand_that_is_killed_while_it_has_the_branch_locked_holds_up_no_push(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        self.kill_at_steps()
        for after in ("", "yes"):
            (self.builds / "steps").unlink(missing_ok=True)
            self.variables |= {"KILL_AT": "0", "KILL_AFTER": after}
            blue.deploy()
            calls = (self.builds / "steps").read_text().splitlines()
            (self.builds / "steps").unlink()
            self.variables["KILL_AT"] = str(1 + next(n for n, call in enumerate(calls) if call.endswith("/current")))
            blue.deploy("setsid", "--wait", code=None)
            self.assertTrue((blue.repository / "refs" / "heads" / "main.lock").exists())
            self.assertTrue((blue.web_root / "index.html").exists())
            del self.variables["KILL_AT"]
            text = f"App v2 {after}\n"
            blue.release(text)
            self.assertLive(blue, text)
            self.assertClean(blue)
