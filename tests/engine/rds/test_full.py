"""Full backups of SQL tables: one state of all rows, whatever is written meanwhile; or no set at all."""

import threading
import time
from typing import Any

import pytest

from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError
from tablekeep.engine.rds import mysql as mysql_module
from tablekeep.engine.rds.postgres import PostgresSource
from tablekeep.engine.rds.source import Interval
from tests.engine.rds.conftest import COMMON, Database, Noted, backed_up, items_of, opened, plain
from tests.tables import BUCKET, clients, verify

KEYS = {
    "int": ("id int", lambda n: str(n * 7 - 1000)),
    "bigint": ("id bigint", lambda n: str(n**5)),
    "text": ("id varchar(40)", lambda n: f"'{'Ab-é' if n % 2 else 'zz'}{n}'"),
    "decimal": ("id decimal(20,3)", lambda n: f"{n - 150}.125"),
    "date": ("id date", lambda n: f"'20{n % 90 + 10}-0{n % 9 + 1}-1{n // 90}'"),
    "uuid": ("id uuid", lambda n: f"'a0eebc99-9c0b-4ef8-bb6d-6bb9bd38{n:04d}'"),
}  # fmt: skip


def numbers(db: Database, count: int = 1000) -> None:
    """A table of ids from 1 on, each with the same value, and the statistics that tell its size."""
    db.run("CREATE TABLE numbers (id int PRIMARY KEY, v int NOT NULL, name varchar(50))")
    rows = ", ".join(f"({n}, 1, 'row {n}')" for n in range(1, count + 1))
    db.run(f"INSERT INTO numbers VALUES {rows}")
    analyse(db, "numbers")


def analyse(db: Database, table: str) -> None:
    db.run(f"ANALYZE {'TABLE ' if db.kind == 'mysql' else ''}{table}")


def sets() -> list[str]:
    return [one.uri for one in list_backups(S3Store(clients(), BUCKET), BUCKET, "backups").backups]


def test_a_table_becomes_a_set(bucket: None, db: Database, small_pages: None) -> None:
    numbers(db)
    made = backed_up(db.source("numbers"), connections=4)
    verify(made.backup)
    manifest = opened(made.backup).manifest
    database = f"{db.name}.public" if db.kind == "postgres" else db.name
    assert made.table == f"shop-db.{database}.numbers"
    assert f"/123456789012/us-east-1/{db.kind}/{made.table}/" in made.backup
    assert (manifest.engine, manifest.key) == ("snapshot", (("id", "N"),))
    assert manifest.consistent[0] == manifest.consistent[1] == manifest.as_of
    assert manifest.run["snapshot"] == {
        "connections": 4,
        "by": "pg_export_snapshot" if db.kind == "postgres" else "LOCK TABLES",
    }
    assert len(manifest.segments) > 4
    assert sorted((plain(one)["id"], plain(one)["v"], plain(one)["name"]) for one in items_of(made.backup)) == sorted(
        (str(n), "1", f"row {n}") for n in range(1, 1001)
    )


@pytest.mark.parametrize("kind", KEYS)
def test_the_ranges_hold_every_row_once(bucket: None, db: Database, small_pages: None, kind: str) -> None:
    column, value = KEYS[kind]
    db.run(f"CREATE TABLE t ({column} PRIMARY KEY, n int)")
    db.run("INSERT INTO t VALUES " + ", ".join(f"({value(n)}, {n})" for n in range(300)))
    analyse(db, "t")
    with db.source("t").snapshot(3) as snapshot:
        ranges = snapshot.ranges(snapshot.table.columns[0])
        assert len(ranges) > 3
        got = [
            n for one in ranges for page in snapshot.read(snapshot.table.columns[1:], one) for n in page[0].to_pylist()
        ]
    assert sorted(got, key=int) == [str(n) for n in range(300)]


def test_all_rows_are_of_one_moment_though_all_change_while_they_are_read(
    bucket: None, db: Database, small_pages: None
) -> None:
    numbers(db)

    def change_all() -> None:
        db.run(
            "DELETE FROM numbers WHERE id > 900",
            "UPDATE numbers SET v = 2",
            "INSERT INTO numbers VALUES (5000, 2, 'new')",
        )

    made = backed_up(db.source("numbers"), connections=3, progress=Noted(change_all))
    verify(made.backup)
    found = items_of(made.backup)
    assert {plain(one)["v"] for one in found} == {"1"}
    assert sorted(int(plain(one)["id"]) for one in found) == list(range(1, 1001))
    assert db.rows("SELECT count(*), max(v) FROM numbers") == [(901, 2)]


