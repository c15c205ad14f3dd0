"""The key set's sum: whether a table has the very keys that were sent, told by two numbers, in any order.

Each key is written as text, and 60 bits of the text's SHA-256 are summed up. The database reckons the same over its own rows, so no
key is read back, and nothing but the table's own content decides. SHA-256, for some servers have no MD5 (FIPS).
"""

import array
import hashlib
import itertools
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from tablekeep.engine.copies.columns import joined
from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.items.canonical import canonical_number

SEPARATOR = "\x1f"
"""Between the texts of a key's two parts."""
_BITS = 60


@dataclass
class KeySum:
    """How many keys, and the sum of the first 60 bits of their SHA-256."""

    count: int = 0
    total: int = 0

    def add(self, texts: list[bytes]) -> None:
        """Takes the keys of a batch, as `key_texts` gives them."""
        self.count += len(texts)
        sha256 = hashlib.sha256
        words = array.array("Q", b"".join([sha256(one).digest() for one in texts]))
        if sys.byteorder == "little":
            words.byteswap()
        self.total += sum([word >> 64 - _BITS for word in words[:: sha256().digest_size // words.itemsize]])

    def __str__(self) -> str:
        return f"{self.count}-{self.total}"


def key_texts(columns: Sequence[SqlColumn], arrays: Sequence[Any]) -> list[bytes]:
    """The keys of a batch as the database writes them: text as it is, numbers in plain notation without trailing zeros, bytes as
    hexadecimal digits, times as ISO 8601.

    :param columns: the key's. :param arrays: their cells.
    """
    texts = [_texts(column, array) for column, array in zip(columns, arrays, strict=True)]
    keys = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, SEPARATOR)
    data = bytes(joined(keys))  # cut up here, which is several times as fast as Arrow's scalars
    ends = [0, *pc.cumulative_sum(pc.binary_length(keys)).to_pylist()]
    return [data[start:end] for start, end in itertools.pairwise(ends)]


def _texts(column: SqlColumn, array: Any) -> Any:
    match column.form:
        case "text" | "number":
            return array
        case "uuid":
            return pc.utf8_lower(array)
        case "bytes":
            return pa.array([one.hex() for one in array.to_pylist()], pa.string())
        case "decimal":
            texts = array.cast(pa.string())
            if pc.any(pc.match_substring(texts, "E")).as_py():
                return pa.array([canonical_number(one) for one in texts.to_pylist()], pa.string())
            return pc.replace_substring_regex(texts, r"\.?0+$", "") if column.kind.scale > 0 else texts
        case "timestamp" | "timestamptz":
            return pc.strftime(array, "%Y-%m-%d %H:%M:%S")
        case _:
            return array.cast(pa.string())
