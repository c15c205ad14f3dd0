"""SQL steps: statements of a team, in one transaction, on PostgreSQL, MySQL or Redshift."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.connections import Connection, sql_database
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import Progress
from tablekeep.engine.steps.facts import RunFacts
from tablekeep.engine.steps.files import read_step_file
from tablekeep.engine.steps.statements import Dialect, Statement, check_statements, split_statements

Value = str | int | float | bool | None
Bound = str | int | Decimal | bool | None
"""A parameter as it is bound: a number with a fraction is a decimal, for no float holds 0.1."""
FOLDER = "sql"
"""Beside the folder of pipelines: `include/sql`."""


class Database(Protocol):
    """Where SQL runs. Implementations: `postgres.py`, `mysql.py`, `redshift.py` beside this file."""

    @property
    def dialect(self) -> Dialect: ...

    @property
    def address(self) -> str:
        """`postgresql://host:5432/analytics`: without user and password."""
        ...

    def run(
        self, statements: Sequence[Statement], values: Mapping[str, Bound], *, deadline: float | None, clock: Clock
    ) -> list[int | None]:
        """Runs all statements in one transaction and commits it.

        :param deadline: of `clock.monotonic()`: what runs then is stopped. :returns: rows changed or given, by statement; None
            where the database does not tell.
        :raises BadInputError: the database refuses the connection. :raises TransientError: nothing was changed, and it may pass.
        :raises PermanentError: the database refuses a statement (nothing was changed); or the connection broke while committing.
        """
        ...


@dataclass(frozen=True)
class SqlRequest:
    """What is to be run.

    :ivar text: the statements, with `:name` for parameters. :ivar source: where the text is from, for messages: `totals.sql`.
    :ivar parameters: by name; `{{ as_of }}` and the like are filled in.
    """

    text: str
    source: str
    parameters: Mapping[str, Value]
    timeout_seconds: float | None = None


@dataclass(frozen=True)
class StatementReport:
    """:ivar line: of the source. :ivar does: its first word. :ivar rows: changed or given; None where it has none."""

    line: int
    does: str
    rows: int | None


@dataclass(frozen=True)
class SqlReport:
    """What was done; never what SQL says or gives."""

    step: str
    database: str
    source: str
    statements: tuple[StatementReport, ...]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"statements": [asdict(one) for one in self.statements]}


def sql_request(
    sql: str | None,
    file: str | None,
    parameters: Mapping[str, Value],
    timeout_seconds: float | None,
    include: Path | None,
) -> SqlRequest:
    """The request of a step in a pipeline file. :param include: the folder that holds `sql/`.

    :raises BadInputError: when the file is not there.
    """
    if file is None:
        return SqlRequest(sql or "", "sql", parameters, timeout_seconds)
    return SqlRequest(read_step_file(include, FOLDER, file), file, parameters, timeout_seconds)


def plan_sql(request: SqlRequest, dialect: Dialect) -> list[Statement]:
    """The statements, when they may be run.

    :raises BadInputError: else, with source and line.
    """
    try:
        statements = split_statements(request.text, dialect)
        check_statements(statements, dialect, request.parameters)
    except BadInputError as error:
        raise BadInputError(f"reading {request.source}", error.why, error.todo) from None
    return statements


def run_sql(request: SqlRequest, database: Database, facts: RunFacts, *, clock: Clock, progress: Progress) -> SqlReport:
    """Runs the statements in one transaction. A second run does it again: statements must bear that, for tasks are tried again.

    :raises BadInputError: before the database was asked, or when it refuses the connection. :raises TablekeepError: see `Database.run`.
    """
    statements = plan_sql(request, database.dialect)
    values = {name: _bound(facts.fill(value)) for name, value in request.parameters.items()}
    began = clock.monotonic()
    deadline = began + request.timeout_seconds if request.timeout_seconds else None
    progress.phase("sql", len(statements), "statements")
    rows = database.run(statements, values, deadline=deadline, clock=clock)
    progress.advance(len(statements))
    done = tuple(StatementReport(one.line, one.does, count) for one, count in zip(statements, rows, strict=True))
    return SqlReport(facts.step, database.address, request.source, done, round(clock.monotonic() - began, 3))


def _bound(value: Value) -> Bound:
    return Decimal(repr(value)) if isinstance(value, float) else value


def database_of(connection: Connection) -> Database:
    """The database of an Airflow connection.

    :raises BadInputError: when it is of another type than postgres and mysql.
    """
    kind, given = sql_database(connection)
    if kind == "mysql":
        from tablekeep.engine.steps.mysql import MySqlDatabase

        return MySqlDatabase(given)
    from tablekeep.engine.steps.postgres import PostgresDatabase

    return PostgresDatabase(given)


def redshift_database(clients: Clients, place: Mapping[str, Any]) -> Database:
    """The database of Redshift that a section `redshift` names. :param clients: of its Region."""
    from tablekeep.engine.copies.redshift_api import Address
    from tablekeep.engine.steps.redshift import RedshiftDatabase

    names = ("workgroup", "cluster", "db_user", "secret")
    return RedshiftDatabase(clients, Address(place["database"], **{name: place.get(name) for name in names}))
