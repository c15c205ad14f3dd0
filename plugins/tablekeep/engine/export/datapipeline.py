"""What AWS Data Pipeline's "Export DynamoDB table to S3" left behind, in all three formats, as wire JSON.

Read from the source of AWS's emr-dynamodb-connector. Version 3: a folder with `manifest`, which names files of JSON lines whose types are
written as Gson writes them (`{"sS": [...]}`, `{"nULLValue": true}`). Versions 1 and 2: files of Hive, the same without a manifest or with
`\\x03` between name and value and `\\x02` between attributes. AWS's own importer loses empty lists and maps, and NULLs that an old SDK
wrote; this one does not. Nothing says how many items there should be, so only a manifest shows that a folder is complete.
"""

import gzip
import re
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import IO, Any

import msgspec

from tablekeep.engine.backups.store import NotFoundError, Store
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.export.sources import Records, SourceFile

MANIFEST = "manifest"
VERSION = 3
MAX_MANIFEST_BYTES = 64 * 1024 * 1024
MAX_LINE_BYTES = 8 * 1024 * 1024
SPOOL_BYTES = 16 * 1024 * 1024
LINES = 1000
"""Read at a time."""
_GZIP = b"\x1f\x8b"
_FOLDER_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)\Z")
_TYPES = {
    "s": "S", "n": "N", "b": "B", "ss": "SS", "ns": "NS", "bs": "BS", "m": "M", "l": "L", "bool": "BOOL", "null": "NULL",
    "nullvalue": "NULL",
}  # fmt: skip


def pipeline_files(store: Store, folder: str) -> tuple[list[SourceFile], bool]:
    """The data files of a backup, and whether a manifest says that they are all.

    :param folder: key of the folder. A backup that was copied elsewhere is found, too: files are looked for beside the manifest.
    :raises BadInputError: when there is none, or its version is not known. :raises IntegrityError: when a named file is missing.
    """
    folder = folder.removesuffix(f"/{MANIFEST}").rstrip("/")
    what = f"reading the Data Pipeline backup {store.address}/{folder}"
    present = {info.key: info.size for info in store.list(f"{folder}/")}
    if f"{folder}/{MANIFEST}" not in present:
        keys = [key for key in present if "/" not in key[len(folder) + 1 :] and key[len(folder) + 1] not in "_."]
        if not keys:
            raise BadInputError(what, "there are no files", "name the folder that holds the files, or its manifest")
        return [_file(store, key) for key in sorted(keys)], False
    try:
        document = msgspec.json.decode(store.get(f"{folder}/{MANIFEST}", max_bytes=MAX_MANIFEST_BYTES))
        version, urls = document["version"], [str(one["url"]) for one in document["entries"]]
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise IntegrityError(what, f"its manifest cannot be read ({type(error).__name__})") from None
    if version != VERSION:
        raise BadInputError(what, f"its manifest is of version {str(version)[:20]}", f"only version {VERSION} is known")
    keys = [f"{folder}/{url.rsplit('/', 1)[-1]}" for url in urls]
    for key in keys:
        if key not in present:
            raise IntegrityError(what, f"the file {key} is missing", "copy the backup with all its files")
    if len(set(keys)) != len(keys):
        raise IntegrityError(what, "its manifest names a file twice")
    return [_file(store, key) for key in keys], True


def folder_time(folder: str) -> datetime | None:
    """The time in a folder's name, `2020-01-31-02-00-00`; Data Pipeline writes the scheduled start so."""
    found = _FOLDER_TIME.search(folder.removesuffix(f"/{MANIFEST}").rstrip("/"))
    try:
        return datetime(*map(int, found.groups()), tzinfo=UTC) if found else None  # type: ignore[misc,arg-type]
    except ValueError:
        return None


def _file(store: Store, key: str) -> SourceFile:
    return SourceFile(f"{store.address}/{key}", None, lambda: _records(store, key))


def _records(store: Store, key: str) -> Records:
    what = f"reading {store.address}/{key}"
    number = 0
    with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spool:
        try:
            for piece in store.chunks(key):
                spool.write(piece)
            spool.seek(0)
            page: list[bytes | msgspec.Raw] = []
            for line in _lines(spool):
                number += 1
                if line.strip():
                    page.append(msgspec.json.encode(_item(line)))
                if len(page) >= LINES:
                    yield page
                    page = []
            yield page
        except NotFoundError:
            raise IntegrityError(what, "it is missing") from None
        except (OSError, EOFError, zlib.error):
            raise IntegrityError(what, "it is a damaged gzip file") from None
        except (
            msgspec.DecodeError,
            ValueError,
            TypeError,
            AttributeError,
        ) as error:  # texts of our own name no content
            why = str(error) if type(error) is ValueError else "it is no item"
            raise IntegrityError(what, f"line {number}: {why}") from None


def _lines(spool: IO[bytes]) -> Iterator[bytes]:
    head = spool.read(2)
    spool.seek(0)
    stream: IO[bytes] = gzip.GzipFile(fileobj=spool, mode="rb") if head == _GZIP else spool  # type: ignore[assignment]
    while line := stream.readline(MAX_LINE_BYTES):
        if len(line) == MAX_LINE_BYTES:
            raise ValueError("it is longer than any item")
        yield line


def _item(line: bytes) -> dict[str, Any]:
    """The wire form of one line."""
    text = line.rstrip(b"\r\n")
    if text.lstrip().startswith(b"{"):
        attributes = msgspec.json.decode(text)
    else:
        attributes = {}
        for pair in text.split(b"\x02"):
            name, separator, value = pair.partition(b"\x03")
            if not separator:
                raise ValueError("an attribute has no value")
            if name.decode() in attributes:
                raise ValueError("an attribute is there twice")
            attributes[name.decode()] = msgspec.json.decode(value)
    return {name: _value(value) for name, value in attributes.items()}


def _value(value: dict[str, Any]) -> dict[str, Any]:
    """`{"nS": ["1"]}` → `{"NS": ["1"]}`, inside too."""
    told = {name: one for name, one in value.items() if one is not None}
    if len(told) != 1:
        raise ValueError("an attribute has not exactly one type")
    ((name, content),) = told.items()
    kind = _TYPES.get(name.lower())
    if kind is None:
        raise ValueError("an attribute has an unknown type")
    if kind == "M":
        return {kind: {inner: _value(one) for inner, one in content.items()}}
    return {kind: [_value(one) for one in content] if kind == "L" else content}
