"""DynamoDB's own export to S3 (ExportTableToPointInTime), as its manifests tell it: DYNAMODB_JSON in gzip, full and incremental.

The layout: Amazon DynamoDB Developer Guide, "DynamoDB table export output format". A folder `…/AWSDynamoDB/<export id>/` holds
`manifest-summary.json` and `manifest-files.json` (JSON Lines), each with a checksum beside it, and `data/<id>.json.gz`; incremental
exports share `…/AWSDynamoDB/data/`. What is not in the guide is marked UNCONFIRMED here.
"""

import base64
import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import IO, Any

import msgspec

from tablekeep.engine.backups.manifest import Window
from tablekeep.engine.backups.store import NotFoundError, Store
from tablekeep.engine.clock import parse_utc
from tablekeep.engine.errors import BadInputError, IntegrityError

SUMMARY, FILES = "manifest-summary.json", "manifest-files.json"
CHECKSUMS = (".checksum", ".md5")
"""Endings of the checksums' names: both are seen, the guide names the first. Base64 or hexadecimal MD5, UNCONFIRMED which."""
MAX_MANIFEST_BYTES = 256 * 1024 * 1024
SPOOL_BYTES = 16 * 1024 * 1024
BLOCK_BYTES = 1024 * 1024
MAX_LINE_BYTES = 8 * 1024 * 1024
"""An item has at most 400 KB; its JSON is longer, but not without a bound."""


@dataclass(frozen=True, slots=True)
class NativeFile:
    """One data file: its key in the bucket as it lies now, how many items it holds, its MD5 in base64."""

    key: str
    items: int
    md5: str


@dataclass(frozen=True)
class NativeExport:
    """An export.

    :ivar arn: of the export. :ivar as_of: the time that it shows, to within a minute. :ivar files: those that hold items.
    :ivar window: of an incremental one, whose items are changes.
    """

    arn: str
    table_arn: str
    table_id: str
    as_of: datetime
    items: int
    files: tuple[NativeFile, ...]
    window: Window | None = None

    @property
    def table(self) -> str:
        return self.table_arn.rsplit("/", 1)[-1]

    @property
    def account(self) -> str:
        return self.table_arn.split(":")[4]

    @property
    def region(self) -> str:
        return self.table_arn.split(":")[3]


class _FileLine(msgspec.Struct):
    itemCount: int
    md5Checksum: str
    dataFileS3Key: str


class _ItemLine(msgspec.Struct, forbid_unknown_fields=True):
    Item: msgspec.Raw


_file_lines = msgspec.json.Decoder(_FileLine).decode_lines
_lines = msgspec.json.Decoder(msgspec.Raw).decode_lines
_item_lines = msgspec.json.Decoder(_ItemLine).decode_lines


