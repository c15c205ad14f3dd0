"""What Redshift documents and PostgreSQL does otherwise: SUPER, MERGE, keys, ALTER TABLE APPEND, the Data API's limits.

Each test names its source: a page of the Redshift Database Developer Guide, or the Data API's troubleshooting page.
"""

import pytest

from local_aws.postgres import EmbeddedPostgres
from local_aws.redshift import runner, service
from local_aws.server import LocalAws
from tests.local_aws.redshift import WHERE, Redshift
from tests.local_aws.support import refused


@pytest.fixture
def redshift(local_redshift: LocalAws) -> Redshift:
    return Redshift(local_redshift)


def test_a_string_becomes_a_document_by_json_parse_only(redshift: Redshift) -> None:
    """ "Loading semistructured data": without json_parse the value is a single string."""
    redshift("create table t (n integer, s varchar(40), d super)")
    redshift("""insert into t values (1, '{"b": [1, null]}', '{"b": 1}')""")
    redshift("insert into t select 2, s, s from t where n = 1")
    redshift("insert into t select 3, s, json_parse(s) from t where n = 1")
    redshift("insert into t values (4, '', 2.50), (5, '', true), (6, '', json_parse('\"x\"'))")
    assert redshift.rows("select json_typeof(d), json_serialize(d), d, d::varchar from t order by n") == [
        ["string", '"{\\"b\\": 1}"', '"{\\"b\\": 1}"', '{"b": 1}'],
        ["string", '"{\\"b\\": [1, null]}"', '"{\\"b\\": [1, null]}"', '{"b": [1, null]}'],
        ["object", '{"b":[1,null]}', '{"b":[1,null]}', None],
        ["number", "2.50", "2.50", "2.50"],
        ["boolean", "true", "true", "true"],
        ["string", '"x"', '"x"', "x"],
    ]
    assert redshift.rows("select count(*) from t where d = json_parse('{ \"b\": [1, null] }')") == [[1]]
    assert "super" in redshift.error("insert into t values (7, '', '2024-01-01'::date)")  # "Limitations"


@pytest.mark.parametrize(
    ("document", "why"),
    [
        ("""'{"a": 1'""", "Invalid JSON"),
        ("""'{"a": 1, "a": 2}'""", "Duplicate attribute"),  # "SUPER configurations", parsing options
        ("'[' || repeat('[', 1000) || repeat(']', 1000) || ']'", "nesting depth of 1000"),  # "Limitations"
        ("'[\"' || repeat('x', 65530) || '\"]'", None),
        ("'[\"' || repeat('x', 65536) || '\"]'", "too long for type character varying(65535)"),  # "JSON_PARSE": VARCHAR
        ("to_varbyte('[\"' || repeat('x', 65535) || '\"]', 'utf8')", None),
        ("to_varbyte('[\"' || repeat('x', 65536) || '\"]', 'utf8')", "max size of 65535 bytes"),  # "Limitations"
        ("to_varbyte('[' || repeat('\"x\",', 1048576) || '1]', 'utf8')", "max size of 4194304"),  # "Loading …"
    ],
)
def test_limits_of_json_parse(redshift: Redshift, document: str, why: str | None) -> None:
    statement = f"select json_typeof(json_parse({document}))"
    if why is None:
        assert redshift.rows(statement) == [["array"]]
    else:
        assert why in redshift.error(statement)


def test_a_column_of_super_takes_no_long_string(redshift: Redshift) -> None:
    """ "Limitations": a single string is limited to 65,535 bytes, an object to 16 MB."""
    redshift("create table t (d super)")
    redshift("insert into t select repeat('é', 32767)")
    assert "value too long for type super" in redshift.error("insert into t select repeat('é', 32768)")
    halves = "json_parse(to_varbyte('[' || repeat('\"' || repeat('x', 60000) || '\",', 60) || '1]', 'utf8'))"
    redshift(f"insert into t select {halves}")
    assert "max VARCHAR size" in redshift.error("select json_serialize(d) from t where json_typeof(d) = 'array'")
    assert redshift.rows(
        "select octet_length(json_serialize_to_varbyte(d)) > 3600000 from t where json_typeof(d) = 'array'"
    )


