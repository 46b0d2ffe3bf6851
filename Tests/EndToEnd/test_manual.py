"""The manual pages say what the programs say of themselves: every verb, option and key, and none besides."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import harness
from harness import ROOT, Case, bgproxy, ctl

FOLDER = ROOT / "docs" / "man"
PAGES = ("bgproxy.8", "bgproxyctl.1", "bgproxy.json5.5")


def lines(page: str, heading: str = "") -> list[str]:
    """The source of a page, or of one of its sections and subsections."""
    source = (FOLDER / page).read_text().splitlines()
    if not heading:
        return source
    start = source.index(heading)
    ends = (".Sh", ".Ss") if heading.startswith(".Ss") else (".Sh",)
    end = next((at for at in range(start + 1, len(source)) if source[at][:3] in ends), len(source))
    return source[start + 1:end]


def documented(section: list[str]) -> set[str]:
    """`--drain TIME`, `--wait`: what a list of options explains."""
    items = (re.fullmatch(r"\.It Fl Fl (\S+)(?: (?:Ar|Cm) (\S+))?", line) for line in section)
    return {" ".join(["--" + item[1], *([item[2]] if item[2] else [])]) for item in items if item}


def helped(text: str, heading: str) -> set[str]:
    """The left column of a section of the help."""
    _, found, rest = text.partition(f"{heading}:\n")
    rows = rest.split("\n\n")[0].splitlines() if found else []
    return {re.split(r"\s{2,}", row.strip())[0] for row in rows}


def examples(page: str) -> list[str]:
    return [line[4:] for line in lines(page) if line.startswith(".Dl ")]


def words(example: str) -> list[str]:
    """Of its first command, without the name of the program."""
    split = shlex.split(example)
    end = next((at for at, word in enumerate(split) if word in ("|", ">", "&&")), len(split))
    return split[1:end]


class Pages(Case):
    def test_man_renders_them_without_a_warning(self) -> None:
        harness.need("man")
        for page in PAGES:
            result = subprocess.run(["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", str(FOLDER / page)],
                                    stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            self.assertEqual((result.returncode, result.stderr), (0, ""), page)
            self.assertIn("SEE", result.stdout)

    def test_mandoc_finds_nothing_to_improve(self) -> None:
        harness.need("mandoc")
        for page in PAGES:
            result = subprocess.run(["mandoc", "-T", "lint", str(FOLDER / page)], stdin=subprocess.DEVNULL,
                                    capture_output=True, text=True, check=False)
            # Which other pages this machine has is no property of ours.
            found = [line for line in (result.stdout + result.stderr).splitlines()
                     if "referenced manual not found" not in line and "mandoc.db" not in line]
            self.assertEqual(found, [], page)


class Options(Case):
    def test_the_options_of_bgproxy_are_those_of_its_help(self) -> None:
        self.assertEqual(documented(lines("bgproxy.8", ".Sh OPTIONS")), helped(bgproxy("--help").stdout, "Options"))

    def test_each_verb_of_bgproxyctl_is_explained_and_none_besides(self) -> None:
        explained = {line[4:].replace('"', "") for line in lines("bgproxyctl.1") if line.startswith(".Ss ")}
        verbs = {row.replace("[", "").replace("]", "") for row in helped(ctl("--help").stdout, "Verbs")}
        self.assertEqual(explained, verbs)

    def test_the_options_of_each_verb_are_those_of_its_help(self) -> None:
        for heading in lines("bgproxyctl.1"):
            if heading.startswith(".Ss "):
                verb = heading.split()[1]
                self.assertEqual(documented(lines("bgproxyctl.1", heading)),
                                 helped(ctl(verb, "--help").stdout, "\nOptions"), verb)

    def test_the_options_of_every_verb_are_those_of_the_help(self) -> None:
        self.assertEqual(documented(lines("bgproxyctl.1", ".Sh OPTIONS OF EVERY VERB")),
                         helped(ctl("--help").stdout, "Options"))

    def test_no_other_option_is_named(self) -> None:
        """In the running text and the examples, too."""
        verbs = [row.split()[0] for row in helped(ctl("--help").stdout, "Verbs")]
        known = set(re.findall(r"--[a-z][a-z-]*", "".join(ctl(verb, "--help").stdout for verb in verbs)))
        known |= set(re.findall(r"--[a-z][a-z-]*", bgproxy("--help").stdout)) | {"--name", "--unix-socket"}
        for page in PAGES:
            text = (FOLDER / page).read_text().replace("Fl Fl ", "--")
            self.assertEqual(set(re.findall(r"(?<!\S)--[a-z][a-z-]*", text)) - known, set(), page)

    def test_the_examples_are_understood(self) -> None:
        folder = self.folder()
        (folder / "bgproxy.json5").write_text("\n".join(literal("bgproxy.json5.5")))
        seen = 0
        for example in examples("bgproxyctl.1") + examples("bgproxy.8"):
            if example.startswith("bgproxyctl completion") or "--completion" in example:
                expected, result = 0, self.run_example(example)
            elif example.startswith("bgproxyctl "):
                # Understood, and then nobody is there to do it.
                expected, result = 3, ctl("--socket", f"{folder}/none.sock", *words(example))
            elif "--demo" in example:
                expected, result = 0, bgproxy(*words(example), "--help")
            else:
                arguments = [word.replace("/etc/bgproxy", str(folder)) for word in words(example)]
                expected, result = 0, bgproxy(*arguments, *(["--check"] if "--check" not in arguments else []))
            self.assertEqual(result.returncode, expected, f"{example}: {result.stderr}")
            seen += 1
        self.assertGreater(seen, 5)

    def run_example(self, example: str) -> subprocess.CompletedProcess[str]:
        return ctl(*words(example)) if example.startswith("bgproxyctl ") else bgproxy(*words(example))


def literal(page: str) -> list[str]:
    source = lines(page)
    return source[source.index(".Bd -literal -offset indent") + 1:source.index(".Ed")]


class Keys(Case):
    """What the program takes is asked of the program: it names the keys that it would have understood."""

    def setUp(self) -> None:
        super().setUp()
        self.file = self.folder() / "bgproxy.json5"

    def check(self, text: str) -> str:
        self.file.write_text(text)
        result = bgproxy("--check", "--config", str(self.file))
        return result.stderr if result.returncode else ""

    def keys(self, around: str = "%s", path: str = "", beside: str = "") -> set[str]:
        """Those of the object that stands at `%s`, and of the objects in it, which need what is beside them."""
        complaint = self.check(around % "{ 'no such key': 1 }")
        found = re.search(r"one of the keys (.*), found", complaint)
        if not found:
            return set()
        keys: set[str] = set()
        for key in found[1].split(", "):
            keys.add(path + key)
            keys |= self.keys(around % f"{{ {beside}{key}: %s }}", f"{path}{key}.")
        return keys

    def accepted(self) -> set[str]:
        needed = "bind: ':1', blue: ['a:1'], green: ['b:1'], "
        return self.keys() | self.keys("{ listeners: [ %s ] }", "listeners[].", needed)

    def test_every_key_is_explained_and_none_besides(self) -> None:
        accepted = self.accepted()
        for key in ("listeners[].tcp.client.keepalive", "listeners[].health.http.path", "bake.time"):
            self.assertIn(key, accepted)
        explained = [line[7:] for line in lines("bgproxy.json5.5") if line.startswith(".It Cm ")]
        self.assertEqual(len(explained), len(set(explained)), "each key once")
        self.assertEqual(set(explained), accepted)

    def test_the_commented_file_has_every_key(self) -> None:
        text = (ROOT / "config" / "bgproxy.json5").read_text()
        missing = {key for key in self.accepted() if not re.search(rf"\b{key.split('.')[-1]}: \S", text)}
        self.assertEqual(missing, set())

    def test_the_defaults_are_those_in_force(self) -> None:
        door = self.front_door("127.0.0.1:1", "127.0.0.1:2", health={"http": {}})
        result = ctl("--socket", door.admin_path, "config")
        self.assertEqual(result.returncode, 0, result.stderr)
        in_force = self.flat(json.loads(result.stdout))
        told = self.defaults()
        ours = {"active", "workers", "busyPoll", "splice", "admin.mode", "listeners[].protocol"}
        for key, value in in_force.items():
            if key in ours or key.split(".")[0] in ("drain", "timeouts", "limits", "health", "bake", "checks"):
                self.assertEqual(told.get(key), value, key)

    def flat(self, value: object, path: str = "") -> dict[str, object]:
        if isinstance(value, dict):
            return {key: each for name, inner in value.items()
                    for key, each in self.flat(inner, f"{path}.{name}" if path else name).items()}
        if path == "listeners" and isinstance(value, list):
            return self.flat(value[0], "listeners[]")
        return {path: value}

    def defaults(self) -> dict[str, object]:
        """Those that are values, by key."""
        found: dict[str, object] = {}
        key, source = "", lines("bgproxy.json5.5")
        for line, following in zip(source, source[1:]):
            if line.startswith(".It "):
                key = line.removeprefix(".It Cm ")
            elif line.endswith("Default:") and following.startswith(".Li "):
                value = following[4:].removesuffix(" .").replace("\\(dq", '"').replace("\\&", "")
                found[key] = json.loads(value)
        return found

    def test_the_example_is_valid(self) -> None:
        self.assertEqual(self.check("\n".join(literal("bgproxy.json5.5"))), "")