def read_native(store: Store, folder: str) -> NativeExport:
    """Reads the manifests of an export and checks them against their checksums and each other.

    :param folder: key of the folder or of its `manifest-summary.json`. A copy elsewhere is found, too.
    :raises BadInputError: when there is no export, it is not complete, or of a kind that is not read.
    :raises IntegrityError: when the manifests are damaged or contradict each other.
    """
    folder = folder.removesuffix(SUMMARY).rstrip("/")
    what = f"reading the export {store.address}/{folder}"
    try:
        text = _checked(store, f"{folder}/{SUMMARY}")
    except NotFoundError:
        started = store.head(f"{folder}/_started") is not None
        why = "it was begun and has no manifest: it is not complete" if started else f"there is no {SUMMARY}"
        raise BadInputError(what, why, "name the folder …/AWSDynamoDB/<export id>") from None
    try:
        summary = msgspec.json.decode(text)
        _refuse_unknown(summary, what)
        window = _window(summary)
        as_of = window.to if window else parse_utc(summary["exportTime"])
        listed = str(summary["manifestFilesS3Key"])
        lines = _file_lines(_checked(store, f"{folder}/{FILES}"))
        export = NativeExport(
            str(summary["exportArn"]), str(summary["tableArn"]), str(summary["tableId"]), as_of,
            int(summary["itemCount"]), _placed(folder, listed, lines), window,
        )  # fmt: skip
    except NotFoundError:
        raise IntegrityError(what, f"{FILES} is missing") from None
    except (msgspec.DecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(what, f"a manifest cannot be read ({type(error).__name__}: {error})") from None
    counted = sum(one.items for one in export.files)
    if counted != export.items:
        raise IntegrityError(
            what, f"the summary counts {export.items:,} items and the files {counted:,}", "export it again"
        )
    return export


def _refuse_unknown(summary: dict[str, Any], what: str) -> None:
    """:raises BadInputError: for formats that are not read."""
    form = summary.get("outputFormat", "DYNAMODB_JSON")
    if form != "DYNAMODB_JSON":
        raise BadInputError(what, f"its format is {form}, and only DYNAMODB_JSON is read", "export it as DYNAMODB_JSON")


def _window(summary: dict[str, Any]) -> Window | None:
    """Of an incremental export; its members' names and the view's are UNCONFIRMED (three public parsers agree)."""
    if summary.get("exportType", "FULL_EXPORT") == "FULL_EXPORT" and "exportFromTime" not in summary:
        return None
    return Window(
        parse_utc(summary["exportFromTime"]),
        parse_utc(summary["exportToTime"]),
        summary.get("outputView", "NEW_IMAGE") == "NEW_AND_OLD_IMAGES",
    )


def _checked(store: Store, key: str) -> bytes:
    """The object, compared with the checksum beside it.

    :raises NotFoundError: when it is missing. :raises IntegrityError: when it differs, or has no checksum.
    """
    body = store.get(key, max_bytes=MAX_MANIFEST_BYTES)
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    accepted = {base64.b64encode(digest).decode(), digest.hex()}
    stem = key.removesuffix(".json")
    for ending in CHECKSUMS:
        for name in (stem + ending, key + ending):
            try:
                said = store.get(name, max_bytes=4096).decode("ascii", "replace").strip().strip('"')
            except NotFoundError:
                continue
            if said not in accepted:
                raise IntegrityError(
                    f"reading {store.address}/{key}", f"it differs from its checksum in {name.rsplit('/', 1)[-1]}"
                )
            return body
    raise IntegrityError(
        f"reading {store.address}/{key}", "its checksum is missing", "copy the export's folder with all its files"
    )


def _placed(folder: str, listed: str, lines: list[_FileLine]) -> tuple[NativeFile, ...]:
    """The files where they lie now: manifests name them as they lay when the export was written."""
    was = listed.rsplit("/", 1)[0] if "/" in listed else ""
    moved = {f"{was}/": f"{folder}/", f"{_above(was)}data/": f"{_above(folder)}data/"}
    files = []
    for line in lines:
        begins = next((one for one in moved if line.dataFileS3Key.startswith(one)), None)
        if begins is None:
            raise ValueError("a data file lies outside of the export's folder")
        key = moved[begins] + line.dataFileS3Key[len(begins) :]
        if line.itemCount:
            files.append(NativeFile(key, line.itemCount, line.md5Checksum))
    return tuple(files)


def _above(folder: str) -> str:
    return folder.rpartition("/")[0] + "/" if "/" in folder else ""


def open_file(store: Store, file: NativeFile) -> IO[bytes]:
    """A data file's bytes, its MD5 checked before anything of it is used. The caller closes it.

    :raises IntegrityError: when it is missing or damaged.
    """
    what = f"reading {store.address}/{file.key}"
    spool: IO[bytes] = tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES)  # noqa: SIM115 - handed to the caller
    digest = hashlib.md5(usedforsecurity=False)
    try:
        for piece in store.chunks(file.key):
            digest.update(piece)
            spool.write(piece)
        if file.md5 not in (base64.b64encode(digest.digest()).decode(), digest.hexdigest()):
            raise IntegrityError(what, "its MD5 differs from the manifest's", "copy it again, or use another export")
    except NotFoundError:
        spool.close()
        raise IntegrityError(what, "it is missing", "copy the export's folder with all its files") from None
    except BaseException:
        spool.close()
        raise
    spool.seek(0)
    return spool


def records_of(spool: IO[bytes], name: str, *, changes: bool = False) -> Iterator[list[msgspec.Raw]]:
    """The items of a data file as wire JSON, or the changes of an incremental one as they stand, about 1 MB at a time.

    :raises IntegrityError: for what is no gzip, no JSON, or a line that is not `{"Item": {…}}`.
    """
    what = f"reading {name}"

    def of(lines: bytes) -> list[msgspec.Raw]:
        return _lines(lines) if changes else [line.Item for line in _item_lines(lines)]

    rest = b""
    try:
        for block in _unzipped(spool):
            head, separator, rest = (rest + block).rpartition(b"\n")
            if separator and head:
                yield of(head)
            if len(rest) > MAX_LINE_BYTES:
                raise IntegrityError(what, "a line is longer than any item")
        if rest.strip():
            yield of(rest)
    except zlib.error as error:
        raise IntegrityError(what, f"it is no gzip file ({error})") from None
    except msgspec.DecodeError as error:  # names types and offsets only
        raise IntegrityError(what, f"a line is not an item ({error})") from None


def _unzipped(spool: IO[bytes]) -> Iterator[bytes]:
    """The content of a gzip file, of all its members."""
    inflate = zlib.decompressobj(wbits=31)
    begun = False
    while data := spool.read(BLOCK_BYTES):
        while data:
            begun = True
            if block := inflate.decompress(data, BLOCK_BYTES):
                yield block
            data = inflate.unconsumed_tail
            if inflate.eof:
                data = inflate.unused_data
                inflate, begun = zlib.decompressobj(wbits=31), False
    if block := inflate.flush():
        yield block
    if begun and not inflate.eof:
        raise zlib.error("it breaks off")
