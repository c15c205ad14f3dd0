"""Increments of SQL tables: every change in exactly one of them, deletions where they are asked for, and the chain gives the table."""

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.clock import utc_text
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.export.merge import merge_backups
from tablekeep.engine.export.report import ExportReport
from tablekeep.engine.rds.export import SqlExport
from tablekeep.engine.rds.increments import export_changes
from tablekeep.engine.rds.position import Follow
from tablekeep.engine.rds.source import SqlSource
from tests.engine.rds.conftest import COMMON, Database, backed_up, items_of, opened, plain
from tests.tables import ROOT, clients, verify

NOW = Follow("updated", settle=timedelta())
"""Everything until the snapshot's whole second."""


def changes(source: SqlSource, follow: Follow | None = NOW, **more: Any) -> ExportReport:
    return export_changes(clients=clients(), asked=SqlExport(source, ROOT, follow=follow), **(COMMON | more))


def merged(backup: str) -> str:
    """The set that the chain of this one gives, verified."""
    shelf: Shelf = opened(backup).manifest.location.shelf
    made = merge_backups(clients=clients(), shelf=shelf, **COMMON).backup
    verify(made)
    return made


def table(db: Database, count: int = 100) -> None:
    """Rows with the time of their last change, the first of them of the year 2020, a second apart."""
    kind = "timestamptz" if db.kind == "postgres" else "datetime(6)"
    db.run(f"CREATE TABLE t (id int PRIMARY KEY, v varchar(20), updated {kind})")
    if count:
        db.run(
            "INSERT INTO t VALUES "
            + ", ".join(f"({n}, 'old', '2020-01-01 00:{n // 60:02d}:{n % 60:02d}')" for n in range(1, count + 1))
        )


def at(moment: datetime) -> str:
    """A time as SQL."""
    return f"'{moment:%Y-%m-%d %H:%M:%S.%f}'"


def state(items: list[dict[str, Any]]) -> dict[str, str]:
    return {plain(one)["id"]: plain(one)["v"] for one in items}


def puts(backup: str) -> dict[str, str]:
    return state([one["NewImage"] for one in items_of(backup) if "NewImage" in one])


def gone(backup: str) -> list[str]:
    return sorted(plain(one["Keys"])["id"] for one in items_of(backup) if "Keys" in one)


def position(backup: str) -> dict[str, Any]:
    return dict(opened(backup).manifest.run["position"])


def seconds_of(backup: str) -> datetime:
    """The end of a set's interval."""
    return datetime.fromisoformat(position(backup)["to"].removesuffix("+00")).replace(tzinfo=UTC)


def test_a_row_at_the_boundary_is_in_one_increment(bucket: None, db: Database) -> None:
    """Data Pipeline's template compared `>= start AND <= end` and copied such rows twice."""
    table(db, 1)
    begin = seconds_of(backed_up(db.source("t"), follow=NOW).backup)
    # rows at each whole second around the ends of the intervals to come, and a moment before it and after
    rows = {
        str(100 + 3 * second + step): begin + timedelta(seconds=second, microseconds=step - 1)
        for second in range(3)
        for step in range(3)
    }
    db.run("INSERT INTO t VALUES " + ", ".join(f"({key}, 'x', {at(moment)})" for key, moment in rows.items()))
    ends, found = [begin], list[set[str]]()
    while ends[-1] <= begin + timedelta(seconds=3):
        time.sleep(1.1)
        made = changes(db.source("t")).backup
        assert position(made)["since"] == text_of(ends[-1], db)
        ends.append(seconds_of(made))
        found.append(set(puts(made)))
        assert found[-1] == {key for key, moment in rows.items() if ends[-2] <= moment < ends[-1]}
    assert sum(map(len, found)) == len(set().union(*found)) == len(rows) - 1  # one lies before the first interval
    assert len([one for one in found if one]) > 1


def text_of(moment: datetime, db: Database) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}" + ("+00" if db.kind == "postgres" else "")


