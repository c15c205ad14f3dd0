"""SQL steps on MySQL and MariaDB: parameters are bound by the server, all statements are one transaction.

pymysql itself would write parameters into the statement. So a statement with parameters is prepared on the server, and each
parameter goes there as a user variable, set by a hexadecimal literal or a number: nothing in it can be read as SQL.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from typing import Any

import pymysql
import pymysql.cursors

from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.mysql_errors import PASSES, VALUES, bad_connection, error_parts
from tablekeep.engine.errors import PermanentError, TablekeepError, TransientError
from tablekeep.engine.steps.sql import Bound
from tablekeep.engine.steps.statements import Dialect, Statement

ROLLED_BACK = "nothing was changed: the transaction was rolled back"


class MySqlDatabase:
    """:param arguments: of `pymysql.connect`."""

    dialect: Dialect = "mysql"

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._given = dict(arguments)

    @property
    def address(self) -> str:
        port = f":{self._given['port']}" if self._given.get("port") else ""
        return f"mysql://{self._given.get('host', self._given.get('unix_socket', ''))}{port}/{self._given.get('database', '')}"

    def run(
        self, statements: Sequence[Statement], values: Mapping[str, Bound], *, deadline: float | None, clock: Clock
    ) -> list[int | None]:
        connection = self._connect()
        try:
            with self._ended_at(deadline, connection.thread_id(), clock) as late:
                rows: list[int | None] = []
                for statement in statements:
                    what = f"running {statement.does} of line {statement.line} in {self.address}"
                    try:
                        rows.append(_one(connection, statement, values))
                    except pymysql.MySQLError as error:
                        raise _told(error, what, late.is_set()) from None
                    if late.is_set():  # SLEEP(), for one, ends early without an error
                        raise PermanentError(what, "it did not end in the step's timeout", ROLLED_BACK)
            self._commit(connection)
            return rows
        finally:
            if connection.open:
                connection.close()

    def _commit(self, connection: Any) -> None:
        try:
            connection.commit()
        except pymysql.MySQLError:
            raise PermanentError(
                f"committing in {self.address}",
                "the connection broke, so that it is not known whether the statements have taken effect",
                "look into the database, then run the step again if they have not",
            ) from None

    @contextmanager
    def _ended_at(self, deadline: float | None, thread: int, clock: Clock) -> Iterator[threading.Event]:
        """From beside, the statement that runs at the deadline is ended on the server: the one way that all versions share.

        Gives what is set then.
        """
        late = threading.Event()
        if deadline is None:
            yield late
            return

        def end() -> None:
            late.set()
            with suppress(TablekeepError, pymysql.MySQLError):
                other = self._connect(read_timeout=10)
                with other.cursor() as cursor:
                    cursor.execute(f"KILL QUERY {int(thread)}")
                other.close()

        timer = threading.Timer(max(0.0, deadline - clock.monotonic()), end)
        timer.daemon = True
        timer.start()
        try:
            yield late
        finally:
            timer.cancel()
            timer.join()

    def _connect(self, **more: Any) -> Any:
        try:
            return pymysql.connect(
                charset="utf8mb4",
                autocommit=False,
                connect_timeout=10,
                program_name="tablekeep",
                **(self._given | more),
            )
        except pymysql.MySQLError as error:
            raise bad_connection(error, f"connecting to {self.address}") from None


def _one(connection: Any, statement: Statement, values: Mapping[str, Bound]) -> int | None:
    with connection.cursor(pymysql.cursors.SSCursor) as cursor:
        if not statement.parameters:
            cursor.execute(statement.text(str))
            return _count(cursor)
        for number, name in enumerate(statement.parameters):
            cursor.execute(f"SET @tablekeep_{number} = {_literal(values[name])}")
        text = statement.text(lambda name: "?")
        cursor.execute(f"SET @tablekeep_statement = {_literal(text)}")
        cursor.execute("PREPARE tablekeep FROM @tablekeep_statement")
        given = ", ".join(f"@tablekeep_{number}" for number in range(len(statement.parameters)))
        cursor.execute(f"EXECUTE tablekeep USING {given}")
        count = _count(cursor)
        cursor.execute("DEALLOCATE PREPARE tablekeep")
        return count


def _literal(value: Bound) -> str:
    """A value as a literal that has no characters of its own in it."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    return f"CONVERT(x'{value.encode().hex()}' USING utf8mb4)"


def _count(cursor: Any) -> int | None:
    """Rows given or changed; those given are read and forgotten."""
    if cursor.description is None:
        return int(cursor.rowcount) if cursor.rowcount >= 0 else None
    return sum(1 for _ in cursor.fetchall_unbuffered())


def _told(error: pymysql.MySQLError, what: str, late: bool) -> TablekeepError:
    number, words = error_parts(error)
    if late:
        return PermanentError(what, "it did not end in the step's timeout", ROLLED_BACK)
    if number in PASSES:
        return TransientError(what, f"MySQL answered {number}: {words}", f"try again; {ROLLED_BACK}")
    if number in VALUES:
        return PermanentError(what, f"MySQL refuses a value (error {number})", ROLLED_BACK)
    return PermanentError(what, f"MySQL answered {number}: {words}", ROLLED_BACK)
