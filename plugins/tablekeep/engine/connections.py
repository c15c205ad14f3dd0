"""Airflow connections read without Airflow, for the night on which Airflow itself is down.

Looked for in this order: `--connection ID=env:NAME` or `ID=file:PATH` · the environment's `AIRFLOW_CONN_<ID>` · Secrets
Manager's `<prefix>/<ID>` where `TABLEKEEP_SECRETS_PREFIX` (for MWAA usually `airflow/connections`) is set.
Forms: the URI or the JSON object that Airflow documents for `AIRFLOW_CONN_…`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from tablekeep.engine.clients import Clients, SessionClients, error_code, translate
from tablekeep.engine.errors import BadInputError

PREFIX_VARIABLE = "TABLEKEEP_SECRETS_PREFIX"
POSTGRES_TYPES = ("postgres", "postgresql")
MYSQL_TYPES = ("mysql", "mariadb")
SERVICES = (
    "dynamodb", "s3", "sts", "application-autoscaling", "redshift-data", "secretsmanager", "glue", "backup", "rds",
    "sns", "emr",
)  # fmt: skip
"""For which a connection's endpoint is looked up; others go where boto3 finds them."""


@dataclass(frozen=True)
class Connection:
    """One connection; the fields are Airflow's. Its text form never shows the password or the extra.

    :ivar schema: the database, for databases. :ivar extra: driver options.
    """

    conn_id: str
    conn_type: str
    host: str = ""
    login: str = ""
    password: str = field(default="", repr=False)
    schema: str = ""
    port: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


def resolve_connection(
    conn_id: str, *, given: Sequence[str] = (), clients: Clients | None = None, environ: Mapping[str, str] | None = None
) -> Connection:
    """Finds a connection.

    :param given: values of `--connection`: `ID=env:NAME` or `ID=file:PATH`.
    :param clients: for Secrets Manager; without them it is not asked.
    :raises BadInputError: when it is nowhere (names the places), or its text cannot be read (never shown).
    """
    variables = os.environ if environ is None else environ
    for one in given:
        name, _, source = one.partition("=")
        if name == conn_id:
            return parse_connection(conn_id, _given(conn_id, source, variables))
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    if variables.get(variable):
        return parse_connection(conn_id, variables[variable])
    prefix = variables.get(PREFIX_VARIABLE)
    if prefix and clients is not None:
        text = _secret(clients, f"{prefix.rstrip('/')}/{conn_id}")
        if text is not None:
            return parse_connection(conn_id, text)
    also = f", nor as {prefix}/{conn_id} in Secrets Manager" if prefix else ""
    raise BadInputError(
        f"finding the connection {conn_id}",
        f"it is not in {variable}{also}",
        f"set {variable}=postgresql://user:password@host:5432/database, or give --connection {conn_id}=env:NAME or {conn_id}=file:PATH",
    )


def _given(conn_id: str, source: str, variables: Mapping[str, str]) -> str:
    kind, _, where = source.partition(":")
    what = f"reading --connection {conn_id}"
    if kind == "env" and where:
        if not variables.get(where):
            raise BadInputError(what, f"the environment variable {where} is not set", "set it, or name another")
        return variables[where]
    if kind == "file" and where:
        try:
            return Path(where).read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadInputError(
                what, f"the file {where} cannot be read ({type(error).__name__})", "correct the path"
            ) from None
    raise BadInputError(what, "it names no source", f"write --connection {conn_id}=env:NAME or {conn_id}=file:PATH")


def _secret(clients: Clients, name: str) -> str | None:
    import botocore.exceptions

    try:
        return str(clients.client("secretsmanager").get_secret_value(SecretId=name)["SecretString"])
    except botocore.exceptions.ClientError as error:
        if error_code(error) == "ResourceNotFoundException":
            return None
        raise translate(error, f"reading the secret {name}") from None
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, f"reading the secret {name}") from None
    except KeyError:
        raise BadInputError(
            f"reading the secret {name}", "it holds binary data", "store the connection's URI or JSON as text"
        ) from None


def parse_connection(conn_id: str, text: str) -> Connection:
    """Reads a connection's URI or JSON object.

    :raises BadInputError: for anything else; the text itself is never shown, for it holds a password.
    """
    what = f"reading the connection {conn_id}"
    try:
        return _from_json(conn_id, text) if text.lstrip().startswith("{") else _from_uri(conn_id, text)
    except (ValueError, TypeError):
        raise BadInputError(
            what,
            "it is neither a URI nor a JSON object with conn_type (not shown, for it may hold a password)",
            'for example postgresql://user:password@host:5432/database, or {"conn_type": "postgres", "host": …}',
        ) from None


def _from_json(conn_id: str, text: str) -> Connection:
    document = json.loads(text)
    extra = document.get("extra") or {}
    if isinstance(extra, str):
        extra = json.loads(extra)
    if not isinstance(extra, dict) or not document.get("conn_type"):
        raise ValueError
    port = document.get("port")
    texts = {name: str(document.get(name) or "") for name in ("conn_type", "host", "login", "password", "schema")}
    return Connection(conn_id, port=int(port) if port else None, extra=extra, **texts)


