"""What a copy of a set would make: the mapping, and the tables it stands for. Reads the set, connects to no database."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from tablekeep.engine.backups.sets import BackupSet, open_backup
from tablekeep.engine.clients import Clients
from tablekeep.engine.copies.ddl import create_statements
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.glue import glue_name
from tablekeep.engine.copies.glue_columns import glue_columns
from tablekeep.engine.copies.names import TableName, parse_table
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import Progress

Kind = Dialect | Literal["athena"]


@dataclass(frozen=True)
class CopyPlan:
    """What `tablekeep plan copy` says.

    :ivar dialect: `postgres`, `mysql`, `redshift` or `athena`. :ivar table: of the target. :ivar items: of the set.
    :ivar mapping: as one would write it to get these very columns. :ivar hash: of the mapping, as the ledger has it after a copy; Athena
        has neither. :ivar ddl: the statements that make the tables. :ivar notes: what to look at.
    """

    backup: str
    dialect: Kind
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
    dialect: Kind,
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
    if dialect == "athena":
        if mapping is not None or append:
            raise BadInputError(
                f"planning a copy of {backup}", "in Athena a table shows the backup's files as they are", "leave --mapping and --append out"
            )  # fmt: skip
        return _shown_in_athena(open_backup(clients, backup, owner=owner), table)
    opened = open_backup(clients, backup, owner=owner, incremental=True)
    given = mapping or MappingDocument()
    made = derive_mapping(opened, dialect, given, progress, stamp=append)
    name = opened.manifest.location.shelf.name.replace('"', '""')
    target = parse_table(table or f'"{name}"', dialect)
    return CopyPlan(
        opened.manifest.uri, dialect, str(target), opened.manifest.items, made.as_yaml(), made.hash, create_statements(made, target),
        list(made.notes),
    )  # fmt: skip


def _shown_in_athena(opened: BackupSet, table: str | None) -> CopyPlan:
    """The table as SQL shows it; a copy makes it by Glue's API."""
    manifest, found = opened.manifest, glue_columns(opened.manifest.layout)
    name = glue_name("default", table) if table else TableName("default", "NAME")
    columns = [
        f"{one.name} {one.type}" + (f" COMMENT '{one.comment.replace(chr(39), chr(39) * 2)}'" if one.comment else "")
        for one in found.columns
    ]
    ddl = f"CREATE EXTERNAL TABLE {name.table} (\n  " + ",\n  ".join(columns) + "\n) STORED AS PARQUET"
    notes = [f"the table lists the backup's {len(manifest.parts):,} files; no row is moved"]
    if found.by_number:
        notes.append("columns are found by their number, for some attributes' names are none that Athena takes")
    notes += [f"Athena has no type for the column {name!r}" for name in found.unreadable]
    return CopyPlan(manifest.uri, "athena", name.table, manifest.items, {}, "", [ddl], notes)
