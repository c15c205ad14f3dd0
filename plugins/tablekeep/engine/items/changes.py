"""Changes: what an item is after a window of time, what it was before, and when it was written last.

DynamoDB's incremental exports tell them, one final state of each key that was written. A part of changes has the columns of the new
image (of the key alone, for a deletion) and three of ours: `_change`, `_written`, `_old`. Specified in docs/backup-format.md, §8.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import msgspec
import pyarrow as pa
from msgspec import UNSET

from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import (
    ItemError,
    canonical_attributes,
    canonical_key,
    decode_json,
    encode_canonical,
    parse_item,
)
from tablekeep.engine.items.codec import Encoded, Encoder
from tablekeep.engine.items.decode import decode
from tablekeep.engine.items.hashing import Hasher
from tablekeep.engine.items.layout import CHANGE, OLD, WRITTEN, Layout
from tablekeep.engine.items.shapes import Learned

PUT, DELETE = "put", "delete"
Attributes = dict[str, dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Change:
    """One key's change, with canonical attributes.

    :ivar written: of the last write, microseconds since 1970. :ivar new: the item; None: it was deleted.
    :ivar old: the item before; None: there was none, or the export does not tell (NEW_IMAGE).
    """

    key: Attributes
    written: int
    new: Attributes | None
    old: Attributes | None

    @property
    def state(self) -> Attributes:
        """What its row's columns show: the new image, of a deletion the key."""
        return self.key if self.new is None else self.new

    def text(self) -> bytes:
        """The canonical text: an object with `NewImage`, or for a deletion `Keys`; `OldImage` where told; the time as text."""
        document: dict[str, Any] = {"WriteTimestampMicros": str(self.written)}
        document |= {"Keys": self.key} if self.new is None else {"NewImage": self.new}
        if self.old is not None:
            document["OldImage"] = self.old
        return encode_canonical(document)


