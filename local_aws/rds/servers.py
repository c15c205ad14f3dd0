"""Data directories and the PostgreSQL servers on them: new ones, copies while they run, recoveries to a point in time."""

import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
from psycopg import sql

from local_aws.postgres import EmbeddedPostgres, PostgresError, find_binaries, minimal_environment, unprivileged

SUPERUSER = "rdsadmin"
SETTINGS = {
    "wal_level": "replica",
    "max_wal_senders": "4",
    "max_connections": "40",
    "shared_buffers": "16MB",
}
TEMPLATE = "template"
MEMORY, ROOM = Path("/dev/shm"), 4 << 30
LONGEST = 60.0
"""Seconds until a copy or a recovery is given up."""


class Server:
    """One database server. When its write-ahead log is kept, a copy can be brought to any time after it was made.

    :ivar folder: holds `data`, and `wal` when it is kept. :ivar started: whether it takes connections.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._postgres = self._made({})

    def _made(self, settings: dict[str, str]) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.folder / "data", user=SUPERUSER, settings=SETTINGS | settings)

    def keep_log(self) -> None:
        """From now on; it is started anew for that."""
        wal = self.folder / "wal"
        if wal.exists():
            return
        own(wal)
        self.stop()
        command = f"cp %p {wal}/%f.part && mv {wal}/%f.part {wal}/%f"
        self._postgres = self._made({"archive_mode": "on", "archive_command": command})
        self.start()

    @property
    def started(self) -> bool:
        return self._postgres.pid != 0

    @property
    def port(self) -> int:
        return self._postgres.port

    @property
    def data(self) -> Path:
        return self._postgres.data_dir

    def start(self) -> None:
        self._postgres.start()
        deadline = time.monotonic() + LONGEST
        while self._one("SELECT pg_is_in_recovery()"):  # connections are taken while the log is still replayed
            if time.monotonic() > deadline:
                raise PostgresError(f"the recovery in {self.data} did not end")
            time.sleep(0.05)

    def stop(self) -> None:
        self._postgres.stop()

    def remove(self) -> None:
        """Stops it and removes all that it has."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def prepare(self, user: str, password: str, database: str | None) -> None:
        """The master user, who is no superuser, and the first database."""
        with self._postgres.connect() as connection:
            self.set_password(user, password)
            connection.execute(sql.SQL("GRANT pg_read_all_stats, pg_signal_backend TO {}").format(sql.Identifier(user)))
        if database and database != "postgres":
            with (
                self._postgres.connect() as connection
            ):  # by the files, else the log grows by all that is in the template
                connection.execute(sql.SQL("CREATE DATABASE {} STRATEGY FILE_COPY").format(sql.Identifier(database)))
        with self._postgres.connect(database or "postgres") as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                    sql.Identifier(database or "postgres"), sql.Identifier(user)
                )
            )
            connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(user)))

    def set_password(self, user: str, password: str) -> None:
        """Makes the user where it is not there."""
        with self._postgres.connect() as connection:
            there = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [user]).fetchone()
            verb = "ALTER" if there else "CREATE"
            statement = sql.SQL(verb + " ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
            connection.execute(statement.format(sql.Identifier(user), sql.Literal(password)))

    def copy_to(self, target: Path) -> None:
        """A copy of the data directory as of now, whole, from which a server can start."""
        own(target)
        command = [
            str(find_binaries() / "pg_basebackup"),
            "--pgdata",
            str(target),
            "--wal-method=stream",
            "--checkpoint=fast",
        ]
        command += ["--no-sync", "--host=127.0.0.1", f"--port={self.port}", f"--username={SUPERUSER}"]
        environment = minimal_environment() | {"PGPASSWORD": self._postgres.password}
        done = subprocess.run(
            command, cwd="/", env=environment, capture_output=True, text=True, timeout=LONGEST, **unprivileged()
        )
        if done.returncode:
            raise PostgresError(f"copying {self.data} failed: {done.stderr.strip()}")

    def archive(self) -> None:
        """Puts all that is committed into the folder of the log."""
        name = self._one("SELECT pg_walfile_name(pg_current_wal_lsn())")
        self._one("SELECT txid_current()")  # a commit after whatever time is asked for
        self._one("SELECT pg_switch_wal()")
        deadline = time.monotonic() + LONGEST
        while not (self.folder / "wal" / str(name)).exists():
            if time.monotonic() > deadline:
                raise PostgresError(f"the log of {self.data} is not archived")
            time.sleep(0.05)

    def _one(self, statement: str) -> object:
        with self._postgres.connect() as connection:
            row = connection.execute(statement.encode()).fetchone()
            return row[0] if row else None

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """As superuser: for tests that must damage something."""
        return self._postgres.connect(database)

    def recover_to(self, when: datetime | None, log: Path) -> None:
        """Makes the copied data directory go on from `log` when it starts: to a time, or to the log's end."""
        lines = [f"restore_command = 'cp {log}/%f %p'", "recovery_target_action = 'promote'"]
        if when is not None:
            lines.append(f"recovery_target_time = '{when.isoformat()}'")
        with (self.data / "postgresql.auto.conf").open("a") as file:
            file.write("\n".join(["", *lines, ""]))
        signal = self.data / "recovery.signal"
        signal.touch()
        if identity := unprivileged():
            os.chown(signal, identity["user"], identity["group"])


class Servers:
    """All data directories of the stand-in, below one temporary directory that exists while it is needed."""

    def __init__(self) -> None:
        self._root: Path | None = None
        self._number = 0
        self._lock = threading.Lock()
        self._running: list[Server] = []

    def _folder(self, kind: str) -> Path:
        with self._lock:
            if self._root is None:
                self._root = Path(tempfile.mkdtemp(prefix="tablekeep-rds-", dir=in_memory()))
                self._root.chmod(0o711)
            self._number += 1
            folder = self._root / f"{kind}-{self._number}"
            folder.mkdir()
            folder.chmod(0o711)
            return folder

    def create(self, user: str, password: str, database: str | None) -> Server:
        """A new, empty server that runs. The first one takes a second: what initdb makes is kept for the next."""
        server = Server(self._folder("server"))
        copy(self._template(), server.data)
        self._start(server)
        server.prepare(user, password, database)
        return server

    def _template(self) -> Path:
        with self._lock:
            root = self._root
        assert root is not None
        template = root / TEMPLATE
        if not template.exists():
            EmbeddedPostgres(template, user=SUPERUSER, initdb=("--wal-segsize=1",)).initialise()
        return template

    def snapshot(self, server: Server) -> Path:
        """A copy of the server's data as of now."""
        target = self._folder("snapshot") / "data"
        if server.started:
            server.copy_to(target)
        else:
            copy(server.data, target)
        return target

    def restore(self, snapshot: Path) -> Server:
        """A new server from a copy; it runs."""
        server = Server(self._folder("server"))
        copy(snapshot, server.data)
        self._start(server)
        return server

    def restore_to(self, base: Path, log: Path, when: datetime | None) -> Server:
        """A new server from a copy and the log that followed it; it runs."""
        server = Server(self._folder("server"))
        copy(base, server.data)
        server.recover_to(when, log)
        self._start(server)
        return server

    def _start(self, server: Server) -> None:
        self._running.append(server)
        server.start()

    def remove(self, path: Path) -> None:
        """A snapshot's copy."""
        shutil.rmtree(path.parent, ignore_errors=True)

    def duplicate(self, path: Path) -> Path:
        """The same snapshot once more."""
        target = self._folder("snapshot") / "data"
        copy(path, target)
        return target

    def clear(self) -> None:
        """Stops all, and removes everything but the empty data directory from which new ones are copied."""
        for server in self._running:
            server.stop()
        self._running.clear()
        for folder in self._root.iterdir() if self._root is not None else ():
            if folder.name != TEMPLATE:
                shutil.rmtree(folder, ignore_errors=True)

    def close(self) -> None:
        """Stops all, and removes everything."""
        self.clear()
        if self._root is not None:
            shutil.rmtree(self._root, ignore_errors=True)
            self._root = None


def in_memory() -> Path | None:
    """Where files lie in memory, if there is room: data directories are copied all the time, which costs a disk ten times as much."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        return None
    return MEMORY


def own(directory: Path) -> None:
    """An empty directory that belongs to whom the server runs as."""
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    if identity := unprivileged():
        os.chown(directory, identity["user"], identity["group"])


def copy(source: Path, target: Path) -> None:
    """Owners and modes included; blocks are shared where the file system can."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        target.rmdir()
    how = ["--reflink=auto"] if os.uname().sysname == "Linux" else []
    subprocess.run(["cp", "-a", *how, str(source), str(target)], check=True, capture_output=True)


@contextmanager
def stopped(server: Server) -> Iterator[None]:
    """While the server is stopped, for tests that change its files."""
    server.stop()
    try:
        yield
    finally:
        server.start()
