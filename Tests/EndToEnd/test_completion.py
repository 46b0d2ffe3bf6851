"""Completion, in the shells it is for: lines are typed into bash and zsh on a terminal of their own; fish is asked."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import time
from pathlib import Path

import harness
from harness import PATIENCE, Case, bgproxy, ctl

COLORS = {"blue", "green"}
SHELLS = {"bash", "zsh", "fish"}


def script(program: str, shell: str) -> str:
    result = ctl("completion", shell) if program == "bgproxyctl" else bgproxy("--completion", shell)
    assert result.returncode == 0, result.stderr
    return result.stdout


def verbs() -> dict[str, str]:
    """What the help lists, with its description."""
    section = ctl("--help").stdout.split("Verbs:\n")[1].split("\n\n")[0]
    return {line.split()[0]: re.split(r"\s{2,}", line.strip(), maxsplit=1)[1] for line in section.splitlines()}


def options(*arguments: str, program: str = "bgproxyctl") -> set[str]:
    """All options that the help of a verb, or of the program, lists."""
    result = ctl(*arguments, "--help") if program == "bgproxyctl" else bgproxy("--help")
    return set(re.findall(r"^  (--[a-z-]+)", result.stdout, re.MULTILINE))


class Typist:
    """An interactive shell on a terminal. What a line has become by a key is read from a pipe, not from the screen."""

    TAB = b"\t"
    ALL = b"\x18a"
    """Inserts all matches."""
    TELL = b"\x18d"
    LIST = b"\x04"
    CLEAR = b"\x18k"

    def __init__(self, command: list[str], home: Path, setup: str) -> None:
        told, telling = os.pipe()
        self._told = told
        self.home = home
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "TERM": "xterm",
                       "LC_ALL": "C.UTF-8", "COLUMNS": "200", "LINES": "50"}
        pid, self._terminal = pty.fork()
        if pid == 0:
            try:
                os.chdir(home)
                os.dup2(telling, 9)
                os.execvpe(command[0], command, environment)
            finally:
                os._exit(127)
        os.close(telling)
        self._pid = pid
        self.screen = b""
        (home / "setup").write_text(setup)
        self._type(f" . ./setup; printf 'ready\\0' >&9\n".encode())
        self._await("ready")
        # From here on the line editor has the terminal, and no key means anything to the terminal itself.
        self.line("", b"")

    def __enter__(self) -> Typist:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._terminal)
        os.close(self._told)
        os.kill(self._pid, 9)
        os.waitpid(self._pid, 0)

    def _type(self, keys: bytes) -> None:
        while keys:
            keys = keys[os.write(self._terminal, keys):]

    def _await(self, expected: str | None = None) -> str:
        """The next text that the shell tells."""
        text, end = b"", time.monotonic() + PATIENCE
        while not text.endswith(b"\0"):
            ready, _, _ = select.select([self._terminal, self._told], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                raise AssertionError(f"the shell does not tell; its screen: {self.screen!r}")
            if self._terminal in ready:
                self.screen += os.read(self._terminal, 65536)
            if self._told in ready:
                text += os.read(self._told, 65536)
        answer = text[:-1].decode()
        if expected is not None and not answer.endswith(expected):
            raise AssertionError(f"expected {expected!r}, found {answer!r}; screen: {self.screen!r}")
        return answer

    def line(self, text: str, key: bytes, back: int = 0) -> str:
        """What becomes of a line by a key, typed so many characters before its end."""
        self.screen = b""
        self._type(self.CLEAR + text.encode() + b"\x02" * back + key + self.TELL)
        return self._await()

    def await_list(self, text: str, *expected: str) -> None:
        """Has the matches listed, and waits until the screen shows all that is expected."""
        self.screen = b""
        self._type(self.CLEAR + text.encode() + self.LIST)
        end = time.monotonic() + PATIENCE
        while missing := [each for each in expected if not re.search(each, self.screen.decode(errors="replace"))]:
            if not select.select([self._terminal], [], [], max(0.0, end - time.monotonic()))[0]:
                raise AssertionError(f"the list lacks {missing}; screen: {self.screen!r}")
            self.screen += os.read(self._terminal, 65536)

    def offers(self, text: str) -> set[str]:
        """What the shell would put in the place of the last word."""
        line = self.line(text, self.ALL)
        head = text[:len(text) - len(re.split(r"\s", text)[-1])]
        assert line.startswith(head), (line, head)
        found = {word.rstrip("=") for word in line[len(head):].split()}
        return found if line.rstrip() != text.rstrip() else set()


class Bash(Typist):
    def __init__(self, home: Path, setup: str) -> None:
        super().__init__(["bash", "--norc", "--noprofile", "-i"], home, f"""