def _from_uri(conn_id: str, text: str) -> Connection:
    parts = urlsplit(text.strip())
    if not parts.scheme:
        raise ValueError
    options: dict[str, Any] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if "__extra__" in options:  # how Airflow writes an extra that is no flat mapping of texts
        options = json.loads(options["__extra__"])
    return Connection(
        conn_id,
        parts.scheme.replace("-", "_"),
        # a socket's directory is percent-encoded; capitals in a host name are kept as Airflow keeps them
        unquote(
            parts.netloc.rpartition("@")[2].partition("?")[0].rsplit(":", 1)[0]
            if parts.port
            else parts.netloc.rpartition("@")[2]
        ),
        unquote(parts.username or ""),
        unquote(parts.password or ""),
        unquote(parts.path.removeprefix("/")),
        parts.port,
        options,
    )


_LIBPQ = (
    "sslmode", "sslcert", "sslkey", "sslrootcert", "sslcrl", "options", "application_name", "connect_timeout", "target_session_attrs",
    "keepalives", "keepalives_idle", "keepalives_interval", "keepalives_count", "channel_binding", "gssencmode",
)  # fmt: skip
"""Keywords of libpq that a connection's extra may hold; Airflow's own keys there (`cursor`, `iam`) are not libpq's."""


def postgres_conninfo(connection: Connection) -> dict[str, Any]:
    """The connection as libpq's keywords.

    :raises BadInputError: when it is of another type, or asks for IAM log-in, which is not built yet.
    """
    what = f"using the connection {connection.conn_id}"
    if connection.conn_type not in POSTGRES_TYPES:
        raise BadInputError(what, f"it is of type {connection.conn_type}", "name a connection of type postgres")
    if connection.extra.get("iam"):
        raise BadInputError(what, "log-in through IAM is not built yet", "give the connection a password")
    found: dict[str, Any] = {name: connection.extra[name] for name in _LIBPQ if connection.extra.get(name) is not None}
    named = {
        "host": connection.host, "port": connection.port, "user": connection.login, "password": connection.password,
        "dbname": connection.schema,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value} | found


_TLS = ("ssl_ca", "ssl_cert", "ssl_key", "ssl_verify_cert", "ssl_verify_identity")


def mysql_arguments(connection: Connection) -> dict[str, Any]:
    """The connection as pymysql's arguments; `extra.ssl` is Airflow's mapping of ca, cert and key, `extra.unix_socket` a path.

    :raises BadInputError: when it is of another type.
    """
    what = f"using the connection {connection.conn_id}"
    if connection.conn_type not in MYSQL_TYPES:
        raise BadInputError(what, f"it is of type {connection.conn_type}", "name a connection of type mysql")
    extra = connection.extra
    found: dict[str, Any] = {name: extra[name] for name in (*_TLS, "unix_socket") if extra.get(name)}
    if extra.get("ssl"):
        found["ssl"] = json.loads(extra["ssl"]) if isinstance(extra["ssl"], str) else dict(extra["ssl"])
    named = {
        "host": connection.host, "port": connection.port, "user": connection.login, "password": connection.password,
        "database": connection.schema,
    }  # fmt: skip
    return {name: value for name, value in named.items() if value} | found


def sql_database(connection: Connection) -> tuple[Literal["postgres", "mysql"], dict[str, Any]]:
    """Which kind of database it is, and what its driver takes.

    :raises BadInputError: when it is of another type.
    """
    if connection.conn_type in MYSQL_TYPES:
        return "mysql", mysql_arguments(connection)
    return "postgres", postgres_conninfo(connection)


def aws_clients(connection: Connection, region: str | None = None, *services: str) -> SessionClients:
    """AWS clients for a connection of type aws: keys, profile, role to assume, Region and endpoint, as Airflow reads them.

    :param services: more than `SERVICES`, which the connection's endpoint stands for, too.
    :raises BadInputError: when it is of another type, or asks for a way of log-in that is not built.
    """
    import boto3
    import botocore.credentials
    import botocore.session

    what = f"using the connection {connection.conn_id}"
    if connection.conn_type != "aws":
        raise BadInputError(what, f"it is of type {connection.conn_type}", "name a connection of type aws")
    extra = connection.extra
    if extra.get("assume_role_method", "assume_role") != "assume_role":
        raise BadInputError(what, f"{extra['assume_role_method']} is not built yet", "use a role, keys or a profile")
    where = region or extra.get("region_name")
    session = boto3.session.Session(
        aws_access_key_id=connection.login or extra.get("aws_access_key_id") or None,
        aws_secret_access_key=connection.password or extra.get("aws_secret_access_key") or None,
        aws_session_token=extra.get("aws_session_token"),
        profile_name=extra.get("profile_name") or extra.get("session_kwargs", {}).get("profile_name"),
        region_name=where,
    )
    if extra.get("role_arn"):
        arguments = {"RoleSessionName": "tablekeep"} | (
            {"ExternalId": extra["external_id"]} if extra.get("external_id") else {}
        )
        inner = botocore.session.get_session()
        inner.set_config_variable("region", session.region_name)
        fetcher = botocore.credentials.AssumeRoleCredentialFetcher(
            session._session.create_client, session.get_credentials(), str(extra["role_arn"]), extra_args=arguments
        )
        # renewed before they end: a restore may take longer than a role's session
        inner._credentials = botocore.credentials.DeferredRefreshableCredentials(
            fetcher.fetch_credentials, "assume-role"
        )
        session = boto3.session.Session(botocore_session=inner)
    endpoint = extra.get("endpoint_url")
    return SessionClients(
        session, region=where, endpoints=dict.fromkeys((*SERVICES, *services), str(endpoint)) if endpoint else None
    )
