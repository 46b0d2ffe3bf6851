"""The database chapter: docs/database.md as it is written, under load, on PostgreSQL and SQLite; and what is refused."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import harness
from harness import ROOT, Case, check_receipt, free_port, listening, wait_until

CHAPTER = ROOT / "docs" / "database.md"
SCRIPTS = ROOT / "config" / "lab" / "turquoise"
LISTEN = [f"127.0.0.1:{port}" for port in (8080, 8081, 8082, 8083)]
"""What the chapter uses: front door, preview, blue, green."""


def need_postgres(test: Case) -> None:
    if not list(Path("/usr/lib/postgresql").glob("*/bin/initdb")) and not harness.find_program("initdb"):
        test.skipTest("postgresql is not installed")
    harness.need("psql")
    found = subprocess.run(["/usr/bin/python3", "-c", "import psycopg2"], capture_output=True, check=False)
    if found.returncode:
        test.skipTest("python3-psycopg2 is not installed")


class Lab:
    """`config/lab/turquoise/lab` in a folder of the test and at free ports; its commands as a user types them."""

    def __init__(self, folder: Path):
        folder.chmod(0o755)
        self.folder = folder / "lab"
        ports: set[int] = set()
        while len(ports) < 4:
            ports.add(free_port())
        self.listen = [f"127.0.0.1:{port}" for port in ports]
        self.environment = {key: value for key, value in os.environ.items()
                            if not key.startswith(("PG", "TURQUOISE_", "BGPROXY_"))}
        self.environment |= {"TURQUOISE_LAB": str(self.folder), "TURQUOISE_LISTEN": " ".join(self.listen),
                             "BGPROXY_BINARIES": str(harness.BINARIES), "LC_ALL": "C.UTF-8"}

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        if kind is not None:
            for log in sorted(self.folder.glob("*.log")):
                print(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}", file=sys.stderr)
        self.run("config/lab/turquoise/lab down")

    def run(self, command: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A command in a shell that has the lab's environment; what it says on both streams is in `stdout`."""
        script = f'eval "$(config/lab/turquoise/lab env 2>/dev/null)"\n{command}'
        return subprocess.run(["bash", "-c", script], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=90, check=False, cwd=ROOT,
                              env=environment or self.environment)

    def front(self) -> str:
        return f"http://{self.listen[0]}"

    def status(self) -> dict[str, Any]:
        return harness.ask(str(self.folder / "admin" / "admin.sock"), "GET", "/v1/status")[1]

    def history(self) -> list[dict[str, Any]]:
        return harness.ask(str(self.folder / "admin" / "admin.sock"), "GET", "/v1/history")[1]["history"]

    def requests(self) -> int:
        return sum(color["requests"] for color in self.status()["colors"].values())

    def ask(self, method: str, path: str, fields: Any = None, address: str | None = None) -> Any:
        """What the application answers, at the front door."""
        data = None if fields is None else json.dumps(fields).encode()
        request = urllib.request.Request(f"{address or self.front()}{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=harness.PATIENCE) as response:
            text = response.read().decode()
        return json.loads(text) if text.startswith(("{", "[")) else text


class Load:
    """Writers and readers at the front door, and their ledger."""

    def __init__(self, lab: Lab, *options: str):
        self.lab = lab
        command = [str(SCRIPTS / "load"), "--json", "--requests", "100000", *options, lab.front()]
        self.begun = lab.requests()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.is_told = False

    def __enter__(self) -> Load:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def goes_on(self, count: int = 40) -> None:
        """Waits for so many more of its requests."""
        before = self.lab.requests()
        self._reaches(before + count)

    def _reaches(self, count: int) -> None:
        wait_until(lambda: self.lab.requests() >= count or self.process.poll() is not None, "the load goes on", 90)

    def has_done(self, count: int) -> None:
        """Waits until it has made so many requests in all."""
        self._reaches(self.begun + count)

    def stop(self) -> None:
        """Tells it to end, once: a second signal may meet an interpreter that is ending already, and kill it."""
        if not self.is_told and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.is_told = True

    def finish(self) -> dict[str, Any]:
        self.stop()
        output, _ = self.process.communicate(timeout=60)
        return json.loads(output) | {"code": self.process.returncode}


class LabCase(Case):
    def lab(self) -> Lab:
        return self.enter(Lab(self.folder()))

    def does(self, lab: Lab, command: str, *says: str) -> str:
        return self._runs(lab, command, 0, says)

    def refuses(self, lab: Lab, command: str, *says: str) -> str:
        return self._runs(lab, command, 1, says)

    def _runs(self, lab: Lab, command: str, code: int, says: tuple[str, ...]) -> str:
        answer = lab.run(command)
        self.assertEqual(answer.returncode, code, f"{command}\n{answer.stdout}")
        for text in says:
            self.assertIn(text, answer.stdout, command)
        return answer.stdout

    def session(self, lab: Lab, database: str, statements: str) -> subprocess.Popen[str]:
        """A psql that has done this, and stays; what is written to it is done, too."""
        address = lab.run(f'echo "{database}"').stdout.strip()
        process = subprocess.Popen(["psql", "-qXAt", address], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        process.stdin.write(f"{statements};\n\\echo done\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "done\n", statements)
        return process

    def release(self, lab: Lab, color: str, release: str, *after: str) -> None:
        """Starts a release on the idle color, and switches to it."""
        self.does(lab, " && ".join([f"lab start {color} {release}", f"bgproxyctl switch {color} --wait", *after]))

    def to_turquoise(self, lab: Lab) -> None:
        """Stage expanded; turquoise-old on green, v1 is gone."""
        self.does(lab, "migrate expand")
        self.release(lab, "green", "turquoise-old", "lab stop blue")

    def check_load(self, load: Load, least: int = 20) -> dict[str, Any]:
        """No request failed, and the front door answers what the ledger says."""
        # Of both kinds, in whichever order they have come.
        load.has_done(15 * least)
        result = load.finish()
        self.assertEqual((result["failed"], result["lost"], result["duplicated"], result["wrong"], result["code"]),
                         (0, 0, 0, 0, 0), result)
        self.assertGreater(min(result["writes"], result["reads"]), least)
        self.assertGreater(result["people"], 0)
        return result

    def check_receipts(self, lab: Lab) -> None:
        for receipt in lab.history():
            check_receipt(receipt)
            self.assertEqual((receipt["cut"], receipt["spread"]), (0, 0), receipt)

    # The chapter

    def live(self, lab: Lab, heading: str, replace: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Runs the commands of a part of the chapter in their order and compares what they say. Where the text has a
        second terminal, the load is started and ended. Returns what the loads have found."""
        harness.need("curl")
        text = CHAPTER.read_text()
        part = re.split(r"^## ", text[text.index(f"## {heading}\n") + 3:], flags=re.MULTILINE)[0]
        pieces = re.split(r"^```(\w+)\n(.*?)^```\n", part, flags=re.MULTILINE | re.DOTALL)
        load: Load | None = None
        found, commands = [], 0
        for prose, kind, block in zip(pieces[0::3], [*pieces[1::3], ""], [*pieces[2::3], ""]):
            if "Ctrl-C in the second terminal" in prose:
                found.append(self.check_load(load))
                load = None
            elif "a second terminal" in prose:
                load = self.enter(Load(lab))
            for command, expected in self._commands(block) if kind == "console" else ():
                if load:
                    load.goes_on(15)
                for old, new in (replace or {}).items():
                    command = command.replace(old, new)
                answer = self._answer(lab, self._here(lab, command), self._shape(lab, expected))
                self.assertEqual(self._shape(lab, answer.stdout), self._shape(lab, expected), f"$ {command}")
                self.assertEqual(answer.returncode, int(bool(re.search(r"^(migrate|lab|bgproxyctl|replica): ", expected,
                                                                       re.MULTILINE))), f"$ {command}\n{answer.stdout}")
                if command.startswith("bgproxyctl"):
                    self.check_receipts(lab)
                commands += 1
        self.assertIsNone(load)
        self.assertGreater(commands, 10)
        return found

    def _answer(self, lab: Lab, command: str, expected: str) -> subprocess.CompletedProcess[str]:
        if not re.match(r"replica (status|check)", command):
            return lab.run(command)

        # They look only, and what they look at connects and arrives in its own time.
        def matching() -> subprocess.CompletedProcess[str] | None:
            answer = lab.run(command)
            return answer if self._shape(lab, answer.stdout) == expected else None

        return wait_until(matching, f"{command} says what the chapter says: {expected}")

    @staticmethod
    def _commands(block: str) -> list[tuple[str, str]]:
        parts = re.split(r"^\$ (.*)\n", block, flags=re.MULTILINE)
        return list(zip(parts[1::2], parts[2::2]))

    @staticmethod
    def _here(lab: Lab, text: str) -> str:
        for there, here in zip(LISTEN, lab.listen):
            text = text.replace(there, here)
        return text

    @staticmethod
    def _shape(lab: Lab, text: str) -> str:
        """What is said without what differs from run to run: addresses, numbers, times, how many batches."""
        for there, here in zip([*LISTEN, "/tmp/turquoise-lab"], [*lab.listen, str(lab.folder)]):
            text = text.replace(here, there)
        lines = [line for line in text.splitlines() if not line.startswith("draining ")]
        shaped = []
        for line in lines:
            line = re.sub(r"\b[0-9a-f]{32}\b", "HASH", line)
            line = re.sub(r"\((\d+ connections?, server process [\d, ]+|a process has the database open)\)", "(WHO)", line)
            line = re.sub(r"(sessions  ).*", r"\1…", line)
            line = re.sub(r"(?<!v)(?<!555-)\d+(\.\d+)?( (µs|ms|s)\b)?", "N", line)
            if not (line.startswith("  batch") and shaped[-1:] == [line]):
                shaped.append(line)
        return "\n".join(shaped).strip()


class SharedDatabase:
    """One database for both colors. The classes below say which."""

    option = ""

    def up(self) -> Lab:
        self.prepare()
        lab = self.lab()
        self.does(lab, f"config/lab/turquoise/lab up {self.option}".strip(), "stage start: for v1", "blue runs v1")
        return lab

    def test_the_chapter_as_written_with_rollbacks_in_the_middle_loses_no_write_and_fails_no_request(self) -> None:
        self.prepare()
        lab = self.lab()
        option = {"turquoise/lab up": f"turquoise/lab up {self.option}"} if self.option else None
        result, = self.live(lab, "One shared database, step by step", option)
        print(f"{type(self).__name__}: {result['requests']} requests through the whole migration, the longest took "
              f"{result['longestMilliseconds']} ms", file=sys.stderr)

    def test_steps_in_a_wrong_order_are_refused_and_an_answer_of_v2_is_of_one_moment(self) -> None:
        lab = self.up()
        for step in ("backfill", "stop-old", "contract"):
            self.refuses(lab, f"migrate {step}", f"{step} comes after", "stage start")
        self.refuses(lab, "migrate back", "no way back from stage start")
        self.refuses(lab, "lab start green turquoise-old", "turquoise-old does not work with a database at stage start")
        self.does(lab, "migrate expand")
        self.refuses(lab, "migrate expand", "comes after stage start")
        for step in ("backfill", "back"):
            self.does(lab, "lab start green turquoise-old")
            who = {"backfill": "v1", "back": "turquoise-old"}[step]
            self.refuses(lab, f"migrate {step}", f"{who} is still connected")
            self.does(lab, "lab stop green")
        self.refuses(lab, "lab stop blue", "blue is active")
        # Even where somebody has the database believe that it is time.
        self.sql(lab, "UPDATE migration SET stage = 'new-only'")
        self.refuses(lab, "migrate contract", "v1 is still connected")
        self.sql(lab, "UPDATE migration SET stage = 'expanded'")
        self.assertEqual(lab.ask("POST", "/people", {"name": "a", "phone": "1"})["phone"], "1", "v1 was not harmed")
        self.sql(lab, "UPDATE migration SET stage = 'filled'")
        self.refuses(lab, "migrate stop-old", "1 different", "the two structures differ")
        self.refuses(lab, "lab start green v2", "v2 does not work with a database at stage filled")
        # In the same lab, as each takes its time to build: an answer of v2 is of one moment, and the ledger looks at all
        # of it. Contract compares first.
        self.sql(lab, "UPDATE migration SET stage = 'new-only'")
        self.release(lab, "green", "v2")
        load = self.enter(Load(lab, "--readers", "3", "--pause", "0"))
        load.goes_on(1500)
        self.check_load(load)
        # As long as it takes to stop, the writer repairs two or three; the comparison at its end finds the others.
        before = self.count(lab, "phones")
        load = self.enter(Load(lab, "--writers", "1", "--pause", "0.01"))
        wait_until(lambda: self.count(lab, "phones") >= before + 10, "the writer's people have phones", 60)
        # Nobody deletes a person meanwhile.
        load.process.send_signal(signal.SIGSTOP)
        self.sql(lab, "INSERT INTO phones SELECT person, 2, 'x' FROM phones WHERE position = 1")
        load.stop()
        load.process.send_signal(signal.SIGCONT)
        result = load.finish()
        self.assertIn("is of two writes", str(result["failures"]))
        self.assertIn("'x'", str(result["failures"]))
        self.refuses(lab, "lab stop blue && migrate contract", "surplus", "no place for")
        self.does(lab, "migrate status", "stage new-only")
        self.sql(lab, "DELETE FROM phones WHERE position = 2")
        self.does(lab, "migrate contract", "0 surplus", "stage contracted")


class OnPostgreSQL(SharedDatabase, LabCase):
    def prepare(self) -> None:
        need_postgres(self)

    def sql(self, lab: Lab, statement: str) -> str:
        return self.does(lab, f'psql -qXAt -v ON_ERROR_STOP=1 "$TURQUOISE_DATABASE" -c {shlex.quote(statement)}')

    def count(self, lab: Lab, table: str) -> int:
        return int(self.sql(lab, f"SELECT count(*) FROM {table}"))

    def test_a_backfill_comes_between_no_write(self) -> None:
        lab = self.up()
        self.to_turquoise(lab)
        person = lab.ask("POST", "/people", {"name": "a", "phone": "555-old"})["id"]
        # A write that has taken its locks when the batch begins, and is committed while that waits for them.
        writer = self.session(lab, "$TURQUOISE_DATABASE",
                              f"BEGIN; UPDATE people SET phone = '555-new' WHERE id = {person}; "
                              f"UPDATE phones SET number = '555-new' WHERE person = {person}")
        backfill = harness.Task(lab.run, "migrate backfill")
        waiting = ("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'turquoise migrate' "
                   "AND wait_event_type = 'Lock'")
        wait_until(lambda: self.does(lab, f'psql -qXAt "$TURQUOISE_DATABASE" -c "{waiting}"') == "1\n", "it waits")
        writer.communicate("COMMIT;\n", timeout=harness.PATIENCE)
        answer = backfill.result(harness.PATIENCE)
        self.assertEqual(answer.returncode, 0, answer.stdout)
        self.assertIn("1 in the new one, 0 different", answer.stdout)
        self.assertEqual(lab.ask("GET", f"/people/{person}")["phone"], "555-new")
        # And many of them, at every moment.
        self.does(lab, "migrate back")
        load = self.enter(Load(lab, "--pause", "0.001", "--writers", "4"))
        load.goes_on(200)
        self.does(lab, "migrate backfill --batch 20", "0 different")
        self.check_load(load)


class OnSQLite(SharedDatabase, LabCase):
    option = "--sqlite"

    def prepare(self) -> None:
        if not Path("/usr/bin/python3").exists():
            self.skipTest("Debian's python3 is not installed")

    def sql(self, lab: Lab, statement: str) -> list[tuple[Any, ...]]:
        database = sqlite3.connect(lab.folder / "people.db", timeout=harness.PATIENCE)
        with database:
            rows = database.execute(statement).fetchall()
        database.close()
        return rows

    def count(self, lab: Lab, table: str) -> int:
        return self.sql(lab, f"SELECT count(*) FROM {table}")[0][0]

    def test_what_v1_writes_after_a_rollback_reaches_the_new_structure(self) -> None:
        lab = self.up()
        self.does(lab, "migrate expand")
        self.release(lab, "green", "turquoise-old")
        people = [lab.ask("POST", "/people", {"name": name, "phone": f"555-{name}"})["id"] for name in "abcd"]
        self.does(lab, "migrate check", "4 people, 4 phones in the old structure, 4 in the new one, 0 different")
        self.does(lab, "bgproxyctl rollback --wait")
        self.assertEqual(lab.ask("GET", "/"), "App v1\n")
        # A change, a phone that goes, a person that goes, one that comes: none of them is in the new structure.
        lab.ask("PUT", f"/people/{people[0]}", {"name": "a", "phone": "555-changed"})
        lab.ask("PUT", f"/people/{people[1]}", {"name": "b", "phone": None})
        lab.ask("DELETE", f"/people/{people[2]}")
        people[2] = lab.ask("POST", "/people", {"name": "e", "phone": "555-e"})["id"]
        self.does(lab, "migrate check", "4 people, 3 phones in the old structure, 3 in the new one, 3 different")
        self.does(lab, "bgproxyctl switch green --wait && lab stop blue && migrate backfill && migrate check",
                  "stage filled: 4 people, 3 phones in the old structure, 3 in the new one, 0 different")
        self.release(lab, "blue", "turquoise-new")
        self.assertEqual([lab.ask("GET", f"/people/{person}")["phone"] for person in people],
                         ["555-changed", None, "555-e", "555-d"])

    def test_what_v2_writes_is_there_on_each_step_of_the_way_back(self) -> None:
        lab = self.up()
        self.to_turquoise(lab)
        people = [lab.ask("POST", "/people", {"name": name, "phone": "555-old"})["id"] for name in "abc"]
        self.does(lab, "migrate backfill")
        self.release(lab, "blue", "turquoise-new", "lab stop green", "migrate stop-old")
        self.release(lab, "green", "v2")
        lab.ask("PUT", f"/people/{people[0]}", {"name": "a", "phone": "555-new"})
        lab.ask("PUT", f"/people/{people[1]}", {"name": "b", "phone": None})
        people.append(lab.ask("POST", "/people", {"name": "d", "phone": "555-d"})["id"])
        wanted = ["555-new", None, "555-old", "555-d"]
        with self.assertRaisesRegex(urllib.error.HTTPError, "409"):
            lab.ask("POST", f"/people/{people[0]}/phones", {"phone": "555-second"})
        self.does(lab, "migrate check", "3 different")
        self.does(lab, "bgproxyctl rollback --wait")
        self.assertEqual(lab.ask("GET", "/"), "App turquoise-new\n")
        self.assertEqual([lab.ask("GET", f"/people/{person}")["phone"] for person in people], wanted)
        self.does(lab, "lab stop green && migrate back", "stage filled", "0 different")
        self.release(lab, "green", "turquoise-old", "lab stop blue")
        self.assertEqual([lab.ask("GET", f"/people/{person}")["phone"] for person in people], wanted)
        self.does(lab, "migrate back", "stage expanded")
        self.release(lab, "blue", "v1", "lab stop green")
        self.assertEqual([lab.ask("GET", f"/people/{person}")["phone"] for person in people], wanted)
        self.does(lab, "migrate back", "stage start")
        self.assertEqual(lab.ask("PUT", f"/people/{people[0]}", {"name": "a", "phone": "1"})["phone"], "1")

    def test_the_check_finds_every_kind_of_difference_and_names_the_person(self) -> None:
        lab = self.up()
        self.to_turquoise(lab)
        for name in "abc":
            lab.ask("POST", "/people", {"name": name, "phone": f"555-{name}"})
        lab.ask("POST", "/people", {"name": "d", "phone": None})
        self.does(lab, "migrate backfill")
        for harm, cure, names in (
            ("UPDATE people SET phone = 'x' WHERE id = 1", "UPDATE people SET phone = '555-a' WHERE id = 1",
             "person 1: old 'x', new '555-a'"),
            ("UPDATE people SET phone = NULL WHERE id = 1", "UPDATE people SET phone = '555-a' WHERE id = 1",
             "person 1: old None, new '555-a'"),
            ("UPDATE phones SET number = 'x' WHERE person = 2", "UPDATE phones SET number = '555-b' WHERE person = 2",
             "person 2: old '555-b', new 'x'"),
            ("DELETE FROM phones WHERE person = 3", "INSERT INTO phones VALUES (3, 1, '555-c')",
             "person 3: old '555-c', new None"),
            ("INSERT INTO phones VALUES (4, 1, 'x')", "DELETE FROM phones WHERE person = 4",
             "person 4: old None, new 'x'"),
            ("INSERT INTO phones VALUES (3, 2, 'x')", "DELETE FROM phones WHERE position = 2",
             "person 3: 'x' at position 2 only in the new structure"),
        ):
            self.sql(lab, harm)
            self.refuses(lab, "migrate check", names)
            self.sql(lab, cure)
            self.does(lab, "migrate check", "3 phones in the old structure, 3 in the new one, 0 different, 0 surplus")

    def test_a_backfill_that_is_broken_off_goes_on_where_it_was_and_keeps_v1_out(self) -> None:
        lab = self.up()
        for number in range(8):
            lab.ask("POST", "/people", {"name": "a", "phone": f"555-{number}"})
        self.to_turquoise(lab)
        self.refuses(lab, "migrate backfill --batch 2 --stop-after 2", "up to person 4", "goes on from here")
        self.refuses(lab, "migrate check", "4 different")
        self.refuses(lab, "lab start blue v1", "v1 does not work with a database at stage filling")
        self.refuses(lab, "lab start blue turquoise-new", "stage filling")
        lab.ask("PUT", "/people/1", {"name": "a", "phone": "behind it"})
        lab.ask("PUT", "/people/8", {"name": "a", "phone": "before it"})
        said = self.does(lab, "migrate backfill --batch 2", "stage filled", "0 different")
        self.assertNotIn("up to person 4", said, "not from the beginning")
        # Given up, it begins anew: v1 may have written anything meanwhile.
        self.does(lab, "migrate back && migrate backfill --batch 2", "up to person 2", "0 different")

    def test_a_second_migration_at_the_same_time_is_refused(self) -> None:
        lab = self.up()
        self.does(lab, f'flock {lab.folder}/people.db.migration.lock true')
        self.refuses(lab, f'flock {lab.folder}/people.db.migration.lock migrate expand', "another migration is at work")
        self.does(lab, "migrate expand")

    def test_the_ledger_notices_a_lost_a_doubled_and_a_changed_row(self) -> None:
        lab = self.up()
        for harm, finds in (("DELETE FROM people", "lost"), ("UPDATE people SET phone = 'x'", "wrong"),
                            ("INSERT INTO people (name, phone) SELECT name, phone FROM people", "duplicated")):
            # It stops within a tenth of a second: with this pause, two or three more writes cannot repair all of it.
            load = self.enter(Load(lab, "--writers", "1", "--readers", "0", "--pause", "0.05"))
            load.goes_on(60)
            load.process.send_signal(signal.SIGSTOP)
            self.sql(lab, harm)
            load.stop()
            load.process.send_signal(signal.SIGCONT)
            result = load.finish()
            self.assertGreater(result[finds], 0, f"{harm}: {result}")
            self.assertEqual(result["code"], 1)

    def test_the_lab_says_what_is_in_its_way_and_leaves_nothing_behind(self) -> None:
        self.prepare()
        lab = self.lab()
        up = "config/lab/turquoise/lab up --sqlite"
        self.refuses(lab, "config/lab/turquoise/lab status", "there is no lab")
        missing = lab.run("config/lab/turquoise/lab up", lab.environment | {"BGPROXY_BINARIES": "/nowhere"})
        self.assertEqual(missing.returncode, 1)
        self.assertIn("missing: bgproxy (", missing.stdout)
        self.assertIn("bgproxyctl (", missing.stdout)
        for address in (lab.listen[2], lab.listen[0]):
            with listening(address):
                self.refuses(lab, up, "Address already in use" if address == lab.listen[2] else address)
            self.assertFalse(lab.folder.exists(), "it has taken down what was up already")
        old = self.folder()
        (old / "sqlite3.py").write_text("sqlite_version_info, sqlite_version = (3, 34, 1), '3.34.1'\n")
        self.refuses(lab, f"PYTHONPATH={old} {up}", "missing: SQLite 3.39")
        self.refuses(lab, f"TURQUOISE_LAB='{lab.folder}&x' {up}", "letters, digits")
        # What somebody else puts there at the last moment, in a folder like /tmp.
        elsewhere, tools = self.folder() / "elsewhere", self.folder()
        elsewhere.mkdir()
        (tools / "mkdir").write_text(f'#!/bin/sh\nln -sn {elsewhere} {lab.folder}\nexec /bin/mkdir "$@"\n')
        (tools / "mkdir").chmod(0o755)
        self.refuses(lab, f"PATH={tools}:$PATH {up}", "another user")
        self.assertEqual(list(elsewhere.iterdir()), [])
        self.refuses(lab, up, "another user")
        lab.folder.unlink()
        lab.folder.mkdir()
        (lab.folder / "mine").touch()
        self.refuses(lab, up, "is not empty")
        (lab.folder / "mine").unlink()
        self.does(lab, f"cd {lab.folder.parent} && TURQUOISE_LAB=lab {ROOT}/{up}")
        self.refuses(lab, up, "there is a lab in")
        self.refuses(lab, "lab start blue v1", "blue runs v1 already")
        processes = [int(file.read_text().split()[0]) for file in lab.folder.glob("*.pid")]
        self.assertEqual(len(processes), 2)
        self.does(lab, "lab down", "is removed")
        self.assertFalse(lab.folder.exists())
        states = [Path(f"/proc/{process}/stat") for process in processes]
        # What has ended may wait for a parent that never asks.
        self.assertEqual([state for state in states if state.exists() and ") Z " not in state.read_text()], [])
