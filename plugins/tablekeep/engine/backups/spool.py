"""Keys of any number of items in bounded memory: spread over files by hash, then looked at file by file.

Finds a key that is there twice (I-19) and the difference of two sides, with memory for one file's keys at a time.
"""

import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import IO

KEYS_PER_FILE = 200_000
MAX_FILES = 512
_HEAD = struct.Struct("<I")


class KeySpool:
    """Records of (canonical key, 32 bytes) on disk. Used as a context; the files vanish at its end.

    :param expected: how many records will come, to choose the number of files.
    """

    def __init__(self, expected: int) -> None:
        self.files = min(MAX_FILES, max(1, expected // KEYS_PER_FILE + 1))
        self._folder = tempfile.TemporaryDirectory(prefix="tablekeep-")
        self._open: list[IO[bytes]] = [tempfile.TemporaryFile(dir=self._folder.name) for _ in range(self.files)]  # noqa: SIM115

    def __enter__(self) -> "KeySpool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._open:
            file.close()
        self._folder.cleanup()

    def add(self, key: bytes, digest: bytes = b"\0" * 32) -> None:
        """Adds one record; `digest` has 32 bytes."""
        # not CRC-32 itself: its low byte already chooses the bucket, and one bucket's keys would share a file
        file = self._open[zlib.adler32(key, zlib.crc32(key)) % self.files]
        file.write(_HEAD.pack(len(key)) + digest + key)

    def add_keys(self, keys: Sequence[bytes]) -> None:
        """Adds records without a digest."""
        for key in keys:
            self.add(key)

    def read(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        """The (key, digest) records of one file, in the order in which they came."""
        file = self._open[number]
        file.seek(0)
        while head := file.read(_HEAD.size):
            (length,) = _HEAD.unpack(head)
            digest = file.read(32)
            yield file.read(length), digest

    def duplicates(self) -> Iterator[bytes]:
        """Every key that came more than once, once."""
        for number in range(self.files):
            seen, told = set[bytes](), set[bytes]()
            for key, _ in self.read(number):
                if key in seen and key not in told:
                    told.add(key)
                    yield key
                seen.add(key)


def differences(left: KeySpool, right: KeySpool) -> Iterator[tuple[bytes, str]]:
    """Keys that differ: (key, `left only` | `right only` | `different`). Both spools must have the same number of files."""
    if left.files != right.files:
        raise ValueError("the two spools have different numbers of files")
    for number in range(left.files):
        known = dict(left.read(number))
        for key, digest in right.read(number):
            mine = known.pop(key, None)
            if mine is None:
                yield key, "right only"
            elif mine != digest:
                yield key, "different"
        for key in known:
            yield key, "left only"
