"""The copy target MySQL on a real MariaDB: exactness, modes, what belongs to a table's owner, dead copies, a server that lies."""

import datetime
import json
import secrets
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pymysql
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies import mysql as module
from tablekeep.engine.copies import mysql_stage as stage
from tablekeep.engine.copies.copy import CopyReport, copy_backup
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import parse_mode
from tablekeep.engine.copies.mysql import MysqlTarget
from tablekeep.engine.copies.mysql_connection import connect
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.servers import TestServer
from tests.tables import clients, export, make_bucket, make_table, orders


class Database:
    """A database of the server, looked at without our code."""

    def __init__(self, server: TestServer, name: str) -> None:
        self.name = name
        self.arguments = {
            "host": "127.0.0.1", "port": server.port, "user": "root", "password": server.password, "database": name
        }  # fmt: skip

    def query(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        with pymysql.connect(charset="utf8mb4", autocommit=True, **self.arguments) as connection:  # type: ignore[arg-type]
            cursor = connection.cursor()
            cursor.execute(sql, values or None)
            return list(cursor.fetchall())

    def tables(self) -> list[str]:
        return sorted(row[0] for row in self.query("SHOW TABLES"))

    def copy(self, backup: str, table: str = "orders", mode: str = "replace", **more: Any) -> CopyReport:
        options = {name: more.pop(name) for name in ("keep_absent", "swap") if name in more}
        if mapping := more.pop("mapping", None):
            more["mapping"] = MappingDocument.model_validate(mapping)
        return copy_backup(
            clients=clients(), clock=SystemClock(), progress=NoProgress(), backup=backup, target=MysqlTarget(self.arguments, table),
            mode=parse_mode(mode, **options), actor="test", run="test", **more,
        )  # fmt: skip


@pytest.fixture
def database(mariadb: TestServer, local_aws: Any) -> Iterator[Database]:
    name = f"shop_{secrets.token_hex(4)}"
    found = Database(mariadb, name)
    with pymysql.connect(**(found.arguments | {"database": None}), autocommit=True) as connection:
        connection.cursor().execute(f"CREATE DATABASE {name}")
    local_aws.reset()
    make_bucket(local_aws)
    yield found
    found.query(f"DROP DATABASE {name}")


@pytest.fixture
def table(local_aws: Any) -> Callable[..., str]:
    """`table(items)` makes the table orders and gives a backup of it."""

    def make(items: list[dict[str, Any]], **more: Any) -> str:
        make_table(local_aws, "orders", items, **more)
        return export("orders").backup

    return make


def put(local_aws: Any, **item: Any) -> None:
    local_aws.client("dynamodb").put_item(TableName="orders", Item=item)


def test_every_type_arrives_exactly(database: Database, table: Any) -> None:
    report = database.copy(table(orders()))
    assert (report.status, report.rows, report.verified) == ("copied", 40, True)
    rows = {
        row[0]: row[1:]
        for row in database.query(
            "SELECT sk, pk, `price~2`, paid, raw, tags, `lines`, address, exact, Price FROM orders"
        )
    }
    for item in orders():
        n = int(item["sk"]["N"])
        pk, price, paid, raw, tags, lines, address, exact, upper = rows[n]
        assert (pk.decode() if isinstance(pk, bytes) else pk) == item["pk"]["S"]
        assert price == Decimal(f"{n}.25")
        assert paid == (n % 2 == 0)
        assert raw == b"\x00\x01\x02\x03\x04"
        assert json.loads(tags) == sorted(["new", f"t{n}"])
        assert json.loads(lines) == [{"sku": "a", "n": 2}, None, []]
        assert json.loads(address) == {}
        assert exact == (Decimal("12345678901234567890123456789.123456789") if "exact" in item else None)
        assert upper == ("" if "Price" in item else None)
    assert database.tables() == ["orders", "tablekeep_loads"]


def test_text_of_all_kinds_and_numbers_at_the_edges(database: Database, table: Any) -> None:
    texts = [
        "tab\there",
        "line\nfeed",
        "back\\slash",
        "\\N",
        "\\",
        "quote'\"`",
        "\r\n",
        "emoji 😀",
        "é",
        "",
        " ends with a space ",
        "%s",
    ]
    items = [{"pk": {"S": f"k{number}"}, "text": {"S": text}} for number, text in enumerate(texts)]
    numbers = ["9" * 38, "-0.00000000000000000000000000000000000001", "1" + "0" * 125, "0." + "0" * 129 + "1", "0"]
    items += [{"pk": {"S": f"n{number}"}, "number": {"N": one}} for number, one in enumerate(numbers)]
    database.copy(table(items, sort_key=False))
    assert [
        row[0] for row in database.query("SELECT text FROM orders WHERE text IS NOT NULL ORDER BY LENGTH(pk), pk")
    ] == [
        one["text"]["S"]
        for one in sorted(
            (one for one in items if "text" in one), key=lambda one: (len(one["pk"]["S"]), one["pk"]["S"])
        )
    ]
    found = [str(row[0]) for row in database.query("SELECT number FROM orders WHERE number IS NOT NULL ORDER BY pk")]
    assert found == numbers


def test_keys_that_differ_by_case_or_by_a_space_stay_two(database: Database, table: Any) -> None:
    keys = ["a", "A", "a ", " a", "á", "ä", "ß", "ss", "𝐚"]
    database.copy(table([{"pk": {"S": key}, "was": {"S": key}} for key in keys], sort_key=False))
    assert sorted(row[0] for row in database.query("SELECT was FROM orders")) == sorted(keys)
    ((count,),) = database.query("SELECT COUNT(*) FROM orders WHERE pk = 'a'")
    assert count == 1


def test_a_second_copy_changes_nothing_and_an_older_one_is_left_out(
    database: Database, table: Any, local_aws: Any
) -> None:
    first = table(orders())
    database.copy(first)
    assert database.copy(first).status == "unchanged"
    database.query("DELETE FROM orders WHERE sk < 10")
    assert "30 rows instead of 40" in database.copy(first).reason
    put(local_aws, pk={"S": "x"}, sk={"N": "1"}, coupon={"S": "HAPPY"})
    second = export("orders").backup
    assert database.copy(second).rows == 41
    assert database.query("SELECT coupon FROM orders WHERE coupon IS NOT NULL") == [("HAPPY",)]
    assert database.copy(first).status == "skipped"
    assert database.copy(first, allow_older=True).rows == 40


def test_a_table_that_others_made_is_left_alone_unless_adopted(database: Database, table: Any) -> None:
    backup = table(orders())
    database.query("CREATE TABLE orders (precious int)")
    with pytest.raises(BadInputError, match="not in our ledger"):
        database.copy(backup)
    assert database.copy(backup, adopt=True).rows == 40
    database.query("DROP TABLE orders")
    database.query("CREATE TABLE orders (precious int)")
    with pytest.raises(BadInputError, match="not in our ledger"):
        database.copy(backup)


def test_what_people_wrote_beside_the_mark_stays(database: Database, table: Any, local_aws: Any) -> None:
    database.copy(table(orders()))
    ((comment,),) = database.query(
        "SELECT table_comment FROM information_schema.tables WHERE table_name = 'orders' AND table_schema = DATABASE()"
    )
    database.query("ALTER TABLE orders COMMENT = %s", f"Ana's 'copy' {comment}")
    put(local_aws, pk={"S": "x"}, sk={"N": "1"})
    assert database.copy(export("orders").backup).rows == 41
    ((after,),) = database.query(
        "SELECT table_comment FROM information_schema.tables WHERE table_name = 'orders' AND table_schema = DATABASE()"
    )
    assert after.startswith("Ana's 'copy' tablekeep:")
    assert after != f"Ana's 'copy' {comment}"  # another table, another mark


def test_indexes_triggers_and_views_stay(database: Database, table: Any, local_aws: Any) -> None:
    database.copy(table(orders()))
    database.query("CREATE INDEX by_price ON orders (`price~2`)")
    database.query("CREATE TABLE log (n int)")
    database.query("CREATE TRIGGER noted AFTER INSERT ON orders FOR EACH ROW INSERT INTO log VALUES (1)")
    database.query("CREATE VIEW dear AS SELECT * FROM orders WHERE `price~2` > 30")
    put(local_aws, pk={"S": "x"}, sk={"N": "1"}, price={"N": "99"}, coupon={"S": "HAPPY"})
    report = database.copy(export("orders").backup)
    assert report.rows == 41
    assert database.query("SELECT COUNT(*) FROM log") == [(41,)]
    assert database.query("SELECT COUNT(*) FROM dear WHERE `price~2` = 99") == [(1,)]
    assert ("by_price",) in database.query(
        "SELECT DISTINCT index_name FROM information_schema.statistics WHERE table_name = 'orders' AND table_schema = DATABASE()"
    )
    assert database.query("SELECT COUNT(coupon) FROM orders") == [(1,)]
    put(local_aws, pk={"S": "y"}, sk={"N": "1"})
    with pytest.raises(BadInputError, match="the trigger noted, the index by_price"):
        database.copy(export("orders").backup, swap="rename")
    assert database.query("SELECT COUNT(*) FROM orders") == [(41,)]


def test_readers_see_the_old_rows_or_the_new_ones(
    database: Database, table: Any, local_aws: Any, monkeypatch: Any
) -> None:
    """A reader that began before the swap keeps what it saw; while the rows are loaded and proved the old ones are there."""
    database.copy(table(orders()))
    seen: list[Any] = []
    real = stage.Stage.prove

    def look(self: Any, *given: Any) -> None:
        seen.append(database.query("SELECT COUNT(*) FROM orders"))
        real(self, *given)

    monkeypatch.setattr(stage.Stage, "prove", look)
    put(local_aws, pk={"S": "x"}, sk={"N": "1"})
    database.copy(export("orders").backup)
    assert seen == [[(40,)]]
    assert database.query("SELECT COUNT(*) FROM orders") == [(41,)]


def test_upsert_deletes_absent_keys_unless_told_otherwise(database: Database, table: Any, local_aws: Any) -> None:
    database.copy(table([{"pk": {"S": one}, "v": {"N": "1"}} for one in "abc"], sort_key=False), mode="upsert")
    dynamodb = local_aws.client("dynamodb")
    dynamodb.delete_item(TableName="orders", Key={"pk": {"S": "a"}})
    put(local_aws, pk={"S": "b"}, v={"N": "2"})
    put(local_aws, pk={"S": "d"}, v={"N": "3"})
    second = export("orders").backup
    report = database.copy(second, mode="upsert", keep_absent=True)
    assert (report.inserted, report.updated, report.deleted, report.rows) == (1, 2, 0, 4)
    put(local_aws, pk={"S": "e"}, v={"N": "4"})
    report = database.copy(export("orders").backup, mode="upsert")
    assert (report.inserted, report.updated, report.deleted, report.rows) == (1, 3, 1, 4)
    put(local_aws, pk={"S": "e"}, v={"N": "5"})
    put(local_aws, pk={"S": "f"}, v={"N": "6"})
    report = database.copy(export("orders").backup, mode="KEEP_EXISTING")
    assert (report.inserted, report.rows) == (1, 5)
    assert sorted(database.query("SELECT pk, v FROM orders")) == [("b", 2), ("c", 1), ("d", 3), ("e", 4), ("f", 6)]


def test_append_never_doubles_a_set(database: Database, table: Any, local_aws: Any) -> None:
    first = table([{"pk": {"S": "a"}}, {"pk": {"S": "b"}}], sort_key=False)
    assert database.copy(first, mode="append").rows == 2
    assert database.copy(first, mode="append").status == "unchanged"
    put(local_aws, pk={"S": "c"})
    second = export("orders").backup
    assert database.copy(second, mode="APPEND").rows == 5
    assert database.copy(second, mode="append").status == "unchanged"
    assert database.copy(first, mode="append", allow_older=True).status == "unchanged"
    assert database.query("SELECT COUNT(*), COUNT(DISTINCT _backup_id) FROM orders") == [(5, 2)]


def test_sets_as_tables_follow_their_items(database: Database, table: Any, local_aws: Any) -> None:
    mapping = {"sets": "table"}
    first = table([{"pk": {"S": one}, "tags": {"SS": [one, one.upper()]}} for one in "ab"], sort_key=False)
    for mode in ("replace", "upsert"):
        name = f"orders_{mode}"
        database.copy(first, name, mode, mapping=mapping)
        assert sorted(database.query(f"SELECT pk, value FROM {name}__tags")) == [
            ("a", "A"),
            ("a", "a"),
            ("b", "B"),
            ("b", "b"),
        ]
    local_aws.client("dynamodb").delete_item(TableName="orders", Key={"pk": {"S": "a"}})
    put(local_aws, pk={"S": "b"}, tags={"SS": ["new"]})
    second = export("orders").backup
    for mode in ("replace", "upsert"):
        name = f"orders_{mode}"
        database.copy(second, name, mode, mapping=mapping)
        assert database.query(f"SELECT pk, value FROM {name}__tags") == [("b", "new")]
    assert not [one for one in database.tables() if one.startswith("tablekeep_staging")]


def test_misfits_go_to_the_reject_table_without_their_values(database: Database, table: Any) -> None:
    backup = table(
        [{"pk": {"S": "a"}, "v": {"S": "secret-value"}}, {"pk": {"S": "b"}, "v": {"S": "12"}}], sort_key=False
    )
    mapping = {"columns": [{"from": "v", "type": "integer"}], "misfits": {"to": "reject", "most": 1}}
    report = database.copy(backup, mapping=mapping)
    assert report.rejected == {"v": 1}
    assert database.query("SELECT pk, v FROM orders ORDER BY pk") == [("a", None), ("b", 12)]
    ((_, key, column, reason, _),) = database.query("SELECT * FROM orders__rejects")
    assert (len(key), column) == (64, "v")
    assert "secret" not in reason
    mapping = {"columns": [{"from": "v", "type": "integer"}], "misfits": {"to": "reject"}}
    with pytest.raises(BadInputError, match="1 values that their columns cannot"):
        database.copy(backup, "strict", mapping=mapping)
    assert database.query("SELECT COUNT(*) FROM strict__rejects") == [(1,)]
    assert "strict" not in database.tables()


def test_times_and_narrow_types(database: Database, table: Any) -> None:
    item = {
        "pk": {"S": "a"}, "at": {"S": "2026-11-23T02:00:00.5+01:00"}, "day": {"S": "2026-11-23"}, "epoch": {"N": "1700000000"},
        "small": {"N": "7"}, "real": {"N": "0.1"},
    }  # fmt: skip
    columns = [
        {"from": "at", "type": "timestamptz"}, {"from": "day", "type": "date"}, {"from": "epoch", "type": "timestamp", "format": "epoch"},
        {"from": "small", "type": "smallint"}, {"from": "real", "type": "double"},
    ]  # fmt: skip
    database.copy(table([item], sort_key=False), mapping={"columns": columns})
    ((at, day, epoch, small, real),) = database.query("SELECT `at`, `day`, `epoch`, small, `real` FROM orders")
    assert at == datetime.datetime(2026, 11, 23, 1, 0, 0, 500000)  # noqa: DTZ001  the column has no zone, it is UTC
    assert day == datetime.date(2026, 11, 23)
    assert epoch == datetime.datetime(2023, 11, 14, 22, 13, 20)  # noqa: DTZ001
    assert (small, real) == (7, 0.1)


@pytest.mark.parametrize("damage", ["rows", "key", "null"])
def test_a_staging_table_that_differs_is_not_swapped(
    damage: str, database: Database, table: Any, monkeypatch: Any
) -> None:
    backup = table(orders())
    real = stage.Stage.prove
    sql = {
        "rows": "DELETE FROM {} LIMIT 1",
        "key": "UPDATE {} SET pk = CONCAT(pk, 'x') LIMIT 1",
        "null": "UPDATE {} SET `price~2` = NULL LIMIT 1",
    }[damage]

    def meddle(self: Any, *given: Any) -> None:
        self._run(sql.format(self._table.sql))
        real(self, *given)

    monkeypatch.setattr(stage.Stage, "prove", meddle)
    with pytest.raises(IntegrityError, match="differs from what was sent"):
        database.copy(backup)
    assert database.tables() == []


def test_values_that_the_server_only_warns_of_are_errors(database: Database, table: Any, monkeypatch: Any) -> None:
    """LOAD DATA LOCAL turns errors into warnings: without a look at them rows would be lost silently."""
    backup = table(orders())
    real = stage.lines
    monkeypatch.setattr(stage, "lines", lambda *given: real(*given).replace(b"\t0.25", b"\tnonsense"))
    with pytest.raises(IntegrityError, match=r"warned \(1366\)") as caught:
        database.copy(backup)
    assert "nonsense" not in str(caught.value)
    assert database.tables() == []


@pytest.fixture(params=["with its key", "key after the rows"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the set is taken for one that does not fit into the buffer pool."""
    large: bool = request.param == "key after the rows"
    monkeypatch.setattr(stage, "SHARE_OF_POOL", 0.0 if large else 1.0)
    return large


def test_the_key_of_a_large_table_is_made_after_its_rows(
    size: bool, database: Database, table: Any, monkeypatch: Any
) -> None:
    keyed = list[bool]()
    real = stage._Loader._load

    def look(self: Any, *given: Any) -> None:
        (name,) = [one for one in database.tables() if one.startswith("tablekeep_staging")]
        keyed.append(bool(database.query(f"SHOW INDEX FROM `{name}`")))
        real(self, *given)

    monkeypatch.setattr(stage._Loader, "_load", look)
    monkeypatch.setattr(stage, "CHUNK_BYTES", 1)  # every batch by itself
    assert database.copy(table(orders())).rows == 40
    assert set(keyed) == {not size}
    assert [row[4] for row in database.query("SHOW INDEX FROM orders")] == ["pk", "sk"]
    assert database.query("SELECT COUNT(*) FROM orders") == [(40,)]


def test_rows_of_a_chunk_are_sent_in_the_order_of_the_key(database: Database, table: Any, monkeypatch: Any) -> None:
    bodies = list[bytes]()
    real = stage._Loader._load
    monkeypatch.setattr(
        stage._Loader, "_load", lambda self, statement, body: (bodies.append(body), real(self, statement, body))
    )
    database.copy(table(orders()))
    (body,) = bodies
    keys = [(one[0], Decimal(one[1].decode())) for one in (line.split(b"\t") for line in body.splitlines())]
    assert len(keys) == 40
    assert keys == sorted(keys)


def test_a_key_twice_is_found_by_the_server_too(size: bool, database: Database, table: Any, monkeypatch: Any) -> None:
    backup = table(orders())
    real = stage.lines
    monkeypatch.setattr(stage, "lines", lambda *given: real(*given) + real(*given).split(b"\n")[0] + b"\n")
    with pytest.raises(IntegrityError, match="a key is there twice"):
        database.copy(backup)


@pytest.mark.parametrize("moment", ["prove", "_add_line"])
def test_a_killed_copy_leaves_the_old_table_and_the_next_one_cleans_up(
    moment: str, database: Database, table: Any, local_aws: Any, monkeypatch: Any
) -> None:
    database.copy(table(orders()))
    put(local_aws, pk={"S": "x"}, sk={"N": "1"})
    backup = export("orders").backup

    class Killed(BaseException):
        pass

    def die(self: Any, *given: Any) -> None:
        if moment == "_add_line":
            real(self, *given)
            self._connection.commit()
        raise Killed

    place: Any = stage.Stage if moment == "prove" else module.MysqlSession
    real = getattr(place, moment)
    with monkeypatch.context() as patch:
        patch.setattr(place, moment, die)
        patch.setattr(module.MysqlSession, "_give_up", lambda *given: None)
        with pytest.raises(Killed):
            database.copy(backup)
    assert database.query("SELECT COUNT(*) FROM orders") == [(40,)]
    assert any(one.startswith("tablekeep_staging") for one in database.tables())
    assert database.copy(backup).status == "copied"  # a line of the ledger whose table never came says nothing
    assert database.query("SELECT COUNT(*) FROM orders") == [(41,)]
    assert database.tables() == ["orders", "tablekeep_loads"]


def test_of_two_copies_to_one_table_the_second_waits_outside(database: Database, table: Any) -> None:
    backup = table(orders())
    with (
        MysqlTarget(database.arguments, "orders").session(SystemClock()),
        pytest.raises(TransientError, match="another copy to this table runs"),
    ):
        database.copy(backup)
    assert database.copy(backup).rows == 40


def test_a_server_is_given_no_file_of_this_machine(database: Database, tmp_path: Any) -> None:
    """It is the server that names the file: what it names is not read."""
    secret = tmp_path / "secret"
    secret.write_text("stolen\n")
    database.query("CREATE TABLE loot (line text)")
    connection = connect(database.arguments, "test")
    with pytest.raises(pymysql.err.OperationalError, match="without being told"):
        connection.query(f"LOAD DATA LOCAL INFILE '{secret}' INTO TABLE loot")
    connection.close()
    assert database.query("SELECT * FROM loot") == []


def test_a_server_without_local_infile_says_what_to_do(database: Database, table: Any) -> None:
    backup = table(orders())
    database.query("SET GLOBAL local_infile = 0")
    try:
        with pytest.raises(BadInputError, match="set local_infile to 1"):
            database.copy(backup)
    finally:
        database.query("SET GLOBAL local_infile = 1")


def test_bad_addresses_are_told_without_the_password(database: Database, table: Any) -> None:
    backup = table(orders())
    for change, kind in (
        ({"password": "hunter2"}, BadInputError),
        ({"port": 1, "password": "hunter2"}, TransientError),
    ):
        other = Database.__new__(Database)
        other.arguments = database.arguments | change  # type: ignore[operator]
        with pytest.raises(kind) as caught:
            other.copy(backup)
        assert "hunter2" not in str(caught.value)
    with pytest.raises(BadInputError, match="no database 'nowhere'"):
        database.copy(backup, "nowhere.orders")
