"""What a copy of a set would make: the mapping, and the tables it stands for. Reads the set, connects to no database."""

from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import Clients
from tablekeep.engine.copies.ddl import create_statements
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.names import parse_table
from tablekeep.engine.progress import Progress


@dataclass(frozen=True)
class CopyPlan:
    """What `tablekeep plan copy` says.

    :ivar dialect: `postgres`, `mysql` or `redshift`. :ivar table: of the target. :ivar items: of the set.
    :ivar mapping: as one would write it to get these very columns. :ivar hash: of the mapping, as the ledger has it after a copy.
    :ivar ddl: the statements that make the tables. :ivar notes: what to look at.
    """

    backup: str
    dialect: Dialect
    table: str
    items: int
    mapping: dict[str, Any]
    hash: str
    ddl: list[str]
    notes: list[str]

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_copy(
    *,
    clients: Clients,
    progress: Progress,
    backup: str,
    dialect: Dialect,
    table: str | None = None,
    mapping: MappingDocument | None = None,
    append: bool = False,
    owner: str | None = None,
) -> CopyPlan:
    """The plan of a copy.

    :param backup: the manifest's URI; of a set of changes, too. :param table: `schema.table`; the backup's name when not given.
    :param append: for the mode append, which has one more column.
    :raises BadInputError: for a mapping that the set or the database does not allow. :raises IntegrityError: for a damaged set.
    """
    opened = open_backup(clients, backup, owner=owner, incremental=True)
    given = mapping or MappingDocument()
    made = derive_mapping(opened, dialect, given, progress, stamp=append)
    name = opened.manifest.location.shelf.name.replace('"', '""')
    target = parse_table(table or f'"{name}"', dialect)
    return CopyPlan(
        opened.manifest.uri, dialect, str(target), opened.manifest.items, made.as_yaml(), made.hash, create_statements(made, target),
        list(made.notes),
    )  # fmt: skip
