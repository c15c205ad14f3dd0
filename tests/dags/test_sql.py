"""Pipelines of `kind: rds`: what parsing gives, and whole nights against real databases and the stand-in."""

import logging
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pymysql
import pytest

from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.s3 import S3Store
from tests.dags.test_runs import sets, state, tasks
from tests.dags.test_secrets_of_copies import assert_nowhere
from tests.tables import BUCKET, ROOT, clients, make_bucket

PIPELINE = """
version: 1
kind: rds
conn_id: shop_db
table: {table}
server: shop-db
region: us-east-1
backup:
  schedule: "0 2 * * *"
  to: {root}
  connections: 2
  mode: {{full_every: 7d, column: change_no, deletes: compare, merge: true}}
  keep: {{daily: 7}}
verify: {{schedule: "0 5 * * 6"}}
copies:
  - {{name: analytics, to: postgres, conn_id: analytics_pg, table: public.orders}}
"""
GREEN = {"backup": "success", "verify": "success", "merge": "success", "publish": "success", "expire": "success"}


@dataclass
class Shop:
    """A database with a table, and the database to which it is copied."""

    table: str
    run: Any
    rows: Any
    copied: Any


@pytest.fixture(params=["postgres", "mysql"])
def shop(
    request: pytest.FixtureRequest,
    local_aws: Any,
    pipelines: Any,
    postgres: Any,
    mariadb: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    make_bucket(local_aws)
    name, target = f"shop_{secrets.token_hex(4)}", f"analytics_{secrets.token_hex(4)}"
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", postgres.create_database(target))
    if request.param == "postgres":
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", postgres.create_database(name))
        table = "public.orders"

        def ask(sql: str) -> list[Any]:
            with postgres.connect(name) as connection:
                cursor = connection.execute(sql)
                return cursor.fetchall() if cursor.description else []
    else:
        arguments = {"host": "127.0.0.1", "port": mariadb.port, "user": "root", "password": mariadb.password}
        with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", f"mysql://root:{mariadb.password}@127.0.0.1:{mariadb.port}/{name}")
        table = "orders"

        def ask(sql: str) -> list[Any]:
            with (
                pymysql.connect(**arguments, database=name, autocommit=True) as connection,
                connection.cursor() as cursor,
            ):
                cursor.execute(sql)
                return list(cursor.fetchall())

    ask("CREATE TABLE orders (id int PRIMARY KEY, total decimal(10,2), change_no bigint)")
    ask("INSERT INTO orders VALUES " + ", ".join(f"({n}, {n}.25, {n})" for n in range(1, 41)))

    def copied(sql: str) -> list[Any]:
        with postgres.connect(target) as connection:
            return connection.execute(sql).fetchall()

    pipelines(sales=PIPELINE.format(table=table, root=ROOT))
    yield Shop(table, ask, lambda: ask("SELECT id, total, change_no FROM orders ORDER BY id"), copied)
    postgres.drop_database(target)
    if request.param == "postgres":
        postgres.drop_database(name)
    else:
        with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
            cursor.execute(f"DROP DATABASE {name}")


def test_nights_from_the_table_to_the_database(shop: Shop, dags: Any) -> None:
    found = dags()
    assert set(found) == {"backup__sales", "verify__sales", "copy__sales__analytics"}
    first = found["backup__sales"].test()
    assert tasks(first) == GREEN
    assert state(found["copy__sales__analytics"].test()) == "success"
    assert shop.copied("SELECT id, total, change_no FROM orders ORDER BY id") == list(shop.rows())
    shop.run("UPDATE orders SET total = 0, change_no = 1000 WHERE id = 7")
    shop.run("DELETE FROM orders WHERE id = 8")
    shop.run("INSERT INTO orders VALUES (50, 1, 1001)")
    assert tasks(found["backup__sales"].test()) == GREEN
    newest, changes, full = sorted(sets(), key=lambda one: one.finished, reverse=True)
    assert (newest.engine, changes.engine, full.engine) == ("merge", "snapshot", "snapshot")
    assert (changes.items, full.items, newest.items) == (3, 40, 40)
    assert full.run["snapshot"]["connections"] == 2
    assert state(found["copy__sales__analytics"].test()) == "success"
    assert shop.copied("SELECT id, total, change_no FROM orders ORDER BY id") == list(shop.rows())
    assert state(found["verify__sales"].test()) == "success"
    asked = found["backup__sales"].test(run_conf={"full": True})
    assert tasks(asked) == GREEN
    assert sum(one.window is None and one.engine == "snapshot" for one in sets()) == 2


def test_a_table_made_anew_gets_a_full_backup(shop: Shop, dags: Any) -> None:
    import time

    found = dags()
    assert tasks(found["backup__sales"].test()) == GREEN
    time.sleep(1.1)
    shop.run("DROP TABLE orders")
    shop.run("CREATE TABLE orders (id int PRIMARY KEY, total decimal(10,2), change_no bigint)")
    assert tasks(found["backup__sales"].test()) == GREEN
    assert sorted(one.items for one in sets() if one.window is None) == [0, 40]


def test_a_database_that_is_not_there_is_a_red_night(shop: Shop, dags: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_SHOP_DB", "postgresql://u:pl4nted@127.0.0.1:1/nowhere")
    run = dags()["backup__sales"].test()
    assert tasks(run)["backup"] == "failed"
    assert list_backups(S3Store(clients(), BUCKET), BUCKET, "backups").backups == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("conn_id: shop_db", "conn_id"),
        ("column: change_no, ", "column"),
        ("connections: 2", "connections"),
    ],
)
def test_wrong_values_are_said(pipelines: Any, change: str, told: str) -> None:
    from tablekeep.engine.config.load import load_folder

    text = PIPELINE.format(table="public.orders", root=ROOT)
    wrong = text.replace(change, "connections: 0" if told == "connections" else "").strip() + "\n"
    folder: Path = pipelines(sales=wrong)
    (bad,) = load_folder(folder).bad
    assert any(told in problem.field for problem in bad.problems)


