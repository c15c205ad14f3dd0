"""Items of a backup → a file of DynamoDB JSON lines, which ImportTable, AWS's tools and a person can read."""

import gzip
import os
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import msgspec

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.differences import MOST_KEYS
from tablekeep.engine.restore.plan import open_source, wanted
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import every_page


@dataclass
class FileReport:
    """What was written: `content_hash` is that of the file, read back.

    :ivar selection: what was wanted, see `Selection.as_dict`.
    :ivar absent: so many of the listed keys have no item in the file: they are not in the backup, or not wanted by the rest;
        `absent_keys`: their numbers in the list, from 1, the first 100.
    """

    backup: str
    file: str
    items: int
    content_hash: str
    selection: dict[str, Any] | None = None
    absent: int = 0
    absent_keys: list[int] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class _Line(msgspec.Struct):
    Item: msgspec.Raw


def restore_to_file(request: RestoreRequest, file: Path, *, clients: SessionClients, progress: Progress) -> FileReport:
    """Writes `{"Item": …}` a line, gzip where the name ends in `.gz`. The file appears when it is whole, readable by its owner alone.

    :raises BadInputError: when it exists. :raises IntegrityError: for a damaged part, or when the file holds something else.
    """
    what = f"restoring to the file {file}"
    if file.exists():
        raise BadInputError(what, "it exists", "name another file")
    if not file.parent.is_dir():
        raise BadInputError(what, f"there is no folder {file.parent}", "make it, or name another file")
    request.check()
    source = open_source(request, clients, progress)
    selection = wanted(request, source)
    progress.phase("read", source.full.items)
    content, left = ContentHash(), set(selection.keys or ())
    handle, name = tempfile.mkstemp(prefix=".tablekeep-", dir=file.parent)
    try:
        with os.fdopen(handle, "wb") as raw, source, _packed(raw, file, "wb") as sink:
            for page in every_page(source):
                picked = selection.pick(page)
                sink.write(b"".join([b'{"Item":%b}\n' % item for item in picked]))
                content += ContentHash.of(picked)
                if left:
                    left -= selection.keys_of(picked)
                progress.advance(len(page))
        if _content(Path(name), file) != content:
            raise IntegrityError(
                what, "the file holds something else than was written", "look at the disk, and try again"
            )
        os.link(name, file)  # not over a file that has come up meanwhile
    finally:
        Path(name).unlink(missing_ok=True)
    numbers = {key: number for number, key in reversed(list(enumerate(selection.listed, 1)))}
    absent = sorted(numbers[key] for key in left)
    return FileReport(
        source.full.uri, str(file), content.count, str(content), selection.as_dict(), len(absent), absent[:MOST_KEYS]
    )


def _packed(raw: BinaryIO, file: Path, mode: Any) -> Any:
    return gzip.GzipFile(fileobj=raw, mode=mode, mtime=0) if file.suffix == ".gz" else raw


def _content(written: Path, file: Path) -> ContentHash:
    decode = msgspec.json.Decoder(_Line).decode
    with written.open("rb") as raw, _packed(raw, file, "rb") as lines:
        return ContentHash.of(bytes(decode(line).Item) for line in lines)