def test_the_chain_gives_the_table(bucket: None, db: Database) -> None:
    """Changes are numbered here, as by a sequence, so that the test need not wait."""
    db.run("CREATE TABLE t (id int PRIMARY KEY, v varchar(20), change_no bigint)")
    db.run("INSERT INTO t VALUES " + ", ".join(f"({n}, 'old', {n})" for n in range(1, 101)))
    follow = Follow("change_no")
    backed_up(db.source("t"), follow=follow)
    for night in range(3):
        db.run(
            f"UPDATE t SET v = 'night {night}', change_no = {1000 * night + 1000} + id WHERE id % 7 = {night}",
            f"INSERT INTO t VALUES ({1007 + 10 * night}, 'new', {1000 * night + 1500})",
            f"DELETE FROM t WHERE id % 10 = {night}",
        )
        made = changes(db.source("t"), follow, deletes="compare")
        verify(made.backup)
    manifest = opened(made.backup).manifest
    assert manifest.window
    assert (manifest.window.old_images, manifest.run["deletes"], made.kind) == (False, "compare", "incremental")
    last = merged(made.backup)
    assert state(items_of(last)) == {str(n): v for n, v in db.rows("SELECT id, v FROM t")}
    assert opened(last).manifest.run["position"] == position(made.backup)
    db.run("DELETE FROM t WHERE id = 1027", "UPDATE t SET v = 'after the merge', change_no = 9000 WHERE id = 5")
    after = changes(db.source("t"), follow, deletes="compare")
    assert (puts(after.backup), gone(after.backup)) == ({"5": "after the merge"}, ["1027"])
    assert opened(after.backup).manifest.parents[0].backup_id == opened(last).manifest.backup_id
    assert state(items_of(merged(after.backup))) == {str(n): v for n, v in db.rows("SELECT id, v FROM t")}


def test_deletions_are_found_only_where_they_are_asked_for(bucket: None, db: Database) -> None:
    table(db, 20)
    backed_up(db.source("t"), follow=NOW)
    db.run("DELETE FROM t WHERE id > 15")
    time.sleep(0.01)
    assert gone(changes(db.source("t")).backup) == []
    time.sleep(0.01)
    assert gone(changes(db.source("t"), deletes="compare").backup) == ["16", "17", "18", "19", "20"]
    time.sleep(0.01)
    assert gone(changes(db.source("t"), deletes="compare").backup) == []
    with pytest.raises(BadInputError, match="choose one of ignore, compare"):
        changes(db.source("t"), deletes="guess")


def test_a_row_whose_time_had_passed_when_it_came_is_found_by_the_comparison(bucket: None, db: Database) -> None:
    table(db, 20)
    backed_up(db.source("t"), follow=NOW)
    db.run("INSERT INTO t VALUES (50, 'late', '2020-06-01 00:00:00')")
    time.sleep(0.01)
    assert puts(changes(db.source("t")).backup) == {}
    time.sleep(0.01)
    made = changes(db.source("t"), deletes="compare").backup
    assert puts(made) == {"50": "late"}
    assert state(items_of(merged(made)))["50"] == "late"


def test_rows_settle_before_they_are_passed(bucket: None, db: Database) -> None:
    """With a minute to settle, a transaction may end so long after its row got its time."""
    table(db)
    full = backed_up(db.source("t"), follow=Follow("updated")).backup
    as_of = opened(full).manifest.as_of
    assert seconds_of(full) == (as_of - timedelta(minutes=1)).replace(microsecond=0)
    db.run(f"INSERT INTO t VALUES (300, 'committed late', {at(as_of - timedelta(seconds=30))})")
    made = changes(db.source("t"), Follow("updated", settle=timedelta(seconds=0))).backup
    assert puts(made) == {"300": "committed late"}
    manifest = opened(made).manifest
    assert manifest.consistent[0] <= manifest.consistent[1] == manifest.as_of


def test_a_column_of_numbers_that_only_grow(bucket: None, db: Database) -> None:
    db.run("CREATE TABLE t (id bigint PRIMARY KEY, v varchar(9))")
    follow = Follow("id")
    full = backed_up(db.source("t"), follow=follow).backup
    assert position(full) == {"column": "id", "since": None, "to": None}
    db.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')")
    time.sleep(0.01)
    one = changes(db.source("t"), follow).backup
    assert (puts(one), position(one)) == ({"1": "a", "2": "b"}, {"column": "id", "since": None, "to": "3"})
    db.run("INSERT INTO t VALUES (3, 'c'), (9, 'd')")
    time.sleep(0.01)
    two = changes(db.source("t"), follow).backup
    assert (puts(two), position(two)) == ({"3": "c", "9": "d"}, {"column": "id", "since": "3", "to": "10"})
    time.sleep(0.01)
    three = changes(db.source("t"), follow).backup
    assert (puts(three), position(three)) == ({}, {"column": "id", "since": "10", "to": "10"})
    assert state(items_of(merged(three))) == {"1": "a", "2": "b", "3": "c", "9": "d"}


def test_local_times_are_taken_in_the_zone_that_is_named(bucket: None, db: Database) -> None:
    kind = "timestamp" if db.kind == "postgres" else "datetime"
    db.run(f"CREATE TABLE t (id int PRIMARY KEY, v varchar(9), updated {kind})")
    full = backed_up(db.source("t"), follow=Follow("updated", timedelta(), "Asia/Tokyo")).backup
    as_of = opened(full).manifest.as_of
    assert position(full)["to"] == f"{as_of + timedelta(hours=9):%Y-%m-%d %H:%M:%S}"
    with pytest.raises(BadInputError, match="'Mars/Base' is none"):
        Follow("updated", timedelta(), "Mars/Base").check()


