"""Redshift's own SQL: types, attributes, names, and what it does not have."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_aws.redshift.tokens import SqlError, Token, join, literal, tokenize, value_of
from local_aws.redshift.types import ColumnType, parse_type
from local_aws.server import LocalAws
from tests.local_aws.redshift import Redshift


@pytest.fixture
def redshift(local_redshift: LocalAws) -> Redshift:
    return Redshift(local_redshift)


def test_a_table_with_everything(redshift: Redshift) -> None:
    redshift("""CREATE TABLE IF NOT EXISTS "Orders" (
        id VARCHAR(40) NOT NULL ENCODE zstd DISTKEY, n DECIMAL(18,4) DEFAULT 0.0 ENCODE az64, small SMALLINT,
        big BIGINT IDENTITY(1, 1), doc SUPER, raw VARBYTE(100), label CHARACTER VARYING(MAX), note TEXT, c CHAR(3),
        at TIMESTAMP DEFAULT GETDATE(), atz TIMESTAMP WITH TIME ZONE, plain NUMERIC, x DOUBLE PRECISION,
        PRIMARY KEY (id), UNIQUE (small)
    ) DISTSTYLE KEY COMPOUND SORTKEY (id, n)""")
    assert redshift.rows('select "column", type, "notnull" from pg_table_def where tablename = \'orders\'') == [
        ["id", "character varying(40)", True],
        ["n", "numeric(18,4)", False],
        ["small", "smallint", False],
        ["big", "bigint", True],
        ["doc", "super", False],
        ["raw", "binary varying(100)", False],
        ["label", "character varying(65535)", False],
        ["note", "character varying(256)", False],
        ["c", "character(3)", False],
        ["at", "timestamp without time zone", False],
        ["atz", "timestamp with time zone", False],
        ["plain", "numeric(18,0)", False],
        ["x", "double precision", False],
    ]
    # keys are information only: a double row is not refused
    redshift("insert into orders (id, small) values ('a', 1), ('a', 1)")
    assert redshift.rows('select "BIG", ID from ORDERS order by 1') == [[1, "a"], [2, "a"]]


def test_types_survive_renaming_and_copying_of_tables(redshift: Redshift) -> None:
    redshift("create table target (id varchar(5), doc super, n numeric(10,2))")
    redshift("create table staging (like target including defaults)")
    redshift("alter table target rename to old")
    redshift("alter table staging rename to target")
    redshift("alter table target add column added varchar(9) default 'x'")
    types = redshift.rows(
        "select column_name, data_type, character_maximum_length from svv_columns where table_name='target'"
    )
    assert types == [
        ["id", "character varying", 5],
        ["doc", "super", None],
        ["n", "numeric", None],
        ["added", "character varying", 9],
    ]
    assert "value too long for type character varying(5)" in redshift.error("insert into target (id) values ('ééé')")
    redshift("insert into target (id) values ('éé')")


def test_a_table_made_by_a_query(redshift: Redshift) -> None:
    redshift("create table made distkey(n) sortkey(n) as select 1 as n, 2.5::numeric(5,2) as d")
    assert redshift.rows("select data_type from information_schema.columns where table_name = 'made'") == [
        ["integer"],
        ["numeric"],
    ]


@pytest.mark.parametrize(
    ("sql", "why"),
    [
        ("create table t (n varchar(65536))", "cannot exceed 65535"),
        ("create table t (n numeric(39, 0))", "precision 39"),
        ("create table t (n jsonb)", 'type "jsonb" does not exist'),
        ("create table t (n bytea)", 'type "bytea" does not exist'),
        ("create table t (n serial)", 'type "serial" does not exist'),
        ("create table t (n int check (n > 0))", 'at or near "check"'),
        ("create unlogged table t (n int)", 'at or near "unlogged"'),
        ("create index i on t (n)", "not supported"),
        ("insert into t values (1) on conflict do nothing", 'at or near "on"'),
        ("insert into t values (1) returning n", 'at or near "returning"'),
        ("select 1; select 2", "multiple commands"),
        ("select 'open", "unterminated"),
        ("create table " + "t" * 128 + " (n int)", "too long"),
    ],
)
def test_what_redshift_does_not_have(redshift: Redshift, sql: str, why: str) -> None:
    assert why in redshift.error(sql)


def test_functions_of_other_names(redshift: Redshift) -> None:
    assert redshift.rows("select nvl(null, 1), len('abc'), sysdate > '2020-01-01', getdate() > '2020-01-01'") == [
        [1, 3, True, True]
    ]
    digest = hashlib.sha256(b"a").hexdigest()
    assert redshift.rows("select sha2('a', 256), json_parse('[1, 2]')::super, 'a' || '\\'b'") == [
        [digest, "[1,2]", "a'b"]
    ]


def test_sums_of_digests(redshift: Redshift) -> None:
    """MD5, STRTOL and TO_HEX: what a key set's sum is made of."""
    texts = ["", "é", "a\x1f1", "x" * 1000]
    expected = sum(int(hashlib.md5(text.encode()).hexdigest()[:15], 16) for text in texts)
    redshift("create table t (s varchar(1000), b varbyte(9))")
    redshift("insert into t select 'a' || chr(31) || '1', to_varbyte('00ff', 'hex') union all select '', null")
    redshift("insert into t values ('é', null), (repeat('x', 1000), null)")
    summed = "sum(strtol(substring(md5(s), 1, 15), 16)::decimal(38, 0))"
    assert redshift.rows(f"select {summed}, max(to_hex(b)) from t") == [[str(expected), "00ff"]]
    assert "not valid" in redshift.error("select strtol('8000000000000000', 16)")


def test_append_moves_rows_outside_of_transactions_only(redshift: Redshift) -> None:
    for name in ("a", "b"):
        redshift(f"create table {name} (n integer)")
    redshift("insert into b values (1)")
    assert "cannot run inside a transaction block" in redshift.batch("alter table a append from b")["Error"]
    redshift("alter table a append from b")
    assert redshift.rows("select (select count(*) from a), (select count(*) from b)") == [[1, 0]]


def test_merge_refuses_double_sources(redshift: Redshift) -> None:
    redshift("create table t (id integer, v integer)")
    redshift("create table s (id integer, v integer)")
    redshift("insert into t values (1, 1)")
    redshift("insert into s values (1, 2), (1, 3)")
    merge = (
        "merge into t using s on t.id = s.id when matched then update set v = s.v "
        "when not matched then insert values (s.id, s.v)"
    )
    assert "Found multiple matches to update the same tuple" in redshift.error(merge)


@given(st.text())
def test_literals_mean_what_they_were_made_of(text: str) -> None:
    (token,) = tokenize(literal(text))
    assert token.kind == "string"
    assert value_of(token) == text


@given(st.text(alphabet="ab'\"\\:;-/* \n(),.$1é", max_size=30))
def test_tokens_are_the_whole_text(text: str) -> None:
    try:
        tokens = tokenize(text)
    except SqlError:  # an open quotation mark
        return
    assert join(tokens) == text
    assert all(isinstance(token, Token) for token in tokens)


@pytest.mark.parametrize(
    "kind",
    [ColumnType("numeric", 18, 4), ColumnType("super"), ColumnType("timestamp with time zone"), ColumnType("bigint")],
)
def test_types_are_read_as_they_are_written(kind: ColumnType) -> None:
    assert parse_type(str(kind)) == kind
