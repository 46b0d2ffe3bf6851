"""Deployment by git push: config/deploy with real git, web servers and a front door."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import threading
import time
import unittest.mock
from collections.abc import Callable, Iterator
from pathlib import Path

import harness
import web
from harness import Backend, FrontDoor, Program, Task, tagged, wait_until
from web import Client, WebCase

DEPLOY = harness.ROOT / "config" / "deploy"
SETUP = str(DEPLOY / "setup-environment")



def gated(began: str, opened: str) -> str:
    """A shell script that says that it runs, and goes on when it may (a minute at most, should the test be gone)."""
    return (f'echo $$ >"$BUILDS/{began}"; for _ in $(seq 1200); do [ ! -e "$BUILDS/{opened}" ] || break; sleep 0.05; '
            f'done; [ -e "$BUILDS/{opened}" ]')


GATED = gated("began", "open")
"""A build."""


class Environment:
    """One color: a bare repository, the web root that it deploys to, and a working copy that pushes to it."""

    def __init__(self, place: Path, variables: dict[str, str], color: str, web_root: Path | None = None):
        self.color = color
        self.variables = variables
        self.repository = place / f"{color} repository"
        self.web_root = web_root or place / f"{color} web root"
        self.releases = Path(f"{self.web_root}.releases")
        self.work = place / f"{color} work"
        self.run("git", "init", "--quiet", str(self.work), cwd=place)

    def run(self, *command: str, code: int | None = 0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Runs to the end; the output and the errors come as one text."""
        done = subprocess.run(command, cwd=cwd or self.work, env=self.variables, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
        if code is not None and done.returncode != code:
            raise AssertionError(f"{shlex.join(command)}: code {done.returncode}, not {code}\n{done.stdout}")
        return done

    def setup(self, *arguments: str, code: int | None = 0) -> str:
        return self.run(SETUP, "--repo", str(self.repository), "--web-root", str(self.web_root), "--color", self.color,
                        *arguments, code=code).stdout

    def set(self, name: str, value: str) -> None:
        self.git("config", f"bgproxy.{name}", value, cwd=self.repository)

    def git(self, *arguments: str, cwd: Path | None = None) -> str:
        return self.run("git", *arguments, cwd=cwd).stdout.strip()

    def commit(self, text: str, **files: str) -> str:
        """A commit whose index.html has this text; returns its name."""
        (self.work / "index.html").write_text(text)
        for name, content in files.items():
            (self.work / name).write_text(content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", text)
        return self.git("rev-parse", "HEAD")

    def push(self, *arguments: str, code: int | None = 0) -> str:
        """Pushes, main unless it says otherwise; returns what the pusher reads."""
        options = [argument for argument in arguments if argument.startswith("--")]
        refs = [argument for argument in arguments if not argument.startswith("--")] or ["main"]
        done = self.run("git", "push", *options, str(self.repository), *refs, code=code)
        return re.sub(r" +$", "", done.stdout, flags=re.MULTILINE)

    def release(self, text: str, *arguments: str, code: int | None = 0) -> str:
        """Commits and pushes; returns what the pusher reads."""
        self.commit(text)
        return self.push(*arguments, code=code)

    @contextlib.contextmanager
    def pushing(self, *refs: str) -> Iterator[subprocess.Popen[str]]:
        """A push under way, in a process group of its own."""
        process = subprocess.Popen(["git", "push", str(self.repository), *(refs or ("main",))], cwd=self.work,
                                   env=self.variables, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, start_new_session=True)
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)
            process.stdout.close()

    def deploy(self, *prefix: str, code: int | None = 0) -> str:
        """By hand, on the server."""
        return self.run(*prefix, str(self.repository / "hooks" / "post-receive"), "--deploy", code=code).stdout

    def hold_branch(self) -> None:
        """Has each push stop when it has been agreed to and the branch has not moved, until the test makes `move`."""
        hook = self.repository / "hooks" / "update"
        hook.write_text(f"#!/bin/sh\n{gated('moving', 'move')}\n")
        hook.chmod(0o755)

    def tip(self, branch: str = "main") -> str | None:
        done = self.run("git", "rev-parse", "--quiet", "--verify", f"refs/heads/{branch}", cwd=self.repository,
                        code=None)
        return done.stdout.strip() or None

    def served(self) -> str:
        """What a web server finds."""
        return (self.web_root / "index.html").read_text()

    def live(self) -> str:
        return os.readlink(self.releases / "current")

    def names(self) -> list[str]:
        """The releases, in order, with `initial` last."""
        return sorted(path.name for path in self.releases.iterdir() if path.is_dir() and not path.is_symlink()
                      and path.name != ".pending")

    def left_over(self) -> list[str]:
        """What is neither a release that went live nor part of the furniture."""
        pending = sorted(path.name for path in (self.releases / ".pending").iterdir())
        return pending + sorted({path.name for path in self.releases.iterdir()} - set(self.names())
                                - {".pending", ".build.lock", ".repository", "current"})


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


class DeployCase(WebCase):
    def setUp(self) -> None:
        super().setUp()
        harness.need("git", "flock")
        # Characters that a script which does not quote takes apart.
        self.ground = self.place / "it's a [place] of $HOME"
        self.builds = self.place / "builds"
        for folder in (self.ground, self.builds):
            folder.mkdir(mode=0o755)
        settings = self.place / "gitconfig"
        settings.write_text("[user]\nname = A\nemail = a@localhost\n[init]\ndefaultBranch = main\n[core]\npager = cat\n")
        self.variables = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")} | {
            "HOME": str(self.place), "GIT_CONFIG_GLOBAL": str(settings), "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C",
            "BUILDS": str(self.builds)}

    def environment(self, color: str = "blue", *arguments: str, web_root: Path | None = None) -> Environment:
        environment = Environment(self.ground, self.variables, color, web_root)
        environment.setup(*arguments)
        return environment

    def wait_for(self, name: str) -> int:
        """The process that has written its number to this file: `began` is the gated build's."""
        return int(wait_until(lambda: (file := self.builds / name).exists() and file.read_text().strip(),
                              f"there is {name}"))

    def tool(self, name: str, script: str) -> None:
        """Has hooks find this shell script in place of a program. `REAL` stands for the program itself."""
        programs = self.place / "programs"
        programs.mkdir(exist_ok=True)
        file = programs / name
        file.write_text("#!/bin/sh\n" + script.replace("REAL", str(harness.find_program(name))))
        file.chmod(0o755)
        if not self.variables["PATH"].startswith(f"{programs}:"):
            self.variables["PATH"] = f"{programs}:{self.variables['PATH']}"

    def assertLive(self, environment: Environment, text: str, commit: str | None = None) -> None:
        """The web root shows this and, unless told, is at the tip of main."""
        self.assertEqual(environment.served(), text)
        commit = commit or environment.tip()
        self.assertRegex(environment.live(), rf"\A\d{{8}}T\d{{6}}Z-{commit[:7]}\Z")

    def assertClean(self, environment: Environment) -> None:
        self.assertEqual(environment.left_over(), [])


