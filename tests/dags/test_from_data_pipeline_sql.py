"""Templates 6 to 11 of `docs/from-data-pipeline.md`, each run whole: real MariaDB, the stand-ins of S3 and Redshift."""

import secrets
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.redshift_api import Address, DataApi
from tests.dags.test_from_data_pipeline import shown
from tests.dags.test_runs import state, tasks
from tests.engine.rds.conftest import plain
from tests.tables import clients, make_bucket

__all__ = ["shown"]
SETS = "acme-backups"
GREEN = {"backup": "success", "verify": "success", "publish": "success"}


@pytest.fixture
def ask(mariadb: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., list[Any]]]:
    """The database `shop`, empty; asks it."""
    arguments = {
        "host": "127.0.0.1",
        "port": mariadb.port,
        "user": "root",
        "password": mariadb.password,
        "autocommit": True,
    }

    def run(*statements: str) -> list[Any]:
        with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
            for one in statements:
                cursor.execute(one)
            return list(cursor.fetchall())

    run("DROP DATABASE IF EXISTS shop", "CREATE DATABASE shop")
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", f"mysql://root:{mariadb.password}@127.0.0.1:{mariadb.port}/shop")
    yield run
    run("DROP DATABASE shop")


@pytest.fixture
def warehouse(local_aws: Any, postgres: Any) -> Iterator[Callable[[str], list[Any]]]:
    """Redshift's stand-in; asks it. The buckets are made after it is switched on."""
    name = f"dwh_{secrets.token_hex(4)}"
    local_aws.use_postgres(postgres.create_database(name))
    local_aws.reset()
    DataApi(clients(), Address("prod", "dwh"), SystemClock(), "preparing").run(["SELECT 1"])

    def run(sql: str) -> list[Any]:
        with postgres.connect(name) as connection:
            return list(connection.execute(sql).fetchall())

    yield run
    local_aws.use_postgres(None)
    postgres.drop_database(name)


def sets() -> list[Any]:
    return sorted(list_backups(S3Store(clients(), SETS), SETS, "sql").backups, key=lambda one: one.finished)


def records(manifest: Any) -> list[bytes]:
    opened = BackupSet(S3Store(clients(), SETS), manifest)
    return [one for part in manifest.parts for page in opened.items(part) for one in page]


def test_6_a_full_copy_to_s3(shown: Path, ask: Any, dags: Any) -> None:
    ask(
        "CREATE TABLE shop.customers (id int PRIMARY KEY, name varchar(40))",
        "INSERT INTO shop.customers VALUES (1, 'Ada'), (2, 'Ben')",
    )
    assert tasks(dags()["backup__customers"].test()) == GREEN
    (made,) = sets()
    assert (made.items, made.consistent[0]) == (2, made.consistent[1])


def test_7_an_incremental_copy_to_s3(shown: Path, ask: Any, dags: Any) -> None:
    import json

    ask(
        "CREATE TABLE shop.visits (id int PRIMARY KEY, page varchar(40), updated_at datetime)",
        "INSERT INTO shop.visits VALUES (1, 'a', '2020-01-01'), (2, 'b', '2020-01-02'), (3, 'c', '2020-01-03')",
    )
    dag = dags()["backup__visits"]
    assert tasks(dag.test()) == GREEN
    (full,) = sets()
    boundary = full.run["position"]["to"]
    ask(
        f"UPDATE shop.visits SET page = 'at the boundary', updated_at = '{boundary}' WHERE id = 2",
        "DELETE FROM shop.visits WHERE id = 3",
    )
    dag.get_task("backup").settle_seconds = 0
    assert tasks(dag.test())["backup"] == "success"
    assert tasks(dag.test())["backup"] == "success"
    _, one, two = sets()
    changes = [json.loads(record) for record in records(one)]
    assert [plain(each["NewImage"])["page"] for each in changes if "NewImage" in each] == ["at the boundary"]
    assert [each["Keys"] for each in changes if "Keys" in each] == [{"id": {"N": "3"}}]
    assert records(two) == []  # and not once more


def test_8_and_11_files_to_mysql_and_redshift(warehouse: Any, shown: Path, ask: Any, dags: Any, local_aws: Any) -> None:
    make_bucket(local_aws, "acme-drop")
    s3 = local_aws.client("s3")
    found = dags()
    when = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
    put = {"2026-11-22": b"a-1,1.50,2026-11-01\nb-2,2,2026-11-02\nbad,free,\n", "2026-11-23": b"a-1,1.75,2026-11-20\n"}
    for day, body in put.items():
        s3.put_object(Bucket="acme-drop", Key=f"prices/{day}/part-0.csv", Body=body)
    for night in (when, when.replace(day=24)):
        assert tasks(found["backup__prices"].test(logical_date=night)) == GREEN
        assert state(found["copy__prices__shop"].test()) == "success"
        assert state(found["copy__prices__dwh"].test()) == "success"
    expected = [("a-1", Decimal("1.75"), date(2026, 11, 20)), ("b-2", Decimal("2.00"), date(2026, 11, 2))]
    assert ask("SELECT sku, price, since FROM shop.prices ORDER BY sku") == expected
    assert warehouse("SELECT sku, price, since FROM public.prices ORDER BY sku") == expected


def test_9_a_full_copy_to_redshift(warehouse: Any, shown: Path, ask: Any, dags: Any) -> None:
    ask(
        "CREATE TABLE shop.products (id int unsigned PRIMARY KEY, name varchar(20), sold tinyint(1), kind enum('toy','book'), at datetime)",
        "INSERT INTO shop.products VALUES (1, 'Bär', 1, 'toy', '2026-11-23 02:00:00'), (2, 'x', 0, 'book', NULL)",
    )
    found = dags()
    assert tasks(found["backup__products"].test()) == GREEN
    assert state(found["copy__products__dwh"].test()) == "success"
    assert warehouse("SELECT id, name, sold, kind, at FROM public.products ORDER BY id") == [
        (1, "Bär", True, "toy", datetime(2026, 11, 23, 2)), (2, "x", False, "book", None),  # noqa: DTZ001
    ]  # fmt: skip
    types = warehouse(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.products'::regclass AND attnum > 0"
    )
    assert {name: kind for name, kind in types if name in ("id", "name", "kind")} == {
        "id": "bigint", "name": "character varying(80)", "kind": "character varying(40)",
    }  # fmt: skip


def test_10_an_incremental_copy_to_redshift(warehouse: Any, shown: Path, ask: Any, dags: Any) -> None:
    ask("CREATE TABLE shop.baskets (id int PRIMARY KEY, total decimal(10,2), change_no bigint)")
    ask("INSERT INTO shop.baskets VALUES " + ", ".join(f"({n}, {n}, {n})" for n in range(1, 11)))
    found = dags()
    for change in (
        (),
        ("UPDATE shop.baskets SET total = 0, change_no = 100 WHERE id = 3", "DELETE FROM shop.baskets WHERE id = 4"),
        ("INSERT INTO shop.baskets VALUES (50, 1, 101)",),
    ):
        if change:
            ask(*change)
        assert tasks(found["backup__baskets"].test()) == GREEN  # increments wake a copy that follows them
        assert state(found["copy__baskets__dwh"].test()) == "success"
        query = "SELECT id, total, change_no FROM {}.baskets ORDER BY id"
        assert warehouse(query.format("public")) == ask(query.format("shop"))
    assert [one.window is not None for one in sets()] == [False, True, True]