def parse_change(raw: bytes | msgspec.Raw, key_names: Sequence[str]) -> Change:
    """Reads a line of an incremental export, or what `Change.text` gives.

    :raises ItemError: for what is no change, and for one whose images belong to another key.
    """
    try:
        line = decode_json(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ItemError("a change is not valid JSON in UTF-8") from None
    if type(line) is not dict:
        raise ItemError("a change is no object")
    images = [canonical_attributes(line[name]) if name in line else None for name in ("Keys", "NewImage", "OldImage")]
    told = next((one for one in images if one is not None), None)
    if told is None:
        raise ItemError("a change has neither key nor image")
    key = {name: told[name] for name in key_names if name in told}
    text = canonical_key(told, key_names)
    if any(one is not None and canonical_key(one, key_names) != text for one in images):
        raise ItemError("the images of a change belong to different keys")
    return Change(key, _micros(line), images[1], images[2])


def _micros(line: dict[str, Any]) -> int:
    """The time of the last write: a number object beside `Metadata`, a bare number in some documentation, text in ours."""
    found = line.get("WriteTimestampMicros")
    metadata = line.get("Metadata")
    if found is None and type(metadata) is dict:
        found = metadata.get("WriteTimestampMicros")
    if type(found) is dict:
        found = found.get("N")
    try:
        return int(found)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise ItemError("a change does not tell when it was written") from None


class _Line(msgspec.Struct):
    """A line whose images stay as they are."""

    Metadata: Any = None
    WriteTimestampMicros: Any = None
    Keys: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    NewImage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    OldImage: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_line = msgspec.json.Decoder(_Line).decode


class ChangeEncoder(Encoder):
    """An encoder whose records are changes: census and columns count the rows' states, the hash is that of the changes' texts.

    New images, old images and keys are three streams of items, so that each takes the fast path of an encoder.
    """

    def __post_init__(self) -> None:
        self.keep_texts = True
        super().__post_init__()
        # of these only texts and keys are used
        self._olds = Encoder(self.layout, self.key_names, keep_texts=True)
        columns = tuple(one for one in self.layout.columns if one.attribute in self.key_names)
        self._keys = Encoder(replace(self.layout, columns=columns), self.key_names, keep_texts=True)

    def encode(self, items: Iterable[bytes | msgspec.Raw]) -> Encoded:
        """Encodes changes; see `parse_change` for what is read.

        :raises ItemError: for what no table can hold, or is no change.
        """
        lines = [self._read(raw) for raw in items]
        mine, self.hasher = self.hasher, Hasher()
        try:
            encoded = super().encode([one.Keys if one.NewImage is UNSET else one.NewImage for one in lines])  # type: ignore[misc]
        finally:
            self.hasher = mine
        self._other(self._keys, [one.Keys for one in lines], encoded.keys, exactly=True)
        olds = self._other(self._olds, [one.OldImage for one in lines], encoded.keys)
        times = [_micros({"Metadata": one.Metadata, "WriteTimestampMicros": one.WriteTimestampMicros}) for one in lines]
        texts = [
            b'{"%b":%b%b,"WriteTimestampMicros":"%d"}'
            % (b"Keys" if one.NewImage is UNSET else b"NewImage", state, b',"OldImage":' + old if old else b"", time)
            for one, state, old, time in zip(lines, encoded.texts, olds, times, strict=True)
        ]
        encoded.total = mine.add_page([hashlib.sha256(text).digest() for text in texts], encoded.keys)
        encoded.raw_bytes = sum(map(len, texts))
        arrays = [
            *encoded.batch.columns,
            pa.array([DELETE if one.NewImage is UNSET else PUT for one in lines], pa.string()),
            pa.array(times, pa.int64()).cast(pa.timestamp("us", "UTC")),
            pa.ExtensionArray.from_storage(
                pa.json_(pa.string()), pa.array([one.decode() if one else None for one in olds], pa.string())
            ),
        ]
        encoded.batch = pa.RecordBatch.from_arrays(arrays, schema=self.layout.arrow_schema())
        return encoded

    def _read(self, raw: bytes | msgspec.Raw) -> _Line:
        try:
            line = _line(raw)
            if line.NewImage is not UNSET or line.Keys is not UNSET:
                return line
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            pass
        return _line(parse_change(raw, self.key_names).text())  # says what is wrong, or takes the key of the old image

    def _other(
        self, encoder: Encoder, images: Sequence[Any], keys: Sequence[bytes], *, exactly: bool = False
    ) -> list[bytes | None]:
        """The canonical texts of further images, each of which must have its change's key.

        :param exactly: and nothing else.
        """
        rows = [row for row, image in enumerate(images) if image is not UNSET]
        encoded = encoder.encode([images[row] for row in rows])
        texts: list[bytes | None] = [None] * len(images)
        for row, key, text in zip(rows, encoded.keys, encoded.texts, strict=True):
            if key != keys[row] or (exactly and text != key):
                raise ItemError("the images of a change belong to different keys")
            texts[row] = text
        return texts


def encoder_for(layout: Layout, key_names: Sequence[str], learned: Learned | None = None) -> Encoder:
    """The encoder for the records of a set with that layout: items, or changes."""
    return (ChangeEncoder if layout.changes else Encoder)(layout, key_names, learned=learned)


def decode_records(batch: Any, layout: Layout) -> list[bytes]:
    """The canonical texts of a record batch's records: items, or changes; see `decode` for the errors."""
    return _changes(batch, layout) if layout.changes else decode(batch, layout)


def _changes(batch: Any, layout: Layout) -> list[bytes]:
    kinds, olds = batch.column(CHANGE).to_pylist(), batch.column(OLD).storage.to_pylist()
    times = batch.column(WRITTEN).cast(pa.int64()).to_pylist()
    texts = []
    for state, kind, written, old in zip(decode(batch, layout), kinds, times, olds, strict=True):
        if kind not in (PUT, DELETE) or written is None:
            raise IntegrityError("decoding a part", "a row is neither a put nor a delete, or has no time")
        document = {"WriteTimestampMicros": str(written), "Keys" if kind == DELETE else "NewImage": msgspec.Raw(state)}
        if old is not None:
            document["OldImage"] = msgspec.Raw(old.encode())
        texts.append(encode_canonical(document))
    return texts


def record_key(record: bytes, layout: Layout, key_names: Sequence[str]) -> bytes:
    """The canonical key of a record's item."""
    if layout.changes:
        return canonical_key(parse_change(record, key_names).key, key_names)
    return canonical_key(parse_item(record), key_names)


def states_of(records: Iterable[bytes | msgspec.Raw], key_names: Sequence[str]) -> list[bytes]:
    """What the rows of changes will show, to sample their columns."""
    return [encode_canonical(parse_change(raw, key_names).state) for raw in records]


def written_at(micros: int) -> datetime:
    """The time of a write."""
    return datetime.fromtimestamp(micros / 1e6, UTC)
