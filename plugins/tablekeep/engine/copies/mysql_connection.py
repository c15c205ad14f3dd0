"""A connection to MySQL or MariaDB that takes rows by LOAD DATA LOCAL from memory, and never gives a server a file of this machine.

With LOAD DATA LOCAL it is the server that names the file (MySQL, "Security Considerations for LOAD DATA LOCAL"), and pymysql sends
what it names. Here it gets the bytes that were laid ready for this one statement, whatever it names, and nothing at any other time.
"""

from collections.abc import Mapping
from typing import Any

import pymysql
import pymysql.connections

from tablekeep.engine.copies.mysql_errors import bad_connection

NAME = "tablekeep"
"""What the statement calls its file."""
_PACKET = 1 << 20


class _Result(pymysql.connections.MySQLResult):  # type: ignore[misc]
    def _read_load_local_packet(self, first_packet: Any) -> None:
        connection: LoadingConnection = self.connection
        body, connection.body = connection.body, None
        try:
            if body is None:
                raise pymysql.err.OperationalError(2000, "the server asked for a file without being told to load one")
            size = min(_PACKET, connection.max_allowed_packet)
            for start in range(0, len(body), size):
                connection.write_packet(bytes(body[start : start + size]))
        finally:
            connection.write_packet(b"")  # no more: the server then says how it went
            answer = connection._read_packet()
        if not answer.is_ok_packet():
            raise pymysql.err.OperationalError(2014, "Commands Out of Sync")
        self._read_ok_packet(answer)


class LoadingConnection(pymysql.connections.Connection):  # type: ignore[misc]
    """pymysql's connection with `load`.

    :ivar body: what the next request for a file gets; None: nothing.
    """

    body: Any = None
    _result: Any

    def _read_query_result(self, unbuffered: bool = False) -> int:
        self._result = None
        result = _Result(self)
        if unbuffered:
            result.init_unbuffered_query()
        else:
            result.read()
        self._result = result
        if result.server_status is not None:
            self.server_status = result.server_status
        return int(result.affected_rows)

    def load(self, statement: str, body: Any) -> tuple[int, list[int]]:
        """Runs a LOAD DATA LOCAL statement over `body`.

        :returns: rows that were taken, and the numbers of the server's warnings (the first 64): with LOCAL what is wrong with a value,
            or a key that is there twice, is a warning only.
        """
        self.body = body
        try:
            rows = self.query(statement)
        finally:
            self.body = None
        warnings = [int(number) for _, number, _ in (self.show_warnings() or ())] if self._result.warning_count else []
        return rows, warnings


def connect(arguments: Mapping[str, Any], address: str) -> LoadingConnection:
    """Connects. Times are UTC, text is utf8mb4, values that do not fit are errors.

    :param arguments: pymysql's.
    :raises BadInputError: when the server refuses the user or the database. :raises TransientError: when it cannot be reached.
    """
    what = f"connecting to {address}"
    try:
        return LoadingConnection(
            charset="utf8mb4", autocommit=False, connect_timeout=10, program_name="tablekeep", local_infile=True,
            init_command="SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', innodb_lock_wait_timeout = 60",
            **arguments,
        )  # fmt: skip
    except pymysql.MySQLError as error:
        raise bad_connection(error, what) from None
