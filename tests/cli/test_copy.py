"""`tablekeep copy` as a person uses it."""

import json
import secrets
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest

from tests.cli.test_cli import tablekeep
from tests.tables import export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return export("orders").backup


@pytest.fixture
def dsn(postgres: Any) -> Any:
    yield postgres.create_database("cli_copy")
    postgres.drop_database("cli_copy")


def test_to_postgres_with_the_password_from_the_environment_a_file_or_a_connection(
    backup: str, dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    password = str(parts.pop("password"))
    bare = f"postgresql://{parts['user']}@{parts['host']}:{parts['port']}/{parts['dbname']}"
    refused = tablekeep("copy", backup, "--to", bare, "--into", "public.orders", "--json")
    assert refused.returncode == 2
    assert "password" in json.loads(refused.stdout)["why"]
    monkeypatch.setenv("PGPASSWORD", password)
    done = tablekeep("copy", backup, "--to", bare, "--into", "public.orders", "--mode", "replace", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["status"], document["rows"], document["verified"]) == ("copied", 40, True)
    assert done.stderr == ""
    monkeypatch.delenv("PGPASSWORD")
    passfile = tmp_path / "pgpass"
    passfile.write_text(f"*:*:*:*:{password}\n")
    passfile.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passfile))
    again = tablekeep("copy", backup, "--to", bare, "--into", "public.orders")
    assert again.returncode == 0
    assert "nothing to do: the table holds this backup already" in again.stdout
    monkeypatch.delenv("PGPASSFILE")
    monkeypatch.setenv("MY_PG", dsn)
    named = tablekeep(
        "copy", backup, "--to", "conn:analytics_pg", "--connection", "analytics_pg=env:MY_PG", "--into", "public.again"
    )
    assert named.returncode == 0, named.stderr
    missing = tablekeep("copy", backup, "--to", "conn:analytics_pg", "--into", "public.again")
    assert missing.returncode == 2
    assert "AIRFLOW_CONN_ANALYTICS_PG" in missing.stderr


def test_a_password_in_an_argument_is_warned_about_and_printed_nowhere(backup: str, dsn: str) -> None:
    password = str(psycopg.conninfo.conninfo_to_dict(dsn)["password"])
    done = tablekeep("copy", backup, "--to", dsn, "--into", "public.orders", "--json")
    assert done.returncode == 0
    assert "warning: the password stands" in done.stderr.replace("\n", " ")
    assert password not in done.stdout + done.stderr
    wrong = tablekeep("copy", backup, "--to", dsn.replace(password, "s3cret-and-wrong"), "--into", "public.orders")
    assert wrong.returncode == 2
    assert "s3cret" not in wrong.stdout + wrong.stderr
    broken = tablekeep("copy", backup, "--to", "oracle://u:s3cret@h/d", "--into", "public.orders")
    assert broken.returncode == 2
    assert "s3cret" not in broken.stdout + broken.stderr


def test_an_older_backup_is_left_out_with_exit_code_3(backup: str, dsn: str) -> None:
    newer = export("orders").backup
    assert tablekeep("copy", newer, "--to", dsn, "--into", "orders").returncode == 0
    older = tablekeep("copy", backup, "--to", dsn, "--into", "orders", "--json")
    assert older.returncode == 3
    assert json.loads(older.stdout)["status"] == "skipped"
    assert tablekeep("copy", backup, "--to", dsn, "--into", "orders", "--allow-older").returncode == 0


