"""MySQL's and MariaDB's errors as the engine's. A message about data may quote a value: then only its number is told."""

import pymysql

from tablekeep.engine.copies.target import disk_full
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TablekeepError, TransientError

DENIED = {1044, 1045, 1049, 1698}
"""Access denied, unknown database, no such authentication (MySQL, "Server Error Message Reference")."""
RIGHTS = {1142, 1143, 1227, 1370}
"""Denied for a table, a column, a privilege, a routine."""
PASSES = {1040, 1053, 1205, 1213, 1927, 2002, 2003, 2006, 2013, 3024}
"""Too many connections, shutdown, lock wait timeout, deadlock, connection killed, the client's errors of the connection, time limit."""
VALUES = {1048, 1062, 1264, 1265, 1292, 1366, 1406, 1451, 1452, 1690, 3819, 4025}
"""The server's words on these quote a value, or might."""
NO_LOCAL = {1148, 3948, 4166}
"""LOAD DATA LOCAL is switched off: on MySQL 5, MySQL 8, MariaDB."""
TOO_LARGE = {1071, 1117, 1118, 1074}
"""A key, the number of columns, a row, a column is too large."""
FULL = {1021, 1114}
"""The disk, or a table, is full."""
TWICE = 1062
LEFT = "the table was left as it was"


def error_parts(error: pymysql.MySQLError) -> tuple[int, str]:
    """The server's number (0 when there is none) and its words."""
    number = error.args[0] if error.args and isinstance(error.args[0], int) else 0
    return number, str(error.args[1]) if len(error.args) > 1 else type(error).__name__


def bad_connection(error: pymysql.MySQLError, what: str) -> TablekeepError:
    """For an error of connecting; its words name host, database and user, never the password."""
    number, words = error_parts(error)
    if number in DENIED:
        return BadInputError(
            what, f"MySQL answered {number}: {words}", "correct the user, the database or the password"
        )
    return TransientError(
        what, f"MySQL answered {number}: {words}", "check that the database runs, and that this machine may reach it"
    )


def translate_mysql(error: pymysql.MySQLError, what: str) -> TablekeepError:
    """The engine's error for one that came while a copy was at work; what was not committed is rolled back."""
    number, words = error_parts(error)
    if number in NO_LOCAL:
        return BadInputError(
            what, f"the server takes no LOAD DATA LOCAL (error {number})",
            "set local_infile to 1 (RDS and Aurora: in the parameter group)",
        )  # fmt: skip
    if number == TWICE:
        return IntegrityError(what, "a key is there twice", f"verify the backup with --level full; {LEFT}")
    if number in VALUES:
        return PermanentError(what, f"MySQL refuses a value (error {number})", LEFT)
    if number in TOO_LARGE:
        return BadInputError(
            what, f"a limit of MySQL is exceeded ({number}: {words})",
            f"give columns shorter types in the mapping, or leave some to `_rest`; {LEFT}",
        )  # fmt: skip
    if number in DENIED | RIGHTS:
        return BadInputError(what, f"MySQL answered {number}: {words}", f"grant it to the user; {LEFT}")
    if number in FULL:
        return disk_full(what, f"{number}: {words}", LEFT)
    if number in PASSES or isinstance(error, pymysql.err.InterfaceError):
        return TransientError(what, f"the connection or the server failed ({number}: {words})", f"try again; {LEFT}")
    return PermanentError(what, f"MySQL answered {number}: {words}", LEFT)
