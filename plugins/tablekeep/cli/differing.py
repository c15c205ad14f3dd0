"""How commands show items that differ."""

import argparse
import sys
from typing import Any

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.restore.differences import DIFFERENT, ItemDifference, See
from tablekeep.engine.restore.proof import STATES
from tablekeep.engine.restore.words import attributes_text, place_text


def add_show_options(parser: argparse.ArgumentParser) -> None:
    """`--show-keys` and `--show-values`."""
    parser.add_argument("--show-keys", action="store_true", help="show the keys of items that differ, not their hashes")
    parser.add_argument(
        "--show-values",
        action="store_true",
        help="show where the items differ and both values, cut off at 120 characters; on a terminal only",
    )


def check_show_options(args: argparse.Namespace) -> None:
    """:raises BadInputError: for values that would go anywhere but to a terminal: files and logs are kept, and sent on."""
    if args.show_values and (args.json or not sys.stdout.isatty()):
        raise BadInputError(
            "showing values",
            "--json was asked for" if args.json else "stdout is no terminal, and values are shown on terminals only",
            "leave --show-values out; `tablekeep restore … --to-file` writes the items of a backup to a file",
        )


class Seen:
    """The items that a restore or a drill found to differ, as a person asked to see them; its report has them without."""

    def __init__(self, args: argparse.Namespace) -> None:
        check_show_options(args)
        self.asked = bool(args.show_keys or args.show_values)
        self._values, self._told = args.show_values, list[dict[str, Any]]()

    @property
    def see(self) -> See | None:
        """For the engine; None when nothing beyond the report was asked for."""
        return self._take if self.asked else None

    def over(self, document: dict[str, Any]) -> dict[str, Any]:
        """The report's document, with the items as they were asked for."""
        return document | {"differing": self._told} if self.asked else document

    def _take(self, one: ItemDifference) -> None:
        self._told.append(one.told(STATES, keys=True, values=self._values))


def difference_lines(
    differing: list[dict[str, Any]], left: str = "backup", right: str = "table"
) -> list[tuple[str, str]]:
    """For a terminal: a line for each item, and below it what differs."""
    lines = []
    for one in differing:
        lines.append((one["state"], one["key"]))
        if any("left_value" in place for place in one["attributes"]):
            alone = one["state"] not in (DIFFERENT, STATES[DIFFERENT])
            lines += [("", place_text(place, alone=alone)) for place in one["attributes"]]
            if "more" in one:
                lines.append(("", f"and {one['more']:,} more"))
        elif text := attributes_text(one):
            lines.append(("", text))
    if lines:
        lines.insert(0, ("items", f"that differ, and where: {left} | {right}"))
    return lines
