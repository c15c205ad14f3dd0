"""SQL steps on PostgreSQL: parameters are bound by the server, all statements are one transaction."""

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg

from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.postgres_address import address_of, conninfo_of
from tablekeep.engine.copies.postgres_errors import bad_connection, translate_postgres
from tablekeep.engine.errors import PermanentError, TablekeepError
from tablekeep.engine.steps.sql import Bound
from tablekeep.engine.steps.statements import Dialect, Statement

_ALONE = ({"VACUUM"}, {"CONCURRENTLY"}, {"CREATE", "DATABASE"}, {"DROP", "DATABASE"}, {"ALTER", "SYSTEM"})
"""Statements that PostgreSQL refuses inside of a transaction block; one that stands alone needs none."""
ROLLED_BACK = "nothing was changed: the transaction was rolled back"


class PostgresDatabase:
    """:param conninfo: libpq's keywords."""

    dialect: Dialect = "postgres"

    def __init__(self, conninfo: Mapping[str, Any]) -> None:
        self._given = conninfo_of(dict(conninfo))

    @property
    def address(self) -> str:
        return address_of(self._given)

    def run(
        self, statements: Sequence[Statement], values: Mapping[str, Bound], *, deadline: float | None, clock: Clock
    ) -> list[int | None]:
        try:
            connection = psycopg.connect(
                **self._given, autocommit=len(statements) == 1 and _stands_alone(statements[0])
            )
        except psycopg.Error as error:
            raise bad_connection(error, f"connecting to {self.address}") from None
        with connection:
            rows: list[int | None] = []
            for statement in statements:
                what = f"running {statement.does} of line {statement.line} in {self.address}"
                try:
                    rows.append(_one(connection, statement, values, deadline, clock))
                except psycopg.Error as error:
                    raise _told(error, what) from None
            try:
                connection.commit()
            except psycopg.Error as error:
                raise _commit_error(error, self.address) from None
        return rows


def _stands_alone(statement: Statement) -> bool:
    return any(words <= set(statement.words) for words in _ALONE)


def _one(
    connection: psycopg.Connection[Any],
    statement: Statement,
    values: Mapping[str, Bound],
    deadline: float | None,
    clock: Clock,
) -> int | None:
    if deadline is not None:
        left = max(1, int((deadline - clock.monotonic()) * 1000))
        connection.execute("SELECT set_config('statement_timeout', %s, false)", [str(left)])
    bound = {name: values[name] for name in statement.parameters}
    # psycopg reads percent signs only where there are parameters
    plain = str if not bound else lambda text: text.replace("%", "%%")
    text = statement.text(lambda name: f"%({name})s", plain).encode()
    with connection.cursor() as cursor:
        if statement.words[0] in ("SELECT", "TABLE", "VALUES"):
            # by portions, and none is kept: a step's result is what it does
            return sum(1 for _ in cursor.stream(text, bound or None, size=1000))
        cursor.execute(text, bound or None)
        return cursor.rowcount if cursor.rowcount >= 0 else None


def _told(error: psycopg.Error, what: str) -> TablekeepError:
    if isinstance(error, psycopg.errors.QueryCanceled):
        return PermanentError(what, "it did not end in the step's timeout, or somebody cancelled it", ROLLED_BACK)
    if isinstance(error, psycopg.errors.UniqueViolation) and error.diag.constraint_name:
        return PermanentError(what, f"a value of {error.diag.constraint_name} is there already", ROLLED_BACK)
    if isinstance(error, psycopg.ProgrammingError | psycopg.InternalError) and error.diag.message_primary:
        at = f" (character {error.diag.statement_position})" if error.diag.statement_position else ""
        return PermanentError(what, f"{error.diag.message_primary}{at}", ROLLED_BACK)
    return translate_postgres(error, what, ROLLED_BACK)


def _commit_error(error: psycopg.Error, address: str) -> TablekeepError:
    """A constraint that is checked at the end rolls back; a connection that breaks just then leaves it open."""
    what = f"committing in {address}"
    if error.sqlstate and error.sqlstate[:2] not in ("08", "57"):
        return _told(error, what)
    return PermanentError(
        what,
        "the connection broke, so that it is not known whether the statements have taken effect",
        "look into the database, then run the step again if they have not",
    )
