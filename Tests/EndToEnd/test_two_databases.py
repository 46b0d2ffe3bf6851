"""Two separate databases: the chapter as it is written, and a handover in which the replica does not catch up."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import urllib.error
from collections.abc import Iterator
from pathlib import Path

from harness import PATIENCE, Task, wait_until
from test_turquoise import Lab, LabCase, Load, need_postgres


class TwoDatabases(LabCase):
    def setUp(self) -> None:
        super().setUp()
        need_postgres(self)

    def replicated(self) -> Lab:
        """Blue is written, green follows."""
        lab = self.lab()
        self.does(lab, "config/lab/turquoise/lab up --separate")
        self.does(lab, "replica setup --from blue --to green", "green follows blue")
        return lab

    def psql(self, lab: Lab, color: str, query: str) -> str:
        return self.does(lab, f'psql -qXAt -v ON_ERROR_STOP=1 "$TURQUOISE_{color.upper()}" -c "{query}"').strip()

    def rights(self, lab: Lab, color: str) -> str:
        return self.psql(lab, color, "SELECT string_agg(privilege_type, ' ' ORDER BY privilege_type) "
                                     "FROM information_schema.role_table_grants "
                                     "WHERE grantee = 'app' AND table_name = 'people'")

    @contextlib.contextmanager
    def held_at(self, lab: Lab, color: str, command: str) -> Iterator[None]:
        """That color's database begins this command and does not come to its end: within, a handover from blue to green
        stands there. It is killed afterwards."""
        number = lab.folder / "catch-up"
        number.unlink(missing_ok=True)
        self.psql(lab, color, "CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS "
                                "'BEGIN PERFORM pg_sleep(600); END'; CREATE EVENT TRIGGER hold ON ddl_command_start "
                                f"WHEN TAG IN ('{command}') EXECUTE FUNCTION hold()")
        handover = Task(lab.run, f"echo $$ >{number}.part; mv {number}.part {number}; "
                                 "exec replica catch-up --from blue --to green")
        waiting = "FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        wait_until(lambda: self.psql(lab, color, f"SELECT count(*) {waiting}") == "1", f"{command} is begun")
        yield
        os.kill(int(number.read_text()), signal.SIGKILL)
        self.assertEqual(handover.result(PATIENCE).returncode, -signal.SIGKILL)
        self.psql(lab, color, f"SELECT pg_terminate_backend(pid) {waiting}")
        for each in ("blue", "green"):
            wait_until(lambda: self.psql(lab, each, "SELECT count(*) FROM pg_stat_activity "
                                         "WHERE application_name = 'turquoise replica'") == "0", "it has gone")
        self.psql(lab, color, "DROP EVENT TRIGGER hold; DROP FUNCTION hold")

    def check_equal(self, lab: Lab) -> None:
        wait_until(lambda: lab.run("replica check").returncode == 0, "the one that follows has the last rows, too")

    def check_write_refused(self, lab: Lab, address: str | None = None) -> None:
        with self.assertRaises(urllib.error.HTTPError) as refused:
            lab.ask("POST", "/people", {"name": "stray", "phone": None}, address)
        self.assertEqual(refused.exception.code, 503)
        self.assertIn("takes no writes", refused.exception.read().decode())

    def kill_with_lock(self, lab: Lab, number: Path) -> bool:
        """Kills the command once it keeps writers out."""
        wait_until(number.exists, "the command runs")
        query = ("SELECT count(*) FROM pg_locks WHERE mode = 'ShareRowExclusiveLock' AND granted "
                 "AND relation = 'people'::regclass")
        wait_until(lambda: self.psql(lab, "blue", query) == "1", "it has the lock")
        os.kill(int(number.read_text()), signal.SIGKILL)
        return True

    def test_the_chapter_as_written_there_and_back_loses_and_doubles_no_row(self) -> None:
        lab = self.lab()
        result, = self.live(lab, "Two separate databases")
        print(f"two databases: {result['requests']} requests across three handovers and one that was given up, the "
              f"longest took {result['longestMilliseconds']} ms", file=sys.stderr)

    def test_a_replica_that_has_stopped_has_the_handover_given_up_and_the_next_one_numbers_the_rows_on(self) -> None:
        lab = self.replicated()
        load = self.enter(Load(lab))
        load.goes_on()
        self.psql(lab, "green", "ALTER SUBSCRIPTION people_in DISABLE")
        load.goes_on()
        self.refuses(lab, "bgproxyctl switch green --handover --during 'replica catch-up --limit 500ms'",
                     "green has not caught up in time", "given up")
        self.assertEqual((lab.status()["active"], lab.history()), ("blue", []))
        load.goes_on()
        # The front door's own limit ends the command as well, and whatever the command has begun.
        self.refuses(lab, "bgproxyctl switch green --handover --drain 3s --during 'replica catch-up --limit 1m'",
                     "given up")
        load.goes_on()
        # Even a command that is killed leaves nothing that keeps writers out.
        number = lab.folder / "catch-up"
        command = f"echo $$ >{number}.part; mv {number}.part {number}; exec replica catch-up"
        killed = Task(self.kill_with_lock, lab, number)
        self.refuses(lab, f"bgproxyctl switch green --handover --during {shlex.quote(command)}", "given up")
        self.assertTrue(killed.result(PATIENCE))
        load.goes_on()
        self.assertEqual(self.psql(lab, "blue", "SELECT has_table_privilege('app', 'people', 'INSERT')"), "t")
        self.psql(lab, "green", "ALTER SUBSCRIPTION people_in ENABLE")
        for source, target in (("blue", "green"), ("green", "blue")):
            # The sequence is what replication does not carry: as long as nobody sets it, it is where it was.
            def last(color: str) -> int:
                return int(self.psql(lab, color, "SELECT coalesce(max(last_value), 0) FROM pg_sequences"))

            behind = last(target)
            at = wait_until(lambda: (at := last(source)) > behind and at, "somebody has come since", 60)
            self.does(lab, f"bgproxyctl switch {target} --handover --during 'replica catch-up'", "1 sequence set")
            self.assertGreaterEqual(last(target), at)
            load.goes_on()
        result = self.check_load(load)
        self.check_receipts(lab)
        self.assertGreater(min(receipt["heldMilliseconds"] for receipt in lab.history()), 0)
        self.check_equal(lab)
        self.assertEqual(self.psql(lab, "blue", "SELECT count(*) FROM people"), str(result["people"]))

    def test_of_two_front_doors_the_one_that_serves_goes_first_and_no_request_fails(self) -> None:
        lab = self.replicated()
        standby = self.front_door(*lab.listen[2:])
        both = "config/keepalived/switch-both {} --handover --during 'replica catch-up' --socket {} --socket {}"
        doors = ("$BGPROXY_SOCKET", standby.admin_path)
        load = self.enter(Load(lab))
        load.goes_on()
        self.refuses(lab, both.format("green", *reversed(doors)), "name it first", "nothing was changed")
        for color in ("green", "blue"):
            self.does(lab, both.format(color, *doors), f"{color} is written")
            self.assertEqual((lab.status()["active"], standby.status()["active"]), (color, color))
            load.goes_on()
        self.check_load(load)

    def test_a_handover_that_is_killed_where_neither_is_written_is_taken_up_again_in_either_direction(self) -> None:
        lab = self.replicated()
        person = lab.ask("POST", "/people", {"name": "a", "phone": "1"})["id"]
        with self.held_at(lab, "green", "GRANT"):
            self.refuses(lab, "replica catch-up --from blue --to green", "another replica command is at work")
            self.refuses(lab, "replica setup --from blue --to green", "another replica command is at work")
        self.check_write_refused(lab)
        self.does(lab, "replica status", "neither is written")
        # Back to what was written before: the front door has not switched.
        self.does(lab, "replica catch-up --from green --to blue", "blue is written")
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "2"})
        self.check_equal(lab)
        self.assertEqual(self.rights(lab, "blue"), "DELETE INSERT SELECT UPDATE")
        # Or on to where it was to go.
        with self.held_at(lab, "green", "GRANT"):
            pass
        self.check_write_refused(lab)
        self.does(lab, "bgproxyctl switch green --handover --during 'replica catch-up'", "green is written")
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "3"})
        self.check_equal(lab)
        self.does(lab, "bgproxyctl switch blue --handover --during 'replica catch-up'", "1 sequence set")
        # Later green is written, and still follows; or has ceased to, and blue has not begun.
        for color in ("green", "blue"):
            with self.held_at(lab, color, "ALTER SUBSCRIPTION"):
                pass
            self.check_write_refused(lab)
            self.does(lab, "replica catch-up --from green --to blue", "blue is written")
            lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": color})
            self.check_equal(lab)

    def test_neither_setting_up_nor_a_flip_without_catching_up_overwrites_a_row_or_widens_a_right(self) -> None:
        lab = self.lab()
        self.does(lab, "config/lab/turquoise/lab up --separate")
        for socket in lab.folder.glob("*/.s.PGSQL.*[0-9]"):
            self.assertEqual(socket.stat().st_mode & 0o777, 0o700, "who may connect is the databases' superuser")
        # A right less than usual, which a handover is not to give. Nor is it to give TRUNCATE.
        for color in ("blue", "green"):
            self.psql(lab, color, "REVOKE DELETE ON people FROM app")
        person = lab.ask("POST", "/people", {"name": "a", "phone": "1"})["id"]
        self.refuses(lab, "replica catch-up --from blue --to green", "replica setup comes first")
        self.refuses(lab, "replica setup --from green --to blue", "blue has rows of its own")
        writer = self.session(lab, "$TURQUOISE_GREEN", "BEGIN; INSERT INTO people (name) VALUES ('stray')")
        setup = Task(lab.run, "replica setup --from blue --to green")
        wait_until(lambda: self.psql(lab, "green", "SELECT count(*) FROM pg_locks WHERE NOT granted "
                                     "AND relation = 'people'::regclass") == "1", "it waits for who writes")
        writer.communicate("COMMIT;\n", timeout=PATIENCE)
        answer = setup.result(PATIENCE)
        self.assertEqual((answer.returncode, answer.stdout), (1, "replica: green has rows of its own\n"))
        self.assertEqual(self.rights(lab, "green"), "INSERT SELECT UPDATE", "as before")
        self.psql(lab, "green", "DELETE FROM people; ALTER TABLE people RENAME COLUMN name TO nom")
        self.refuses(lab, "replica setup --from blue --to green --limit 1s", "has not copied all rows")
        self.assertEqual(self.rights(lab, "green"), "SELECT")
        self.psql(lab, "green", "ALTER TABLE people RENAME COLUMN nom TO name")
        for _ in range(2):
            self.does(lab, "replica setup --from blue --to green", "1 people copied")
        self.refuses(lab, "replica setup --from green --to blue", "green follows blue")
        self.check_write_refused(lab, f"http://{lab.listen[1]}")
        self.does(lab, "bgproxyctl switch green --handover --during 'replica catch-up'", "1 sequence set")
        self.assertEqual((self.rights(lab, "blue"), self.rights(lab, "green")), ("SELECT", "INSERT SELECT UPDATE"))
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "2"})
        self.does(lab, "bgproxyctl rollback")
        self.check_write_refused(lab)
        self.does(lab, "bgproxyctl switch green --handover --during 'replica catch-up'", "green is written already")
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "3"})
        # The parts without a switch, as after one that failed at the very end.
        self.does(lab, "replica catch-up --from green --to blue", "1 sequence set")
        self.assertEqual((self.rights(lab, "blue"), self.rights(lab, "green")), ("INSERT SELECT UPDATE", "SELECT"))
        self.check_write_refused(lab)
        self.does(lab, "bgproxyctl rollback")
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "4"})
        self.check_equal(lab)
        # Anew, as with a slot that is lost.
        self.psql(lab, "green", "DROP SUBSCRIPTION people_in")
        self.psql(lab, "green", "TRUNCATE people")
        self.does(lab, "replica setup --from blue --to green", "1 people copied")
        # One that is connected and has not told yet how far it is.
        self.psql(lab, "green", "ALTER SUBSCRIPTION people_in DISABLE")
        self.session(lab, "$TURQUOISE_BLUE&replication=database&application_name=people_in", "")
        wait_until(lambda: "None" in (said := self.does(lab, "replica status")) or "has not said" in said, "it is seen")
        self.assertIn("(switched off)", self.does(lab, "replica status", "has not said yet"))
