"""AWS Data Pipeline's templates for SQL tables, end to end by the engine: RDS → S3 → RDS, RDS → Redshift, full and incremental."""

import secrets
from collections.abc import Callable, Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.copy import CopyReport, copy_backup
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.copies.redshift import RedshiftTarget
from tablekeep.engine.copies.redshift_api import Address, DataApi
from tablekeep.engine.copies.sql_types import told_kinds
from tablekeep.engine.copies.target import Target
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.position import Follow
from tests.engine.copies.conftest import ROLE
from tests.engine.rds.conftest import COMMON, Database, backed_up
from tests.engine.rds.test_increments import changes
from tests.tables import clients, make_bucket, verify

TYPE_MAP = [
    ("tinyint(4)", "smallint"), ("tinyint(1)", "boolean"), ("tinyint(3) unsigned", "smallint"), ("smallint(6)", "smallint"),
    ("smallint(5) unsigned", "integer"), ("mediumint(9)", "integer"), ("mediumint(8) unsigned", "integer"), ("int(11)", "integer"), ("int", "integer"),
    ("int(10) unsigned", "bigint"), ("bigint(20)", "bigint"), ("bigint unsigned", "varchar(80)"), ("float", "real"), ("float(7,4)", "real"),
    ("double", "double"), ("decimal(12,2)", "numeric(12,2)"), ("char(10)", "varchar(40)"), ("varchar(35)", "varchar(140)"),
    ("varchar(20000)", "varchar(65535)"), ("tinytext", "varchar(1020)"), ("text", None), ("longtext", None), ("enum('a','(b)')", "varchar(510)"),
    ("set('p')", "varchar(510)"), ("date", "date"), ("datetime(6)", "timestamp"), ("timestamp", "timestamp"), ("time(2)", "varchar(40)"),
    ("year(4)", "varchar(16)"), ("blob", None), ("int(6) unsigned zerofill", "bigint"), ("bit(5)", "varchar(64)"),
]  # fmt: skip


@pytest.mark.parametrize(("sql_type", "expected"), TYPE_MAP)
def test_data_pipelines_type_map_is_the_default(sql_type: str, expected: str | None) -> None:
    document = {"service": "mysql", "columns": [{"name": "c", "type": sql_type}]}
    found = told_kinds(document, "redshift", {})
    assert {name: str(kind) for name, kind in found.items()} == ({"c": expected} if expected else {})


def test_a_type_is_overridden_as_a_whole_or_by_its_name() -> None:
    columns = [{"name": name, "type": name} for name in ("tinyint(1)", "tinyint(4)", "char(35)")]
    document = {"service": "mysql", "columns": columns}
    found = told_kinds(document, "redshift", {"tinyint(1)": "smallint", "char": "varchar(70)"})
    assert {name: str(kind) for name, kind in found.items()} == {
        "tinyint(1)": "smallint", "tinyint(4)": "smallint", "char(35)": "varchar(70)",
    }  # fmt: skip


@pytest.fixture
def aws(local_aws: Any) -> Any:
    return local_aws


@pytest.fixture
def warehouse(aws: Any, postgres: Any) -> Iterator[tuple[Callable[[str], Target], Callable[[], Any]]]:
    """Redshift's stand-in: its target, and a look into it."""
    name = f"dwh_{secrets.token_hex(4)}"
    aws.use_postgres(postgres.create_database(name))
    aws.reset()
    DataApi(clients(), Address("dev", "dwh"), SystemClock(), "preparing").run(["SELECT 1"])
    make_bucket(aws)
    yield (
        lambda table: RedshiftTarget(clients(), table, database="dev", iam_role=ROLE, workgroup="dwh"),
        lambda: postgres.connect(name),
    )
    aws.use_postgres(None)
    postgres.drop_database(name)


def copied(backup: str, target: Target, mode: str = "replace", **mapping: Any) -> CopyReport:
    document = MappingDocument.model_validate(mapping) if mapping else None
    return copy_backup(
        clients=clients(), backup=backup, target=target, mode=parse_mode(mode), mapping=document, **COMMON
    )