def test_a_timestamp_of_mysql_is_a_moment(bucket: None, my: Database) -> None:
    """The server's zone, five hours ahead, is not the column's."""
    my.run(
        "CREATE TABLE t (id int PRIMARY KEY, v varchar(9), updated timestamp DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)"
    )
    my.run("INSERT INTO t (id, v) VALUES (1, 'a'), (2, 'b')")
    time.sleep(1.1)
    full = backed_up(my.source("t"), follow=NOW).backup
    assert state(items_of(full)) == {"1": "a", "2": "b"}
    time.sleep(1.1)
    my.run("UPDATE t SET v = 'c' WHERE id = 2")
    time.sleep(1.1)
    assert puts(changes(my.source("t")).backup) == {"2": "c"}


@pytest.mark.parametrize(
    ("prepare", "follow", "told"),
    [
        ([], NOW, "no full backup"),
        (["full without"], NOW, "does not tell up to where a column was read"),
        (["full"], Follow("id"), "follow the column updated, not id"),
        (["full"], Follow("missing"), "there is no such column"),
        (["full"], Follow("v"), "its type is"),
        (["full"], None, "no column is named"),
        (["full", "anew"], NOW, "the table was made anew, or altered"),
    ],
)
def test_what_cannot_follow_is_said(
    bucket: None, db: Database, prepare: list[str], follow: Follow | None, told: str
) -> None:
    table(db, 3)
    if prepare:
        backed_up(db.source("t"), follow=NOW if prepare[0] == "full" else None)
    if "anew" in prepare:
        time.sleep(1.1)
        db.run("DROP TABLE t")
        table(db, 3)
    with pytest.raises(BadInputError, match=told):
        changes(db.source("t"), follow)


def test_no_increments_follow_a_table_without_a_key(bucket: None, db: Database) -> None:
    db.run("CREATE TABLE t (n int, updated date)")
    with pytest.raises(BadInputError, match="no increments can follow"):
        backed_up(db.source("t"), follow=Follow("n"))


def test_a_missing_increment_breaks_the_chain(bucket: None, db: Database) -> None:
    table(db, 3)
    backed_up(db.source("t"), follow=NOW)
    made = []
    for _ in range(3):
        time.sleep(0.02)
        made.append(changes(db.source("t")).backup)
    found = opened(made[1])
    found.store.delete(found.manifest.location.manifest_key)
    with pytest.raises(BadInputError, match="nothing holds the changes from"):
        changes(db.source("t"))


def test_a_column_that_came_later_keeps_its_type_in_the_merged_set(bucket: None, pg: Database) -> None:
    pg.run("CREATE TABLE t (id int PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, 'a')")
    backed_up(pg.source("t"), follow=Follow("id"))
    pg.run(
        "ALTER TABLE t ADD COLUMN day date, ADD COLUMN share float8", "INSERT INTO t VALUES (2, 'b', '2026-11-23', 0.5)"
    )
    last = opened(merged(changes(pg.source("t"), Follow("id")).backup)).manifest
    assert [(one.attribute, one.logical) for one in last.layout.columns] == [
        ("id", None), ("v", None), ("day", "date"), ("share", "float8"),
    ]  # fmt: skip
    assert last.layout.schema == 2


def test_a_retried_increment_is_one_set(bucket: None, db: Database) -> None:
    table(db, 3)
    backed_up(db.source("t"), follow=NOW)
    backup_id = "20301123T020000Z-0a0b0c0d"
    time.sleep(0.02)
    first = changes(db.source("t"), backup_id=backup_id)
    again = changes(db.source("t"), backup_id=backup_id)
    assert (again.backup, again.reused) == (first.backup, True)
    assert utc_text(opened(first.backup).manifest.as_of) == first.as_of


def test_keys_of_every_type_are_asked_for(bucket: None, db: Database) -> None:
    """Rows that came late are read by their keys: of text with quotation marks, of bytes, of times, of numbers."""
    bytea = "bytea" if db.kind == "postgres" else "varbinary(20)"
    literal = "'\\x00ff'" if db.kind == "postgres" else "x'00ff'"
    db.run(
        f"CREATE TABLE t (a varchar(40), b {bytea}, c timestamp(6), d decimal(20,5), e date, updated timestamp NULL, v varchar(9), id int, "
        "PRIMARY KEY (a, b, c, d, e))"
    )
    backed_up(db.source("t"), follow=NOW)
    db.run(
        f"INSERT INTO t VALUES ('it''s \\\\ \"é\"', {literal}, '2026-11-23 02:00:00.125', -1.50, '2026-11-23', '2020-01-01', 'late', 7)"
    )
    time.sleep(0.02)
    assert puts(changes(db.source("t"), deletes="compare").backup) == {"7": "late"}