def test_connections_see_the_same_state_while_others_write(db: Database) -> None:
    """The counter grows all the time: connections that began one after the other would see different values."""
    db.run("CREATE TABLE counter (id int PRIMARY KEY, n int)", "INSERT INTO counter VALUES (1, 0)")
    done = threading.Event()

    def write() -> None:
        with db.connect() as connection:
            while not done.is_set():
                connection.cursor().execute("UPDATE counter SET n = n + 1")

    writers = [threading.Thread(target=write) for _ in range(2)]
    for one in writers:
        one.start()
    seen = []
    try:
        for _ in range(8):
            with db.source("counter").snapshot(4) as snapshot:
                assert snapshot.taken.connections == 4
                # each is taken from the queue in turn
                values = [page[1][0].as_py() for _ in range(4) for page in snapshot.read(snapshot.table.columns, None)]
            assert len(set(values)) == 1
            seen.append(int(values[0]))
    finally:
        done.set()
        for one in writers:
            one.join()
    assert seen == sorted(seen)
    assert seen[-1] > seen[0]


def test_mysql_without_the_right_to_lock_reads_by_one_connection(bucket: None, my: Database, small_pages: None) -> None:
    numbers(my)
    plain_user, locker = f"r{my.name[5:]}", f"f{my.name[5:]}"
    my.run(
        f"CREATE USER {plain_user}@'%' IDENTIFIED BY 'pw'", f"GRANT SELECT ON {my.name}.* TO {plain_user}@'%'",
        f"CREATE USER {locker}@'%' IDENTIFIED BY 'pw'", f"GRANT SELECT ON {my.name}.* TO {locker}@'%'", f"GRANT RELOAD ON *.* TO {locker}@'%'",
    )  # fmt: skip
    for user, connections, by in ((plain_user, 1, "one transaction"), (locker, 3, "FLUSH TABLES WITH READ LOCK")):
        progress = Noted()
        made = backed_up(
            my.source("numbers", arguments={"user": user, "password": "pw"}), connections=3, progress=progress
        )
        verify(made.backup)
        assert opened(made.backup).manifest.run["snapshot"] == {"connections": connections, "by": by}
        assert any("may not lock" in one for one in progress.notes) == (connections == 1)
        assert len(items_of(made.backup)) == 1000


