"""The Redshift Data API: states, transactions, parameters, results and what it refuses."""

import threading
import time
from typing import Any

import pytest

from local_aws.server import LocalAws
from tests.local_aws.redshift import WHERE, Redshift
from tests.local_aws.support import refused


@pytest.fixture
def redshift(local_redshift: LocalAws) -> Redshift:
    return Redshift(local_redshift)


def test_a_batch_is_one_transaction(redshift: Redshift) -> None:
    redshift("create table t (n integer)")
    redshift("insert into t values (1)")
    batch = redshift.batch("delete from t", "insert into t values (2)", "insert into nowhere values (3)", "select 1")
    assert batch["Status"] == "FAILED"
    assert 'relation "nowhere" does not exist' in batch["Error"]
    assert [part["Status"] for part in batch["SubStatements"]] == ["FINISHED", "FINISHED", "FAILED", "ABORTED"]
    assert redshift.rows("select n from t") == [[1]]
    batch = redshift.batch("delete from t", "insert into t values (2)", "select n from t")
    assert batch["Status"] == "FINISHED"
    assert redshift.client.get_statement_result(Id=f"{batch['Id']}:3")["Records"] == [[{"longValue": 2}]]


def test_auto_commit_keeps_what_succeeded(redshift: Redshift) -> None:
    redshift("create table t (n integer)")
    batch = redshift.batch("insert into t values (1)", "insert into nowhere values (1)", ExecutionMode="AUTO_COMMIT")
    assert batch["Status"] == "FAILED"
    assert redshift.rows("select n from t") == [[1]]


def test_truncate_commits(redshift: Redshift) -> None:
    redshift("create table t (n integer)")
    redshift("insert into t values (1)")
    assert redshift.batch("truncate t", "insert into nowhere values (1)")["Status"] == "FAILED"
    assert redshift.rows("select n from t") == []


@pytest.mark.parametrize("count", [0, 41])
def test_a_batch_has_1_to_40_statements(redshift: Redshift, count: int) -> None:
    with pytest.raises(Exception, match=r"length|Sqls"):
        redshift.client.batch_execute_statement(Sqls=["select 1"] * count, **WHERE)
    assert redshift.batch(*["select 1"] * 40)["Status"] == "FINISHED"


@pytest.mark.parametrize(
    "where",
    [
        {"Database": "dev"},
        {"WorkgroupName": "dwh", "ClusterIdentifier": "dwh", "Database": "dev"},
        {"WorkgroupName": "dwh"},
        {"WorkgroupName": "dwh", "Database": "dev", "DbUser": "ana"},
        {"ClusterIdentifier": "dwh", "Database": "dev", "DbUser": "ana", "SecretArn": "arn:aws:secretsmanager:x"},
    ],
)
def test_where_and_as_whom_is_said_in_exactly_one_way(redshift: Redshift, where: dict[str, str]) -> None:
    assert refused(redshift.client.execute_statement, Sql="select 1", **where)[:2] == ("ValidationException", 400)


@pytest.mark.parametrize(
    "where",
    [
        {"WorkgroupName": "dwh", "Database": "dev"},
        {"ClusterIdentifier": "dwh", "Database": "dev"},
        {"ClusterIdentifier": "dwh", "Database": "dev", "DbUser": "ana"},
        {"WorkgroupName": "dwh", "Database": "dev", "SecretArn": "arn:aws:secretsmanager:x"},
    ],
)
def test_ways_that_are_accepted(redshift: Redshift, where: dict[str, str]) -> None:
    answer = redshift.client.execute_statement(Sql="select 1", WaitTimeSeconds=10, **where)
    assert redshift.client.describe_statement(Id=answer["Id"])["Status"] == "FINISHED"


def test_a_client_token_runs_a_statement_once(redshift: Redshift) -> None:
    redshift("create table t (n integer)")
    arguments = {"Sql": "insert into t values (1)", "ClientToken": "once", "WaitTimeSeconds": 10, **WHERE}
    ids = {redshift.client.execute_statement(**arguments)["Id"] for _ in range(3)}
    assert len(ids) == 1
    assert redshift.rows("select count(*) from t") == [[1]]
    assert refused(redshift.client.execute_statement, **arguments | {"Sql": "select 1"})[0] == "ValidationException"


def test_named_parameters(redshift: Redshift) -> None:
    parameters = [{"name": "text", "value": 'it\'s \\ "this"'}, {"name": "n", "value": "7"}]
    rows = redshift.rows("select :text::varchar, 1 + :n, ':n', -- :n\n :n::int", Parameters=parameters)
    assert rows == [['it\'s \\ "this"', 8, ":n", 7]]
    assert "Cannot find parameter: m" in redshift.error("select :m")
    assert "unused parameters" in redshift.error("select 1", Parameters=parameters)