def shop(my: Database) -> None:
    my.run(
        "CREATE TABLE orders (id int PRIMARY KEY, paid tinyint(1), size tinyint, code char(4), big bigint unsigned, total decimal(12,2), "
        "day date, made datetime(3), seen timestamp NULL, took time, grown year, kind enum('a','b'), share float, raw varbinary(4), note text)",
        "INSERT INTO orders VALUES (1, 1, 7, 'ab', 18446744073709551615, 12.50, '2026-11-23', '2026-11-23 02:00:00.5', '2026-11-23 07:00:00', "
        "'01:02:03', 2026, 'b', 0.1, x'00ff', 'hello'), (2, 0, NULL, 'é', 0, -1, NULL, NULL, NULL, '838:59:59', NULL, NULL, NULL, NULL, NULL)",
    )


def test_rds_mysql_to_redshift_by_the_type_map(warehouse: Any, my: Database) -> None:
    target, look = warehouse
    shop(my)
    made = backed_up(my.source("orders"))
    verify(made.backup)
    report = copied(made.backup, target("public.orders"))
    assert (report.rows, report.verified) == (2, True)
    with look() as connection:
        types = dict(
            connection.execute(
                "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attnum > 0"
            ).fetchall()
        )
        row = connection.execute(
            "SELECT paid, size, code, big, total, day, made, seen, took, grown, kind, share, note FROM public.orders WHERE id = 1"
        ).fetchone()
    assert row == (
        True, 7, "ab", "18446744073709551615", Decimal("12.50"), date(2026, 11, 23), datetime(2026, 11, 23, 2, 0, 0, 500000),  # noqa: DTZ001
        datetime(2026, 11, 23, 2, 0), "01:02:03", "2026", "b", pytest.approx(0.1), "hello",  # noqa: DTZ001
    )  # fmt: skip
    assert types["id"] == "integer"
    assert types["total"] == "numeric(12,2)"
    assert types["code"] == "character varying(16)"
    assert types["seen"] == "timestamp without time zone"


def test_types_are_overridden_for_redshift(warehouse: Any, my: Database) -> None:
    target, look = warehouse
    my.run("CREATE TABLE t (id int PRIMARY KEY, flag tinyint(1))", "INSERT INTO t VALUES (1, 2)")
    copied(backed_up(my.source("t")).backup, target("public.t"), types={"tinyint(1)": "smallint"})
    with look() as connection:
        assert connection.execute("SELECT flag FROM public.t").fetchone() == (2,)


@pytest.mark.parametrize("place", ["redshift", "postgres", "mysql"])
def test_changes_go_after_the_full_copy(
    warehouse: Any, pg: Database, my: Database, postgres: Any, mariadb: Any, place: str
) -> None:
    """Rows at the boundary of two nights are not there twice, and deletions arrive."""
    target, look = warehouse
    db = pg if place == "mysql" else my
    follow = Follow("change_no")
    if place == "redshift":
        to, read = target("public.t"), lambda: rows_of(look(), "public.t")
    elif place == "postgres":
        to, read = (
            PostgresTarget(conninfo(pg, postgres), "public.copy"),
            lambda: pg.rows("SELECT id, v, change_no FROM copy ORDER BY id"),
        )
    else:
        to, read = (
            MysqlTarget(arguments(my, mariadb), "copy"),
            lambda: my.rows("SELECT id, v, change_no FROM copy ORDER BY id"),
        )
    db.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(9), change_no bigint)")
    db.run("INSERT INTO t VALUES " + ", ".join(f"({n}, 'old', {n})" for n in range(1, 31)))
    copied(backed_up(db.source("t"), follow=follow).backup, to, "incremental")
    for night in (1, 2):
        db.run(
            f"UPDATE t SET v = 'night {night}', change_no = {night * 1000} + id WHERE id % 3 = {night}",
            f"DELETE FROM t WHERE id = {night * 10}", f"INSERT INTO t VALUES ({100 + night}, 'new', {night * 1000 + 999})",
        )  # fmt: skip
        report = copied(changes(db.source("t"), follow, deletes="compare").backup, to, "incremental")
        assert (report.status, report.deleted) == ("copied", 1)
    assert read() == db.rows("SELECT id, v, change_no FROM t ORDER BY id")


