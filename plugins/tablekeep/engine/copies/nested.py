"""A census of what lies inside of maps and lists: over all items of a set, in one pass over its parts.

Only made when a mapping asks for paths or for maps as columns; the set's own census counts top-level attributes alone.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.paths import MAX_STEPS, Path
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.items.canonical import decode_json
from tablekeep.engine.items.census import MAX_NAMES, Census, TypeCount
from tablekeep.engine.items.layout import REST
from tablekeep.engine.progress import Progress


@dataclass
class NestedCensus:
    """Types and extremes by path. A value is counted under its own path; the members of a map under theirs, too.

    :ivar others: values under paths beyond `MAX_NAMES`.
    """

    paths: dict[Path, dict[str, TypeCount]] = field(default_factory=dict)
    others: int = 0

    def leaves(self, attribute: str) -> Iterator[tuple[Path, dict[str, TypeCount]]]:
        """The paths below a map that hold something else than a map, the most frequent first; lists are leaves."""
        found = [
            (path, types) for path, types in self.paths.items()
            if path[0] == attribute and len(path) > 1 and set(types) - {"M", "NULL"}
        ]  # fmt: skip
        yield from sorted(
            found, key=lambda one: (-sum(count.count for count in one[1].values()), [str(s) for s in one[0]])
        )

    def _count(self, path: Path, kind: str, content: Any) -> None:
        types = self.paths.get(path)
        if types is None:
            if len(self.paths) >= MAX_NAMES:
                self.others += 1
                return
            types = self.paths[path] = {}
        single = Census()
        single.add({"": {kind: content}})
        types.setdefault(kind, TypeCount()).merge(single.attributes[""][kind])

    def add(self, attribute: str, value: dict[str, Any], wanted: "Wanted") -> None:
        """Counts one value of a top-level attribute, and what of it is wanted."""
        if attribute in wanted.whole:
            self._walk((attribute,), value)
        for path in wanted.paths.get(attribute, ()):
            found = look_up(value, path)
            if found is not None:
                ((kind, content),) = found.items()
                self._count(path, kind, content)

    def _walk(self, path: Path, value: dict[str, Any]) -> None:
        ((kind, content),) = value.items()
        if len(path) > 1:
            self._count(path, kind, content)
        if kind == "M" and len(path) < MAX_STEPS:
            for name, one in content.items():
                self._walk((*path, name), one)


@dataclass(frozen=True)
class Wanted:
    """What is to be counted.

    :ivar whole: attributes of which every path through maps is. :ivar paths: by attribute, single paths.
    """

    whole: frozenset[str]
    paths: dict[str, tuple[Path, ...]]

    @staticmethod
    def of(whole: Collection[str], paths: Collection[Path]) -> "Wanted":
        by: dict[str, tuple[Path, ...]] = {}
        for path in paths:
            by[str(path[0])] = (*by.get(str(path[0]), ()), path)
        return Wanted(frozenset(whole), by)

    @property
    def attributes(self) -> frozenset[str]:
        return self.whole | frozenset(self.paths)


def look_up(value: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """What lies at a path of an attribute's value, typed; None where nothing does.

    :param path: with the attribute's name at its head, which is not looked at.
    """
    for step in path[1:]:
        ((kind, content),) = value.items()
        if kind == "M" and isinstance(step, str):
            found = content.get(step)
        elif kind == "L" and isinstance(step, int):
            found = content[step] if step < len(content) else None
        else:
            return None
        if found is None:
            return None
        value = found
    return value


def take_out(value: dict[str, Any], path: Path) -> None:
    """Removes what lies at a path, and maps that are empty then. Nothing is taken out of a list, whose positions must stay."""
    maps = list[dict[str, Any]]()
    for step in path[1:]:
        ((kind, content),) = value.items()
        if kind != "M" or not isinstance(step, str):
            return
        maps.append(content)
        value = content[step]
    for content, step in zip(reversed(maps), reversed(path[1:]), strict=True):
        del content[step]
        if content:
            return


def count_nested(opened: BackupSet, wanted: Wanted, progress: Progress) -> NestedCensus:
    """Reads the set once for the values of some attributes.

    :raises IntegrityError: for a damaged part.
    """
    census = NestedCensus()
    if not wanted.attributes:
        return census
    columns = [
        one for one in opened.manifest.layout.columns if one.attribute in wanted.attributes and one.type in ("M", "L")
    ]
    progress.phase("nested", opened.manifest.items)
    for part in opened.manifest.parts:
        for batch in opened.batches(part):
            for column in columns:
                for text in batch.column(column.column).storage.to_pylist():
                    if text is not None:
                        census.add(column.attribute, {column.type: decode_json(text.encode())}, wanted)
            for text in batch.column(REST).storage.drop_null().to_pylist():
                item = decode_json(text.encode())
                if type(item) is not dict:
                    raise IntegrityError("decoding a part", "_rest does not hold an item")
                for name in wanted.attributes & item.keys():
                    census.add(name, item[name], wanted)
            progress.advance(batch.num_rows)
    return census
