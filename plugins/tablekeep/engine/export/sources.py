"""Files of records that become a backup set, a segment each: what a conversion needs to know of them, whoever wrote them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from tablekeep.engine.backups.chains import CUT
from tablekeep.engine.backups.manifest import Window
from tablekeep.engine.backups.store import Store
from tablekeep.engine.export.native import NativeExport, NativeFile, open_file, records_of

Records = Iterator[Sequence[bytes | msgspec.Raw]]


@dataclass(frozen=True)
class SourceFile:
    """One file.

    :ivar items: that it must hold; None: nobody says. :ivar read: its records as wire JSON, some at a time; checks the file first.
    """

    name: str
    items: int | None
    read: Callable[[], Records]


@dataclass(frozen=True)
class Source:
    """All files of one table.

    :ivar table: name, arn and id. :ivar engine: as the manifest will say. :ivar items: expected.
    :ivar window: of changes; None: the records are items.
    """

    table: dict[str, str]
    engine: str
    as_of: datetime
    consistent: tuple[datetime, datetime]
    items: int
    files: tuple[SourceFile, ...]
    window: Window | None = None


def native_source(origin: Store, export: NativeExport) -> Source:
    """DynamoDB's own export."""

    def file(one: NativeFile) -> SourceFile:
        return SourceFile(f"{origin.address}/{one.key}", one.items, lambda: _native(origin, one, bool(export.window)))

    return Source(
        {"name": export.table, "arn": export.table_arn, "id": export.table_id}, "pitr", export.as_of,
        (export.as_of - CUT, export.as_of + CUT), export.items, tuple(file(one) for one in export.files), export.window,
    )  # fmt: skip


def _native(origin: Store, file: NativeFile, changes: bool) -> Records:
    with open_file(origin, file) as spool:
        yield from records_of(spool, file.key, changes=changes)
