"""The content hash: (count, sum of SHA-256 over canonical items modulo 2^256), for parts, sets and 256 buckets of the keys.

It depends on neither order nor segments nor workers, so a quiet table, its backup and a restored table compare by it.
A sum, not an exclusive-or: an item present twice must not vanish. It stops accidents, not a forger: docs/backup-format.md.
"""

import hashlib
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

MODULUS = 1 << 256
BUCKETS = 256


def item_hash(canonical: bytes) -> int:
    """SHA-256 of a canonical item as a number."""
    return int.from_bytes(hashlib.sha256(canonical).digest(), "big")


def key_hash(canonical_key: bytes) -> str:
    """SHA-256 of a canonical key in hexadecimal: how logs and reports name an item."""
    return hashlib.sha256(canonical_key).hexdigest()


def bucket_of(canonical_key: bytes) -> int:
    """0 … 255: CRC-32 of the key's canonical bytes modulo 256."""
    return zlib.crc32(canonical_key) % BUCKETS


@dataclass(frozen=True, slots=True)
class ContentHash:
    """How many items, and the sum of their hashes."""

    count: int = 0
    total: int = 0

    def __add__(self, other: "ContentHash") -> "ContentHash":
        return ContentHash(self.count + other.count, (self.total + other.total) % MODULUS)

    def __str__(self) -> str:
        return f"{self.count}-{self.total:064x}"

    @staticmethod
    def parse(text: str) -> "ContentHash":
        """Reads what `str` gives.

        :raises ValueError: for anything else.
        """
        count, _, total = text.partition("-")
        if not count.isascii() or not count.isdigit() or len(total) != 64 or total != total.lower():
            raise ValueError(f"{text[:80]!r} is no content hash")
        return ContentHash(int(count), int(total, 16))

    @staticmethod
    def of(canonical_items: Iterable[bytes]) -> "ContentHash":
        """The hash of canonical items."""
        count = total = 0
        for one in canonical_items:
            count += 1
            total += item_hash(one)
        return ContentHash(count, total % MODULUS)


class Hasher:
    """Adds items one by one: the whole and its 256 buckets. Not shared between threads; `merge` joins two."""

    __slots__ = ("_counts", "_totals")

    def __init__(self) -> None:
        self._counts = [0] * BUCKETS
        self._totals = [0] * BUCKETS

    def add(self, canonical: bytes, canonical_key: bytes) -> int:
        """Adds one item and returns its hash."""
        bucket = zlib.crc32(canonical_key) & 0xFF
        value = int.from_bytes(hashlib.sha256(canonical).digest(), "big")
        self._counts[bucket] += 1
        self._totals[bucket] += value
        return value

    def add_page(self, digests: Sequence[bytes], keys: Sequence[bytes]) -> int:
        """Adds many items, given by their SHA-256 and canonical keys in the same order, and returns the sum of their hashes."""
        counts, totals = self._counts, self._totals
        values = list(map(int.from_bytes, digests))  # big-endian, by default
        for value, check in zip(values, map(zlib.crc32, keys), strict=True):
            bucket = check & 0xFF
            totals[bucket] += value
            counts[bucket] += 1
        return sum(values)

    @staticmethod
    def of(buckets: Sequence[ContentHash]) -> "Hasher":
        """One that has seen what these 256 buckets hold."""
        hasher = Hasher()
        hasher._counts = [one.count for one in buckets]
        hasher._totals = [one.total for one in buckets]
        return hasher

    def merge(self, other: "Hasher") -> None:
        """Adds all that `other` has seen."""
        for bucket in range(BUCKETS):
            self._counts[bucket] += other._counts[bucket]
            self._totals[bucket] += other._totals[bucket]

    @property
    def whole(self) -> ContentHash:
        return ContentHash(sum(self._counts), sum(self._totals) % MODULUS)

    @property
    def buckets(self) -> list[ContentHash]:
        return [ContentHash(c, t % MODULUS) for c, t in zip(self._counts, self._totals, strict=True)]


def buckets_as_json(buckets: list[ContentHash]) -> dict[str, Any]:
    """The buckets that are not empty, by number: `{"17": "3-00ab…"}`."""
    return {str(number): str(one) for number, one in enumerate(buckets) if one.count}


def buckets_from_json(document: dict[str, Any]) -> list[ContentHash]:
    """Reads what `buckets_as_json` gave.

    :raises ValueError: for a number outside 0 … 255 or a text that is no content hash.
    """
    buckets = [ContentHash()] * BUCKETS
    for number, text in document.items():
        if not number.isdigit() or int(number) >= BUCKETS:
            raise ValueError(f"bucket {number!r} does not exist")
        buckets[int(number)] = ContentHash.parse(text)
    return buckets
