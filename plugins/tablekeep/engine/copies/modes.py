"""What a copy does with the rows that the table has: the modes, and the names that AWS Data Pipeline had for them."""

from dataclasses import dataclass
from typing import Literal, get_args

from tablekeep.engine.errors import BadInputError

ModeName = Literal["replace", "append", "upsert", "incremental"]
Swap = Literal["rows", "rename"]

DATA_PIPELINE: dict[str, tuple[ModeName, bool, bool]] = {
    "TRUNCATE": ("replace", False, False),
    "OVERWRITE_EXISTING": ("upsert", True, False),
    "KEEP_EXISTING": ("upsert", True, True),
    "APPEND": ("append", False, False),
}
"""Its `insertMode` of RedshiftCopyActivity: the mode here, whether keys that the set lacks stay, and whether rows that exist stay."""


@dataclass(frozen=True, slots=True)
class Mode:
    """How a set comes into a table.

    :ivar name: `replace`: the table holds exactly the set · `append`: the set's rows are added, with its id in `_backup_id` ·
        `upsert`: rows are written by key, and keys that a full set lacks are deleted · `incremental`: the changes since the last load.
    :ivar keep_absent: upsert deletes nothing. :ivar keep_existing: upsert writes new keys only.
    :ivar swap: of replace, `rows` replaces them inside of the table, `rename` puts a new table in its place.
    """

    name: ModeName = "replace"
    keep_absent: bool = False
    keep_existing: bool = False
    swap: Swap = "rows"

    def __str__(self) -> str:
        more = [name for name in ("keep_absent", "keep_existing") if getattr(self, name)]
        if self.swap == "rename":
            more.append("swap: rename")
        return f"{self.name} ({', '.join(more)})" if more else self.name


def parse_mode(name: str, *, keep_absent: bool = False, swap: str = "rows") -> Mode:
    """The mode of that name, ours or Data Pipeline's.

    :raises BadInputError: for another, or for options that it does not have.
    """
    what = f"choosing the mode {name[:40]!r}"
    ours, absent, existing = DATA_PIPELINE.get(name, (name, False, False))
    if ours not in get_args(ModeName):
        known = ", ".join((*get_args(ModeName), *DATA_PIPELINE))
        raise BadInputError(what, "there is no such mode", f"choose one of {known}")
    if keep_absent and ours != "upsert":
        raise BadInputError(what, "keep_absent goes with upsert only", "leave it out, or use upsert")
    if swap not in get_args(Swap) or (swap == "rename" and ours != "replace"):
        raise BadInputError(what, "swap is rows, or with replace rename", "leave it out")
    return Mode(ours, keep_absent or absent, existing, "rename" if swap == "rename" else "rows")  # type: ignore[arg-type]