PS1='$ '
bind 'set bell-style none'
bind 'set enable-bracketed-paste off'
bind '"\\C-xa": insert-completions'
bind '"\\C-xk": kill-whole-line'
bind -x '"\\C-xd": printf "%s\\0" "$READLINE_LINE" >&9'
{setup}
""")


class Zsh(Typist):
    def __init__(self, home: Path, setup: str, before: str = "") -> None:
        super().__init__(["zsh", "-f", "-i"], home, f"""
PS1='%% '
unsetopt beep
{before}
autoload -Uz compinit && compinit -u -D
zstyle ':completion:all-matches::::' completer _all_matches _complete
zstyle ':completion:all-matches:*' insert true
zle -C all-matches complete-word _generic
bindkey '^Xa' all-matches '^I' complete-word '^Xk' kill-whole-line '^B' backward-char
tell() {{ printf '%s\\0' "$BUFFER" >&9 }}
zle -N tell
bindkey '^Xd' tell
{setup}
""")


class Fish:
    """Asked for what it would offer, with descriptions."""

    def __init__(self, home: Path, setup: str) -> None:
        self.home = home
        self.setup = setup

    def __enter__(self) -> Fish:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def described(self, text: str) -> dict[str, str]:
        result = subprocess.run(
            ["fish", "--no-config", "-c", f"{self.setup}\ncomplete -C $argv[1]", text], stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=PATIENCE, check=False, cwd=self.home,
            env={"PATH": f"{harness.BINARIES}:{os.environ['PATH']}", "HOME": str(self.home), "LC_ALL": "C.UTF-8"})
        assert result.returncode == 0 and not result.stderr, result.stderr
        rows = (line.partition("\t") for line in result.stdout.splitlines())
        return {word: description for word, _, description in rows}

    def offers(self, text: str) -> set[str]:
        return set(self.described(text))


class CompletionCase(Case):
    """The same for each shell: what is offered is what the help lists, and what the parser takes."""

    shell = ""

    def setUp(self) -> None:
        super().setUp()
        harness.need(self.shell)

    def open(self) -> Typist | Fish:
        raise NotImplementedError

    def home_with_scripts(self) -> tuple[Path, str]:
        """A folder with some files, and the commands that load the completion of both programs."""
        home = self.folder()
        for program in ("bgproxyctl", "bgproxy"):
            (home / f".{program}").write_text(script(program, self.shell))
        (home / "folder").mkdir()
        (home / "folder" / "a file.json5").touch()
        (home / "folder" / "door.sock").touch()
        return home, "\n".join(f"source ./.{program}" for program in ("bgproxyctl", "bgproxy"))


class Shared:
    """Hidden from the loader: these run in the classes of the shells."""

    class Tests(CompletionCase):
        def test_a_verb_is_completed_and_none_is_offered_that_is_refused(self) -> None:
            shell = self.open()
            self.assertEqual(shell.offers("bgproxyctl "), set(verbs()))
            self.assertEqual(shell.offers("bgproxyctl s"), {verb for verb in verbs() if verb.startswith("s")})
            self.assertEqual(shell.offers("bgproxyctl help r"), {verb for verb in verbs() if verb.startswith("r")})
            self.assertNotIn("upgrade", verbs())

        def test_the_options_of_the_verb_are_offered_and_those_of_every_verb(self) -> None:
            shell = self.open()
            self.assertEqual(shell.offers("bgproxyctl --"), options())
            for verb in ("switch", "drain", "status", "completion"):
                self.assertEqual(shell.offers(f"bgproxyctl {verb} --"), options(verb), verb)
            self.assertEqual(shell.offers("bgproxy --"), options(program="bgproxy"))

        def test_an_option_is_offered_once_unless_it_may_be_repeated(self) -> None:
            shell = self.open()
            given = "bgproxyctl switch green --wait --drain 30s --reason=x --before true --quiet"
            self.assertEqual(shell.offers(f"{given} --"),
                             options("switch") - {"--wait", "--drain", "--reason", "--quiet"})
            self.assertEqual(shell.offers("bgproxy --blue a:1 --listen :80 --b"), {"--blue"})
            self.assertNotIn("--listen", shell.offers("bgproxy --blue a:1 --listen :80 --"))

        def test_values_are_those_that_the_program_takes(self) -> None:
            shell = self.open()
            for text, expected in (
                    ("bgproxyctl switch ", COLORS), ("bgproxyctl switch g", {"green"}),
                    ("bgproxyctl switch --wait --drain 5s ", COLORS), ("bgproxyctl switch blue --expect ", COLORS),
                    ("bgproxyctl sessions --color ", COLORS), ("bgproxyctl completion ", SHELLS),
                    ("bgproxy --protocol ", {"tcp", "http"}), ("bgproxy --active ", COLORS),
                    ("bgproxy --log-level ", {"error", "warning", "info", "debug"}),
                    ("bgproxy --log-format ", {"text", "json"}), ("bgproxy --completion ", SHELLS)):
                self.assertEqual(shell.offers(text), expected, text)

        def test_nothing_is_offered_where_only_a_person_knows(self) -> None:
            shell = self.open()
            for text in ("bgproxyctl switch green --reason ", "bgproxyctl switch green --reason s",
                         "bgproxyctl switch --drain ", "bgproxyctl switch --ramp 1", "bgproxyctl --timeout ",
                         "bgproxyctl switch --reason=", "bgproxyctl --drain ", "bgproxy --workers ",
                         "bgproxy --listen ", "bgproxyctl nothing "):
                self.assertEqual(shell.offers(text), set(), text)

        def test_a_verb_is_found_behind_options_and_their_values(self) -> None:
            shell = self.open()
            self.assertEqual(shell.offers("bgproxyctl --socket switch --json dr"), {"drain"})
            self.assertEqual(shell.offers("bgproxyctl --drain 30s --quiet swi"), {"switch"})
            self.assertEqual(shell.offers("bgproxyctl --reason pause switch "), COLORS)
            self.assertEqual(shell.offers("bgproxyctl --timeout=2s drain --e"), {"--extend"})

        def test_words_are_never_evaluated(self) -> None:
            shell = self.open()
            bait = shell.home / "bait"
            for word in ("$(touch bait)", "`touch bait`", "'$(touch bait)'", "\"$(touch bait)\"", "a[$(touch bait)]",
                         "--reason=$(touch bait)", "'; touch bait; '", "\\$\\(touch\\ bait\\)", "*[(e:touch\\ bait:)]"):
                shell.offers(f"bgproxyctl switch --reason {word} --w")
                shell.offers(f"bgproxyctl {word} ")
                shell.offers(f"bgproxyctl {word} switch ")
                shell.offers(f"bgproxyctl switch {word}")
                shell.offers(f"bgproxyctl {word}")
                self.assertFalse(bait.exists(), word)
            self.assertEqual(shell.offers("bgproxyctl switch --reason 'two  $(touch bait) words' --wa"), {"--wait"})
            self.assertFalse(bait.exists())


class BashCompletion(Shared.Tests):
    shell = "bash"

    def open(self) -> Bash:
        return self.enter(Bash(*self.home_with_scripts()))

    def test_files_are_offered_with_their_blanks_quoted(self) -> None:
        shell = self.open()
        self.assertEqual(shell.line("bgproxyctl --socket fol", shell.TAB), "bgproxyctl --socket folder/")
        self.assertEqual(shell.line("bgproxyctl --socket=folder/d", shell.TAB),
                         "bgproxyctl --socket=folder/door.sock ")
        self.assertEqual(shell.line("bgproxy --config folder/a", shell.TAB), "bgproxy --config folder/a\\ file.json5 ")
        self.assertEqual(shell.line("bgproxy --config 'folder/a", shell.TAB), "bgproxy --config 'folder/a file.json5' ")
        self.assertEqual(shell.line("bgproxyctl switch green --before ~/fol", shell.TAB),
                         "bgproxyctl switch green --before ~/folder/")

    def test_a_value_behind_an_equals_sign_is_completed(self) -> None:
        shell = self.open()
        self.assertEqual(shell.line("bgproxyctl switch --expect=gr", shell.TAB), "bgproxyctl switch --expect=green ")
        self.assertEqual(shell.line("bgproxy --log-level=w", shell.TAB), "bgproxy --log-level=warning ")
        self.assertEqual(shell.line("bgproxyctl switch --ramp 10%:1m,50%:1m gr", shell.TAB),
                         "bgproxyctl switch --ramp 10%:1m,50%:1m green ")
        self.assertEqual(shell.line("bgproxy --listen 127.0.0.1:80 --act", shell.TAB),
                         "bgproxy --listen 127.0.0.1:80 --active ")

    def test_without_an_equals_sign_among_the_breaks_too(self) -> None:
        home, setup = self.home_with_scripts()
        shell = self.enter(Bash(home, f"COMP_WORDBREAKS=$' \\t\\n\"\\'@><;|&('\n{setup}"))
        self.assertEqual(shell.line("bgproxyctl switch --expect=gr", shell.TAB), "bgproxyctl switch --expect=green ")
        self.assertEqual(shell.offers("bgproxyctl switch --drain=5s --d"), {"--dry-run", "--during"})

    def test_the_cursor_may_stand_in_the_middle(self) -> None:
        shell = self.open()
        self.assertEqual(shell.line("bgproxyctl swi --wait", shell.TAB, back=7), "bgproxyctl switch --wait")
        self.assertEqual(shell.line("true; FOO=bar bgproxyctl swi", shell.TAB), "true; FOO=bar bgproxyctl switch ")
        self.assertEqual(shell.line("bgproxyctl switch 'gr", shell.TAB), "bgproxyctl switch 'green' ")

    def test_a_shell_with_strict_options_gets_no_errors(self) -> None:
        home, setup = self.home_with_scripts()
        shell = self.enter(Bash(home, f"{setup}\nset -u; shopt -s failglob nocasematch; IFS=:"))
        self.assertEqual(shell.line("bgproxyctl switch --exp", shell.TAB), "bgproxyctl switch --expect ")
        self.assertEqual(shell.line("bgproxyctl ", shell.ALL).split()[1:], sorted(verbs()))
        self.assertNotIn(b"bash:", shell.screen)

    def test_shellcheck_has_nothing_to_say(self) -> None:
        harness.need("shellcheck")
        home, _ = self.home_with_scripts()
        for name in (".bgproxyctl", ".bgproxy"):
            result = subprocess.run(["shellcheck", str(home / name)], capture_output=True, text=True, check=False)
            self.assertEqual(result.returncode, 0, result.stdout)

    def test_bash_completion_loads_the_installed_script_on_demand(self) -> None:
        loader = Path("/usr/share/bash-completion/bash_completion")
        if not loader.exists():
            self.skipTest("bash-completion is not installed")
        home = self.folder()
        folder = home / ".local/share/bash-completion/completions"
        folder.mkdir(parents=True)
        for program in ("bgproxyctl", "bgproxy"):
            (folder / program).write_text(script(program, "bash"))
        shell = self.enter(Bash(home, f"source {loader}"))
        self.assertEqual(shell.line("bgproxyctl swi", shell.TAB), "bgproxyctl switch ")
        self.assertEqual(shell.line("bgproxy --log-l", shell.TAB), "bgproxy --log-level ")
        self.assertEqual(shell.line("sudo bgproxyctl switch --expect=gr", shell.TAB),
                         "sudo bgproxyctl switch --expect=green ")


class ZshCompletion(Shared.Tests):
    shell = "zsh"

    def open(self) -> Zsh:
        return self.enter(Zsh(*self.home_with_scripts()))

    def test_files_are_offered_with_their_blanks_quoted(self) -> None:
        shell = self.open()
        self.assertEqual(shell.line("bgproxyctl --socket fol", shell.TAB), "bgproxyctl --socket folder/")
        self.assertEqual(shell.line("bgproxyctl --socket=folder/d", shell.TAB),
                         "bgproxyctl --socket=folder/door.sock ")
        self.assertEqual(shell.line("bgproxy --config folder/a", shell.TAB), "bgproxy --config folder/a\\ file.json5 ")

    def test_a_value_behind_an_equals_sign_is_completed(self) -> None:
        shell = self.open()
        self.assertEqual(shell.line("bgproxyctl switch --expect=gr", shell.TAB), "bgproxyctl switch --expect=green ")

    def test_verbs_and_options_are_listed_with_their_descriptions(self) -> None:
        shell = self.open()
        shell.await_list("bgproxyctl ", *(rf"{verb} +-- {re.escape(text)}" for verb, text in verbs().items()))
        shell.await_list("bgproxyctl switch --", r"--expect +-- refuse if another color is active", r"--wait +-- ")

    def test_a_script_in_fpath_is_loaded_on_demand(self) -> None:
        home = self.folder()
        for program in ("bgproxyctl", "bgproxy"):
            (home / f"_{program}").write_text(script(program, "zsh"))
        shell = self.enter(Zsh(home, "", before=f"fpath=({shlex.quote(str(home))} $fpath)"))
        self.assertEqual(shell.line("bgproxyctl swi", shell.TAB), "bgproxyctl switch ")
        self.assertEqual(shell.offers("bgproxyctl switch "), COLORS)
        self.assertEqual(shell.line("bgproxy --log-l", shell.TAB).rstrip(" ="), "bgproxy --log-level")


class FishCompletion(Shared.Tests):
    shell = "fish"

    def open(self) -> Fish:
        return Fish(*self.home_with_scripts())

    def test_files_are_offered(self) -> None:
        shell = self.open()
        self.assertEqual(shell.offers("bgproxyctl --socket fol"), {"folder/"})
        self.assertEqual(shell.offers("bgproxyctl --socket=folder/d"), {"--socket=folder/door.sock"})
        self.assertEqual(shell.offers("bgproxy --config folder/a"), {"folder/a file.json5"})

    def test_verbs_and_options_have_their_descriptions(self) -> None:
        shell = self.open()
        self.assertEqual(shell.described("bgproxyctl "), verbs())
        self.assertEqual(shell.described("bgproxyctl switch --exp"), {"--expect": "refuse if another color is active"})
        self.assertEqual(set(shell.offers("bgproxyctl switch --expect=g")), {"--expect=green"})

    def test_a_script_in_the_path_is_loaded_on_demand(self) -> None:
        home = self.folder()
        (home / "bgproxyctl.fish").write_text(script("bgproxyctl", "fish"))
        shell = Fish(home, f"set -p fish_complete_path {shlex.quote(str(home))}")
        self.assertEqual(shell.offers("bgproxyctl switch "), COLORS)


class Printing(Case):
    def test_a_shell_that_is_not_known_is_refused(self) -> None:
        for result in (ctl("completion", "tcsh"), ctl("completion"), bgproxy("--completion", "tcsh")):
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertRegex(result.stderr, "bash.*zsh.*fish")

    def test_the_places_for_the_scripts_are_told(self) -> None:
        text = ctl("completion", "--help").stdout
        for path in ("/usr/share/bash-completion/completions/bgproxyctl",
                     "/usr/share/zsh/vendor-completions/_bgproxyctl",
                     "/usr/share/fish/vendor_completions.d/bgproxyctl.fish"):
            self.assertIn(path, text)