def test_results_have_types_and_pages(redshift: Redshift) -> None:
    redshift("create table t (n bigint, d numeric(10,2), s varchar, b boolean, f float, t timestamp, j super, x date)")
    redshift("""insert into t values (1, 2.5, 'a', true, 0.5, '2024-01-02 03:04:05.5', json_parse('{"a": [1, 2.50]}'),
             '2024-01-02'), (null, null, null, null, null, null, null, null)""")
    answer = redshift("select * from t order by n")
    result = redshift.client.get_statement_result(Id=answer["Id"])
    assert result["Records"][0] == [
        {"longValue": 1},
        {"stringValue": "2.50"},
        {"stringValue": "a"},
        {"booleanValue": True},
        {"doubleValue": 0.5},
        {"stringValue": "2024-01-02 03:04:05.5"},
        {"stringValue": '{"a":[1,2.50]}'},
        {"stringValue": "2024-01-02"},
    ]
    assert result["Records"][1] == [{"isNull": True}] * 8
    assert [c["typeName"] for c in result["ColumnMetadata"]] == [
        "int8", "numeric", "varchar", "bool", "float8", "timestamp", "super", "date"
    ]  # fmt: skip
    many = redshift("select n from generate_series(1, 2500) as s(n)")
    pages = list(redshift.client.get_paginator("get_statement_result").paginate(Id=many["Id"]))
    assert [len(page["Records"]) for page in pages] == [1000, 1000, 500]
    assert pages[0]["TotalNumRows"] == many["ResultRows"] == 2500


def test_results_of_what_has_none(redshift: Redshift) -> None:
    answer = redshift("create table t (n integer)")
    assert (answer["HasResultSet"], answer["Status"]) == (False, "FINISHED")
    assert refused(redshift.client.get_statement_result, Id=answer["Id"])[0] == "ResourceNotFoundException"
    assert refused(redshift.client.describe_statement, Id="nothing")[0] == "ResourceNotFoundException"
    assert redshift("insert into t values (1), (2)")["ResultRows"] == 2


def test_a_statement_can_be_cancelled(redshift: Redshift) -> None:
    identifier = redshift.client.execute_statement(Sql="select pg_sleep(60)", **WHERE)["Id"]
    while redshift.client.describe_statement(Id=identifier)["Status"] != "STARTED":
        time.sleep(0.01)
    threading.Event().wait(0.2)  # the statement itself has to have begun
    assert redshift.client.cancel_statement(Id=identifier)["Status"]
    assert redshift.client.describe_statement(Id=identifier, WaitTimeSeconds=10)["Status"] == "ABORTED"
    assert refused(redshift.client.cancel_statement, Id=identifier)[0] == "ValidationException"


def test_sessions_keep_temporary_tables(redshift: Redshift) -> None:
    first = redshift("create temp table staging (n integer)", SessionKeepAliveSeconds=60)
    answer = redshift.client.execute_statement(
        Sql="select * from staging", SessionId=first["SessionId"], WaitTimeSeconds=9
    )
    assert redshift.client.describe_statement(Id=answer["Id"])["Status"] == "FINISHED"
    assert "does not exist" in redshift.error("select * from staging")


def test_statements_are_listed(redshift: Redshift) -> None:
    redshift("select 1", StatementName="tablekeep-1")
    redshift.error("select nothing")
    assert [s["StatementName"] for s in redshift.client.list_statements(StatementName="tablekeep")["Statements"]] == [
        "tablekeep-1"
    ]
    assert len(redshift.client.list_statements(Status="FAILED")["Statements"]) == 1


def test_without_a_database_every_statement_says_so(local_aws: LocalAws) -> None:
    assert "--postgres" in Redshift(local_aws).error("select 1")


def test_a_database_with_tables_of_others_is_not_touched(local_aws: LocalAws, postgres: Any) -> None:
    dsn = postgres.create_database("precious")
    with postgres.connect("precious") as connection:
        connection.execute("create table if not exists mine (n int)")
    local_aws.use_postgres(dsn)
    redshift = Redshift(local_aws)
    assert "tables of others" in redshift.error("create table t (n integer)")
    local_aws.reset()
    with postgres.connect("precious") as connection:
        assert connection.execute("select count(*) from mine").fetchone() == (0,)
    postgres.drop_database("precious")
