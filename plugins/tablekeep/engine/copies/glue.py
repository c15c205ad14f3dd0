"""A table of Glue's Data Catalog that describes a backup set where it lies: what it is, how it is read, swapped and proved.

The table names exactly the parts that the manifest names, by a list of their addresses (SymlinkTextInputFormat), for a set's folder
may hold parts of attempts that were given up. The list lies in the set's `_state/athena/<account>-<region>/<database>/<table>/`:
what expires backups finds there which tables to ask after (`athena_uses.py`). The swap is one UpdateTable on the version that was
looked at. Our mark, and the ledger, are the table's parameters `tablekeep_…`: of the newest load; Glue keeps the versions before.
"""

import hashlib
from dataclasses import dataclass
from typing import Any

import botocore.exceptions
import msgspec

from tablekeep.engine.backups.location import STATE, SetLocation
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import Store
from tablekeep.engine.clients import Clients, error_code, translate
from tablekeep.engine.copies.glue_columns import GlueColumns, glue_columns, is_name
from tablekeep.engine.copies.ledger import Load, load_of_texts, texts_of
from tablekeep.engine.copies.names import TableName
from tablekeep.engine.copies.target import Standing
from tablekeep.engine.errors import BadInputError, IntegrityError, TransientError

FOLDER = f"{STATE}/athena/"
PARTS_LIST = "parts.txt"
_MARK = "tablekeep_"
_DEFINITION = f"{_MARK}definition"
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_INPUT = "org.apache.hadoop.hive.ql.io.SymlinkTextInputFormat"
_OUTPUT = "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"


def glue_name(database: str, table: str) -> TableName:
    """The two names.

    :raises BadInputError: for one that Athena does not take.
    """
    for what, name in (("database", database), ("table", table)):
        if not is_name(name):
            raise BadInputError(
                f"naming the {what} {name[:80]!r} of Glue",
                "Athena takes a-z, 0-9 and _ only, at most 255 characters",
                "for example orders_newest",
            )
    return TableName(database, table)


def list_folder(location: SetLocation, account: str, region: str, name: TableName) -> str:
    """The key prefix, with its slash, at which the table's list of parts lies: the table's Location in the bucket."""
    return location.key(f"{FOLDER}{account}-{region}/{name.schema}/{name.table}/")


@dataclass(frozen=True)
class Found:
    """The table as Glue has it.

    :ivar version: of the table; an update names it.
    """

    document: dict[str, Any]
    version: str

    @property
    def location(self) -> str:
        return str(self.document.get("StorageDescriptor", {}).get("Location", ""))

    @property
    def load(self) -> Load | None:
        """What our mark says; None without one."""
        parameters = self.document.get("Parameters") or {}
        texts = {name.removeprefix(_MARK): value for name, value in parameters.items() if name.startswith(_MARK)}
        return load_of_texts(texts)

    @property
    def untouched(self) -> bool:
        """Whether what describes the data is as we wrote it: a crawler or a person may have changed it."""
        return (self.document.get("Parameters") or {}).get(_DEFINITION) == _definition(self.document)

    @property
    def replaceable(self) -> bool:
        """No view, no table of another catalog or format, none with partitions: these hold more than their definition."""
        parameters = self.document.get("Parameters") or {}
        return not (
            self.document.get("TableType") == "VIRTUAL_VIEW"
            or self.document.get("TargetTable")
            or self.document.get("PartitionKeys")
            or self.document.get("IsMultiDialectView")
            or "table_type" in {name.lower() for name in parameters}
        )