FILES = """
version: 1
kind: s3
source: "s3://{bucket}/drop/{{{{ as_of:%Y }}}}/orders"
table: orders
region: us-east-1
files: {{format: csv, header: false, columns: [{{name: id, type: integer}}, {{name: total, type: "numeric(10,2)"}}]}}
key: [id]
bad_rows: {{to: reject, most: 1}}
backup: {{schedule: "0 2 * * *", to: {root}, keep: {{daily: 7}}}}
verify: {{level: checksum}}
copies:
  - {{name: analytics, to: postgres, conn_id: analytics_pg, table: public.orders}}
"""


def test_files_become_rows_of_a_database(
    local_aws: Any, pipelines: Any, postgres: Any, dags: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bucket(local_aws)
    s3, target = local_aws.client("s3"), f"analytics_{secrets.token_hex(4)}"
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", postgres.create_database(target))
    year = f"{datetime.now(UTC):%Y}"
    s3.put_object(Bucket=BUCKET, Key=f"drop/{year}/orders/a.csv", Body=b"1,1.5\n2,\nx,1\n")
    pipelines(files=FILES.format(bucket=BUCKET, root=ROOT))
    found = dags()
    assert set(found) == {"backup__files", "verify__files", "copy__files__analytics"}
    green = {"backup": "success", "verify": "success", "publish": "success", "expire": "success"}
    assert tasks(found["backup__files"].test()) == green
    assert tasks(found["backup__files"].test()) == green
    (made,) = sets()  # the same files make no second one
    assert (made.items, made.run["rejected"]) == (2, 1)
    assert state(found["copy__files__analytics"].test()) == "success"
    assert state(found["verify__files"].test()) == "success"
    with postgres.connect(target) as connection:
        assert [str(row) for row in connection.execute("SELECT id, total FROM orders ORDER BY id").fetchall()] == [
            "(1, Decimal('1.50'))", "(2, None)",
        ]  # fmt: skip
    s3.put_object(Bucket=BUCKET, Key=f"drop/{year}/orders/b.csv", Body=b"y,2\n")
    assert tasks(found["backup__files"].test())["backup"] == "failed"  # two bad rows now
    postgres.drop_database(target)


def test_the_databases_password_appears_nowhere(
    shop: Shop, dags: Any, mariadb: Any, postgres: Any, local_aws: Any, caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """In no log, XCom, rendered template or object; neither when the night is green nor when the database refuses."""
    password = mariadb.password if shop.table == "orders" else postgres.password
    caplog.set_level(logging.DEBUG)
    for name in ("botocore", "urllib3"):
        logging.getLogger(name).setLevel(logging.INFO)
    found = dags()
    assert tasks(found["backup__sales"].test()) == GREEN
    connection = os.environ["AIRFLOW_CONN_SHOP_DB"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_SHOP_DB", connection.replace(password, "planted-4711").replace("127.0.0.1", "localhost")
    )
    assert tasks(found["backup__sales"].test(run_conf={"full": True}))["backup"] == "failed"
    assert_nowhere(local_aws, caplog, capfd, "orders", (password, "planted-4711"))
