"""What a database holds, and whether a later copy of it is what it must be."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local_aws.postgres import EmbeddedPostgres
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.rds.instances.contents import (
    Contents,
    Login,
    check_engine,
    has_marker,
    keep_marker,
    read_contents,
)
from tablekeep.engine.rds.instances.proof import Proof
from tablekeep.engine.rds.instances.verdicts import State, Verdict, judge

SCHEMA = """
    CREATE TABLE a (id int PRIMARY KEY, t text, at timestamptz, n numeric, m money, f float8, b bytea);
    INSERT INTO a SELECT n, 'row ' || n, timestamptz '2026-01-01' + n * interval '1 min', n / 7.0, n::numeric::money, n / 3.0, '\\x00ff'
      FROM generate_series(1, 100) n;
    CREATE TABLE "Odd.name" (tablekeep_row int, "t" text);
    INSERT INTO "Odd.name" VALUES (1, 'x'), (2, NULL);
    CREATE UNLOGGED TABLE fleeting (id int);
    CREATE TABLE parent (id int, day date) PARTITION BY RANGE (day);
    CREATE TABLE parent_2026 PARTITION OF parent FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
    INSERT INTO parent VALUES (1, '2026-02-03');
"""


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[tuple[Login, dict[str, Any], psycopg.Connection[Any]]]:
    name = f"contents_{random.randrange(10**9)}"
    postgres.create_database(name)
    with postgres.connect(name) as connection:
        connection.execute(SCHEMA.encode())
    with postgres.connect(name) as connection:
        yield (
            Login.of({"user": "postgres", "password": postgres.password, "dbname": name}),
            {"Address": "127.0.0.1", "Port": postgres.port},
            connection,
        )
    postgres.drop_database(name)


def read(database: Any, **more: Any) -> Contents:
    return read_contents(database[0], database[1], progress=NoProgress(), **more)


def after(database: Any, before: Contents) -> Contents:
    return read(database, horizon=before.horizon, count_first=False)


def states(before: Contents, later: Contents, restored: Contents) -> dict[str, str]:
    return {
        one.table: one.state for one in judge(before, later, restored) if one.state not in ("equal", "not compared")
    }


def test_every_table_is_read_and_what_cannot_be_compared_is_told(database: Any) -> None:
    found = read(database)
    assert {name: one.rows for name, one in found.tables.items()} == {
        "public.a": 100,
        'public."Odd.name"': 2,
        "public.parent_2026": 1,
    }
    assert "empty after any restore" in found.not_read["public.fleeting"]
    assert Contents.from_dict(found.as_dict()) == found
    assert all(one.old_rows == one.rows for one in found.tables.values())


def test_a_hash_depends_on_values_and_on_nothing_else(database: Any, postgres: EmbeddedPostgres) -> None:
    _, _, connection = database
    first = read(database).tables["public.a"]
    connection.execute(
        "ALTER ROLE postgres SET timezone = 'Asia/Tokyo'; ALTER ROLE postgres SET datestyle = 'German'; ALTER ROLE postgres SET bytea_output = 'escape'"
    )
    connection.execute("VACUUM FULL a")
    again = read(database).tables["public.a"]
    connection.execute("ALTER ROLE postgres RESET ALL")
    assert (again.rows, again.hash) == (first.rows, first.hash)
    connection.execute("UPDATE a SET f = f + 1e-12 WHERE id = 7")
    assert read(database).tables["public.a"].hash != first.hash


def test_what_a_user_may_not_see_is_not_taken_for_the_whole(database: Any) -> None:
    login, endpoint, connection = database
    connection.execute("CREATE ROLE reader LOGIN PASSWORD 'x'; GRANT SELECT ON a, parent_2026 TO reader")
    connection.execute(
        "ALTER TABLE parent_2026 ENABLE ROW LEVEL SECURITY; CREATE POLICY none ON parent_2026 USING (false)"
    )
    reader = Login({**login.given, "user": "reader", "password": "x"})
    try:
        found = read_contents(reader, endpoint, progress=NoProgress())
    finally:
        connection.execute("DROP OWNED BY reader; DROP ROLE reader")
    assert set(found.tables) == {"public.a"}
    assert "row security" in found.not_read["public.parent_2026"]
    assert "may not read" in found.not_read['public."Odd.name"']


def test_a_quiet_table_is_equal_or_damaged(database: Any) -> None:
    connection = database[2]
    before = read(database)
    later = after(database, before)
    assert states(before, later, read(database, horizon=before.horizon)) == {}
    connection.execute("UPDATE a SET t = 'changed' WHERE id = 3")
    connection.execute('DELETE FROM "Odd.name" WHERE tablekeep_row = 1')
    connection.execute("INSERT INTO parent VALUES (2, '2026-05-05')")
    restored = read(database, horizon=before.horizon)
    assert states(before, later, restored) == {
        "public.a": "different",
        'public."Odd.name"': "different",
        "public.parent_2026": "different",
    }
    told = {one.table: one.why for one in judge(before, later, restored)}
    assert told["public.a"] == "its 100 rows are not the reference's, 1 of them written after the reference"
    assert "1 rows instead of 2" in told['public."Odd.name"']


def test_a_table_that_changed_meanwhile_is_bounded(database: Any) -> None:
    connection = database[2]
    before = read(database)
    connection.execute("INSERT INTO a SELECT n FROM generate_series(101, 105) n")
    connection.execute("DELETE FROM a WHERE id <= 2")
    middle = read(database, horizon=before.horizon)
    connection.execute("UPDATE a SET t = 'x' WHERE id = 10; INSERT INTO a VALUES (200)")
    later = after(database, before)
    verdict = next(one for one in judge(before, later, middle) if one.table == "public.a")
    assert verdict.state == "bounds"
    assert verdict.why == (
        "it changed while the snapshot was made: 98 of the reference's rows are there, and must be from 97 to 100; "
        "of 5 newer rows nothing is claimed"
    )
    assert states(before, later, later) == {}, "exactly what the second look saw is equal"
    # damage in what could not have changed: fewer old rows than the later look still saw
    connection.execute("DELETE FROM a WHERE id BETWEEN 20 AND 29")
    lost = read(database, horizon=before.horizon)
    (bad,) = [one for one in judge(before, later, lost) if one.bad]
    assert bad.why == "of 97 rows that did not change meanwhile, 87 are there"


def test_rows_that_did_not_change_must_be_what_they_were(database: Any) -> None:
    before = read(database)
    database[2].execute("INSERT INTO a VALUES (500)")
    later = after(database, before)
    forged = replace(later.tables["public.a"], hash="0" * 32, old_hash="1" * 32)
    restored = replace(later, tables=later.tables | {"public.a": forged})
    (bad,) = [one for one in judge(before, later, restored) if one.bad]
    assert "did not change are not what they were" in bad.why
    more = replace(forged, old_rows=101)
    assert (
        "which saw 100"
        in next(
            one for one in judge(before, later, replace(later, tables=later.tables | {"public.a": more})) if one.bad
        ).why
    )


def test_rows_that_came_and_went_between_the_looks_are_no_damage_only_when_the_server_counted_them(
    database: Any,
) -> None:
    before = read(database)
    later = after(database, before)
    table = before.tables["public.a"]
    extra = replace(before, tables=before.tables | {"public.a": replace(table, rows=101, hash="2" * 32)})
    assert states(before, later, extra) == {"public.a": "different"}
    counted = replace(later, tables=later.tables | {"public.a": replace(table, changes=(table.changes or 0) + 2)})
    assert states(before, counted, extra) == {"public.a": "bounds"}


def test_a_missing_table_and_a_lost_index_are_named(database: Any) -> None:
    connection = database[2]
    before = read(database)
    later = after(database, before)
    connection.execute('DROP TABLE "Odd.name"; ALTER TABLE a DROP CONSTRAINT a_pkey')
    found = {one.table: one for one in judge(before, later, read(database, horizon=before.horizon))}
    assert found['public."Odd.name"'].state == "missing"
    assert found["public.a"].why == "its constraints and indexes are not as they were"


def test_tables_made_or_removed_meanwhile_are_not_compared(database: Any) -> None:
    connection = database[2]
    before = read(database)
    connection.execute('CREATE TABLE fresh AS SELECT 1 AS id; DROP TABLE "Odd.name"')
    later = after(database, before)
    told = {one.table: one.why for one in judge(before, later, later) if one.state == "not compared"}
    assert "made while" in told["public.fresh"]
    assert "removed while" in told['public."Odd.name"']


def test_transaction_ids_are_compared_as_they_lie_on_disk(database: Any) -> None:
    """Rows of a horizon beyond 2^32, and rows that are older than any transaction id."""
    found = read(database)
    assert read(database, horizon=found.horizon + 2**32).tables["public.a"].old_rows == 100
    database[2].execute("VACUUM FREEZE a")
    assert read(database, horizon=found.horizon).tables["public.a"].old_rows == 100
    assert (
        read(database, horizon=found.horizon - 2**20 if found.horizon > 2**20 else 3).tables["public.a"].old_rows == 0
    )


def test_a_marker_is_left_where_it_may_be(database: Any) -> None:
    login, endpoint, connection = database
    assert keep_marker(login, endpoint, "public.tablekeep_marker", "token-1") == ""
    assert keep_marker(login, endpoint, "public.tablekeep_marker", "token-2") == ""
    assert has_marker(login, endpoint, "public.tablekeep_marker", "token-1")
    assert not has_marker(login, endpoint, "public.tablekeep_marker", "token-3")
    assert not has_marker(login, endpoint, "public.nothing", "token-1")
    connection.execute("CREATE ROLE writer LOGIN PASSWORD 'x'")
    writer = Login({**login.given, "user": "writer", "password": "x"})
    assert "permission denied" in keep_marker(writer, endpoint, "public.tablekeep_marker", "token-4")
    connection.execute("DROP ROLE writer")


def test_errors_name_no_password_and_no_value(database: Any, tmp_path: Path) -> None:
    login, endpoint, connection = database
    assert "password" not in repr(login)
    with pytest.raises(BadInputError, match="authentication failed") as caught:
        read_contents(Login({**login.given, "password": "planted-secret"}), endpoint, progress=NoProgress())
    assert "planted-secret" not in str(caught.value)
    with pytest.raises(TransientError):
        read_contents(login, {"Address": "127.0.0.1", "Port": 1}, progress=NoProgress())
    connection.execute(
        "CREATE DOMAIN odd AS text; CREATE VIEW v AS SELECT 1/0; CREATE FUNCTION bad() RETURNS int LANGUAGE sql AS 'SELECT 1/0'"
    )
    with pytest.raises(PermanentError) as failed, login.connect(endpoint, "asking") as one:
        one.execute("SELECT 'planted'::int")
    assert "planted" not in str(failed.value)
    with pytest.raises(BadInputError, match="PostgreSQL only"):
        check_engine("mysql", "looking")


def test_bounds_alone_prove_nothing() -> None:
    def proof(*states: State) -> Proof:
        return Proof({"shop": [Verdict(f"public.{number}", state, 1, "") for number, state in enumerate(states)]})

    assert proof("equal", "bounds").proved
    assert not proof("bounds", "bounds").proved
    assert not proof("not compared").proved
