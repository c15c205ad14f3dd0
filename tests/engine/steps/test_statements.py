"""SQL texts: where statements end, what is a parameter, and what would be no one transaction."""

import pytest

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.statements import Dialect, check_statements, split_statements

ALL: tuple[Dialect, ...] = ("postgres", "mysql", "redshift")


def parts(text: str, dialect: Dialect = "postgres") -> list[tuple[int, str, tuple[str, ...]]]:
    return [
        (one.line, one.text(lambda name: f"<{name}>").strip(), one.parameters)
        for one in split_statements(text, dialect)
    ]


@pytest.mark.parametrize("dialect", ALL)
def test_statements_end_at_semicolons_outside_of_everything(dialect: Dialect) -> None:
    text = "-- first; not :this\nINSERT INTO a VALUES (';', :x, 'it''s :y');\n\n/* ; :z */ UPDATE \"b;c\" SET d = :x;;\n -- end\n"
    assert parts(text, dialect) == [
        (2, "-- first; not :this\nINSERT INTO a VALUES (';', <x>, 'it''s :y')", ("x",)),
        (4, '/* ; :z */ UPDATE "b;c" SET d = <x>', ("x",)),
    ]


@pytest.mark.parametrize(
    ("dialect", "text", "parameters"),
    [
        ("postgres", "SELECT x::text, :a::int, y[1:2], z := 1, '12:30', :a", ("a", "a")),
        ("postgres", r"SELECT E'\':no', '\', :yes", ("yes",)),
        ("postgres", "SELECT $$ :no ; $$, $t$ $$ :no $t$, :yes", ("yes",)),
        ("postgres", "SELECT /* /* :no */ :no */ :yes", ("yes",)),
        ("postgres", "SELECT 1 -- it's\n, :yes", ("yes",)),
        ("redshift", r"SELECT '\':no', :yes", ("yes",)),
        ("mysql", r"""SELECT '\':no', "\":no", `:no`, :yes # :no it's""", ("yes",)),
        ("mysql", "SELECT 1--2, :yes", ("yes",)),
        ("mysql", "SELECT /* /* */ :yes", ("yes",)),
        ("postgres", "SELECT :größe", ()),
    ],
)
def test_what_is_a_parameter(dialect: Dialect, text: str, parameters: tuple[str, ...]) -> None:
    (one,) = split_statements(text, dialect)
    assert one.parameters == parameters


def test_bodies_of_routines_are_not_cut() -> None:
    body = "CREATE DEFINER=`a`@`b` PROCEDURE p() BEGIN UPDATE t SET x = 1; DELETE FROM t; END"
    assert len(split_statements(body, "mysql")) == 1
    assert len(split_statements("CREATE TABLE event (a int, procedure int); DROP TABLE x", "mysql")) == 2
    assert (
        len(split_statements("CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT 2; END", "postgres")) == 1
    )
    assert (
        len(split_statements("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $$ SELECT 1; $$; SELECT f()", "postgres"))
        == 2
    )


@pytest.mark.parametrize("text", ["SELECT 'a", 'SELECT "a', "SELECT /* a", "SELECT $x$ a $$"])
def test_what_is_not_closed_is_named_with_its_line(text: str) -> None:
    with pytest.raises(BadInputError, match="in line 2 is not closed"):
        split_statements(f"SELECT 1;\n{text}", "postgres")


@pytest.mark.parametrize("text", ["", " ;; \n", "-- nothing\n", "/* nothing */"])
def test_no_statement_is_an_error(text: str) -> None:
    with pytest.raises(BadInputError, match="no statement"):
        split_statements(text, "postgres")


@pytest.mark.parametrize(
    ("dialect", "text", "why"),
    [
        ("postgres", "BEGIN; UPDATE t SET a = 1; COMMIT", "line 1 begins with BEGIN"),
        ("postgres", "UPDATE t SET a = 1;\nCOMMIT", "line 2 begins with COMMIT"),
        ("mysql", "START TRANSACTION", "begins with START"),
        ("mysql", "DELIMITER //", "begins with DELIMITER"),
        ("mysql", "UPDATE t SET a = 1;\nCREATE TABLE x (y int)", "CREATE TABLE in line 2 commits by itself in MySQL"),
        ("mysql", "TRUNCATE t; INSERT INTO t VALUES (1)", "TRUNCATE in line 1 commits by itself"),
        ("redshift", "TRUNCATE t; INSERT INTO t VALUES (1)", "commits by itself in Redshift"),
        ("postgres", "SELECT :a, :b", ":b in line 1 is no parameter .given: a, c."),
        ("postgres", "SELECT :a", "no statement uses the parameter c"),
    ],
)
def test_what_is_refused_before_a_database_is_asked(dialect: Dialect, text: str, why: str) -> None:
    given = ["a", "c"] if ":" in text else []
    with pytest.raises(BadInputError, match=why):
        check_statements(split_statements(text, dialect), dialect, given)


@pytest.mark.parametrize(
    ("dialect", "text"),
    [
        ("postgres", "SAVEPOINT a; UPDATE t SET x = 1; ROLLBACK TO a; TRUNCATE t; CREATE TABLE y (z int)"),
        ("mysql", "CREATE TEMPORARY TABLE x (y int); INSERT INTO x VALUES (1)"),
        ("mysql", "TRUNCATE t"),
        ("redshift", "TRUNCATE t"),
    ],
)
def test_what_is_one_transaction_is_taken(dialect: Dialect, text: str) -> None:
    check_statements(split_statements(text, dialect), dialect, [])