class GlueTable:
    """One table of one catalog. Errors are the engine's.

    :param clients: of the account and Region of the catalog.
    :param what: what is done, for errors.
    """

    def __init__(self, clients: Clients, name: TableName, what: str) -> None:
        self._glue, self._clients, self.name, self._what = clients.client("glue"), clients, name, what
        self.found: Found | None = None
        self._before: Found | None = None

    def look(self) -> Found | None:
        """What lies under the name.

        :raises BadInputError: when there is no such database.
        """
        try:
            document = self._glue.get_table(DatabaseName=self.name.schema, Name=self.name.table)["Table"]
            self.found = Found(document, str(document.get("VersionId", "")))
        except botocore.exceptions.ClientError as error:
            if error_code(error) != "EntityNotFoundException":
                raise translate(error, self._what) from error
            self._check_database()
            self.found = None
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, self._what) from error
        return self.found

    def _check_database(self) -> None:
        try:
            self._glue.get_database(Name=self.name.schema)
        except botocore.exceptions.ClientError as error:
            if error_code(error) != "EntityNotFoundException":
                raise translate(error, self._what) from error
            raise BadInputError(
                self._what,
                f"Glue has no database {self.name.schema!r} in {self._clients.region}",
                "create it in Athena (CREATE DATABASE), or name another",
            ) from None

    def standing(self) -> Standing:
        """As the copies' decision takes it."""
        found = self.look()
        return Standing(False) if found is None else Standing(True, found.replaceable, found.load)

    def point_at(self, opened: BackupSet, load: Load) -> GlueColumns:
        """Makes the table, as it was when `look` saw it, describe the set.

        :raises TransientError: when somebody has changed it since, or made it.
        """
        columns = glue_columns(opened.manifest.layout)
        wanted = self.input_for(opened, columns, load)
        try:
            if self.found is None:
                self._glue.create_table(DatabaseName=self.name.schema, TableInput=wanted)
            else:
                self._update(wanted, self.found.version)
        except botocore.exceptions.ClientError as error:
            if error_code(error) in ("AlreadyExistsException", "ConcurrentModificationException"):
                raise TransientError(
                    self._what,
                    "another copy to this table was faster, or somebody changed it",
                    "look at it, and try again",
                ) from None
            raise translate(error, self._what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, self._what) from error
        before, now = self.found, self.look()
        if now is None or not _agrees(wanted, now.document):
            raise IntegrityError(
                self._what, "Glue describes another table than was asked for", "look at it, and run it again"
            )
        self._before = before
        return columns

    def _update(self, wanted: dict[str, Any], version: str) -> None:
        checked = {"VersionId": version} if version else {}
        self._glue.update_table(DatabaseName=self.name.schema, TableInput=wanted, **checked)

    def take_back(self) -> None:
        """Undoes `point_at`, unless somebody has changed the table since."""
        assert self.found is not None
        try:
            if self._before is None:
                self._glue.delete_table(DatabaseName=self.name.schema, Name=self.name.table)
            else:
                self._update(_as_input(self._before.document), self.found.version)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
            raise translate(error, f"{self._what}: taking it back") from error

    def write_list(self, opened: BackupSet) -> None:
        """Writes the addresses of the set's parts; the same bytes however often."""
        manifest = opened.manifest
        lines = [
            f"s3://{manifest.location.shelf.bucket}/{manifest.location.key(part.name)}\n" for part in manifest.parts
        ]
        key = self._folder(manifest.location) + PARTS_LIST
        opened.store.put(key, "".join(lines).encode())

    def _folder(self, location: SetLocation) -> str:
        return list_folder(location, self._clients.account(), self._clients.region, self.name)

    def input_for(self, opened: BackupSet, columns: GlueColumns, load: Load) -> dict[str, Any]:
        """The whole table as Glue's API takes it."""
        manifest = opened.manifest
        access = {"parquet.column.index.access": "true"} if columns.by_number else {}
        document: dict[str, Any] = {
            "Name": self.name.table,
            "Description": f"Backup of {manifest.table['name']} as of {load.as_of:%Y-%m-%d %H:%M} UTC, kept by Tablekeep",
            "TableType": "EXTERNAL_TABLE",
            "PartitionKeys": [],
            "StorageDescriptor": {
                "Columns": [column.as_input() for column in columns.columns],
                "Location": f"s3://{manifest.location.shelf.bucket}/{self._folder(manifest.location)}",
                "InputFormat": _INPUT,
                "OutputFormat": _OUTPUT,
                "SerdeInfo": {"SerializationLibrary": _SERDE, "Parameters": {"serialization.format": "1"} | access},
            },
        }
        marks = {f"{_MARK}{name}": text for name, text in texts_of(load).items()}
        parameters = {"EXTERNAL": "TRUE", "classification": "parquet", _DEFINITION: _definition(document)} | marks
        return document | {"Parameters": parameters}


def missing_parts(store: Store, opened: BackupSet) -> list[str]:
    """Names of parts that are not there, or have another size than the manifest says."""
    manifest = opened.manifest
    sizes = {info.key: info.size for info in store.list(manifest.location.key("data/"))}
    return [part.name for part in manifest.parts if sizes.get(manifest.location.key(part.name)) != part.size]


def _agrees(wanted: Any, found: Any) -> bool:
    """Whether Glue gave back what it was given; it adds members of its own."""
    match wanted:
        case dict():
            return isinstance(found, dict) and all(_agrees(value, found.get(name)) for name, value in wanted.items())
        case [*values] if values:
            if not isinstance(found, list) or len(found) != len(values):
                return False
            return all(_agrees(one, other) for one, other in zip(values, found, strict=True))
        case []:
            return not found
    return bool(wanted == found)


_DESCRIBING = ("Columns", "Location", "InputFormat", "OutputFormat", "SerdeInfo")


def _definition(document: dict[str, Any]) -> str:
    """SHA-256 of what describes the data."""
    descriptor = document.get("StorageDescriptor") or {}
    described = [descriptor.get(member) for member in _DESCRIBING] + [document.get("PartitionKeys") or []]
    return hashlib.sha256(msgspec.json.encode(described, order="sorted")).hexdigest()


_INPUT_MEMBERS = (
    "Name", "Description", "Owner", "LastAccessTime", "LastAnalyzedTime", "Retention", "StorageDescriptor", "PartitionKeys",
    "ViewOriginalText", "ViewExpandedText", "TableType", "Parameters", "TargetTable",
)  # fmt: skip
"""The members of TableInput that GetTable gives, too."""


def _as_input(document: dict[str, Any]) -> dict[str, Any]:
    return {name: document[name] for name in _INPUT_MEMBERS if name in document}
