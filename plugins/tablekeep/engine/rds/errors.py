"""Databases' errors while a table is read, as the engine's. Messages about data may quote a value: then only the code is told."""

import psycopg
import pymysql
from psycopg import errors

from tablekeep.engine.copies.mysql_errors import DENIED, PASSES, RIGHTS, error_parts
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError

_WAIT = ("08", "40", "53", "57")
"""Classes that may pass: connection, rollback, resources, operator intervention (PostgreSQL, "Error Codes")."""
_MAY_PASS = PASSES | {1077, 1078, 1079, 1152, 1158, 1159, 1160, 1161, 1203, 1226, 1317, 1412, 1969}
"""More of shutdown, network and limits; killed; altered meanwhile (MySQL, "Server Error Message Reference")."""
_ABSENT = 1146
NOTHING_WRITTEN = "nothing was written to the database"


def translate_postgres_read(error: psycopg.Error, what: str) -> TablekeepError:
    """The engine's error for one that PostgreSQL raised while it was read."""
    code, name = error.sqlstate or "", type(error).__name__
    told = " ".join((error.diag.message_primary or name).split())
    if isinstance(error, errors.InsufficientPrivilege):
        todo = (
            "back up as a user who may see all rows (BYPASSRLS, or the table's owner)"
            if "row-level" in told
            else "grant SELECT on the table, and USAGE on its schema, to the user"
        )
        return BadInputError(what, told, todo)
    if isinstance(error, errors.UndefinedTable | errors.InvalidSchemaName):
        return BadInputError(what, told, 'write it as in SQL, for example public.orders or public."Orders"')
    if isinstance(error, errors.LockNotAvailable):
        return TransientError(what, "somebody changes the table and keeps it locked", "try again later")
    if code[:2] in _WAIT or not code:
        return TransientError(
            what, f"the connection or the server failed ({name} {code})".replace(" )", ")"), "try again"
        )
    if code[:2] == "22":
        return PermanentError(what, f"PostgreSQL cannot give a value as text ({name} {code})", NOTHING_WRITTEN)
    return PermanentError(what, f"{name} {code}: {told}", NOTHING_WRITTEN)


def translate_mysql_read(error: pymysql.MySQLError, what: str) -> TablekeepError:
    """The engine's error for one that MySQL or MariaDB raised while it was read."""
    code, told = error_parts(error)
    if code in DENIED | RIGHTS:
        return BadInputError(what, f"{told} ({code})", "grant SELECT on the table to the user")
    if code == _ABSENT:
        return BadInputError(what, "there is no such table", "write it as database.table")
    if code in _MAY_PASS or isinstance(error, pymysql.err.InterfaceError) or not code:
        return TransientError(what, f"the connection or the server failed ({type(error).__name__} {code})", "try again")
    return PermanentError(what, f"the database refused ({type(error).__name__} {code})", NOTHING_WRITTEN)