def test_mysql_does_not_wait_for_ever_for_a_transaction_that_writes(
    bucket: None, my: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers(my)
    waits = [one.replace("= 10", "= 1") for one in mysql_module._SETTINGS]
    monkeypatch.setattr(mysql_module, "_SETTINGS", waits)
    with my.connect() as writer:
        cursor = writer.cursor()
        cursor.execute("BEGIN")
        cursor.execute("UPDATE numbers SET v = 9 WHERE id = 1")
        progress = Noted()
        made = backed_up(my.source("numbers"), connections=2, progress=progress)
        cursor.execute("COMMIT")
    assert "one connection reads, not 2: a transaction that writes the table stayed open for 10 s" in progress.notes
    assert {plain(one)["v"] for one in items_of(made.backup)} == {"1"}


def test_a_key_of_three_columns_and_one_that_is_named(bucket: None, db: Database) -> None:
    db.run(
        "CREATE TABLE t (a varchar(10), b int, c date, code varchar(9) NOT NULL UNIQUE, PRIMARY KEY (c, a, b))",
        "INSERT INTO t VALUES ('x', 1, '2026-01-01', 'k1'), ('x', 1, '2026-01-02', 'k2'), ('y', 1, '2026-01-01', 'k3')",
    )
    made = backed_up(db.source("t"))
    verify(made.backup)
    assert opened(made.backup).manifest.key == (("c", "S"), ("a", "S"), ("b", "N"))
    named = backed_up(db.source("t"), key=["code"])
    verify(named.backup)
    assert opened(named.backup).manifest.key == (("code", "S"),)
    for wrong, told in (
        (["a"], "no unique index is on exactly these columns"),
        (["nope"], "there is no column 'nope'"),
    ):
        with pytest.raises(BadInputError, match=told):
            backed_up(db.source("t"), key=wrong)


def test_a_table_without_a_key_has_its_rows_numbered(bucket: None, db: Database, small_pages: None) -> None:
    db.run("CREATE TABLE log (line varchar(9), n int)")
    db.run("INSERT INTO log VALUES " + ", ".join(["('same', NULL)"] * 150 + ["(NULL, NULL)"]))
    analyse(db, "log")
    made = backed_up(db.source("log"), connections=3)
    verify(made.backup)
    found = items_of(made.backup)
    assert sorted(int(one["_row"]["N"]) for one in found) == list(range(1, 152))
    assert {"_row": {"N": "151"}} in found


def test_an_empty_table(bucket: None, db: Database) -> None:
    db.run("CREATE TABLE t (id int PRIMARY KEY)")
    made = backed_up(db.source("t"), connections=3)
    verify(made.backup)
    assert (made.items, made.parts) == (0, 0)


def test_numbers_that_the_sample_did_not_show_are_not_left_in_rest(bucket: None, db: Database) -> None:
    """A column of numbers without a form of its own: the first thousand rows have whole ones, the last one has not."""
    db.run(f"CREATE TABLE t (id int PRIMARY KEY, n {'numeric' if db.kind == 'postgres' else 'decimal(60,20)'})")
    db.run("INSERT INTO t VALUES " + ", ".join(f"({n}, {n})" for n in range(1500)) + ", (9999, 0.125)")
    made = backed_up(db.source("t"))
    verify(made.backup)
    manifest = opened(made.backup).manifest
    column = manifest.layout.column_of("n")
    assert column
    assert (column.number, manifest.rest_rows) == ("decimal", 0)


def test_columns_follow_the_table_from_set_to_set(bucket: None, db: Database) -> None:
    db.run("CREATE TABLE t (id int PRIMARY KEY, a date, b int)", "INSERT INTO t VALUES (1, '2026-01-01', 5)")
    first = opened(backed_up(db.source("t")).backup).manifest
    if db.kind == "postgres":
        db.run(
            "ALTER TABLE t DROP COLUMN b",
            "ALTER TABLE t ADD COLUMN c double precision",
            "ALTER TABLE t ALTER COLUMN a TYPE text",
        )
        second = opened(backed_up(db.source("t")).backup).manifest
        assert second.table_id == first.table_id
        assert [(one.attribute, one.logical) for one in second.layout.columns] == [
            ("id", None),
            ("a", None),
            ("c", "float8"),
        ]
        assert (first.layout.schema, second.layout.schema) == (1, 2)
        third = opened(backed_up(db.source("t")).backup).manifest
        assert third.layout == second.layout
    db.run("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY)")
    time.sleep(1.1 if db.kind == "mysql" else 0)
    db.run("DROP TABLE t", "CREATE TABLE t (id int PRIMARY KEY)")
    anew = opened(backed_up(db.source("t")).backup).manifest
    assert anew.table_id != first.table_id
    assert anew.layout.schema == 1


def test_a_run_that_was_given_its_id_makes_one_set(bucket: None, db: Database) -> None:
    numbers(db, 10)
    backup_id = "20261123T020000Z-0a0b0c0d"
    first = backed_up(db.source("numbers"), backup_id=backup_id)
    db.run("DELETE FROM numbers")
    again = backed_up(db.source("numbers"), backup_id=backup_id)
    assert (again.backup, again.items, again.reused) == (first.backup, 10, True)


def test_a_lost_connection_leaves_no_set_and_the_next_try_begins_anew(
    bucket: None, db: Database, small_pages: None
) -> None:
    numbers(db)
    backup_id = "20261123T020000Z-0a0b0c0d"

    def cut() -> None:
        if db.kind == "postgres":
            db.run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
            )
            return
        query = f"SELECT id FROM information_schema.processlist WHERE db = '{db.name}' AND id <> connection_id()"
        for (number,) in db.rows(query):
            db.run(f"KILL {number}")

    with pytest.raises(TransientError):
        backed_up(db.source("numbers"), connections=2, backup_id=backup_id, progress=Noted(cut))
    assert sets() == []
    db.run("UPDATE numbers SET v = 2")
    made = backed_up(db.source("numbers"), connections=2, backup_id=backup_id)
    verify(made.backup)
    assert {plain(one)["v"] for one in items_of(made.backup)} == {"2"}
    store, manifest = opened(made.backup).store, opened(made.backup).manifest
    left = [
        info.key
        for info in store.list(f"{manifest.location.prefix}/")
        if "/data/" in info.key or "/_state/" in info.key
    ]
    assert sorted(left) == sorted(manifest.location.key(part.name) for part in manifest.parts)


def test_what_cannot_be_read_is_said_and_nothing_is_written(bucket: None, db: Database) -> None:
    with pytest.raises(BadInputError, match="no such table"):
        backed_up(db.source("missing"))
    db.run("CREATE TABLE t (id int PRIMARY KEY)", "CREATE VIEW seen AS SELECT * FROM t")
    if db.kind == "mysql":
        db.run("CREATE TABLE old (id int PRIMARY KEY) ENGINE=MyISAM")
        with pytest.raises(BadInputError, match="MyISAM has no consistent reads"):
            backed_up(db.source("old"))
        with pytest.raises(BadInputError, match="it is a view"):
            backed_up(db.source("seen"))
    else:
        assert backed_up(db.source("seen")).items == 0  # a view of PostgreSQL is read as one, without a key
    with pytest.raises(BadInputError, match="give 1 to 64"):
        backed_up(db.source("t"), connections=65)
    assert [one for one in sets() if "seen" not in one] == []


