"""Addresses of PostgreSQL databases: as people write them, as libpq takes them, and as they may be shown."""

from typing import Any

import psycopg
import psycopg.conninfo

from tablekeep.engine.errors import BadInputError

_DEFAULTS = {"connect_timeout": "10", "application_name": "tablekeep", "keepalives_idle": "30"}


def conninfo_of(given: str | dict[str, Any]) -> dict[str, Any]:
    """An address as libpq's keywords, with a time limit for connecting.

    :param given: a `postgresql://` URI, libpq's `key=value` text, or a dict of its keywords. What is not given comes from PGHOST,
        PGPASSWORD, PGPASSFILE and the like, as for psql.
    :raises BadInputError: for another text; it is never quoted, for it may hold a password.
    """
    try:
        found = psycopg.conninfo.conninfo_to_dict(given) if isinstance(given, str) else dict(given)
        psycopg.conninfo.make_conninfo("", **found)
    except psycopg.Error:
        raise BadInputError(
            "reading the address of the PostgreSQL database",
            "it is no connection URI or text that libpq takes (not shown, for it may hold a password)",
            "write postgresql://user@host:5432/database, with the password in PGPASSFILE or PGPASSWORD",
        ) from None
    return _DEFAULTS | {name: str(value) for name, value in found.items() if value is not None}


def address_of(given: dict[str, Any]) -> str:
    """`postgresql://db.example:5432/shop`: without user and password."""
    port = f":{given['port']}" if given.get("port") else ""
    return f"postgresql://{given.get('host', '')}{port}/{given.get('dbname', '')}"