def test_to_redshift(backup: str, local_aws: Any, postgres: Any) -> None:
    local_aws.use_postgres(postgres.create_database("cli_redshift"))
    role = ("--iam-role", "arn:aws:iam::123456789012:role/copy")
    try:
        done = tablekeep("copy", backup, "--to", "redshift://dwh/dev", "--into", "public.orders", *role, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 40
        for to, why in (
            ("redshift://dwh", "no address of Redshift"),
            ("redshift://dwh/dev?user=x", "user is not known"),
            ("redshift-cluster://dwh/dev", "a cluster needs a database user or a secret"),
        ):
            refused = tablekeep("copy", backup, "--to", to, "--into", "public.orders", *role)
            assert refused.returncode == 2
            assert why in refused.stderr
        assert (
            "--iam-role is missing"
            in tablekeep("copy", backup, "--to", "redshift://dwh/dev", "--into", "orders").stderr
        )
    finally:
        local_aws.use_postgres(None)
        postgres.drop_database("cli_redshift")


def test_to_athena(backup: str, local_aws: Any) -> None:
    local_aws.client("glue").create_database(DatabaseInput={"Name": "analytics"})
    done = tablekeep("copy", backup, "--to", "athena://analytics", "--into", "orders")
    assert done.returncode == 0, done.stderr
    assert "the table points at it, and its files are there" in done.stdout
    assert "analytics.orders in athena://us-east-1" in done.stdout
    again = tablekeep("copy", backup, "--to", "athena://analytics", "--into", "orders", "--json")
    assert (again.returncode, json.loads(again.stdout)["status"]) == (0, "unchanged")
    newer = export("orders").backup
    assert tablekeep("copy", newer, "--to", "athena://analytics", "--into", "orders").returncode == 0
    assert tablekeep("copy", backup, "--to", "athena://analytics", "--into", "orders").returncode == 3
    assert tablekeep("copy", backup, "--to", "athena://analytics", "--into", "orders", "--allow-older").returncode == 0
    for to, into, why in (
        ("athena://nowhere", "orders", "Glue has no database"),
        ("athena://analytics/orders", "orders", "write athena://database"),
        ("athena://analytics", "public.orders", "a-z, 0-9 and _"),
    ):
        refused = tablekeep("copy", backup, "--to", to, "--into", into)
        assert refused.returncode == 2
        assert why in refused.stderr
    assert (
        tablekeep("copy", backup, "--to", "athena://analytics", "--into", "orders", "--mode", "append").returncode == 2
    )


def test_to_mysql_with_the_password_from_the_environment_or_a_connection(
    mariadb: Any, backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"cli_{secrets.token_hex(4)}"
    with pymysql.connect(
        host="127.0.0.1", port=mariadb.port, user="root", password=mariadb.password, autocommit=True
    ) as connection:
        cursor = connection.cursor()
        cursor.execute(f"CREATE DATABASE {name}")
        address = f"mysql://root@127.0.0.1:{mariadb.port}/{name}"
        refused = tablekeep("copy", backup, "--to", address, "--into", "orders", "--json")
        assert refused.returncode == 2
        assert "Access denied" in json.loads(refused.stdout)["why"]
        monkeypatch.setenv("MYSQL_PWD", mariadb.password)
        done = tablekeep("copy", backup, "--to", address, "--into", "orders", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["rows"] == 40
        monkeypatch.delenv("MYSQL_PWD")
        monkeypatch.setenv("AIRFLOW_CONN_SHOP", address.replace("root@", f"root:{mariadb.password}@"))
        again = tablekeep("copy", backup, "--to", "conn:shop", "--into", "orders")
        assert again.returncode == 0, again.stderr
        assert mariadb.password not in done.stdout + done.stderr + again.stdout + again.stderr
        cursor.execute(f"SELECT COUNT(*) FROM {name}.orders")
        assert cursor.fetchone() == (40,)
        cursor.execute(f"DROP DATABASE {name}")


def test_modes_mappings_and_a_plan_by_hand(backup: str, dsn: str, tmp_path: Path) -> None:
    planned = tablekeep("plan", "copy", backup, "--to", "postgres", "--yaml")
    assert planned.returncode == 0, planned.stderr
    file = tmp_path / "orders.yaml"
    file.write_text(planned.stdout)
    ddl = tablekeep("plan", "copy", backup, "--to", "mysql", "--into", "shop.orders", "--json")
    assert json.loads(ddl.stdout)["ddl"][0].startswith("CREATE TABLE `shop`.`orders`")
    to = ("--to", dsn, "--into", "orders")
    done = tablekeep("copy", backup, *to, "--mapping", str(file), "--mode", "OVERWRITE_EXISTING", "--json")
    assert json.loads(done.stdout)["mode"] == "upsert (keep_absent)", done.stderr
    again = tablekeep("copy", backup, *to, "--mode", "upsert", "--keep-absent")
    assert "nothing to do" in again.stdout + again.stderr or "by another mapping" in again.stdout
    assert tablekeep("copy", backup, *to, "--mode", "replace", "--swap", "rename", "--json").returncode == 0
    for wrong, why in (
        (("--keep-absent",), "keep_absent goes with upsert only"),
        (("--mode", "merge"), "there is no such mode"),
    ):
        refused = tablekeep("copy", backup, *to, *wrong)
        assert refused.returncode == 2
        assert why in refused.stderr.replace("\n", " ")
    file.write_text("columns:\n  - {from: price, type: money}\n")
    refused = tablekeep("copy", backup, *to, "--mapping", str(file))
    assert "orders.yaml:2: columns[0].type" in refused.stderr.replace("\n", "")


def test_the_plan_of_a_table_in_athena_names_the_columns_that_a_copy_makes(backup: str, local_aws: Any) -> None:
    planned = tablekeep("plan", "copy", backup, "--to", "athena", "--into", "orders_newest", "--json")
    document = json.loads(planned.stdout)
    assert (document["dialect"], document["table"], document["items"]) == ("athena", "orders_newest", 40)
    local_aws.client("glue").create_database(DatabaseInput={"Name": "lake"})
    assert tablekeep("copy", backup, "--to", "athena://lake", "--into", "orders_newest").returncode == 0
    made = local_aws.client("glue").get_table(DatabaseName="lake", Name="orders_newest")["Table"]["StorageDescriptor"][
        "Columns"
    ]
    (ddl,) = document["ddl"]
    lines = [line.strip(" ,").replace("''", "'") for line in ddl.splitlines()[1:-1]]
    assert lines == [f"{one['Name']} {one['Type']} COMMENT '{one['Comment']}'" for one in made]
    told = tablekeep("plan", "copy", backup, "--to", "athena")
    assert told.stdout.startswith("-- 40 items of ")
    assert "CREATE EXTERNAL TABLE NAME (" in told.stdout
    refused = tablekeep("plan", "copy", backup, "--to", "athena", "--append")
    assert refused.returncode == 2
    assert "leave --mapping and --append out" in refused.stderr
