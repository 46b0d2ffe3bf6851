"""Real input: PostgreSQL and pgbench across a switch. Its sessions drain."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from pathlib import Path

import harness
from harness import Case, Program, free_port, wait_until

GATED = """
\\set aid random(1, 100000)
\\set delta random(-5000, 5000)
\\set turn :turn + 1
\\if :turn = 100
SELECT pg_advisory_lock_shared(1);
\\endif
BEGIN;
UPDATE pgbench_accounts SET abalance = abalance + :delta WHERE aid = :aid;
INSERT INTO pgbench_history (tid, bid, aid, delta, mtime) VALUES (1, 1, :aid, :delta, CURRENT_TIMESTAMP);
END;
"""
"""A transaction of pgbench; before the hundredth of each client is a gate."""


def find_tools() -> Path | None:
    """The folder of initdb and postgres, which Debian keeps off the PATH."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("initdb")
    return next((folder for folder in [*folders, *([Path(found).parent] if found else [])]
                 if (folder / "initdb").exists() and (folder / "postgres").exists()), None)


class Postgres(Case):
    """One cluster, which is blue over TCP and green over its Unix socket: both colors see the same data."""

    def setUp(self) -> None:
        super().setUp()
        tools = find_tools()
        if tools is None:
            self.skipTest("postgresql is not installed")
        harness.need("pgbench", "psql")
        self.user: dict[str, int] = {}
        if harness.is_root():
            try:
                entry = pwd.getpwnam("postgres")
            except KeyError:
                self.skipTest("there is no user postgres, and root may not run a cluster")
            self.user = {"user": entry.pw_uid, "group": entry.pw_gid}
        self.environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        self.environment["LC_ALL"] = "C.UTF-8"
        self.tools = tools

    def start(self) -> harness.FrontDoor:
        place = self.folder()
        place.chmod(0o755)
        data, sockets = place / "data", place / "s"
        for folder in (data, sockets):
            folder.mkdir(mode=0o700)
            if self.user:
                os.chown(folder, self.user["user"], self.user["group"])
        as_user = {"env": self.environment, "cwd": "/"} | self.user | ({"extra_groups": []} if self.user else {})
        subprocess.run([self.tools / "initdb", "-D", data, "-A", "trust", "-U", "tester", "-N", "--no-instructions"],
                       capture_output=True, check=True, timeout=100, **as_user)
        port = free_port()
        settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": sockets, "fsync": "off",
                    "max_connections": 60, "shared_buffers": "16MB"}
        command = [str(self.tools / "postgres"), "-D", str(data)]
        for key, value in settings.items():
            command += ["-c", f"{key}={value}"]
        self.cluster = f"127.0.0.1:{port}"
        self.enter(Program(place, "postgres", command, self.cluster, **as_user))
        sockets.chmod(0o755)
        door = self.front_door(f"127.0.0.1:{port}", f"unix:{sockets}/.s.PGSQL.{port}", preview="127.0.0.1:0",
                               drain={"timeout": "2m", "spread": "5s"})
        self.address = door.address()
        wait_until(lambda: self.psql("select 1").returncode == 0, "the cluster answers")
        result = self.pgbench("-i", "-q", "-s", "1").communicate(timeout=60)
        self.assertNotIn("ERROR", result[0])
        return door

    def at(self, address: str) -> list[str]:
        host, port = address.rsplit(":", 1)
        return ["-h", host, "-p", port, "-U", "tester"]

    def psql(self, query: str, address: str | None = None) -> subprocess.CompletedProcess[str]:
        command = ["psql", "-X", "-A", "-t", *self.at(address or self.address), "-c", query, "postgres"]
        return subprocess.run(command, capture_output=True, text=True, timeout=30, env=self.environment, check=False)

    def pgbench(self, *options: str) -> subprocess.Popen[str]:
        return subprocess.Popen(["pgbench", *self.at(self.address), *options, "postgres"], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=self.environment)

    def finish(self, process: subprocess.Popen[str]) -> int:
        """The number of transactions, none of which failed."""
        try:
            output, _ = process.communicate(timeout=60)
        finally:
            process.kill()
            process.wait()
        self.assertEqual(process.returncode, 0, output)
        self.assertNotRegex(output, r"(?i)error|abort|terminated|lost")
        self.assertRegex(output, r"number of failed transactions: 0 ")
        return int(re.search(r"number of transactions actually processed: (\d+)", output)[1])

    def test_pgbench_sessions_drain_across_a_switch(self) -> None:
        door = self.start()
        # Which color answers shows in the address: a Unix socket has none.
        self.assertEqual(self.psql("select inet_server_addr() is null").stdout.strip(), "f")
        self.assertEqual(self.psql("select inet_server_addr() is null", door.preview()).stdout.strip(), "t")
        (script := self.folder() / "script").write_text(GATED)
        script.parent.chmod(0o755)
        gate = self.close_gate()
        process = self.pgbench("-c", "8", "-j", "2", "-t", "200", "-n", "-f", str(script), "-D", "turn=0")
        waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted"
        wait_until(lambda: self.psql(waiting, self.cluster).stdout.strip() == "8", "all are in the midst of their work")
        switch = door.start_ctl("switch", "green", "--wait", "--reason", "pgbench runs")
        wait_until(lambda: door.status()["active"] == "green", "the switch is made")
        self.assertEqual(self.psql("select inet_server_addr() is null").stdout.strip(), "t", "new ones are on green")
        self.assertEqual(door.sessions("blue"), 8, "the old ones work on")
        gate.communicate("select pg_advisory_unlock(1);\n", timeout=harness.PATIENCE)
        self.assertEqual(self.finish(process), 8 * 200)
        output, errors = switch.communicate(timeout=30)
        self.assertEqual(switch.returncode, 0, output + errors)
        receipt = door.receipt()
        self.assertEqual((receipt["open"], receipt["ended"], receipt["cut"], receipt["settled"]), (8, 8, 0, True))
        # Every transaction left its line, whatever color it went through.
        self.assertEqual(int(self.psql("select count(*) from pgbench_history").stdout), 8 * 200)

    def close_gate(self) -> subprocess.Popen[str]:
        """No client comes to its end before the test is there."""
        process = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", *self.at(self.cluster), "postgres"], text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=self.environment)
        self._stack.callback(process.communicate)
        process.stdin.write("select 'closed' from pg_advisory_lock(1);\n")
        process.stdin.flush()
        self.assertEqual(process.stdout.readline(), "closed\n")
        return process

    def test_pgbench_with_a_session_a_transaction_across_many_switches(self) -> None:
        door = self.start()
        process = self.pgbench("-C", "-c", "4", "-j", "2", "-t", "150", "-n")
        turn = 0
        while process.poll() is None:
            color = ("green", "blue")[turn % 2]
            accepted = door.switch(color)["colors"][color]["accepted"]
            turn += 1
            wait_until(lambda: door.status()["colors"][color]["accepted"] >= accepted + 10 or process.poll() is not None,
                       "some load on each", pause=0.002)
        self.assertEqual(self.finish(process), 4 * 150)
        self.assertEqual(int(self.psql("select count(*) from pgbench_history").stdout), 4 * 150)
        colors = door.status()["colors"]
        self.assertGreaterEqual(min(colors["blue"]["accepted"], colors["green"]["accepted"]), 10)