def test_row_level_security_is_an_error_not_a_filter(bucket: None, pg: Database) -> None:
    pg.run(
        "CREATE TABLE t (id int PRIMARY KEY, who text)", "INSERT INTO t VALUES (1, 'ana'), (2, 'ben')",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY", "CREATE POLICY mine ON t USING (who = current_user)",
        f"CREATE ROLE r{pg.name} LOGIN PASSWORD 'pw'", f"GRANT SELECT ON t TO r{pg.name}", f"CREATE ROLE n{pg.name} LOGIN PASSWORD 'pw'",
    )  # fmt: skip
    try:
        with pg.connect() as one:
            where = {"host": one.info.host, "port": one.info.port, "dbname": pg.name, "password": "pw"}
        with pytest.raises(BadInputError, match=r"row-level security.*BYPASSRLS"):
            backed_up(PostgresSource(where | {"user": f"r{pg.name}"}, "t"))
        with pytest.raises(BadInputError, match=r"permission denied.*grant SELECT"):
            backed_up(PostgresSource(where | {"user": f"n{pg.name}"}, "t"))
        with pytest.raises(BadInputError, match="password authentication failed") as caught:
            backed_up(PostgresSource(where | {"user": f"r{pg.name}", "password": "hunter2"}, "t"))
        assert "hunter2" not in repr(caught.value)
    finally:
        pg.run(f"DROP OWNED BY r{pg.name}", f"DROP ROLE r{pg.name}", f"DROP ROLE n{pg.name}")
    assert sets() == []


def test_a_wrong_password_of_mysql_is_not_shown(bucket: None, my: Database) -> None:
    my.run("CREATE TABLE t (id int PRIMARY KEY)")
    with pytest.raises(BadInputError, match="Access denied") as caught:
        backed_up(my.source("t", arguments={"password": "hunter2"}))
    assert "hunter2" not in repr(caught.value)
    with pytest.raises(TransientError, match="this machine may reach it"):
        backed_up(my.source("t", arguments={"port": 1}))


def test_no_password_stands_in_what_is_stored(bucket: None, db: Database, postgres: Any, mariadb: Any) -> None:
    numbers(db, 10)
    made = backed_up(db.source("numbers"))
    store = opened(made.backup).store
    secret = (postgres if db.kind == "postgres" else mariadb).password.encode()
    for info in store.list("backups/"):
        assert secret not in store.get(info.key)


def test_a_value_that_was_changed_in_a_part_is_found(bucket: None, db: Database) -> None:
    """A set of rows is verified like any other."""
    numbers(db, 50)
    made = backed_up(db.source("numbers"))
    found = opened(made.backup)
    key = found.manifest.location.key(found.manifest.parts[0].name)
    body = bytearray(found.store.get(key))
    body[len(body) // 2] ^= 1
    found.store.put(key, bytes(body))
    report = verify_backup(clients=clients(), backup=made.backup, level="full", **COMMON)
    assert not report.ok
    with pytest.raises(IntegrityError):
        items_of(made.backup)


def test_the_time_is_utc_whatever_the_servers_zone_is(bucket: None, db: Database) -> None:
    """MariaDB's zone here is five hours ahead."""
    numbers(db, 5)
    if db.kind == "postgres":
        db.run(f"ALTER DATABASE {db.name} SET timezone = 'Asia/Tokyo'")
    manifest = opened(backed_up(db.source("numbers")).backup).manifest
    assert abs((manifest.as_of - COMMON["clock"].now()).total_seconds()) < 60


def test_an_interval_with_a_quotation_mark_is_a_value(db: Database) -> None:
    db.run("CREATE TABLE t (id varchar(60) PRIMARY KEY)", "INSERT INTO t VALUES ('a'), ('x'' OR 1=1 --')")
    with db.source("t").snapshot(1) as snapshot:
        column = snapshot.table.columns[0]
        got = [
            one
            for page in snapshot.read([column], Interval(column, "x' OR 1=1 --", "y\\' OR 1=1"))
            for one in page[0].to_pylist()
        ]
    assert got == ["x' OR 1=1 --"]


def test_two_exports_of_one_table_at_once_are_one_too_many(bucket: None, db: Database) -> None:
    numbers(db, 200)
    met: list[Any] = []

    def second() -> None:
        try:
            backed_up(db.source("numbers"))
        except TransientError as error:
            met.append(error)

    backed_up(db.source("numbers"), progress=Noted(second), run="first")
    assert "test holds it (run first" in met[0].why
