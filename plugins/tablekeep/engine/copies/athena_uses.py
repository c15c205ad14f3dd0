"""Which tables of Glue point at a backup set: asked before a set is deleted, for a table must not be left without its files.

A copy to Athena leaves its list of parts in the set's folder before it swaps, under the table's own name; so there is nothing to keep in
step, and a copy that died in the middle is found, too. Where Glue does not answer, the set counts as used.
"""

import re
from collections.abc import Callable

import botocore.exceptions

from tablekeep.engine.backups.location import SetLocation
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import Clients, error_code
from tablekeep.engine.copies.glue import FOLDER, PARTS_LIST

_LISTED = re.compile(rf"([0-9]{{12}})-([a-z0-9-]+)/([a-z0-9_]+)/([a-z0-9_]+)/{re.escape(PARTS_LIST)}")


def athena_uses(clients: Clients, store: Store) -> Callable[[SetLocation], list[str]]:
    """What tells of a set the tables that point at it: `["athena analytics.orders"]`."""

    def uses(location: SetLocation) -> list[str]:
        found = []
        top = location.key(FOLDER)
        for info in store.list(top):
            if match := _LISTED.fullmatch(info.key[len(top) :]):
                account, region, database, table = match.groups()
                folder = f"s3://{location.shelf.bucket}/{info.key.removesuffix(PARTS_LIST)}"
                if why := _points(clients, account, region, database, table, folder):
                    found.append(why)
        return found

    return uses


def _points(clients: Clients, account: str, region: str, database: str, table: str, folder: str) -> str:
    name = f"athena {database}.{table}"
    try:
        glue = clients.client("glue", region)
        answer = glue.get_table(CatalogId=account, DatabaseName=database, Name=table)
    except botocore.exceptions.ClientError as error:
        code = error_code(error)
        return "" if code == "EntityNotFoundException" else f"{name} (Glue answers {code})"
    except botocore.exceptions.BotoCoreError as error:
        return f"{name} (Glue cannot be asked: {type(error).__name__})"
    return name if answer["Table"].get("StorageDescriptor", {}).get("Location") == folder else ""
