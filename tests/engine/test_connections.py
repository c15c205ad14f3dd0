"""Airflow's connections, read without Airflow."""

import json
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.connections import (
    Connection,
    aws_clients,
    parse_connection,
    postgres_conninfo,
    resolve_connection,
)
from tablekeep.engine.errors import BadInputError
from tests.tables import clients

URI = "postgresql://loader:p%40ss%2Fw%3Ard@db.example:5433/shop%20one?sslmode=require"


def test_a_uri_is_read_as_airflow_reads_it() -> None:
    found = parse_connection("pg", URI)
    assert found == Connection(
        "pg", "postgresql", "db.example", "loader", "p@ss/w:rd", "shop one", 5433, {"sslmode": "require"}
    )
    assert postgres_conninfo(found) == {
        "host": "db.example", "port": 5433, "user": "loader", "password": "p@ss/w:rd", "dbname": "shop one", "sslmode": "require",
    }  # fmt: skip


@pytest.mark.parametrize("extra", [{"sslmode": "require"}, '{"sslmode": "require"}'])
def test_json_is_read_as_airflow_reads_it(extra: Any) -> None:
    text = json.dumps(
        {
            "conn_type": "postgres",
            "host": "h",
            "login": "u",
            "password": "p",
            "schema": "d",
            "port": "5432",
            "extra": extra,
        }
    )
    found = parse_connection("pg", text)
    assert found == Connection("pg", "postgres", "h", "u", "p", "d", 5432, {"sslmode": "require"})


def test_both_forms_agree_with_airflow_itself() -> None:
    from airflow.sdk import Connection as AirflowConnection

    for text in (
        URI,
        "aws://",
        "postgres://h",
        "aws://AKIA:s%2Fk@/?region_name=eu-west-1&__extra__=%7B%22a%22%3A%20%7B%22b%22%3A%201%7D%7D",
    ):
        theirs, ours = AirflowConnection.from_uri(text, conn_id="x"), parse_connection("x", text)
        assert (ours.host, ours.login, ours.password, ours.schema, ours.port) == (
            theirs.host or "", theirs.login or "", theirs.password or "", theirs.schema or "", theirs.port,
        )  # fmt: skip
        assert dict(ours.extra) == theirs.extra_dejson
        assert ours.conn_type.removesuffix("ql") == theirs.conn_type.removesuffix("ql")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no scheme",
        "{broken s3cret",
        '{"host": "s3cret"}',
        "postgresql://u:s3cret@h:port/d",
        '{"conn_type": "x", "extra": "[s3cret"}',
    ],
)
def test_what_cannot_be_read_is_never_quoted(text: str) -> None:
    with pytest.raises(BadInputError, match="reading the connection pg") as caught:
        parse_connection("pg", text)
    assert "s3cret" not in str(caught.value)


def test_a_connection_shows_no_secret() -> None:
    assert "p@ss" not in repr(parse_connection("pg", URI))


def test_where_connections_are_looked_for(tmp_path: Path, local_aws: Any) -> None:
    file = tmp_path / "pg"
    file.write_text("postgresql://from-file/d\n")
    environ = {"AIRFLOW_CONN_PG": "postgresql://from-airflow/d", "OTHER": "postgresql://from-other/d"}

    def host(*given: str, **more: Any) -> str:
        return resolve_connection("pg", given=given, **({"environ": environ} | more)).host

    assert host() == "from-airflow"
    assert host("pg=env:OTHER") == "from-other"
    assert host(f"pg=file:{file}") == "from-file"
    assert host("another=env:OTHER") == "from-airflow"
    secrets = local_aws.client("secretsmanager")
    secrets.create_secret(Name="airflow/connections/pg", SecretString="postgresql://from-secrets/d")
    only = {"TABLEKEEP_SECRETS_PREFIX": "airflow/connections"}
    assert host(environ=only, clients=clients()) == "from-secrets"
    with pytest.raises(BadInputError, match="AIRFLOW_CONN_ELSE, nor as airflow/connections/else in Secrets Manager"):
        resolve_connection("else", environ=only, clients=clients())


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("pg=env:MISSING", "MISSING is not set"),
        ("pg=file:/not/there", "cannot be read"),
        ("pg=postgresql://x", "names no source"),
        ("pg", "names no source"),
    ],
)
def test_a_source_that_is_not_there_is_named(given: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        resolve_connection("pg", given=[given], environ={})


def test_a_missing_connection_is_named() -> None:
    with pytest.raises(
        BadInputError, match="finding the connection analytics_pg: it is not in AIRFLOW_CONN_ANALYTICS_PG"
    ):
        resolve_connection("analytics_pg", environ={})


@pytest.mark.parametrize(
    ("text", "why"), [("mysql://h/d", "of type mysql"), ("postgres://h/d?iam=true", "IAM is not built")]
)
def test_connections_that_are_no_postgres(text: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        postgres_conninfo(parse_connection("pg", text))


def test_keys_region_endpoint_and_role_of_an_aws_connection(local_aws: Any) -> None:
    plain = aws_clients(parse_connection("a", "aws://AKIA:secret@/?region_name=eu-west-1"))
    assert plain.region == "eu-west-1"
    credentials = plain.session.get_credentials()
    assert credentials is not None
    assert (credentials.access_key, credentials.secret_key) == ("AKIA", "secret")
    role = "arn:aws:iam::210987654321:role/drill"
    text = json.dumps(
        {
            "conn_type": "aws",
            "login": "AKIA",
            "password": "x",
            "extra": {"role_arn": role, "endpoint_url": local_aws.endpoint},
        }
    )
    assumed = aws_clients(parse_connection("a", text), "us-west-2")
    assert assumed.account() == "210987654321"
    assert assumed.region == "us-west-2"
    with pytest.raises(BadInputError, match="is not built"):
        aws_clients(
            parse_connection(
                "a",
                '{"conn_type": "aws", "extra": {"assume_role_method": "assume_role_with_saml", "region_name": "eu-west-1"}}',
            )
        )
    with pytest.raises(BadInputError, match="of type postgres"):
        aws_clients(parse_connection("a", "postgres://h"))