def test_numbers_of_documents(redshift: Redshift) -> None:
    """ "DECIMAL_PRECISION": up to 38 digits; beyond it digits are lost."""
    digits = "1234567890123456789"
    exact = f"[{digits},{digits * 2},0.{digits}{digits[:18]},{digits}.{digits},-0.10,0]"
    assert redshift.rows(f"select json_parse('{exact}')") == [[exact]]
    assert redshift.rows(f"select json_parse('[1{digits * 2},0.{digits * 2},1e2]')") == [
        ["[1.1234567890123457e+38,0.12345678901234568,100]"]
    ]
    assert "out of range" in redshift.error("select json_parse('1e400')")
    batch = redshift.batch("set redshift_local.super_doubles = on", f"select json_parse('{exact}')")
    result = redshift.client.get_statement_result(Id=f"{batch['Id']}:2")["Records"]
    lossy = f"[{digits},1.2345678901234568e+37,0.12345678901234568,1.2345678901234568e+18,-0.1,0]"
    assert result == [[{"stringValue": lossy}]]


@pytest.mark.parametrize("kind", ["super", "varbyte(10)"])
@pytest.mark.parametrize("place", ["column distkey", "column sortkey", "distkey(d)", "compound sortkey (n, d)"])
def test_super_and_varbyte_are_no_keys(redshift: Redshift, kind: str, place: str) -> None:
    """ "Limitations" of SUPER, "VARBYTE type"."""
    column, table = (place.split()[1], "") if place.startswith("column") else ("", place)
    assert "cannot be a distkey or sortkey" in redshift.error(f"create table t (n integer, d {kind} {column}) {table}")
    redshift(f"create table t (n integer distkey, d {kind}) sortkey (n)")


MERGE = "merge into t using s on t.id = s.id {matched} when not matched then insert values (s.id, s.v, s.d)"
UPDATE = "when matched then update set v = case when s.v > 1 then s.v else 0 end, d = s.d"


@pytest.fixture
def tables(redshift: Redshift) -> Redshift:
    for name in ("t", "s"):
        redshift(f"create table {name} (id integer, v integer, d super, primary key (id))")
    redshift("insert into t values (1, 1, json_parse('[1]')), (2, 2, null)")
    redshift("insert into s values (2, 20, json_parse('[2]')), (3, 30, null)")
    return redshift


@pytest.mark.parametrize(
    ("matched", "left"), [(UPDATE, [[1, 1], [2, 20], [3, 30]]), ("when matched then delete", [[1, 1], [3, 30]])]
)
def test_merge(tables: Redshift, matched: str, left: list[list[int]]) -> None:
    tables(MERGE.format(matched=matched))
    assert tables.rows("select id, v from t order by id") == left


@pytest.mark.parametrize(
    ("statement", "why"),
    [
        (MERGE.format(matched=""), "syntax error"),
        (MERGE.split(" {")[0] + " " + UPDATE, "syntax error"),
        (MERGE.format(matched=UPDATE).replace("when matched then", "when matched and s.v > 1 then"), "syntax error"),
        (MERGE.format(matched="when matched then do nothing"), "syntax error"),
        (MERGE.format(matched=UPDATE) + " when not matched by source then delete", "syntax error"),
        (MERGE.format(matched=UPDATE).replace("into t using", "into t as x using"), "syntax error"),
        (MERGE.format(matched=UPDATE).replace("using s", "using (select * from s) as s"), "subquery"),
        (MERGE.format(matched=UPDATE).replace("using s", "using v as s"), "v is a view"),
        (MERGE.format(matched=UPDATE).replace("using s", "using t as s"), "same table"),
        (MERGE.format(matched=UPDATE).replace("t.id = s.id", "t.id > s.id"), "equality"),
        ("with x as (select 1) " + MERGE.format(matched=UPDATE), "WITH is not supported"),
        (MERGE.format(matched=UPDATE).replace("d = s.d", "d = s.d[0]"), "Partial reference of SUPER column"),
        (MERGE.format(matched=UPDATE).replace("values (s.id, s.v, s.d)", "values (s.id, s.v, s.d.a)"), "Partial reference"),
    ],
)  # fmt: skip
def test_what_merge_refuses(tables: Redshift, statement: str, why: str) -> None:
    """ "MERGE", syntax and usage notes."""
    tables("create view v as select * from s")
    assert why in tables.error(statement)


