"""The database of the lab, and which release may work with it at which stage of the migration.

A database is named by an address: `postgresql:///people?host=/run/postgresql&user=app`, or `sqlite:/path/to/people.db`.
psycopg2 is loaded for PostgreSQL only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

RELEASES = ("v1", "turquoise-old", "turquoise-new", "v2")
"""In the order of the migration. Turquoise writes both structures; it reads the old one first, the new one later."""

STAGES: dict[str, tuple[str, ...]] = {
    "start": ("v1",),
    "expanded": ("v1", "turquoise-old"),
    "filling": ("turquoise-old",),
    "filled": ("turquoise-old", "turquoise-new"),
    "new-only": ("turquoise-new", "v2"),
    "refilling": ("turquoise-new",),
    "contracted": ("v2",),
}
"""Who may be connected at each stage. Where it is two, they are neighbors: one is blue, the other one green."""

MIGRATIONS = Path(__file__).resolve().parent / "migrations"

LOCKS = 0x74757271
"""The class of this program's advisory locks in PostgreSQL; the second number is the release, or MIGRATING."""

MIGRATING = len(RELEASES)


class Refused(Exception):
    """Not now, and why."""


class Database:
    """One connection. Statements use `?`; they commit by themselves unless they are in a transaction."""

    def __init__(self, address: str, name: str = "turquoise"):
        self.is_postgres = not address.startswith("sqlite:")
        self.path = "" if self.is_postgres else address.removeprefix("sqlite:")
        self._locks: list[int] = []
        if self.is_postgres:
            try:
                import psycopg2
            except ImportError:
                raise Refused("PostgreSQL needs psycopg2: install python3-psycopg2") from None
            self.errors: tuple[type[Exception], ...] = (psycopg2.Error,)
            self.busy: tuple[type[Exception], ...] = (psycopg2.errors.LockNotAvailable,)
            self.is_read_only: tuple[type[Exception], ...] = (psycopg2.errors.InsufficientPrivilege,)
            self._raw: Any = psycopg2.connect(address, application_name=name, connect_timeout=5)
            self._raw.autocommit = True
        else:
            self.errors, self.busy, self.is_read_only = (sqlite3.Error,), (), ()
            self._raw = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=10)
            # Readers do not wait for the writer, nor it for them.
            self._raw.execute("PRAGMA journal_mode = WAL")
            self._raw.execute("PRAGMA synchronous = NORMAL")
            self._raw.execute("PRAGMA foreign_keys = ON")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Runs one statement and returns its rows."""
        cursor = self._raw.cursor()
        try:
            if self.is_postgres:
                cursor.execute(statement.replace("?", "%s") if values else statement, tuple(values) or None)
            else:
                cursor.execute(statement, tuple(values))
            return cursor.fetchall() if cursor.description else []
        finally:
            cursor.close()

    def run_file(self, name: str) -> None:
        """Runs a file of migrations/, inside the caller's transaction."""
        for statement in (MIGRATIONS / name).read_text().split(";\n"):
            if statement.strip():
                self.execute(statement)

    @contextlib.contextmanager
    def transaction(self, snapshot: bool = False) -> Iterator[None]:
        """A transaction that writes, or one in which everything is read as of the same moment."""
        if self.is_postgres:
            self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY" if snapshot else "BEGIN")
        else:
            # Taking the write lock later could meet a row that has changed since it was read.
            self.execute("BEGIN" if snapshot else "BEGIN IMMEDIATE")
        locks = len(self._locks)
        try:
            yield
            self.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(*self.errors):
                self.execute("ROLLBACK")
            raise
        finally:
            self._release(locks)

    def close(self) -> None:
        with contextlib.suppress(*self.errors):
            self._raw.close()
        self._release(0)

    def _release(self, kept: int) -> None:
        """Gives up the locks of a SQLite database that were taken after the first so many."""
        while len(self._locks) > kept:
            os.close(self._locks.pop())

    # Who works with the database

    def stage(self) -> str:
        return self.execute("SELECT stage FROM migration")[0][0]

    def enroll(self, release: str) -> None:
        """Makes this a connection of that release for as long as it lives, or refuses where its stage is not now.

        The order makes it safe: the shared lock first, then the look at the stage. A migration that shuts this release
        out holds the lock exclusively while it changes the stage, so that either it sees this connection, or this one
        sees the new stage.
        """
        if self.is_postgres:
            self.execute("SELECT pg_advisory_lock_shared(?, ?)", (LOCKS, RELEASES.index(release)))
        else:
            self._locks.append(self._open_lock(release))
            fcntl.flock(self._locks[-1], fcntl.LOCK_SH)
        stage = self.stage()
        if release not in STAGES[stage]:
            raise Refused(f"{release} does not work with a database at stage {stage}, "
                          f"only {' and '.join(STAGES[stage])}")

    def shut_out(self, number: int) -> bool:
        """Keeps a release (or a second migration) out to the end of the transaction; false where it is connected."""
        if self.is_postgres:
            return self.execute("SELECT pg_try_advisory_xact_lock(?, ?)", (LOCKS, number))[0][0]
        return self._flock_at_once(RELEASES[number])

    def migrate_alone(self) -> bool:
        """Keeps other migrations out for as long as this connection lives; false where one is at work."""
        if self.is_postgres:
            return self.execute("SELECT pg_try_advisory_lock(?, ?)", (LOCKS, MIGRATING))[0][0]
        return self._flock_at_once("migration")

    def connected(self, number: int) -> str:
        """Whose connections of a release there are, to be named in a refusal."""
        if not self.is_postgres:
            return "a process has the database open"
        rows = self.execute(
            "SELECT a.pid FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' "
            "AND l.classid = ?::bigint::oid AND l.objid = ?::bigint::oid AND l.granted ORDER BY a.pid", (LOCKS, number))
        numbers = ", ".join(str(row[0]) for row in rows)
        return f"{len(rows)} connection{'s' * (len(rows) != 1)}, server process {numbers}"

    def _open_lock(self, name: str) -> int:
        return os.open(f"{self.path}.{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)

    def _flock_at_once(self, name: str) -> bool:
        self._locks.append(self._open_lock(name))
        try:
            fcntl.flock(self._locks[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._locks.pop())
            return False
        return True
