"""Export, verification, restore, proof and copy under a memory limit that the kernel enforces, with small items and with the largest."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tests.tables import ROOT, make_bucket

PROJECT = Path(__file__).parents[3]
LIMIT = 400_000_000


class Group:
    """A control group of the kernel with a memory limit, version 1 or 2."""

    def __init__(self, folder: Path, version: int) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / ("memory.limit_in_bytes" if version == 1 else "memory.max")).write_text(str(LIMIT))

    def enter(self) -> None:
        """Called in the child process before the program begins."""
        (self.folder / "cgroup.procs").write_text(str(os.getpid()))


def parent_group() -> tuple[Path, int] | None:
    """Where this process may make groups that limit memory."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "memory":
            return Path("/sys/fs/cgroup/memory") / path.lstrip("/"), 1
        if controllers == "" and Path("/sys/fs/cgroup/cgroup.subtree_control").exists():
            return Path("/sys/fs/cgroup") / path.lstrip("/"), 2
    return None


@pytest.fixture
def group() -> Iterator[Group]:
    """Skipped where the kernel or the rights do not allow it, as in most containers."""
    found = parent_group() if sys.platform == "linux" else None
    if found is None:
        pytest.skip("this system has no control groups for memory")
    parent, version = found
    folder = parent / f"tablekeep-{os.getpid()}"
    try:
        made = Group(folder, version)
    except OSError as error:
        if folder.exists():
            folder.rmdir()
        pytest.skip(f"no control group can be made here ({error.strerror})")
    yield made
    made.folder.rmdir()


@pytest.fixture(params=[("600-byte items", ["100000"]), ("390 KB items", ["1200", "--large"])], ids=lambda one: one[0])
def replayed(request: pytest.FixtureRequest) -> Iterator[str]:
    """A DynamoDB that replays the table orders."""
    options = request.param[1]
    process = subprocess.Popen(
        [sys.executable, PROJECT / "benchmarks" / "replay.py", *options], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout
    yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    process.kill()
    process.wait()


def test_an_export_a_restore_and_copies_stay_within_400_mb(
    local_aws: Any, group: Group, replayed: str, postgres: Any, mariadb: Any
) -> None:
    make_bucket(local_aws)
    with pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", password=mariadb.password) as connection:
        connection.cursor().execute("CREATE OR REPLACE DATABASE memory")
    environment = os.environ | {
        "PYTHONPATH": str(PROJECT / "plugins"), "AWS_ENDPOINT_URL_DYNAMODB": replayed,
        "AWS_ENDPOINT_URL_APPLICATION_AUTO_SCALING": replayed, "MYSQL_PWD": mariadb.password,
    }  # fmt: skip

    def tablekeep(*arguments: str) -> Any:
        command = [sys.executable, "-m", "tablekeep", *arguments, "--json"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, preexec_fn=group.enter
        )
        assert done.returncode == 0, (done.returncode, done.stdout[-500:], done.stderr[-500:])
        return json.loads(done.stdout)

    exported = tablekeep("export", "--table", "orders", "--to", ROOT, "--segments", "4")
    assert exported["verified"] is True
    restored = tablekeep("restore", exported["backup"], "--to-table", "orders-again")
    assert restored["proved"] is True, "the replayed table has these items under any name"
    for database, table in (
        (postgres.create_database("memory"), "public.orders"), (f"mysql://root@127.0.0.1:{mariadb.port}/memory", "memory.orders")
    ):  # fmt: skip
        copied = tablekeep("copy", exported["backup"], "--to", database, "--into", table)
        assert (copied["status"], copied["rows"]) == ("copied", exported["items"])
    postgres.drop_database("memory")
