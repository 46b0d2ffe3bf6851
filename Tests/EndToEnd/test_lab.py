"""config/lab: the world of the tutorial is built, shown and taken down, and what goes wrong leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import harness
from harness import wait_until
from lab import SCRIPTS, Lab, LabCase, page


def snapshot(folder: Path) -> dict[str, tuple[int, int]]:
    """Every file with its inode and time of change; logs and what bgproxy writes by itself aside."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).parts[0] not in ("log", "run"):
            about = path.lstat()
            found[str(path)] = (about.st_ino, about.st_mtime_ns)
    return found


class UpAndDown(LabCase):
    def check_gone(self, lab: Lab) -> None:
        self.assertEqual(lab.leftovers(), [])

    def check_release(self, lab: Lab) -> None:
        """The tutorial's way: version 1 on both, version 2 on blue, tested there, then live."""
        for color in ("blue", "green"):
            pushed = lab.git("push", color, "main")
            self.assertEqual(pushed.returncode, 0, pushed.stdout)
            self.assertRegex(pushed.stdout, rf"remote: deployed main \w+ to {lab.folder}/{color}/www ")
        lab.commit("App v2")
        pushed = lab.git("push", "blue", "main")
        self.assertEqual(pushed.returncode, 0, pushed.stdout)
        self.assertEqual((page(lab.preview), page(lab.front)), ("App v2", "App v1"))
        switched = lab.ctl("switch", "blue")
        self.assertEqual(switched.returncode, 0, switched.stderr)
        self.assertEqual((page(lab.preview), page(lab.front)), ("App v1", "App v2"))

    def check_status(self, lab: Lab, active: str, programs: int) -> None:
        status = lab.run("status")
        self.assertEqual(status.returncode, 0, status.stdout)
        self.assertIn(f"the lab at {lab.folder}: {active} is active", status.stdout)
        self.assertEqual(len(re.findall(r"runs, pid \d+", status.stdout)), programs, status.stdout)
        for address in (lab.front, lab.preview, lab.blue, lab.green):
            self.assertRegex(status.stdout, rf"http://{address} .* {page(address)}\n")

    def test_up_builds_two_servers_that_are_deployed_to_over_ssh_and_down_leaves_nothing_behind(self) -> None:
        lab = self.lab_that_is_up()
        self.check_status(lab, "green", 5)
        self.assertIn(f"green\t{lab.user}@green:sample_app (push)", lab.git("remote", "-v").stdout)
        self.check_release(lab)
        self.check_status(lab, "blue", 5)
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.check_gone(lab)
        self.assertEqual((Path(lab.environment["HOME"]) / ".ssh").exists(), False, "nor in the home of who used it")

    def test_plain_mode_is_deployed_to_by_path_and_down_leaves_nothing_behind(self) -> None:
        lab = self.lab_that_is_up(plain=True)
        self.check_status(lab, "green", 4)
        self.assertIn(f"green\t{lab.folder}/green/sample_app (push)", lab.git("remote", "-v").stdout)
        self.check_release(lab)
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.check_gone(lab)

    def test_checkout_may_lie_in_a_folder_with_a_space(self) -> None:
        lab = self.lab(plain=True)
        checkout = lab.folder.parent / "it's a $checkout"
        (checkout / ".build").mkdir(parents=True)
        (checkout / ".build" / "release").symlink_to(harness.BINARIES)
        shutil.copytree(SCRIPTS.parent, checkout / "config")
        options = {"environment": {"BGPROXY_BINARIES": ""}}
        for script in ("up", "status", "down"):
            done = subprocess.run([str(checkout / "config" / "lab" / script)], **lab._options(dict(options)), timeout=60,
                                  check=False)
            self.assertEqual(done.returncode, 0, done.stdout)
            if script == "up":
                version = subprocess.run(["bash", "-c", '. "$0/env" && bgproxyctl status', str(lab.folder)], text=True,
                                         env=lab.environment | {"PATH": "/usr/bin:/bin"}, capture_output=True, check=False)
                self.assertIn("green", version.stdout, version.stderr)
        self.check_gone(lab)

    def test_hook_asks_who_is_live_also_where_its_user_cannot_go_to_the_checkout(self) -> None:
        lab = self.lab()
        closed = self.folder() / "two words"
        closed.mkdir()
        for name in ("bgproxy", "bgproxyctl"):
            (closed / name).symlink_to(harness.BINARIES / name)
        self.assertEqual(closed.parent.stat().st_mode & 0o77, 0, "closed to others")
        up = lab.run("up", environment={"BGPROXY_BINARIES": str(closed)})
        self.assertEqual(up.returncode, 0, up.stdout)
        for color in ("blue", "green"):
            subprocess.run(["git", "config", "--file", str(lab.folder / color / "sample_app" / "config"),
                            "bgproxy.deploy", "idle-only"], check=True)
        pushed = lab.git("push", "green", "main")
        self.assertIn("remote: refused: green is live", pushed.stdout)
        pushed = lab.git("push", "blue", "main")
        self.assertEqual(pushed.returncode, 0, pushed.stdout)
        # In place of the sentence of a program that is not there: which user cannot run it.
        (lab.folder / "bin" / "bgproxyctl").chmod(0o644)
        lab.commit("App v2")
        self.assertRegex(lab.git("push", "blue", "main").stdout,
                         rf"refused: .*/bin/bgproxyctl, .*missing, or not executable for {lab.user}")

    def test_without_root_the_lab_is_plain_and_says_so(self) -> None:
        lab = self.lab(plain=True)
        options = {}
        if harness.is_root():
            options = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            os.chown(lab.folder.parent, *pwd.getpwnam("nobody")[2:4])
            for file in (SCRIPTS / "up", harness.BGPROXY):
                if subprocess.run(["test", "-x", str(file)], check=False, **options).returncode:
                    self.skipTest(f"the user nobody cannot reach {file}")
        environment = {"BGPROXY_LAB_PLAIN": ""}
        up = lab.run("up", environment=environment, **options)
        self.assertEqual(up.returncode, 0, up.stdout)
        self.assertIn("plain mode, because this is not root", up.stdout)
        self.assertEqual(page(lab.front), "green: nothing is deployed here yet")
        down = lab.run("down", **options)
        self.assertEqual(down.returncode, 0, down.stdout)
        self.check_gone(lab)

    def test_without_apache_and_sshd_the_lab_is_plain_and_says_so(self) -> None:
        lab = self.lab()
        harness.need("unshare", "mount", "python3")
        hide = " && ".join(f"mount --bind /dev/null {harness.find_program(name)}" for name in ("apache2", "sshd"))
        up = subprocess.run(["unshare", "-m", "sh", "-c", f'{hide} && exec "$0"', str(SCRIPTS / "up")], text=True,
                            env=lab.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                            timeout=60)
        self.assertEqual(up.returncode, 0, up.stdout)
        self.assertIn("plain mode, because apache2 is not installed and sshd is not installed:", up.stdout)
        self.check_release(lab)
        self.assertEqual(lab.run("down").returncode, 0)
        self.check_gone(lab)

    def test_programs_that_take_requests_do_not_run_as_root(self) -> None:
        lab = self.lab_that_is_up()
        for color in ("blue", "green"):
            self.assertNotEqual(Path(f"/proc/{lab.pid(color)}").stat().st_uid, 0, color)
        # The key opens git's commands, and no shell.
        answer = subprocess.run(["ssh", "-F", str(lab.folder / "ssh" / "config"), f"{lab.user}@blue", "id"],
                                capture_output=True, text=True, check=False, timeout=60)
        self.assertEqual((answer.returncode, answer.stdout), (128, ""), answer.stderr)
        self.assertIn("unrecognized command 'id'", answer.stderr)

    def test_the_lab_started_twice_is_the_one_that_runs_already(self) -> None:
        lab = self.lab_that_is_up()
        pids, files = lab.pids(), snapshot(lab.folder)
        again = lab.run("up")
        self.assertEqual((again.returncode, again.stdout),
                         (0, f"the lab at {lab.folder} is up already; nothing was changed\n"))
        self.assertEqual((lab.pids(), snapshot(lab.folder)), (pids, files))
        self.check_status(lab, "green", 5)

    def test_a_lab_whose_programs_have_ended_is_started_again_as_it_was(self) -> None:
        lab = self.lab_that_is_up()
        self.check_release(lab)
        for pid in lab.pids().values():
            os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not lab.processes(), "all has ended, as at a reboot")
        status = lab.run("status")
        self.assertEqual(status.returncode, 1)
        self.assertIn("the front door does not answer", status.stdout)
        self.assertEqual(status.stdout.count("does not run"), 5, status.stdout)
        again = lab.run("up")
        self.assertEqual((again.returncode, again.stdout), (
            0, f"the lab at {lab.folder} was there already; started again: blue, green, sshd, bgproxy\n"))
        self.check_status(lab, "blue", 5)
        self.assertEqual((page(lab.preview), page(lab.front)), ("App v1", "App v2"))

    def test_a_lab_is_not_started_again_where_a_stranger_has_an_address_or_other_options_are_given(self) -> None:
        lab = self.lab_that_is_up(plain=True)
        os.kill(lab.pid("blue"), signal.SIGTERM)
        wait_until(lambda: "refused" in page(lab.blue), "the server of blue is down")
        pids = lab.pids()
        with harness.listening(lab.blue):
            again = lab.run("up")
            self.assertEqual(again.returncode, 1, again.stdout)
            self.assertIn(f"{lab.blue} (blue) is taken by", again.stdout)
            self.assertEqual(lab.pids(), pids)
        for option, name, other in (("--front", "front", lab.preview), ("--ssh-port", "ssh_port", "1")):
            again = lab.run("up", option, other)
            self.assertEqual(again.returncode, 1, again.stdout)
            self.assertIn(f"has {name} {getattr(lab, name)}, not {other}", again.stdout)
        nothing = {f"BGPROXY_LAB_{name}": "" for name in ("USER", "FRONT", "PREVIEW", "BLUE", "GREEN", "SSH_PORT")}
        again = lab.run("up", environment=nothing)
        self.assertEqual((again.returncode, again.stdout),
                         (0, f"the lab at {lab.folder} was there already; started again: blue\n"))

    def test_the_repository_of_the_shell_that_builds_the_lab_is_left_alone(self) -> None:
        lab = self.lab(plain=True)
        mine = self.folder() / "mine"
        for command in (["init", "-q", str(mine)], ["-C", str(mine), "config", "user.name", "me"]):
            subprocess.run(["git", *command], check=True, env=lab.environment)
        before = snapshot(mine)
        up = lab.run("up", environment={"GIT_DIR": str(mine / ".git"), "GIT_WORK_TREE": str(mine)})
        self.assertEqual(up.returncode, 0, up.stdout)
        self.assertEqual(snapshot(mine), before)
        self.check_release(lab)

    def test_of_two_that_start_at_once_one_builds_the_lab(self) -> None:
        lab = self.lab()
        both = [lab.start("up"), lab.start("up")]
        answers = [process.communicate(timeout=60)[0] for process in both]
        codes = sorted(process.returncode for process in both)
        self.assertIn(codes, ([0, 0], [0, 1]), answers)
        self.assertEqual(sum("the lab is up at" in answer for answer in answers), 1, answers)
        self.check_status(lab, "green", 5)

    def test_down_without_a_lab_says_so(self) -> None:
        lab = self.lab(plain=True)
        for script, code, text in (("down", 0, f"there is no lab at {lab.folder}\n"),
                                   ("status", 1, f"there is no lab at {lab.folder}; config/lab/up builds one\n")):
            answer = lab.run(script)
            self.assertEqual((answer.returncode, answer.stdout.removeprefix(f"config/lab/{script}: ")), (code, text))

    def test_down_takes_down_what_is_left_of_programs_that_were_killed(self) -> None:
        lab = self.lab_that_is_up()
        # Apache's children live on without it, and hold its port.
        os.kill(lab.pid("blue"), signal.SIGKILL)
        os.kill(lab.pid("bgproxy"), signal.SIGKILL)
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.check_gone(lab)

    def test_down_ends_a_push_that_is_under_way(self) -> None:
        lab = self.lab_that_is_up()
        subprocess.run(["git", "config", "--file", str(lab.folder / "blue" / "sample_app" / "config"), "bgproxy.build",
                        "touch building && sleep 100"], check=True)
        push = subprocess.Popen(["git", "-C", str(lab.folder / "sample_app"), "push", "blue", "main"],
                                env=lab.environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self._stack.callback(push.wait)
        self._stack.callback(push.kill)
        wait_until(lambda: list(lab.folder.glob("blue/www.releases/*/building")), "the build runs")
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.check_gone(lab)
        self.assertNotEqual(push.wait(harness.PATIENCE), 0)

    def test_down_leaves_a_process_alone_that_has_the_id_of_one_of_the_lab(self) -> None:
        lab = self.lab_that_is_up(plain=True)
        stranger = subprocess.Popen(["sleep", "100"], start_new_session=True)
        self._stack.callback(stranger.wait)
        self._stack.callback(stranger.kill)
        os.kill(lab.pid("blue"), signal.SIGKILL)
        (lab.folder / "run" / "blue.pid").write_text(f"{stranger.pid}\n")
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.assertIsNone(stranger.poll())
        self.check_gone(lab)


class Faults(LabCase):
    def check_refused(self, lab: Lab, *texts: str, arguments: tuple[str, ...] = (), code: int = 1, **options) -> str:
        """`up` ends with this code, says these texts, and leaves nothing behind."""
        up = lab.run("up", *arguments, **options)
        self.assertEqual(up.returncode, code, up.stdout)
        for text in texts:
            self.assertIn(text, up.stdout)
        self.assertEqual(lab.leftovers(), [])
        return up.stdout

    def test_a_port_that_is_taken_is_named_with_its_holder(self) -> None:
        lab = self.lab()
        for address in (lab.front, lab.preview, lab.blue, lab.green, f"{lab.green.rpartition(':')[0]}:{lab.ssh_port}",
                        f"0.0.0.0:{lab.front.rpartition(':')[2]}"):
            with self.subTest(address), harness.listening(address):
                shown = address.replace("0.0.0.0", "127.0.0.1")
                said = self.check_refused(lab, shown, f"(pid {os.getpid()})", "nothing was started")
                self.assertEqual(said.count("is taken by"), 1, said)

    def test_a_port_that_two_parts_of_the_lab_are_to_have_is_refused(self) -> None:
        lab = self.lab(plain=True)
        said = self.check_refused(lab, "removing what was built", arguments=("--preview", lab.front))
        self.assertIn(lab.front, said)

    def test_a_user_that_exists_is_left_alone(self) -> None:
        lab = self.lab()
        self.check_refused(lab, "the user nobody exists", "--user NAME", arguments=("--user", "nobody"))

    def test_a_folder_that_is_no_lab_is_left_alone(self) -> None:
        lab = self.lab(plain=True)
        lab.folder.mkdir()
        (lab.folder / "mine").write_text("precious")
        for script in ("up", "down"):
            answer = lab.run(script)
            self.assertEqual(answer.returncode, 1, answer.stdout)
            self.assertIn("no lab", answer.stdout)
        self.assertEqual([path.name for path in lab.folder.iterdir()], ["mine"])

    def test_a_folder_that_others_cannot_enter_is_refused(self) -> None:
        lab = self.lab()
        lab.folder.parent.chmod(0o700)
        self.check_refused(lab, f"cannot enter {lab.folder}", "removing what was built")

    def test_wrong_options_are_refused_with_code_2(self) -> None:
        lab = self.lab(plain=True)
        for arguments in (("--nonsense",), ("--front",), ("--front", "8080"), ("--folder", "a b"), ("--folder", "/"),
                          ("--ssh-port", "x"), ("--user", "Root!"), ("--folder", "/tmp/" + "x" * 90)):
            with self.subTest(arguments):
                self.check_refused(lab, "--help", arguments=arguments, code=2)
        for script in ("up", "down", "status"):
            shown = lab.run(script, "--help")
            self.assertEqual((shown.returncode, f"Usage: config/lab/{script}" in shown.stdout), (0, True), shown.stdout)

    def test_a_tool_that_is_missing_is_named_with_its_package(self) -> None:
        programs = self.folder()
        for folder in ("/bin", "/usr/bin"):
            for program in Path(folder).iterdir():
                if not (programs / program.name).is_symlink():
                    (programs / program.name).symlink_to(program)
        for plain in (False, True):
            lab = self.lab(plain)
            for tool, package in (("git", "git"), ("curl", "curl"), ("ss", "iproute2"), ("setsid", "util-linux"),
                                  ("python3", "python3") if plain else ("ssh-keygen", "openssh-client")):
                with self.subTest(tool, plain=plain):
                    (programs / tool).rename(programs / "hidden")
                    self.check_refused(lab, f"missing: {tool} (Debian: {package})", environment={"PATH": str(programs)})
                    (programs / "hidden").rename(programs / tool)

    def test_bgproxy_that_is_not_built_is_told_with_how_to_build_it(self) -> None:
        lab, empty = self.lab(plain=True), str(self.folder())
        self.check_refused(lab, f"no bgproxy and bgproxyctl in {empty}", "swift build -c release",
                           environment={"BGPROXY_BINARIES": empty})

    def fake_binaries(self, script: str) -> Path:
        """A bgproxy that takes any configuration, and then does this."""
        folder = self.folder()
        folder.chmod(0o755)
        for name in ("bgproxy", "bgproxyctl"):
            (folder / name).write_text(f'#!/bin/bash\n[ "$1" != --check ] || exit 0\n{script}\n')
            (folder / name).chmod(0o755)
        return folder

    def test_a_program_that_does_not_start_is_told_and_all_else_is_removed(self) -> None:
        lab = self.lab()
        binaries = self.fake_binaries('echo "no luck today" >&2; exit 1')
        self.check_refused(lab, "no luck today", "bgproxy does not run", "removing what was built",
                           environment={"BGPROXY_BINARIES": str(binaries)})

    def up_that_waits(self, lab: Lab) -> subprocess.Popen[str]:
        """`up` while it waits for a front door that never answers."""
        binaries = self.fake_binaries('[[ $0 == */bgproxy ]] || exit 3; exec -a "$*" sleep 100')
        up = lab.start("up", environment={"BGPROXY_BINARIES": str(binaries)})
        self._stack.callback(up.stdout.close)
        self._stack.callback(up.wait)
        self._stack.callback(up.kill)
        wait_until(lambda: [command for command in lab.processes().values() if command.startswith("--config")],
                   "the last program is started")
        return up

    def test_up_that_is_interrupted_removes_what_it_has_built(self) -> None:
        lab = self.lab()
        up = self.up_that_waits(lab)
        up.terminate()
        said, _ = up.communicate(timeout=60)
        self.assertEqual((up.returncode, "removing what was built" in said), (1, True), said)
        self.assertEqual(lab.leftovers(), [])

    def test_up_that_is_interrupted_at_any_moment_leaves_nothing_behind(self) -> None:
        lab = self.lab()
        # One after the other: what is in the folder tells how far it is.
        for moment in ("lab.conf", "blue/sample_app", "ssh/config", "sample_app/.git", "run/blue.pid", "run/bgproxy.pid"):
            with self.subTest(moment):
                up = lab.start("up")
                self._stack.callback(up.stdout.close)
                wait_until(lambda: (lab.folder / moment).exists() or up.poll() is not None, moment, pause=0.001)
                up.terminate()
                said, _ = up.communicate(timeout=60)
                if (lab.folder / "run" / "complete").exists():
                    self.assertEqual(lab.run("down").returncode, 0)  # it was finished before it was interrupted
                else:
                    self.assertEqual((up.returncode, "removing what was built" in said), (1, True), said)
                self.assertEqual(lab.leftovers(), [])

    def test_down_removes_a_lab_whose_up_was_killed(self) -> None:
        lab = self.lab()
        self.up_that_waits(lab).kill()
        again = lab.run("up")
        self.assertEqual(again.returncode, 1, again.stdout)
        self.assertIn("is not finished", again.stdout)
        down = lab.run("down")
        self.assertEqual(down.returncode, 0, down.stdout)
        self.assertEqual(lab.leftovers(), [])

    def test_lab_that_was_killed_before_it_had_settings_is_taken_down(self) -> None:
        lab = self.lab(plain=True)
        for is_begun in (False, True):
            lab.folder.mkdir()
            if is_begun:
                (lab.folder / "lab.conf").touch()
            again = lab.run("up")
            self.assertEqual((again.returncode, "is not finished" in again.stdout), (1, True), again.stdout)
            self.assertEqual(lab.run("down").returncode, 0)
            self.assertEqual(lab.leftovers(), [])

    @staticmethod
    def kill_if_alive(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def test_program_whose_id_is_not_written_down_does_not_outlive_up(self) -> None:
        lab = self.lab(plain=True)
        binaries, checked, go_on = self.folder(), self.folder() / "checked", self.folder() / "go-on"
        # The configuration is looked at just before the programs are started.
        (binaries / "bgproxy").write_text(f"#!/bin/bash\ntouch {checked}\nuntil [ -e {go_on} ]; do sleep 0.05; done\n")
        (binaries / "bgproxyctl").symlink_to(harness.BGPROXYCTL)
        (binaries / "bgproxy").chmod(0o755)
        up = lab.start("up", environment={"BGPROXY_BINARIES": str(binaries)})
        self._stack.callback(up.stdout.close)
        self._stack.callback(up.wait)
        self._stack.callback(up.kill)
        self._stack.callback(go_on.touch)
        wait_until(checked.exists, "no program is started yet")
        # Nobody reads from it: `up` stops where it writes the number down.
        os.mkfifo(lab.folder / "run" / "blue.pid")
        go_on.touch()
        wait_until(lambda: [command for command in lab.processes().values() if "web-server" in command], "blue is launched")
        up.kill()
        up.wait()
        (lab.folder / "run" / "blue.pid").unlink()
        for pid in lab.processes():
            self._stack.callback(self.kill_if_alive, pid)
        wait_until(lambda: not lab.processes(), "nothing runs any more")

    def test_apache_that_is_down_at_a_deployment_costs_the_users_nothing(self) -> None:
        lab = self.lab_that_is_up()
        for color in ("blue", "green"):
            self.assertEqual(lab.git("push", color, "main").returncode, 0)
        os.kill(lab.pid("blue"), signal.SIGTERM)
        wait_until(lambda: "refused" in page(lab.blue), "Apache of blue is down")
        lab.commit("App v2")
        pushed = lab.git("push", "blue", "main")
        # The files are in place for when it is back; that it is down is the front door's to notice.
        self.assertEqual(pushed.returncode, 0, pushed.stdout)
        self.assertIn("remote: deployed main", pushed.stdout)
        self.assertEqual(page(lab.front), "App v1")
        refused = lab.ctl("switch", "blue")
        self.assertEqual((refused.returncode, refused.stderr),
                         (1, f"bgproxyctl: refused: blue: {lab.blue}: connection refused\n"))
        self.assertEqual(page(lab.front), "App v1")
        status = lab.run("status")
        self.assertEqual(status.returncode, 1)
        self.assertRegex(status.stdout, rf"blue +http://{lab.blue} +does not run +does not answer\n")
        self.assertRegex(status.stdout, rf"green +http://{lab.green} +runs, pid \d+ +App v1\n")
        again = lab.run("up")
        self.assertEqual((again.returncode, again.stdout),
                         (0, f"the lab at {lab.folder} was there already; started again: blue\n"))
        # It is healthy again only when it has answered some probes in a row.
        wait_until(lambda: lab.ctl("switch", "blue").returncode == 0, "the switch is no longer refused")
        self.assertEqual(page(lab.front), "App v2")

    def test_the_scripts_pass_shellcheck(self) -> None:
        harness.need("shellcheck")
        scripts = [f"config/lab/{name}" for name in ("up", "down", "status")]
        answer = subprocess.run(["shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *scripts],
                                cwd=harness.ROOT, capture_output=True, text=True, check=False, timeout=100)
        self.assertEqual((answer.returncode, answer.stdout, answer.stderr), (0, "", ""))
