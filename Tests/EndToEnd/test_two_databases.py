"""Two separate databases: the chapter as it is written, and a handover in which the replica does not catch up."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import urllib.error
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

    def test_handovers_under_load_number_the_rows_on_and_keep_each_client_waiting_for_a_moment_only(self) -> None:
        lab = self.replicated()
        load = self.enter(Load(lab, "--pause", "0.002"))
        for turn in range(2):
            source, target = ("blue", "green") if turn % 2 == 0 else ("green", "blue")
            load.goes_on()
            # The sequence is what replication does not carry: as long as nobody sets it, it is where it was.
            behind, at = (int(self.psql(lab, color, "SELECT coalesce(max(last_value), 0) FROM pg_sequences"))
                          for color in (target, source))
            self.assertLess(behind, at)
            self.does(lab, f"bgproxyctl switch {target} --handover --during 'replica catch-up'", "1 sequence set")
            self.assertGreaterEqual(int(self.psql(lab, target, "SELECT max(last_value) FROM pg_sequences")), at)
            load.goes_on()
        result = self.check_load(load)
        self.check_receipts(lab)
        held = [receipt["heldMilliseconds"] for receipt in lab.history()]
        print(f"two databases: held for {held} ms; of {result['requests']} requests the longest took "
              f"{result['longestMilliseconds']} ms", file=sys.stderr)
        self.assertGreater(min(held), 0)
        self.check_equal(lab)
        self.assertEqual(self.psql(lab, "blue", "SELECT count(*) FROM people"), str(result["people"]))

    def test_a_replica_that_has_stopped_has_the_handover_given_up_and_no_request_fails(self) -> None:
        lab = self.replicated()
        load = self.enter(Load(lab))
        load.goes_on()
        self.psql(lab, "green", "ALTER SUBSCRIPTION people_in DISABLE")
        load.goes_on()
        self.refuses(lab, "bgproxyctl switch green --handover --during 'replica catch-up --limit 1s'",
                     "green has not caught up in time", "given up")
        self.assertEqual((lab.status()["active"], lab.history()), ("blue", []))
        load.goes_on()
        # The front door's own limit ends the command as well, and whatever the command has begun.
        self.refuses(lab, "bgproxyctl switch green --handover --drain 4s --during 'replica catch-up --limit 1m'", "given up")
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
        self.does(lab, "bgproxyctl switch green --handover --during 'replica catch-up'")
        load.goes_on()
        self.check_load(load)
        self.check_equal(lab)

    def test_rows_of_one_database_are_neither_overwritten_by_setting_up_nor_by_a_flip_without_catching_up(self) -> None:
        lab = self.lab()
        self.does(lab, "config/lab/turquoise/lab up --separate")
        person = lab.ask("POST", "/people", {"name": "a", "phone": "1"})["id"]
        self.refuses(lab, "replica catch-up --from blue --to green", "replica setup comes first")
        self.refuses(lab, "replica setup --from green --to blue", "blue has rows of its own")
        self.does(lab, "replica setup --from blue --to green", "1 people copied")
        self.check_write_refused(lab, f"http://{lab.listen[1]}")
        self.does(lab, "bgproxyctl switch green --handover --during 'replica catch-up'")
        lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "2"})
        self.does(lab, "bgproxyctl rollback")
        self.check_write_refused(lab)
        self.refuses(lab, "BGPROXY_FROM=blue BGPROXY_TO=green replica catch-up", "green does not follow blue")
        self.does(lab, "bgproxyctl switch green")
        self.assertEqual(lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "3"})["phone"], "3")
        # The parts without a switch, as after one that failed at the very end; and back.
        self.does(lab, "replica catch-up --from green --to blue")
        self.check_write_refused(lab)
        self.does(lab, "replica catch-up --from blue --to green")
        self.assertEqual(lab.ask("PUT", f"/people/{person}", {"name": "a", "phone": "4"})["phone"], "4")
        self.check_equal(lab)
