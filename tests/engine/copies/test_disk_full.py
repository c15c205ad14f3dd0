"""A database's disk is full in the middle of a copy: the old rows stay, the error says what to do, and there is room again afterwards."""

import os
import random
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import CopyReport, copy_set
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import Mode
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.copies.target import Target
from tablekeep.engine.errors import TransientError
from tablekeep.engine.progress import NoProgress
from tests.sets import AS_OF, make_set

MEGABYTE = 1024 * 1024


@pytest.fixture
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 24 MB that any user may write to. Skipped where nothing can be mounted."""
    folder = Path("/tmp") / f"tablekeep-disk-{os.getpid()}"  # the servers' users pass no other folder
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={24 * MEGABYTE},mode=0777", "none", folder], capture_output=True, check=False
    )  # fmt: skip
    if mounted.returncode:
        folder.rmdir()
        pytest.skip("no file system can be mounted here")
    (folder / "data").mkdir()
    (folder / "data").chmod(0o777)
    yield folder / "data"
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


@pytest.fixture(params=["postgres", "mysql"])
def target(request: pytest.FixtureRequest, disk: Path) -> Iterator[tuple[Target, Any]]:
    """A database on that disk, and a way to ask it."""
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        owner = postgres.data_dir.stat()
        os.chown(disk, owner.st_uid, owner.st_gid)
        with postgres.connect() as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'")
            connection.execute("CREATE DATABASE small TABLESPACE small")
        dsn = postgres.dsn("small")

        def ask(sql: str) -> list[Any]:
            with psycopg.connect(dsn, autocommit=True) as connection:
                return connection.execute(sql.encode()).fetchall()

        yield PostgresTarget(dsn, "public.orders"), ask
        postgres.drop_database("small")
        with postgres.connect() as connection:
            connection.execute("DROP TABLESPACE small")
        return
    server = request.getfixturevalue("mariadb")
    given = {"host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password}

    def ask_mysql(sql: str) -> list[Any]:
        with pymysql.connect(**given, autocommit=True) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return list(cursor.fetchall())

    ((data,),) = ask_mysql("SELECT @@datadir")
    link = Path(data) / "small"
    link.symlink_to(disk, target_is_directory=True)
    yield MysqlTarget(given | {"database": "small"}, "orders"), ask_mysql
    for (name,) in ask_mysql("SHOW TABLES IN small"):
        ask_mysql(f"DROP TABLE small.{name}")
    link.unlink()


def copied(items: list[dict[str, Any]], minute: int, to: Target) -> CopyReport:
    return copy_set(
        make_set(items, as_of=AS_OF + timedelta(minutes=minute)), clock=SystemClock(), progress=NoProgress(), target=to, mode=Mode(),
        mapping=MappingDocument(), actor="test", run="test",
    )  # fmt: skip


def test_a_full_disk_leaves_the_old_rows_and_no_staging_table(target: tuple[Target, Any]) -> None:
    to, ask = target
    table = "orders" if to.dialect == "postgres" else "small.orders"
    chance = random.Random(1)

    def items(rows: int, size: int) -> list[dict[str, Any]]:
        return [
            {"pk": {"S": f"k{row}"}, "sk": {"N": "1"}, "text": {"S": chance.randbytes(size // 2).hex()}}
            for row in range(rows)
        ]

    assert copied(items(20, 100), 0, to).rows == 20
    before = sorted(ask(f"SELECT * FROM {table}"))
    with pytest.raises(TransientError) as refused:
        # rows of one page: MariaDB 10.11 itself dies of a full disk when a text has pages of its own
        copied(items(8_000, 5_000), 1, to)
    assert "disk is full" in refused.value.why
    assert "storage" in refused.value.todo
    assert sorted(ask(f"SELECT * FROM {table}")) == before
    tables = ask(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
        if to.dialect == "postgres"
        else "SHOW TABLES IN small"
    )
    assert sorted(name for (name,) in tables) == ["orders", "tablekeep_loads"]
    assert copied(items(30, 100), 2, to).rows == 30
