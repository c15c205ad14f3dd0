"""SQL steps on real databases: one transaction, bound parameters, limits of time, nothing told that is not for all eyes."""

import threading
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.connections import parse_connection
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.steps.facts import RunFacts
from tablekeep.engine.steps.sql import SqlReport, SqlRequest, database_of, run_sql, sql_request
from tests.engine.steps.conftest import Place

FACTS = RunFacts("totals", "totals", "run__totals/manual", datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
NASTY = [
    "it's", 'a"b', "back\\slash", "x'; DROP TABLE totals; --", "%s %(day)s {}", ":day ?", "line\nbreak", "größe 🙂", "\\'", "", "0x41", "NULL",
]  # fmt: skip


def run(place: Place, text: str, timeout: float | None = None, **parameters: Any) -> SqlReport:
    request = SqlRequest(text, "totals.sql", parameters, timeout)
    return run_sql(request, place.database, FACTS, clock=SystemClock(), progress=NoProgress())


def rows(place: Place) -> list[tuple[Any, ...]]:
    return sorted(place.query("SELECT day, n FROM totals"))


def test_statements_run_in_their_order_and_are_told_by_line_and_count(place: Place) -> None:
    report = run(
        place,
        "INSERT INTO totals VALUES (:day, 1), (:day, 2);\n-- then\nUPDATE totals SET n = n + :more WHERE day = :day;\n"
        "SELECT * FROM totals;\nDELETE FROM totals WHERE n = 1.1",
        day="{{ as_of:%Y-%m-%d }}",
        more=0.1,
    )
    assert rows(place) == [("2026-11-23", Decimal("2.1"))]
    assert [(one.line, one.does, one.rows) for one in report.statements] == [
        (1, "INSERT", 2),
        (3, "UPDATE", 2),
        (4, "SELECT", 2),
        (5, "DELETE", 1),
    ]
    assert report.as_dict()["source"] == "totals.sql"


def test_an_error_in_the_last_statement_undoes_the_first(place: Place) -> None:
    with pytest.raises(PermanentError, match=r"of line 3 in|totals_not_there"):
        run(place, "INSERT INTO totals VALUES ('a', 1);\nDELETE FROM totals WHERE n = 7;\nDELETE FROM totals_not_there")
    assert rows(place) == []


@pytest.mark.parametrize("value", NASTY)
def test_a_parameter_is_a_value_whatever_it_looks_like(place: Place, value: str) -> None:
    text = "INSERT INTO totals VALUES (:day, 1), ('100%', 2); DELETE FROM totals WHERE n = 2"
    if place.kind == "redshift" and not value:
        with pytest.raises(BadInputError, match="the parameter day is empty"):
            run(place, text, day=value)
        return
    run(place, text, day=value)
    assert rows(place) == [(value, Decimal(1))]


def test_numbers_truth_and_null_keep_their_type(place: Place) -> None:
    if place.kind == "redshift":
        with pytest.raises(BadInputError, match="the parameter nothing is null"):
            run(place, "INSERT INTO totals VALUES (:nothing, 1)", nothing=None)
    else:
        run(place, "INSERT INTO totals VALUES (:nothing, 1)", nothing=None)
        assert rows(place) == [(None, 1)]
        run(place, "DELETE FROM totals WHERE :yes", yes=True)
        assert rows(place) == []
    run(place, "INSERT INTO totals VALUES ('a', :n), ('b', :d)", n=12345678901234, d=0.1)
    assert rows(place) == [("a", Decimal(12345678901234)), ("b", Decimal("0.1"))]


def test_what_would_be_no_one_transaction_is_refused_before_the_database_is_asked(place: Place) -> None:
    for text in ("INSERT INTO totals VALUES ('a', 1); COMMIT", "INSERT INTO totals VALUES (:day, 1)", "SELECT 'open"):
        with pytest.raises(BadInputError, match=r"totals\.sql"):
            run(place, text)
    if place.kind != "postgres":
        with pytest.raises(BadInputError, match="TRUNCATE in line 1 commits by itself"):
            run(place, "TRUNCATE TABLE totals; INSERT INTO totals VALUES ('a', 1)")
    assert rows(place) == []
    run(place, "INSERT INTO totals VALUES ('a', 1)")
    run(place, "TRUNCATE TABLE totals")
    assert rows(place) == []


SLEEP = {"postgres": "SELECT pg_sleep(30)", "mysql": "SELECT SLEEP(30)", "redshift": "SELECT pg_sleep(30)"}


def test_what_takes_longer_than_the_timeout_is_stopped_and_undone(place: Place) -> None:
    began = time.monotonic()
    with pytest.raises(PermanentError, match="did not end in"):
        run(place, f"INSERT INTO totals VALUES ('a', 1);\n{SLEEP[place.kind]}", timeout=0.7)
    assert time.monotonic() - began < 10
    assert rows(place) == []
    # nor does the server go on with it: what it had locked is free
    run(place, "DELETE FROM totals", timeout=5)


@pytest.mark.parametrize("place", ["mysql"], indirect=True)
def test_a_timeout_that_ends_between_two_statements_undoes_too(place: Place) -> None:
    with pytest.raises(PermanentError, match="timeout"):
        run(
            place,
            "INSERT INTO totals VALUES ('a', 1);\nSELECT SLEEP(30);\nINSERT INTO totals VALUES ('b', 1)",
            timeout=0.5,
        )
    assert rows(place) == []


@pytest.mark.parametrize("place", ["postgres", "mysql"], indirect=True)
def test_a_deadlock_may_be_tried_again(place: Place) -> None:
    place.query("CREATE TABLE locked (id int PRIMARY KEY, n int)")
    place.query("INSERT INTO locked VALUES (1, 0), (2, 0)")
    wait = {"postgres": "SELECT pg_sleep(0.7)", "mysql": "SELECT SLEEP(0.7)"}[place.kind]
    caught: list[TablekeepError] = []

    def one(first: int, second: int) -> None:
        try:
            run(
                place,
                f"UPDATE locked SET n = n + 1 WHERE id = {first}; {wait}; UPDATE locked SET n = n + 1 WHERE id = {second}",
            )
        except TablekeepError as error:
            caught.append(error)

    threads = [threading.Thread(target=one, args=order) for order in ((1, 2), (2, 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error.family for error in caught] == ["transient"]
    assert place.query("SELECT sum(n) FROM locked") == [(2,)]


@pytest.mark.parametrize("place", ["postgres", "mysql"], indirect=True)
def test_a_value_that_the_database_refuses_is_in_no_message(place: Place) -> None:
    place.query("CREATE TABLE keyed (id varchar(50) PRIMARY KEY, n int NOT NULL)")
    for text, secret in (
        ("INSERT INTO keyed VALUES (:a, 1); INSERT INTO keyed VALUES (:a, 2)", "S3CR3T-key"),
        (
            "INSERT INTO keyed SELECT 'x', CAST(:a AS {0}) FROM totals; INSERT INTO keyed VALUES ('y', :a)",
            "S3CR3T-number",
        ),
    ):
        place.query("INSERT INTO totals VALUES ('a', 1)")
        kind = "int" if place.kind == "postgres" else "signed"
        with pytest.raises(TablekeepError) as caught:
            run(place, text.format(kind), a=secret)
        assert "S3CR3T" not in str(caught.value), text
        assert "of line 1" in str(caught.value)
    assert place.query("SELECT * FROM keyed") == []


@pytest.mark.parametrize("place", ["postgres"], indirect=True)
def test_what_needs_to_be_alone_runs_alone_and_the_servers_words_are_told(place: Place) -> None:
    run(place, "VACUUM totals")
    with pytest.raises(PermanentError, match="VACUUM cannot run inside a transaction block"):
        run(place, "DELETE FROM totals; VACUUM totals")
    with pytest.raises(PermanentError, match=r'relation "nowhere" does not exist \(character 15\)'):
        run(place, "SELECT * FROM nowhere")


@pytest.mark.parametrize("kind", ["postgresql", "mysql"])
def test_a_database_that_is_not_there_or_refuses_is_told_without_its_password(
    kind: str, mariadb: Any, postgres: Any
) -> None:
    gone = database_of(parse_connection("gone", f"{kind}://ana:PL4NTED@127.0.0.1:9/x"))
    port = postgres.port if kind == "postgresql" else mariadb.port
    refused = database_of(parse_connection("refused", f"{kind}://nobody:PL4NTED@127.0.0.1:{port}/x"))
    for database, family in ((gone, TransientError), (refused, BadInputError)):
        with pytest.raises(family) as caught:
            run_sql(SqlRequest("SELECT 1", "x", {}), database, FACTS, clock=SystemClock(), progress=NoProgress())
        assert "PL4NTED" not in str(caught.value)
        assert "PL4NTED" not in database.address + repr(database)


def test_files_lie_below_include_sql_and_nowhere_else(tmp_path: Path) -> None:
    (tmp_path / "sql" / "shop").mkdir(parents=True)
    (tmp_path / "sql" / "shop" / "totals.sql").write_text("SELECT 1")
    (tmp_path / "secret.sql").write_text("SELECT 2")
    (tmp_path / "sql" / "link.sql").symlink_to(tmp_path / "secret.sql")
    (tmp_path / "sql" / "latin.sql").write_bytes("SELECT 'ä'".encode("latin-1"))
    assert sql_request(None, "shop/totals.sql", {}, None, tmp_path).text == "SELECT 1"
    for name, why in (
        ("../secret.sql", "does not lie below sql/"),
        (str(tmp_path / "sql" / "shop" / "totals.sql"), "does not lie below sql/"),
        ("link.sql", "leads out of"),
        ("missing.sql", "no such file"),
        ("shop", "no such file"),
        ("latin.sql", "cannot be read as UTF-8"),
    ):
        with pytest.raises(BadInputError, match=why):
            sql_request(None, name, {}, None, tmp_path)