class Push(DeployCase):
    """What is deployed, and what the pusher reads."""

    def test_first_push_goes_live_and_the_pusher_reads_where(self) -> None:
        blue = self.environment()
        commit = blue.commit("App v1\n")
        said = blue.push()
        self.assertLive(blue, "App v1\n", commit)
        self.assertIn(f"remote: deployed main {commit[:7]} to {blue.web_root} (release {blue.live()})\n", said)
        self.assertEqual(blue.web_root.resolve(), (blue.releases / blue.live()).resolve())
        self.assertClean(blue)

    def test_next_push_replaces_the_tree_and_files_that_are_gone_are_gone(self) -> None:
        blue = self.environment()
        blue.commit("App v1\n", old="old")
        blue.push()
        (blue.work / "old").unlink()
        blue.commit("App v2\n", new="new")
        blue.push()
        self.assertLive(blue, "App v2\n")
        self.assertEqual(sorted(os.listdir(blue.web_root)), ["index.html", "new"])

    def test_other_branch_and_a_tag_are_received_and_not_deployed(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        live = blue.live()
        blue.commit("App v2\n")
        blue.git("tag", "--annotate", "--message", "two", "v2")
        self.assertIn("remote: received feature/x; only main is deployed\n", blue.push("main:feature/x"))
        self.assertIn("remote: received tag v2; only main is deployed\n", blue.push("v2"))
        self.assertEqual(blue.live(), live)
        self.assertEqual(blue.tip("feature/x"), blue.git("rev-parse", "HEAD"))
        self.assertLive(blue, "App v1\n")

    def test_one_push_of_many_refs_deploys_main_alone(self) -> None:
        blue = self.environment()
        blue.commit("App v1\n")
        blue.git("tag", "v1")
        said = blue.push("main", "main:feature", "v1")
        for line in ("deployed main", "received feature; only main is deployed", "received tag v1; only main"):
            self.assertIn(f"remote: {line}", said)
        self.assertEqual(said.count("deployed main"), 1)
        self.assertLive(blue, "App v1\n")

    def test_deleted_branch_is_said_and_deploys_nothing(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        blue.push("main:feature")
        live = blue.live()
        self.assertIn(f"remote: deleted feature; nothing is deployed, release {live} stays live\n",
                      blue.push(":feature"))
        self.assertEqual(blue.live(), live)

    def test_deleting_main_leaves_the_live_tree_alone_and_pushing_it_again_deploys(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        live = blue.live()
        self.assertIn("refusing to delete the current branch", blue.push(":main", code=1), "git's own default")
        blue.git("config", "receive.denyDeleteCurrent", "ignore", cwd=blue.repository)
        self.assertIn(f"remote: deleted main; nothing is deployed, release {live} stays live\n", blue.push(":main"))
        self.assertIsNone(blue.tip())
        self.assertEqual((blue.served(), blue.live()), ("App v1\n", live))
        self.assertIn("remote: deployed main", blue.push())
        self.assertLive(blue, "App v1\n")

    def test_going_back_to_an_older_commit_by_force_deploys_it(self) -> None:
        blue = self.environment()
        old = blue.commit("App v1\n")
        blue.push()
        blue.release("App v2\n")
        self.assertIn("rejected", blue.push(f"{old}:main", code=1))
        self.assertLive(blue, "App v2\n")
        blue.push("--force", f"{old}:main")
        self.assertLive(blue, "App v1\n", old)

    def test_branch_to_deploy_can_have_another_name(self) -> None:
        blue = self.environment("blue", "--branch", "release/next")
        blue.commit("App v1\n")
        self.assertIn("remote: received main; only release/next is deployed\n", blue.push())
        self.assertFalse((blue.web_root / "index.html").exists())
        self.assertIn("remote: deployed release/next", blue.push("main:release/next"))
        self.assertLive(blue, "App v1\n", blue.tip("release/next"))

    def test_names_modes_and_links_arrive_as_committed_and_readable_whatever_the_umask_of_who_pushes(self) -> None:
        blue = self.environment()
        blue.commit("App v1\n", **{"with space & 'quote'.html": "a", "-rf": "b", "ünï.html": "c", "run.sh": "#!/bin/sh\n"})
        (blue.work / "run.sh").chmod(0o755)
        (blue.work / "link").symlink_to("index.html")
        blue.git("add", "--all")
        blue.git("commit", "--quiet", "--amend", "--message", "names")
        self.assertIn("deployed", blue.run("sh", "-c", 'umask 077; exec git push "$0" main', str(blue.repository)).stdout)
        for name, text in (("with space & 'quote'.html", "a"), ("-rf", "b"), ("ünï.html", "c"), ("link", "App v1\n")):
            self.assertEqual((blue.web_root / name).read_text(), text)
        self.assertTrue((blue.web_root / "link").is_symlink())
        modes = {name: (blue.web_root / name).stat().st_mode & 0o777 for name in ("", "index.html", "run.sh")}
        self.assertEqual(modes, {"": 0o755, "index.html": 0o644, "run.sh": 0o755})

    def test_files_that_git_archive_would_leave_out_or_change_are_deployed_as_committed(self) -> None:
        blue = self.environment()
        blue.commit("$Format:%H$\n", **{".gitattributes": "index.html export-subst\nhidden export-ignore\n", "hidden": "h"})
        blue.push()
        self.assertLive(blue, "$Format:%H$\n")
        self.assertEqual((blue.web_root / "hidden").read_text(), "h")
        self.assertFalse((blue.web_root / ".git").exists(), "the history is not served")

    def test_submodules_are_said_not_to_be_deployed(self) -> None:
        blue = self.environment()
        commit = blue.commit("App v1\n")
        blue.git("update-index", "--add", "--cacheinfo", f"160000,{commit},part")
        blue.git("commit", "--quiet", "--message", "with a submodule")
        self.assertIn("remote: submodules are not deployed", blue.push())
        self.assertLive(blue, "App v1\n")

    def test_submodules_are_said_also_where_they_are_at_the_head_of_a_large_tree(self) -> None:
        blue = self.environment()
        commit = blue.commit("App v1\n")
        blob = blue.git("rev-parse", "HEAD:index.html")
        entries = [f"160000 {commit} 0\ta", *(f"100644 {blob} 0\tfile-{number:04}" for number in range(2000))]
        subprocess.run(["git", "update-index", "--index-info"], cwd=blue.work, env=self.variables, check=True,
                       input="\n".join(entries), text=True, timeout=60)
        blue.git("commit", "--quiet", "--message", "with a submodule")
        self.assertIn("remote: submodules are not deployed", blue.push())

    def test_symlink_out_of_the_release_is_refused_unless_that_is_allowed(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        (blue.work / "folder").mkdir()
        link = blue.work / "folder" / "a link"
        for target in ("/etc/passwd", str(blue.web_root / "index.html"), "../../current", "missing/../../.."):
            with self.subTest(target):
                link.unlink(missing_ok=True)
                link.symlink_to(target)
                said = blue.release(f"with {target}\n", code=1)
                self.assertIn(f"remote: refused: folder/a link is a symlink to {target}, out of the release", said)
                self.assertEqual(blue.served(), "App v1\n")
                self.assertClean(blue)
        blue.set("outsideLinks", "maybe")
        self.assertIn("bgproxy.outsideLinks is 'maybe', neither true nor false", blue.push(code=1))
        blue.setup("--outside-links")
        blue.push()
        self.assertEqual(os.readlink(blue.web_root / "folder" / "a link"), target)

    def test_symlinks_within_the_release_are_deployed(self) -> None:
        blue = self.environment()
        (blue.work / "deep" / "er").mkdir(parents=True)
        for name, target in (("deep/er/up", "../../index.html"), ("deep/root", ".."),
                             ("deep/er/two", "../root/index.html"), ("later", "made/by the build..d"),
                             ("loop", "loop"), ("dots", "..a"), ("self", "deep/..")):
            (blue.work / name).symlink_to(target)
        blue.release("App v1\n")
        for name in ("deep/er/up", "deep/root/index.html", "deep/er/two", "self/index.html"):
            self.assertEqual((blue.web_root / name).read_text(), "App v1\n", name)

    def test_folder_that_is_missing_on_the_server_is_told(self) -> None:
        blue = self.environment()
        (blue.releases / ".pending").rmdir()
        self.assertIn(f"remote: not deployed: the folder {blue.releases}/.pending is missing; run setup-environment",
                      blue.release("App v1\n", code=1))

    def test_old_releases_are_pruned_and_never_what_is_live(self) -> None:
        blue = self.environment("blue", "--keep", "3")
        for number in range(1, 7):
            blue.release(f"App v{number}\n")
        commits = blue.git("log", "--format=%h", "--abbrev=7", "-3").split()[::-1]
        self.assertEqual([name[-7:] for name in blue.names()], [*commits, "initial"])
        self.assertEqual(blue.live(), blue.names()[2])
        # The clock went back: what is live now has the oldest name, and is nevertheless not the one to go.
        oldest = f"20010101T000000Z-{commits[2]}"
        (blue.releases / blue.live()).rename(blue.releases / oldest)
        (blue.releases / "current").unlink()
        (blue.releases / "current").symlink_to(oldest)
        blue.set("keep", "1")
        blue.push("main:other")
        self.assertEqual(len(blue.names()), 4, "a push that deploys nothing prunes nothing")
        blue.deploy()
        self.assertEqual(blue.names(), [blue.live(), "initial"])
        self.assertClean(blue)

    def test_push_that_breaks_in_the_middle_changes_nothing(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        tip, live = blue.tip(), blue.live()
        blue.commit("App v2\n", large=os.urandom(200_000).hex())
        said = blue.push("--receive-pack=f() { head -c 50000 | git-receive-pack \"$1\"; }; f", code=None)
        self.assertNotIn("deployed", said)
        self.assertEqual((blue.tip(), blue.live(), blue.served()), (tip, live, "App v1\n"))
        blue.push()
        self.assertLive(blue, "App v2\n")
        self.assertClean(blue)

    def test_a_pusher_who_leaves_does_not_stop_a_deployment_that_was_accepted(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        commit = blue.commit("App v2\n")
        blue.hold_branch()
        with blue.pushing() as push:
            self.wait_for("moving")
            self.assertEqual(blue.served(), "App v1\n")
            os.kill(push.pid, signal.SIGKILL)
            push.wait(10)
            (self.builds / "move").touch()
            wait_until(lambda: blue.served() == "App v2\n", "the deployment is finished")
        self.assertLive(blue, "App v2\n", commit)

    def test_a_pusher_who_leaves_during_the_build_finds_the_branch_deployed(self) -> None:
        """Though git dies when it cannot report, and though the build says more than fits into a pipe nobody reads."""
        blue = self.environment()
        blue.release("App v1\n")
        blue.set("build", f"({GATED}) && head -c 300000 /dev/zero | tr '\\0' x | fold")
        commit = blue.commit("App v2\n")
        with blue.pushing() as push:
            self.wait_for("began")
            os.kill(push.pid, signal.SIGKILL)
            push.wait(10)
            (self.builds / "open").touch()
            wait_until(lambda: blue.tip() == commit, "the branch moves")
            self.assertLive(blue, "App v2\n")
            self.assertIn("Everything up-to-date", blue.push())
        blue.release("App v3\n")
        self.assertLive(blue, "App v3\n")
        self.assertClean(blue)

    def test_branch_that_was_moved_by_hand_is_told_to_whoever_pushes_and_deployed_by_hand(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        live, commit = blue.live(), blue.commit("App v2\n")
        blue.push("main:feature")
        blue.git("update-ref", "refs/heads/main", commit, cwd=blue.repository)
        self.assertIn("Everything up-to-date", blue.push(), "git sees nothing to do")
        self.assertIn(f"{commit[:7]}, which is not live", blue.setup())
        said = blue.push("main:another")
        self.assertIn(f"remote: NOT DEPLOYED: main is at {commit[:7]}, and release {live} is live", said)
        blue.run("sh", "-c", re.search(r"on the server, as .*?: (.*)", said)[1])
        self.assertLive(blue, "App v2\n", commit)
        self.assertNotIn("NOT DEPLOYED", blue.push("main:third"))
        self.assertClean(blue)

    def test_deployment_by_hand_reaches_its_own_repository_whatever_git_is_told(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        self.variables |= {"GIT_DIR": str(blue.work / ".git"), "GIT_INDEX_FILE": "/nowhere/index",
                           "GIT_OBJECT_DIRECTORY": "/nowhere/objects"}
        self.assertIn("deployed main", blue.deploy())
        self.assertEqual(blue.served(), "App v1\n")

    def test_hook_that_makes_releases_live_is_missing(self) -> None:
        blue = self.environment()
        hook = blue.repository / "hooks" / "reference-transaction"
        hook.unlink()
        self.assertIn("remote: not deployed: hooks/reference-transaction, which makes a release live, is missing; run",
                      blue.release("App v1\n", code=1))
        # As under a git that does not know it.
        hook.write_text("#!/bin/sh\n")
        hook.chmod(0o755)
        self.assertIn("remote: NOT DEPLOYED: main is at", blue.push())
        self.assertIn("git did not call hooks/reference-transaction", blue.deploy(code=1))
        self.assertEqual(blue.live(), "initial")
        self.assertClean(blue)

    def test_files_in_lfs_are_said_not_to_be_deployed_where_the_server_lacks_it(self) -> None:
        blue = self.environment()
        blue.commit("App v1\n", **{"image": "version https://git-lfs.github.com/spec/v1\n"})
        (blue.work / "deep").mkdir()
        (blue.work / "deep" / ".gitattributes").write_text("*.png filter=lfs diff=lfs merge=lfs -text\n")
        self.assertIn("remote: files in Git LFS are not deployed, only the pointers to them", blue.release("App v2\n"))
        self.assertLive(blue, "App v2\n")
        blue.git("config", "filter.lfs.smudge", "cat", cwd=blue.repository)
        self.assertNotIn("LFS", blue.release("App v3\n"))


class Build(DeployCase):
    """The build step, and pushes that are refused."""

    def test_build_runs_in_the_release_before_it_goes_live(self) -> None:
        blue = self.environment("blue", "--build", 'pwd >built && echo "$BGPROXY_COLOR $BGPROXY_BRANCH" >>built')
        blue.release("App v1\n")
        path = blue.releases / blue.live()
        self.assertEqual((blue.web_root / "built").read_text(), f"{path}\nblue main\n", "where it is going to stay")

    def test_build_is_not_disturbed_by_what_git_tells_its_hooks(self) -> None:
        """A build that uses git itself must not reach into the repository that was pushed to."""
        blue = self.environment("blue", "--build", "git init -q inner && cd inner && git commit -q --allow-empty -m x")
        blue.release("App v1\n")
        self.assertLive(blue, "App v1\n")
        self.assertTrue((blue.web_root / "inner" / ".git").is_dir())

    def test_push_whose_build_fails_is_refused_and_the_pusher_reads_why(self) -> None:
        blue = self.environment()
        blue.release("App v1\n")
        tip, live = blue.tip(), blue.live()
        blue.set("build", "echo index.html:1: no such tag; exit 3")
        said = blue.release("App v2\n", code=1)
        self.assertIn("remote: index.html:1: no such tag\n", said)
        self.assertIn(f"remote: refused: the build failed (exit code 3); {blue.web_root} is unchanged\n", said)
        self.assertIn("[remote rejected] main -> main", said)
        self.assertEqual((blue.tip(), blue.live(), blue.served()), (tip, live, "App v1\n"))
        self.assertEqual(blue.names(), [live, "initial"], "what was staged is gone")
        self.assertClean(blue)

    def test_same_commit_pushed_again_after_a_failure_is_deployed(self) -> None:
        blue = self.environment("blue", "--build", "test -e \"$BUILDS/repaired\"")
        commit = blue.commit("App v1\n")
        blue.push(code=1)
        self.assertIsNone(blue.tip())
        (self.builds / "repaired").touch()
        blue.push()
        self.assertLive(blue, "App v1\n", commit)

    def test_refused_push_takes_its_other_refs_with_it(self) -> None:
        blue = self.environment("blue", "--build", "false")
        blue.commit("App v1\n")
        blue.push("main", "main:feature", code=1)
        self.assertEqual((blue.tip(), blue.tip("feature")), (None, None))

    def test_program_that_a_build_leaves_running_holds_up_neither_its_push_nor_the_next(self) -> None:
        for output in ("", ">/dev/null 2>&1"):
            with self.subTest(output):
                blue = Environment(self.ground, self.variables, "blue" if output else "green")
                blue.setup("--build", f'echo it builds; sleep 600 {output} & echo $! >"$BUILDS/left"')
                try:
                    self.assertIn("remote: it builds\n", blue.release("App v1\n"))
                    self.assertLive(blue, "App v1\n")
                    blue.set("build", "")
                    self.assertNotIn("waiting", blue.release("App v2\n"))
                    self.assertLive(blue, "App v2\n")
                finally:
                    os.kill(int((self.builds / "left").read_text()), signal.SIGKILL)

    def test_what_is_said_at_the_end_reaches_the_pusher_though_it_is_read_late(self) -> None:
        """Whoever reads has not had its turn when the hook ends, and the end of its output does not come."""
        blue = self.environment("blue", "--build", f'sleep 600 & echo $! >"$BUILDS/left"; {GATED} && echo it builds')
        blue.commit("App v1\n")
        try:
            with blue.pushing() as push:
                self.wait_for("began")
                hook = int((blue.releases / ".build.lock").read_text().partition("-")[0])
                program = Path(f"/proc/{hook}/cmdline").read_bytes()
                [reader] = [pid for pid in children(hook) if Path(f"/proc/{pid}/cmdline").read_bytes() == program]
                os.kill(reader, signal.SIGSTOP)
                (self.builds / "open").touch()
                wait_until(lambda: not is_alive(hook), "the hook has ended")
                time.sleep(0.5)  # longer than it waits for more
                os.kill(reader, signal.SIGCONT)
                said = push.stdout.read()
                self.assertEqual(push.wait(60), 0, said)
            self.assertIn("remote: it builds", said)
        finally:
            os.kill(int((self.builds / "left").read_text()), signal.SIGKILL)

    def test_all_that_a_build_says_reaches_the_pusher(self) -> None:
        blue = self.environment("blue", "--build", "seq 30000; printf last")
        said = blue.release("App v1\n")
        self.assertEqual(re.findall(r"^remote: (\d+)$", said, re.MULTILINE), [str(number) for number in range(1, 30001)])
        self.assertIn("remote: lastdeployed main", said.replace("lastremote: ", "last"))

    def test_build_that_takes_too_long_is_ended_with_what_it_has_started(self) -> None:
        blue = self.environment("blue", "--build", 'sleep 600 & echo $! >"$BUILDS/left"; wait', "--build-timeout", "3s")
        said = blue.release("App v1\n", code=1)
        self.assertIn("remote: refused: the build has run for 3s (bgproxy.buildTimeout) and was ended", said)
        wait_until(lambda: not is_alive(int((self.builds / "left").read_text())), "what it has started has ended")
        self.assertIsNone(blue.tip())
        self.assertClean(blue)
        blue.set("buildTimeout", "soon")
        self.assertIn("bgproxy.buildTimeout is 'soon', not a time like", blue.push(code=1))
        blue.set("build", "sleep 1.5")
        blue.set("buildTimeout", "0")
        blue.push()
        self.assertLive(blue, "App v1\n")

    def test_releases_with_folders_that_a_build_has_made_read_only_are_pruned(self) -> None:
        folder = self.place / "of a user"
        folder.mkdir()
        # Root needs no permission.
        prefix = ()
        if harness.is_root():
            harness.need("runuser")
            shutil.chown(folder, "www-data", "www-data")
            prefix = ("runuser", "-u", "www-data", "--")
        blue = Environment(self.ground, self.variables, "blue", folder / "html")
        blue.repository = folder / "app"
        blue.run(*prefix, SETUP, "--repo", str(blue.repository), "--web-root", str(blue.web_root), "--color", "blue",
                 "--keep", "1", "--build", "mkdir -p pkg/mod && touch pkg/mod/f && chmod 555 pkg/mod", cwd=folder)
        for number in range(3):
            commit = blue.commit(f"App v{number}\n")
            shutil.copytree(blue.work, folder / f"work {number}")
            if prefix:
                blue.run("chown", "-R", "www-data:www-data", str(folder / f"work {number}"))
            said = blue.run(*prefix, "git", "push", str(blue.repository), "main", cwd=folder / f"work {number}").stdout
            self.assertNotIn("could not remove", said)
            self.assertLive(blue, f"App v{number}\n", commit)
        self.assertEqual(blue.names(), [blue.live(), "initial"])
        self.assertClean(blue)

    def test_full_disk_refuses_the_push_and_leaves_the_live_tree(self) -> None:
        harness.need_root()
        harness.need("mount", "umount")
        disk = self.place / "small disk"
        disk.mkdir()
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)], check=False).returncode:
            self.skipTest("mounting is not allowed here")
        filler = disk / "filler"

        def fill() -> None:
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))

        try:
            blue = self.environment("blue", "--keep", "1", web_root=disk / "root")
            blue.commit("App v1\n", data="1" * 100_000)
            blue.push()
            tip, live = blue.tip(), blue.live()
            blue.commit("App v2\n", data="2" * 400_000)
            said = blue.push(code=1)
            self.assertRegex(said, r"remote: refused: could not write the release to .* \(room left there: \w+\)")
            self.assertEqual((blue.tip(), blue.live(), blue.served()), (tip, live, "App v1\n"))
            self.assertEqual((blue.web_root / "data").read_text(), "1" * 100_000)
            self.assertEqual(blue.names(), [live, "initial"])
            self.assertClean(blue)
            # Without room for as much as a name.
            fill()
            self.assertIn("remote: refused: could not write", blue.push(code=1))
            self.assertEqual((blue.tip(), blue.live(), blue.served()), (tip, live, "App v1\n"))
            filler.unlink()
            (blue.work / "data").unlink()
            # The disk fills up when the push has been agreed to: nothing is left that could need room.
            commit = blue.commit("App v3\n")
            blue.hold_branch()
            with blue.pushing() as push:
                self.wait_for("moving")
                fill()
                (self.builds / "move").touch()
                self.assertEqual(push.wait(60), 0)
            self.assertLive(blue, "App v3\n", commit)
            self.assertClean(blue)
        finally:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)

    def test_missing_tool_is_named(self) -> None:
        blue = self.environment()
        programs = self.place / "few programs"
        programs.mkdir()
        needed = re.search(r"for tool in (git .*); do", (DEPLOY / "post-receive").read_text())[1].split()
        for tool in {"bash", "sh", *needed} - {"flock", "df"}:
            (programs / tool).symlink_to(harness.find_program(tool))
        blue.commit("App v1\n")
        path = f"PATH={programs}"
        self.assertIn("not deployed: this server lacks flock df\n", blue.deploy("env", path, code=1))
        # The first push would be the wrong moment to hear of it.
        for tool in needed:
            (programs / tool).unlink(missing_ok=True)
        said = blue.run("env", path, SETUP, code=1).stdout
        self.assertEqual(set(needed) - set(said.removeprefix("setup-environment: this needs").split()), set())


class IdleOnly(DeployCase):
    """`bgproxy.deploy = idle-only`, with a front door."""

    def setUp(self) -> None:
        super().setUp()
        backends = [self.enter(Backend(tagged(color))) for color in ("blue", "green")]
        self.door = self.front_door(*(backend.address for backend in backends), drain={"timeout": "1m", "spread": "0s"})
        options = ("--idle-only", "--socket", self.door.admin_path, "--ctl", harness.BGPROXYCTL)
        self.blue, self.green = (self.environment(color, *options) for color in ("blue", "green"))

    def assertRefused(self, environment: Environment, why: str) -> None:
        live, tip = environment.live(), environment.tip()
        said = environment.release(f"refused {time.monotonic()}\n", code=1)
        self.assertRegex(said, rf"remote: refused: {why}")
        self.assertEqual((environment.live(), environment.tip()), (live, tip))
        self.assertClean(environment)

    def test_live_color_refuses_and_the_idle_one_deploys_until_a_switch(self) -> None:
        self.assertRefused(self.blue, r"blue is live .*push to the other environment")
        self.green.release("App v2\n")
        self.assertLive(self.green, "App v2\n")
        self.door.switch("green")
        self.assertRefused(self.green, "green is live")
        self.blue.release("App v2\n")
        self.assertLive(self.blue, "App v2\n")

    def test_color_that_still_drains_refuses_until_its_last_client_has_left(self) -> None:
        session = self.open_session(self.door.address(), "blue")
        self.door.switch("green")
        self.assertRefused(self.blue, "the front door is draining, and blue may carry traffic")
        session.close()
        self.door.settled()
        wait_until(lambda: self.door.status()["phase"] == "steady", "the drain is over")
        self.blue.push()
        self.assertLive(self.blue, self.blue.served())

    def test_ramp_bake_and_hold_refuse_both_colors(self) -> None:
        for phase, fields in (("baking", {"bake": "1m"}), ("ramping", {"ramp": [{"percent": 10, "time": "1m"}]})):
            with self.subTest(phase):
                self.assertEqual(self.door.switch("green", **fields)["phase"], phase)
                for environment in (self.blue, self.green):
                    self.assertRefused(environment, f"({environment.color} is live|the front door is {phase})")
                self.door.rollback()
                wait_until(lambda: self.door.status()["phase"] == "steady", "all is back")
        self.door.post("/v1/pause")
        self.assertRefused(self.green, "the front door is (paused|holding)")
        self.door.post("/v1/resume")
        self.green.push()
        self.assertLive(self.green, self.green.served())

    def test_color_that_became_live_during_the_build_refuses(self) -> None:
        self.green.set("build", GATED)
        self.green.commit("App v2\n")
        with self.green.pushing() as push:
            self.wait_for("began")
            self.door.switch("green")
            (self.builds / "open").touch()
            self.assertEqual(push.wait(60), 1)
            self.assertIn("refused: green is live", push.stdout.read())
        self.assertIsNone(self.green.tip())
        self.assertClean(self.green)

    def test_live_color_refuses_a_deployment_by_hand_too(self) -> None:
        self.green.release("App v2\n")
        live = self.green.live()
        self.door.switch("green")
        self.assertIn("not deployed: green is live", self.green.deploy(code=1))
        self.assertEqual(self.green.live(), live)

    def test_front_door_that_does_not_answer_refuses(self) -> None:
        self.door.stop()
        for environment in (self.blue, self.green):
            self.assertRefused(environment, f"the front door does not say what is live, so {environment.color} may be")
        self.green.set("deploy", "always")
        self.green.push()
        self.assertLive(self.green, self.green.served())

    def test_missing_bgproxyctl_is_named(self) -> None:
        self.green.set("ctl", "/nowhere/bgproxyctl")
        self.assertRefused(self.green, ".*/nowhere/bgproxyctl, which tells what is live, is missing, or not executable for")
        # There, and not executable.
        self.green.set("ctl", str(self.green.repository / "config"))
        self.assertRefused(self.green, ".*/config, which tells what is live, is missing, or not executable for")

    def remote_doors(self, *doors: FrontDoor) -> Path:
        """A program in place of ssh, which reaches a front door by the name of its machine: front0, front1."""
        place = self.ground / "programs"
        place.mkdir()
        for number, door in enumerate(doors):
            (place / f"front{number}").symlink_to(door.admin_path)
        ssh = place / "ssh"
        # Like ssh it hands what follows the name to a shell. What it is asked is written down.
        ssh.write_text(f"""#!/bin/sh
while [ "$1" = -o ]; do shift 2; done
cd {shlex.quote(str(place))} && door=$1 && shift && echo "$door: $*" >>asked
PATH={Path(harness.BGPROXYCTL).parent}:$PATH BGPROXY_SOCKET=$door exec sh -c "$*"
""")
        ssh.chmod(0o755)
        self.variables["PATH"] = f"{place}:{self.variables['PATH']}"
        return place

    def test_front_door_on_another_machine_is_asked_by_a_command_of_several_words(self) -> None:
        place = self.remote_doors(self.door)
        blue, green = (Environment(self.place, self.variables, color) for color in ("blue", "green"))
        for environment in (blue, green):
            environment.setup("--idle-only", "--ctl", "ssh front0 bgproxyctl")
        self.assertRefused(blue, "blue is live")
        green.release("App v2\n")
        self.assertLive(green, "App v2\n")
        self.assertEqual(set((place / "asked").read_text().splitlines()), {"front0: bgproxyctl 'status' '--json'"})
        # By the socket's path, which reaches the shell on the other machine as it is.
        socket = place / "it's a $HOME"
        socket.symlink_to(self.door.admin_path)
        green.setup("--idle-only", "--ctl", "ssh nowhere bgproxyctl", "--socket", str(socket))
        green.release("App v3\n")
        self.assertLive(green, "App v3\n")

    def test_of_two_front_doors_each_is_asked(self) -> None:
        other = self.front_door(*(self.enter(Backend(tagged(color))).address for color in ("blue", "green")))
        self.remote_doors(self.door, other)
        green = Environment(self.place, self.variables, "green")
        for _ in range(2):
            green.setup("--idle-only", "--ctl", "ssh front0 bgproxyctl", "--ctl", "ssh front1 bgproxyctl")
        green.release("App v1\n")
        self.assertLive(green, "App v1\n")
        other.switch("green")
        self.assertRefused(green, "green is live")
        self.door.switch("green")
        other.switch("blue")
        self.assertRefused(green, "green is live")
        self.door.switch("blue")
        green.push()
        other.stop()
        self.assertRefused(green, "the front door of 'ssh front1 bgproxyctl' does not say what is live")

    def test_path_of_bgproxyctl_may_have_spaces(self) -> None:
        program = self.ground / "bgproxyctl"
        program.symlink_to(harness.BGPROXYCTL)
        self.green.setup("--idle-only", "--ctl", str(program), "--socket", self.door.admin_path)
        self.green.release("App v2\n")
        self.assertLive(self.green, "App v2\n")

    def test_other_branches_are_received_by_the_live_color_too(self) -> None:
        self.blue.commit("App v2\n")
        self.assertIn("received feature", self.blue.push("main:feature"))


class Setup(DeployCase):
    """setup-environment."""

    def test_running_it_again_changes_what_it_is_given_and_nothing_else(self) -> None:
        blue = self.environment("blue", "--keep", "2", "--build", "true")
        blue.release("App v1\n")
        live, inode = blue.live(), os.lstat(blue.web_root).st_ino
        (blue.repository / "hooks" / "post-receive").write_text("#!/bin/sh\n# bgproxy: deploy by git push, of old\n")
        blue.setup("--keep", "4")
        settings = dict(line.split(" ", 1) for line in
                        blue.git("config", "--get-regexp", r"^bgproxy\.", cwd=blue.repository).splitlines())
        self.assertEqual(settings, {"bgproxy.webroot": str(blue.web_root), "bgproxy.color": "blue",
                                    "bgproxy.keep": "4", "bgproxy.build": "true"})
        self.assertEqual((blue.live(), os.lstat(blue.web_root).st_ino), (live, inode))
        self.assertEqual((blue.repository / "hooks" / "post-receive").read_bytes(),
                         (DEPLOY / "post-receive").read_bytes())
        blue.release("App v2\n")
        self.assertLive(blue, "App v2\n")

    def test_repository_that_the_environment_names_to_git_is_left_alone(self) -> None:
        other = Environment(self.ground, self.variables, "green")
        other.commit("another project\n")
        config = (other.work / ".git" / "config").read_bytes()
        blue = Environment(self.ground, self.variables, "blue")
        told = {"GIT_DIR": str(other.work / ".git"), "GIT_WORK_TREE": str(other.work)}
        blue.run("env", *(f"{name}={value}" for name, value in told.items()), SETUP, "--repo", str(blue.repository),
                 "--web-root", str(blue.web_root), "--color", "blue")
        self.assertEqual((other.work / ".git" / "config").read_bytes(), config)
        blue.release("App v1\n")
        self.assertLive(blue, "App v1\n")

    def test_git_that_would_not_call_all_hooks_is_refused(self) -> None:
        self.tool("git", 'case $1 in version) echo "git version 2.27.1" ;; *) exec REAL "$@" ;; esac\n')
        blue = Environment(self.ground, self.variables, "blue")
        self.assertIn("this needs git 2.28 or later, not git version 2.27.1", blue.setup(code=1))
        self.assertFalse(blue.repository.exists())

    def test_web_root_that_exists_becomes_the_first_release_and_is_never_pruned(self) -> None:
        web_root = self.ground / "html"
        web_root.mkdir()
        (web_root / "index.html").write_text("as it was\n")
        blue = self.environment("blue", "--keep", "1", web_root=web_root)
        self.assertEqual((blue.served(), blue.live()), ("as it was\n", "initial"))
        for number in range(3):
            blue.release(f"App v{number}\n")
        self.assertEqual((blue.releases / "initial" / "index.html").read_text(), "as it was\n")
        self.assertEqual(len(blue.names()), 2)

    def test_web_root_that_is_a_link_elsewhere_goes_on_leading_there_until_the_first_push(self) -> None:
        (self.ground / "site").mkdir()
        (self.ground / "site" / "index.html").write_text("as it was\n")
        web_root = self.ground / "html"
        web_root.symlink_to("site")
        blue = self.environment(web_root=web_root)
        self.assertEqual(blue.served(), "as it was\n")
        blue.release("App v1\n")
        self.assertLive(blue, "App v1\n")
        self.assertEqual((self.ground / "site" / "index.html").read_text(), "as it was\n")

    def test_it_goes_on_where_it_was_interrupted(self) -> None:
        blue = self.environment()
        blue.web_root.unlink()
        (blue.releases / "initial").rmdir()
        blue.web_root.mkdir()
        (blue.web_root / "index.html").write_text("not moved yet\n")
        blue.setup()
        self.assertEqual(blue.served(), "not moved yet\n")
        blue.web_root.unlink()
        blue.setup()
        self.assertEqual(blue.served(), "not moved yet\n")

    def test_shellcheck_has_nothing_to_say(self) -> None:
        harness.need("shellcheck")
        done = subprocess.run(["shellcheck", "--external-sources", "--source-path=SCRIPTDIR",
                               str(DEPLOY / "post-receive"), SETUP], capture_output=True, text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_last_line_is_the_command_that_adds_the_remote(self) -> None:
        blue = Environment(self.ground, self.variables, "blue")
        last = blue.setup().splitlines()[-1].strip()
        self.assertTrue(last.startswith("git remote add blue "), last)
        name = blue.run("id", "-un").stdout.strip()
        self.assertRegex(shlex.split(last)[-1], rf"\A{name}@[^:]+:{re.escape(str(blue.repository))}\Z")
        blue.run("sh", "-c", last)

    def test_bad_options_are_named_and_nothing_is_made(self) -> None:
        blue = Environment(self.ground, self.variables, "blue")
        for arguments, code, word in (
                (("--color", "red"), 2, "expected blue or green"), (("--keep", "0"), 2, "positive number"),
                (("--branch", "a..b"), 2, "'a..b'"), (("--web-root", "/"), 2, "/ cannot"),
                (("--owner", "nobody-at-all"), 1, "no user"), (("--what",), 2, "unknown option --what"),
                (("--keep",), 2, "--keep needs a value"), (("--build-timeout", "soon"), 2, "not 'soon'"),
                (("--web-root", str(self.ground)), 1, "everybody could read"),
                (("--idle-only", "--ctl", "/nowhere/ctl"), 1, "/nowhere/ctl, which is missing here, or not")):
            with self.subTest(arguments):
                self.assertIn(word, blue.setup(*arguments, code=code))
        self.assertFalse(blue.repository.exists())
        self.assertFalse(blue.releases.exists())

    def test_foreign_hook_and_foreign_folder_are_left_alone(self) -> None:
        blue = Environment(self.ground, self.variables, "blue")
        blue.repository.mkdir()
        (blue.repository / "precious").touch()
        self.assertIn("no bare repository", blue.setup(code=1))
        (blue.repository / "precious").unlink()
        blue.setup()
        hook = blue.repository / "hooks" / "pre-receive"
        hook.unlink()
        hook.write_text("#!/bin/sh\n")
        self.assertIn("hook of somebody else", blue.setup(code=1))
        self.assertEqual(hook.read_text(), "#!/bin/sh\n")

    def test_root_sets_up_what_another_user_owns_and_pushes_to(self) -> None:
        harness.need_root()
        harness.need("runuser")
        home = self.place / "home"
        home.mkdir()
        shutil.chown(home, "www-data", "www-data")
        blue = Environment(self.ground, self.variables, "blue", self.place / "html")
        blue.web_root.mkdir()
        blue.repository = home / "sample_app"
        for _ in range(2):
            blue.setup("--owner", "www-data")
        owners = {path: path.lstat().st_uid for path in
                  (blue.repository, blue.repository / "config", blue.repository / "hooks" / "pre-receive",
                   blue.releases, blue.releases / "current", blue.web_root)}
        self.assertEqual(set(owners.values()), {blue.repository.stat().st_uid})
        self.assertNotEqual(blue.repository.stat().st_uid, 0)
        commit = blue.commit("App v1\n")
        shutil.copytree(blue.work, home / "work")
        blue.run("chown", "-R", "www-data:www-data", str(home / "work"))
        said = blue.run("runuser", "-u", "www-data", "--", "git", "push", "../sample_app", "main", cwd=home / "work")
        self.assertIn("remote: deployed main", said.stdout)
        self.assertLive(blue, "App v1\n", commit)
        said = blue.run(str(blue.repository / "hooks" / "post-receive"), "--deploy", code=1)
        self.assertIn(f"{blue.repository} belongs to www-data: runuser -u www-data -- ", said.stdout)
        # Root is not told to run what is the owner's to change.
        (blue.releases / "current").unlink()
        (blue.releases / "current").symlink_to("initial")
        self.assertIn(f"to deploy it: runuser -u www-data -- {blue.repository}/hooks/post-receive --deploy\n",
                      blue.setup("--owner", "www-data"))

    def owned_by_another(self) -> tuple[Environment, Path]:
        """An environment in the home of another user, who has become hostile; and a folder that is root's."""
        harness.need_root()
        harness.need("runuser")
        home = self.place / "home"
        home.mkdir()
        blue = Environment(self.ground, self.variables, "blue", home / "sites" / "html")
        blue.repository = home / "sites" / "app"
        shutil.chown(home, "www-data", "www-data")
        precious = self.place / "precious"
        (precious / "html").mkdir(parents=True)
        (precious / "html" / "index.html").write_text("root's\n")
        return blue, precious

    def assertUntouched(self, precious: Path) -> None:
        self.assertEqual(sorted(path.name for path in precious.rglob("*")), ["html", "index.html"])
        self.assertEqual({path.lstat().st_uid for path in (precious, *precious.rglob("*"))}, {0})

    def test_root_makes_nothing_in_a_folder_to_which_the_owner_has_led_it(self) -> None:
        blue, precious = self.owned_by_another()
        blue.setup("--owner", "www-data")
        owners = {path.lstat().st_uid for path in (blue.web_root.parent, blue.repository, blue.web_root, blue.releases)}
        self.assertEqual(owners, {blue.repository.stat().st_uid}, "in the owner's folder all is the owner's")
        hooks = blue.repository / "hooks"
        hooks.rename(blue.repository / "aside")
        hooks.symlink_to(precious)
        self.assertIn(f"{hooks} is a symlink", blue.setup("--owner", "www-data", code=1))
        self.assertUntouched(precious)
        blue.web_root.parent.rename(blue.web_root.parent.with_name("aside"))
        for target in (precious, precious / "html"):
            with self.subTest(target):
                blue.web_root.parent.symlink_to(target)
                self.assertIn(f"www-data cannot make {target}/app", blue.setup("--owner", "www-data", code=1))
                self.assertUntouched(precious)
                blue.web_root.parent.unlink()

    def test_root_moves_no_web_root_that_the_owner_has_led_it_to(self) -> None:
        blue, precious = self.owned_by_another()
        blue.repository = self.place / "home" / "app"
        blue.web_root.parent.symlink_to(precious)
        self.assertIn("www-data cannot make", blue.setup("--owner", "www-data", code=1))
        self.assertUntouched(precious)
        # Nor through a symlink of root's that leads to one of the owner's.
        blue.web_root = self.place / "sites" / "html"
        blue.web_root.parent.symlink_to("home/sites")
        self.assertIn("www-data cannot make", blue.setup("--owner", "www-data", code=1))
        self.assertUntouched(precious)
        # Not even with the releases in place.
        (precious / "html.releases").mkdir()
        shutil.chown(precious / "html.releases", "www-data", "www-data")
        self.assertIn(f"www-data cannot move {blue.web_root}", blue.setup("--owner", "www-data", code=1))
        shutil.rmtree(precious / "html.releases")
        self.assertUntouched(precious)

    def test_folders_on_the_way_are_open_whatever_the_umask_of_root(self) -> None:
        harness.need_root()
        harness.need("runuser")
        blue = Environment(self.ground, self.variables, "blue", self.place / "var" / "www" / "html")
        blue.repository = self.place / "srv" / "git" / "app"
        blue.run("sh", "-c", 'umask 077; exec "$@"', "-", SETUP, "--repo", str(blue.repository), "--web-root",
                 str(blue.web_root), "--color", "blue", "--owner", "www-data")
        for path in (*blue.repository.parents, *blue.web_root.parents, blue.releases):
            self.assertEqual(path.stat().st_mode & 0o55, 0o55, path)

    def test_repository_that_the_owner_cannot_reach_is_told(self) -> None:
        harness.need_root()
        harness.need("runuser")
        blue = Environment(self.ground, self.variables, "blue")
        closed = self.place / "closed"
        closed.mkdir(mode=0o700)
        blue.repository = closed / "app"
        self.assertIn(f"www-data cannot make {blue.repository}: is every folder on the way open to www-data?",
                      blue.setup("--owner", "www-data", code=1))

    def test_second_repository_for_one_web_root_is_refused_until_the_first_gives_it_up(self) -> None:
        blue = self.environment()
        green = Environment(self.ground, self.variables, "green", blue.web_root)
        self.assertIn(f"{blue.web_root} is deployed to by {blue.repository} (blue) already", green.setup(code=1))
        self.assertFalse(green.repository.exists())
        blue.git("config", "--unset", "bgproxy.webRoot", cwd=blue.repository)
        green.setup()
        green.release("App v1\n")
        self.assertLive(green, "App v1\n")


class Served(DeployCase):
    """Real web servers while pushes come in."""

    PAGES = ("first.html", "second.html")

    def sized(self, number: int) -> str:
        """A page of another size each time, so that the end of one file on the start of another shows."""
        return f"release {number}\n" * (1 + number * 7 % 5 * 400)

    def ask(self, server: Program, stop: threading.Event, releases: dict[str, int], seen: list[int]) -> None:
        """Asks for one page after the other until told to stop, four on a connection; notes the releases seen."""
        while not stop.is_set():
            with Client(server.address) as client:
                for path in (*self.PAGES, *self.PAGES):
                    body = client.get(f"/{path}")
                    if body not in releases:
                        raise AssertionError(f"{len(body)} bytes that no release has: {body[:40]!r} … {body[-40:]!r}")
                    seen.append(releases[body])

    def pushes_under_load(self, server: Program, page: Callable[[int], str], *options: str) -> None:
        last = 10
        releases = {page(number): number for number in range(last + 1)}
        blue = self.environment("blue", "--keep", "2", *options, web_root=self.place / "blue")
        with Client(server.address) as client:
            self.assertEqual(client.get(), "as it was\n", "what was served before still is")
        blue.commit("App\n", **{path: page(0) for path in self.PAGES})
        blue.push()
        stop = threading.Event()
        seen: list[list[int]] = [[], []]
        clients = [Task(self.ask, server, stop, releases, each) for each in seen]
        try:
            for number in range(1, last + 1):
                blue.commit("App\n", **{path: page(number) for path in self.PAGES})
                blue.push()
                with Client(server.address) as client:
                    self.assertEqual(client.get(f"/{self.PAGES[1]}"), page(number), "live when the push returns")
                wait_until(
                    lambda: all(number in each[-50:] or not client.is_alive() for each, client in zip(seen, clients)),
                    "both clients have it")
        finally:
            stop.set()
        for client, each in zip(clients, seen):
            client.result()
            self.assertEqual(each, sorted(each), "never back")
            self.assertEqual(set(each) - {0}, set(range(1, last + 1)))

    def test_nginx_serves_a_whole_release_at_every_moment_of_many_pushes(self) -> None:
        self.pushes_under_load(self.nginx("blue", "as it was\n"), self.sized)

    def test_apache_serves_old_or_new_files_at_every_moment_of_many_pushes(self) -> None:
        """Files of one size: see the next test."""
        self.pushes_under_load(self.apache("blue", "as it was\n"), "release {:04}\n".format)

    def test_apache_as_the_readme_sets_it_up_serves_whole_files_of_any_size(self) -> None:
        """Apache asks for a file's size before it opens the file, so that a plain DocumentRoot can cut one short."""
        lines = re.search(r"```apache\n(.*?)```", (DEPLOY / "README.md").read_text(), re.DOTALL)[1]
        lines = lines.replace("/var/www/html", "{folder}/{name}")
        self.enter(unittest.mock.patch("web.APACHE", web.APACHE + "LoadModule rewrite_module {modules}/mod_rewrite.so\n"
                                       + lines))
        server = self.apache("blue", "as it was\n")
        self.pushes_under_load(server, self.sized, "--build", "pwd >.release")
        # Many more changes than pushes could make: the same rename.
        releases = self.place / "blue.releases"
        names = sorted(path.name for path in releases.glob("2*"))
        bodies = {(releases / name / self.PAGES[0]).read_text() for name in names}
        stop = threading.Event()

        def rename() -> None:
            for turn in range(100_000):
                if stop.is_set():
                    return
                (releases / "next").symlink_to(names[turn % len(names)])
                (releases / "next").rename(releases / "current")

        renaming = Task(rename)
        try:
            with Client(server.address) as client:
                for _ in range(1500):
                    self.assertIn(client.get(f"/{self.PAGES[0]}"), bodies)
                client.ask("/.release")
                self.assertEqual(client.answer().status, 403)
        finally:
            stop.set()
        renaming.result()
