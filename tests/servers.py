"""Real MariaDB and Redis from the distribution, for tests: child processes on the loopback, in directories of their own."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pymysql
import pytest
import redis


@dataclass(frozen=True)
class TestServer:
    """A running server."""

    __test__ = False

    pid: int
    port: int
    password: str


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def find_program(name: str) -> str | None:
    """Its path, if it is installed."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def program(*names: str) -> str:
    """The path of the first that is installed; the test is skipped, by the component's name, when none is."""
    for name in names:
        found = find_program(name)
        if found:
            return found
    pytest.skip(f"{names[0]} is not on this machine")


def run_until_ready(
    command: list[str], directory: Path, ready: Callable[[], object], errors: tuple[type[Exception], ...]
) -> subprocess.Popen[bytes]:
    """Starts a server and waits until it answers."""
    log = directory / "log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=directory,
            start_new_session=True,
        )
    deadline = time.monotonic() + 60
    while True:
        try:
            ready()
            return process
        except errors as error:
            if process.poll() is not None or time.monotonic() > deadline:
                process.kill()
                raise RuntimeError(
                    f"{command[0]} does not come up: {error}\n{log.read_text(errors='replace')[-2000:]}"
                ) from None
            time.sleep(0.1)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[TestServer]:
    """MariaDB with the user root, who has a password, on 127.0.0.1 only."""
    server, install = program("mariadbd", "mysqld"), program("mariadb-install-db", "mysql_install_db")
    directory = Path(tempfile.mkdtemp(prefix="tablekeep-mariadb-"))
    data, port, password = directory / "data", free_port(), "tests-only"
    user = [f"--user={os.environ.get('USER') or 'root'}"] if os.geteuid() == 0 else []
    plain = ["--no-defaults", f"--datadir={data}"]
    subprocess.run(
        [install, *plain, *user, "--auth-root-authentication-method=normal", "--skip-test-db"],
        check=True,
        capture_output=True,
        cwd=directory,
    )
    start = directory / "start.sql"
    start.write_text(f"ALTER USER root@localhost IDENTIFIED BY '{password}';\n")
    command = [
        server, *plain, *user, f"--port={port}", "--bind-address=127.0.0.1", f"--socket={directory / 'sock'}", f"--pid-file={directory / 'pid'}",
        "--skip-name-resolve=0", "--innodb-buffer-pool-size=32M", "--innodb-flush-log-at-trx-commit=0", f"--init-file={start}",
    ]  # fmt: skip
    process = run_until_ready(
        command,
        directory,
        lambda: pymysql.connect(host="127.0.0.1", port=port, user="root", password=password).close(),
        (pymysql.err.Error,),
    )
    yield TestServer(process.pid, port, password)
    process.terminate()
    process.wait(60)
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def redis_server() -> Iterator[TestServer]:
    """Redis with a password, on 127.0.0.1 only, that writes nothing to disk."""
    server = program("redis-server")
    directory = Path(tempfile.mkdtemp(prefix="tablekeep-redis-"))
    port, password = free_port(), "tests-only"
    options = {
        "port": str(port),
        "bind": "127.0.0.1",
        "requirepass": password,
        "save": "",
        "appendonly": "no",
        "dir": str(directory),
    }
    command = [server, *(part for name, value in options.items() for part in (f"--{name}", value))]
    client = redis.Redis(host="127.0.0.1", port=port, password=password)
    process = run_until_ready(command, directory, client.ping, (redis.exceptions.RedisError,))
    client.close()
    yield TestServer(process.pid, port, password)
    process.terminate()
    process.wait(30)
    shutil.rmtree(directory, ignore_errors=True)