@pytest.mark.parametrize("matched", [UPDATE, "when matched then delete"])
def test_merge_refuses_a_source_with_duplicates(tables: Redshift, matched: str) -> None:
    tables("insert into s values (2, 21, null)")
    assert "Found multiple matches to update the same tuple" in tables.error(MERGE.format(matched=matched))


@pytest.mark.parametrize(
    ("target", "source", "option", "why"),
    [
        ("id integer, v varchar(5)", "id integer, v varchar(6)", "", "other attributes"),
        ("id integer, v varchar(5)", "id integer not null, v varchar(5)", "", "other attributes"),
        ("id integer", "id integer, v varchar(5)", "", "columns that the target has not"),
        ("id integer, v varchar(5)", "id integer", "", "columns that the source has not"),
        ("id integer", "id integer, v varchar(5)", "ignoreextra", None),
        ("id integer, v varchar(5)", "id integer", "filltarget", None),
        ("v varchar(5), id integer", "id integer, v varchar(5)", "", None),
    ],
)
def test_append_moves_between_equal_columns(
    redshift: Redshift, target: str, source: str, option: str, why: str | None
) -> None:
    """ "ALTER TABLE APPEND", usage notes."""
    redshift(f"create table target ({target})")
    redshift(f"create table source ({source})")
    redshift("insert into source (id) values (7)")
    statement = f"alter table target append from source {option}"
    if why:
        assert why in redshift.error(statement)
    else:
        redshift(statement)
        assert redshift.rows("select (select max(id) from target), (select count(*) from source)") == [[7, 0]]


def test_append_needs_permanent_tables(redshift: Redshift) -> None:
    redshift("create table target (id integer)")
    begun = redshift("create temp table source (id integer)", SessionKeepAliveSeconds=60)
    answer = redshift.client.execute_statement(
        Sql="alter table target append from source", SessionId=begun["SessionId"], WaitTimeSeconds=20
    )
    assert "permanent tables" in redshift.client.describe_statement(Id=answer["Id"])["Error"]


def test_rows_and_results_have_a_limit(redshift: Redshift, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "Troubleshooting issues for Amazon Redshift Data API": 64 KB a row, 500 MB a result."""
    redshift("select repeat('x', 65536)")
    assert "Packet for query is too large" in redshift.error("select repeat('x', 65530), '1234567'")
    monkeypatch.setattr(runner, "MAX_RESULT_BYTES", 1000)
    redshift("select repeat('x', 100) from generate_series(1, 10)")
    assert "Database response exceeded size limit" in redshift.error(
        "select repeat('x', 100) from generate_series(1, 11)"
    )


def test_active_statements_have_a_limit(redshift: Redshift, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model of `redshift-data`: ActiveStatementsExceededException; the number is UNCONFIRMED."""
    for left in redshift.client.list_statements(Status="STARTED")["Statements"]:  # of a test before
        redshift.client.describe_statement(Id=left["Id"], WaitTimeSeconds=10)
    monkeypatch.setattr(service, "MAX_ACTIVE", 1)
    running = redshift.client.execute_statement(Sql="select pg_sleep(60)", **WHERE)["Id"]
    assert refused(redshift.client.execute_statement, Sql="select 1", **WHERE)[0] == "ActiveStatementsExceededException"
    redshift.client.cancel_statement(Id=running)
    redshift.client.describe_statement(Id=running, WaitTimeSeconds=10)
    redshift("select 1")


@pytest.mark.parametrize(("bytes_", "accepted"), [(100_000, True), (100_001, False)])
def test_the_text_of_statements_has_a_limit(redshift: Redshift, bytes_: int, accepted: bool) -> None:
    """100 KB: UNCONFIRMED."""
    text = "select 1 -- ".ljust(bytes_, "x")
    if accepted:
        redshift(text)
    else:
        assert refused(redshift.client.execute_statement, Sql=text, **WHERE)[0] == "ValidationException"


def test_the_database_of_an_older_stand_in_is_made_anew(local_redshift: LocalAws, postgres: EmbeddedPostgres) -> None:
    dsn = postgres.create_database("older")
    with postgres.connect("older") as connection:
        connection.execute("CREATE SCHEMA redshift_local")
        connection.execute(f"COMMENT ON SCHEMA redshift_local IS '{runner.MARK}'")
    local_redshift.use_postgres(dsn)
    assert Redshift(local_redshift).rows("select json_parse('[1]')") == [["[1]"]]
    postgres.drop_database("older")