def rows_of(connection: Any, table: str) -> list[tuple[Any, ...]]:
    with connection as one:
        return list(one.execute(f"SELECT id, v, change_no FROM {table} ORDER BY id").fetchall())


def conninfo(pg: Database, postgres: Any) -> dict[str, Any]:
    with pg.connect() as one:
        return {
            "host": one.info.host,
            "port": one.info.port,
            "user": one.info.user,
            "password": postgres.password,
            "dbname": pg.name,
        }


def arguments(my: Database, mariadb: Any) -> dict[str, Any]:
    return {
        "host": "127.0.0.1",
        "port": mariadb.port,
        "user": "root",
        "password": mariadb.password,
        "database": my.name,
    }


def test_rds_to_rds_keeps_types_and_values(
    bucket: None, pg: Database, my: Database, postgres: Any, mariadb: Any
) -> None:
    """PostgreSQL → PostgreSQL, MySQL → MySQL and across."""
    pg_info, mysql = conninfo(pg, postgres), arguments(my, mariadb)
    pg.run(
        "CREATE TABLE t (id smallint, code varchar(9), total numeric(12,2), share float8, day date, at timestamptz, clock time, "
        "ref uuid, doc jsonb, ok boolean, raw bytea, PRIMARY KEY (id, code))",
        "INSERT INTO t VALUES (1, 'é', 12.5, 0.1, '2026-11-23', '2026-11-23 02:00:00.25+00', '02:00', "
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{\"a\": 1.5}', true, '\\x00ff'), "
        "(2, 'x', 'NaN', 'Infinity', 'infinity', '-infinity', '24:00', NULL, 'null', false, '\\x')",
    )
    made = backed_up(pg.source("t"))
    copied(made.backup, PostgresTarget(pg_info, "public.again"))
    names = "id, code, share, ref, doc::text, ok, raw"
    assert pg.rows(f"SELECT {names} FROM t WHERE id = 1") == pg.rows(f"SELECT {names} FROM again WHERE id = 1")
    types = "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'again'::regclass AND attnum > 0 AND attname IN ('id', 'total', 'share', 'day', 'at', 'ref', 'ok')"
    assert dict(pg.rows(types)) == {
        "id": "smallint", "total": "numeric(12,2)", "share": "double precision", "day": "date", "at": "timestamp with time zone",
        "ref": "uuid", "ok": "boolean",
    }  # fmt: skip
    copied(made.backup, MysqlTarget(mysql, "from_pg"))
    assert my.rows("SELECT id, code, total, day, clock, ok FROM from_pg WHERE id = 1")[0][:4] == (
        1,
        "é",
        Decimal("12.50"),
        date(2026, 11, 23),
    )
    ((share, rest),) = my.rows("SELECT share, _rest FROM from_pg WHERE id = 2")
    assert share is None
    assert '"share":{"S":"Infinity"}' in rest
    shop(my)
    mine = backed_up(my.source("orders"))
    copied(mine.backup, MysqlTarget(mysql, "again"))
    same = "id, paid, size, code, big, total, day, made, seen, took, kind, raw, note"
    assert (
        my.rows(f"SELECT {same} FROM again ORDER BY id")[0][:7]
        == my.rows(f"SELECT {same} FROM orders ORDER BY id")[0][:7]
    )
    copied(mine.backup, PostgresTarget(pg_info, "public.from_my"))
    assert pg.rows("SELECT id, paid, big, total, day, took FROM from_my WHERE id = 1") == [
        (1, 1, Decimal("18446744073709551615"), Decimal("12.50"), date(2026, 11, 23), time(1, 2, 3))
    ]


def test_rows_without_a_key_are_not_put_over_others(
    bucket: None, pg: Database, my: Database, postgres: Any, mariadb: Any
) -> None:
    pg.run("CREATE TABLE log (line text)", "INSERT INTO log VALUES ('a'), ('a')")
    made = backed_up(pg.source("log"))
    copied(made.backup, PostgresTarget(conninfo(pg, postgres), "public.copy"))
    assert pg.rows("SELECT line FROM copy") == [("a",), ("a",)]
    for mode in ("upsert", "incremental"):
        with pytest.raises(BadInputError, match="has no key"):
            copied(made.backup, MysqlTarget(arguments(my, mariadb), "other"), mode)
