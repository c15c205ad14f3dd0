"""PostgreSQL's errors as the engine's. A message about data may quote a value: then only its code and column are told."""

import psycopg
from psycopg import errors

from tablekeep.engine.copies.target import disk_full
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TablekeepError, TransientError

_REFUSED = (
    "authentication failed",
    "does not exist",
    "no password supplied",
    "no pg_hba.conf entry",
    "is not permitted",
)
_WAIT = ("08", "40", "53", "57")
"""Classes that may pass: connection, rollback, resources, operator intervention (PostgreSQL, "Error Codes")."""


def bad_connection(error: psycopg.Error, what: str) -> TablekeepError:
    """For an error of connecting; libpq's text names host, database and user, never the password."""
    why = " ".join(str(error).split())
    if any(text in why for text in _REFUSED):
        return BadInputError(what, why, "correct the user, the database or the password (PGPASSFILE, PGPASSWORD)")
    return TransientError(what, why, "check that the database runs, and that this machine may reach it")


def translate_postgres(error: psycopg.Error, what: str, left: str = "the table was left as it was") -> TablekeepError:
    """The engine's error for one that PostgreSQL raised inside of the transaction, which is rolled back.

    :param left: what that means for the person who reads it.
    """
    code = error.sqlstate or ""
    name = type(error).__name__
    if isinstance(error, errors.UniqueViolation) and error.diag.schema_name == "pg_catalog":
        return TransientError(what, "another session made the same object at the same moment", f"try again; {left}")
    if isinstance(error, errors.UniqueViolation):
        return _twice(error, what, left)
    if isinstance(error, errors.FeatureNotSupported | errors.DependentObjectsStillExist):
        return BadInputError(
            what,
            f"the columns have changed, and something needs the old ones: {error.diag.message_primary}",
            f"drop the views on them, copy again, and make them again; {left}",
        )
    if isinstance(error, errors.ForeignKeyViolation):
        return PermanentError(
            what, f"the foreign key {error.diag.constraint_name} refuses rows", f"see what refers to them; {left}"
        )
    if isinstance(error, errors.LockNotAvailable):
        return TransientError(
            what, "somebody keeps the table locked", f"try again when long queries on it have ended; {left}"
        )
    if isinstance(error, errors.ProgramLimitExceeded):
        return BadInputError(
            what,
            f"a limit of PostgreSQL is exceeded ({name}): a key or a row is too large for it",
            f"copy to another target; {left}",
        )
    if isinstance(error, errors.InsufficientPrivilege):
        why = error.diag.message_primary or name
        return BadInputError(what, why, f"grant it to the user (CREATE on the schema, ownership of the table); {left}")
    if isinstance(error, errors.DiskFull):
        return disk_full(what, f"{name} {code}", left)
    if code[:2] in _WAIT or not code:
        return TransientError(
            what, f"the connection or the server failed ({name} {code})".replace(" )", ")"), f"try again; {left}"
        )
    if code[:2] in ("22", "23"):
        column = error.diag.column_name or error.diag.constraint_name or "unknown"
        return PermanentError(what, f"PostgreSQL refuses a value ({name} {code}, column {column})", left)
    return PermanentError(what, f"{name} {code}: {error.diag.message_primary or 'no message'}", left)


def _twice(error: psycopg.Error, what: str, left: str) -> TablekeepError:
    """Two rows with one key: of the set, where the staging table says so, else by whatever the table itself demands."""
    if (error.diag.table_name or "").startswith("tablekeep_staging_"):
        return IntegrityError(what, "a key is in the backup twice", f"verify the backup with --level full; {left}")
    return PermanentError(
        what,
        f"the constraint {error.diag.constraint_name} of the table lets no value be there twice, and the backup has one twice",
        f"verify the backup with --level full, or drop a constraint that is not the key's; {left}",
    )
