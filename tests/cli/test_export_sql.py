"""`tablekeep export --from` as a person uses it."""

import json
import secrets
from typing import Any

import psycopg
import pymysql
import pytest

from tests.cli.test_cli import tablekeep
from tests.tables import ROOT, make_bucket


@pytest.fixture
def shop(local_aws: Any, postgres: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The address of a database with a table, without its password, which is in the environment."""
    monkeypatch.setenv("PYTHONPATH", "plugins")
    make_bucket(local_aws)
    name = f"cli_shop_{secrets.token_hex(4)}"
    dsn = postgres.create_database(name)
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2), day date)")
        connection.execute("INSERT INTO orders SELECT n, n * 1.25, '2026-11-23' FROM generate_series(1, 500) n")
    monkeypatch.setenv("PGPASSWORD", str(parts["password"]))
    yield f"postgresql://{parts['user']}@{parts['host']}:{parts['port']}/{name}"
    postgres.drop_database(name)


def test_a_sql_table_is_exported_shown_followed_and_merged(shop: str, postgres: Any) -> None:
    common = ("--from", shop, "--table", "public.orders", "--to", ROOT, "--server", "shop-db")
    first = tablekeep("export", *common, "--column", "id", "--connections", "2")
    assert first.returncode == 0, first.stderr
    assert "500 in 1 parts" in first.stdout
    assert "all of one moment" in first.stdout
    assert "yes: every item was read back" in first.stdout
    with psycopg.connect(f"{shop.replace('@', ':' + postgres.password + '@')}", autocommit=True) as connection:
        connection.execute("INSERT INTO orders VALUES (501, 1, NULL)")
        connection.execute("DELETE FROM orders WHERE id = 7")
    second = tablekeep("export", *common, "--column", "id", "--incremental", "--deletes", "compare", "--json")
    assert second.returncode == 0, second.stderr
    document = json.loads(second.stdout)
    assert (document["kind"], document["items"], document["engine"], document["verified"]) == (
        "incremental",
        2,
        "snapshot",
        True,
    )
    assert postgres.password not in second.stdout + second.stderr + first.stdout + first.stderr
    shown = tablekeep("show", document["backup"])
    assert "id from 501 to below 502" in shown.stdout
    assert "decimal(38,2)" in shown.stdout
    assert "date" in shown.stdout
    listed = json.loads(tablekeep("list", ROOT, "--json").stdout)
    assert [one["kind"] for one in listed["backups"]] == ["incremental", "full"]
    merged = json.loads(tablekeep("merge", ROOT, "--table", document["table"], "--json").stdout)
    assert merged["items"] == 500
    refused = tablekeep("restore", merged["backup"], "--to-table", "orders")
    assert refused.returncode == 2
    assert "this is a backup of a SQL table" in refused.stderr


def test_mysql_with_the_password_in_the_environment(shop: str, mariadb: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"cli_{secrets.token_hex(4)}"
    arguments = {"host": "127.0.0.1", "port": mariadb.port, "user": "root", "password": mariadb.password}
    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
        cursor.execute(f"CREATE TABLE {name}.orders (id int PRIMARY KEY)")
        cursor.execute(f"INSERT INTO {name}.orders VALUES (1)")
        connection.commit()
    monkeypatch.setenv("MYSQL_PWD", mariadb.password)
    address = f"mysql://root@127.0.0.1:{mariadb.port}/{name}"
    done = tablekeep("export", "--from", address, "--table", "orders", "--to", ROOT, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["table"] == f"127.0.0.1-{mariadb.port}.{name}.orders"
    with pymysql.connect(**arguments) as connection, connection.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--from", "mongodb://u:s3cret@h/d"], "it begins with none of postgresql:, mysql:, conn:"),
        (["--from", "postgresql://h/d", "--segments", "4"], "--segments is given, and is for tables of DynamoDB"),
        (["--column", "id"], "--column is given, and is for SQL tables"),
        (["--from", "postgresql://h/d", "--incremental"], "--incremental is given without --column"),
        (["--from", "postgresql://h/d", "--settle", "5m"], "--settle is given without --column"),
        (["--from", "postgresql://h/d", "--deletes", "compare"], "--deletes is given without --incremental"),
        (["--from", "conn:nowhere"], "AIRFLOW_CONN_NOWHERE"),
    ],
)
def test_what_does_not_go_together_is_said(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tablekeep.cli.command import run

    assert run(["export", "--table", "t", "--to", ROOT, *options]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert "s3cret" not in said
