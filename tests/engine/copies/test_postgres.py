"""What only PostgreSQL has: connections, grants, processes that die."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import copy_backup
from tablekeep.engine.copies.newest import copy_newest
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.tables import ROOT, clients, export, make_bucket, make_table, orders

COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "test", "run": "test"}


@pytest.fixture
def dsn(postgres: Any, local_aws: Any) -> Iterator[str]:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    yield postgres.create_database("copies_pg")
    postgres.drop_database("copies_pg")


def copy(conninfo: Any, **more: Any) -> Any:
    backup = more.pop("backup", None) or export("orders").backup
    return copy_backup(
        clients=clients(), backup=backup, target=PostgresTarget(conninfo, "public.orders"), **(COMMON | more)
    )


def with_password(dsn: str, password: str, **more: str) -> dict[str, Any]:
    return psycopg.conninfo.conninfo_to_dict(dsn) | {"password": password} | more


@pytest.mark.parametrize(
    ("changes", "kind", "why"),
    [
        ({"port": "1"}, TransientError, "refused"),
        ({"host": "no-such-host.invalid"}, TransientError, "no-such-host.invalid"),
        ({"user": "nobody_here"}, BadInputError, "nobody_here"),
        ({}, BadInputError, "password authentication failed"),
    ],
)
def test_a_database_that_cannot_be_used(
    dsn: str, changes: dict[str, str], kind: type[TablekeepError], why: str
) -> None:
    with pytest.raises(kind, match=why) as caught:
        copy(with_password(dsn, "s3cret-and-wrong", **changes))
    assert "s3cret-and-wrong" not in repr(caught.value.as_dict())
    assert caught.value.todo


def test_a_database_that_is_not_there(dsn: str) -> None:
    with pytest.raises(BadInputError, match='database "not_there" does not exist'):
        copy(psycopg.conninfo.conninfo_to_dict(dsn) | {"dbname": "not_there"})


def test_an_address_that_cannot_be_read_is_not_quoted() -> None:
    with pytest.raises(BadInputError) as caught:
        PostgresTarget("postgresql://u:s3cret@[broken", "orders")
    assert "s3cret" not in str(caught.value)


def test_the_address_shows_no_password(dsn: str) -> None:
    target = PostgresTarget(with_password(dsn, "s3cret"), "orders")
    assert "s3cret" not in target.address


def test_a_user_without_rights_is_told_which(dsn: str) -> None:
    backup = export("orders").backup
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN PASSWORD 'x'")
        try:
            with pytest.raises(BadInputError, match="permission denied for schema public"):
                copy(with_password(dsn, "x", user="reader"), backup=backup)
        finally:
            connection.execute("DROP ROLE reader")


def test_grants_comment_and_indexes_of_people_stay(dsn: str) -> None:
    copy(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE ROLE analyst")
        try:
            connection.execute("GRANT SELECT ON public.orders TO analyst")
            connection.execute("COMMENT ON TABLE public.orders IS 'ask Ana, 100% hers'")
            copy(dsn)
            assert connection.execute(
                "SELECT has_table_privilege('analyst', 'public.orders', 'SELECT')"
            ).fetchone() == (True,)
            assert connection.execute("SELECT obj_description('public.orders'::regclass)").fetchone() == (
                "ask Ana, 100% hers",
            )
            connection.execute("CREATE INDEX by_paid ON public.orders (paid)")
            copy(dsn)
            assert connection.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'by_paid'").fetchone() == (1,)
            assert connection.execute("SELECT count(*) FROM pg_indexes WHERE indexname = 'orders_pkey'").fetchone() == (
                1,
            )
        finally:
            connection.execute("DROP OWNED BY analyst")
            connection.execute("DROP ROLE analyst")


def test_a_table_that_somebody_keeps_locked_is_left(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tablekeep.engine.copies.postgres.LOCK_SECONDS", 1)
    copy(dsn)
    newer = export("orders").backup
    with psycopg.connect(dsn) as connection:
        connection.execute("LOCK TABLE public.orders IN ROW EXCLUSIVE MODE")
        with pytest.raises(TransientError, match="keeps the table locked"):
            copy(dsn, backup=newer)
    assert copy(dsn, backup=newer).status == "copied"


def test_a_killed_copy_leaves_the_old_table_and_nothing_else(dsn: str) -> None:
    copy(dsn)
    newer = export("orders").backup
    program = """
import sys, time
from tablekeep.engine.copies import convert
real = convert.Converter.batches
def slow(self, *arguments):
    for arrays in real(self, *arguments):
        yield arrays
        print("loading", flush=True)
        time.sleep(60)
convert.Converter.batches = slow
from tests.engine.copies.test_postgres import COMMON, copy_backup, clients, PostgresTarget
copy_backup(clients=clients(), backup=sys.argv[1], target=PostgresTarget(sys.argv[2], "public.orders"), **COMMON)
"""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(["plugins", "."])}
    child = subprocess.Popen([sys.executable, "-c", program, newer, dsn], stdout=subprocess.PIPE, env=environment)
    assert child.stdout is not None
    assert child.stdout.readline() == b"loading\n"
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with psycopg.connect(dsn, autocommit=True) as connection:
        deadline = time.monotonic() + 30
        while connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'tablekeep'"
        ).fetchone() != (0,):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert connection.execute("SELECT count(*) FROM public.orders").fetchone() == (40,)
        assert connection.execute(
            "SELECT count(*) FROM pg_class WHERE relname LIKE 'tablekeep_staging%'"
        ).fetchone() == (0,)
    assert copy(dsn, backup=newer).status == "copied"


def test_the_newest_verified_backup_is_chosen(dsn: str) -> None:
    from tablekeep.engine.backups.sets import open_backup
    from tablekeep.engine.backups.verify import verify_backup

    old, new = export("orders").backup, export("orders").backup
    shelf = open_backup(clients(), new).manifest.location.shelf
    target = PostgresTarget(dsn, "public.orders")
    with pytest.raises(PermanentError, match="is verified"):
        copy_newest(clients=clients(), shelf=shelf, target=target, **COMMON)
    verify_backup(clients=clients(), backup=old, **COMMON)
    assert copy_newest(clients=clients(), shelf=shelf, target=target, **COMMON).backup == old
    verify_backup(clients=clients(), backup=new, **COMMON)
    assert copy_newest(clients=clients(), shelf=shelf, target=target, **COMMON).backup == new
    assert new.startswith(ROOT)


def test_a_ledger_that_another_session_makes_at_the_same_moment_is_no_damage(dsn: str) -> None:
    backup = export("orders").backup
    with psycopg.connect(dsn) as other:
        other.execute("CREATE TABLE public.tablekeep_loads (x int)")
        later = threading.Timer(2, other.commit)
        later.start()
        with pytest.raises(TransientError, match="same moment"):
            copy(dsn, backup=backup)
        later.join()


def test_first_copies_to_one_database_wait_for_each_other(dsn: str) -> None:
    backup = export("orders").backup
    tables = [f"public.orders_{number}" for number in range(4)]

    def one(table: str) -> int:
        target = PostgresTarget(dsn, table)
        return int(copy_backup(clients=clients(), backup=backup, target=target, **COMMON).rows)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, tables)) == [40] * 4
