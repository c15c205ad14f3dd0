"""Derives the mapping of a set: from its census, which counts all items, and from what was written.

A key's columns come first. What is not written is what holds every value of the set exactly, the narrowest first.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.copies.column_names import ColumnNames, shown
from tablekeep.engine.copies.dialects import (
    LOSSY,
    MYSQL_ROW_BYTES,
    MYSQL_SCALE,
    RULES,
    Dialect,
)
from tablekeep.engine.copies.document import ColumnRule, MappingDocument
from tablekeep.engine.copies.kinds import Kind, parse_kind
from tablekeep.engine.copies.mapping import (
    ChildTable,
    Mapping,
    SqlColumn,
    child_table,
    make_column,
    rest_column,
    stamp_column,
)
from tablekeep.engine.copies.nested import NestedCensus, Wanted, count_nested
from tablekeep.engine.copies.paths import Path, parse_path, path_name, path_text
from tablekeep.engine.copies.sql_types import told_kinds
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.census import Census, TypeCount
from tablekeep.engine.items.layout import COLUMN_TYPES, DECIMAL_DIGITS, Column, number_kind
from tablekeep.engine.progress import Progress

LOGICAL = {
    "date": Kind("date"), "time": Kind("time"), "timestamp": Kind("timestamp"), "timestamptz": Kind("timestamptz"),
    "float4": Kind("real"), "float8": Kind("double"), "json": Kind("json"), "uuid": Kind("uuid"),
}  # fmt: skip
"""What a column of a set of SQL rows was in its own database, and what it becomes: see `Column.logical`."""
_SETS = {"SS": Kind("text"), "BS": Kind("bytes")}
MYSQL_KEY_BYTES = {1: 2048, 2: 1024}
"""The longest partition and sort key of DynamoDB (Developer Guide, "Constraints")."""


@dataclass
class _Wish:
    """An attribute or path that gets a column, before it has one."""

    path: Path
    types: dict[str, TypeCount]
    rule: ColumnRule | None = None
    column: Column | None = None
    name: str = ""
    key: int = 0
    told: Kind | None = None

    @property
    def type(self) -> str:
        """The DynamoDB type that the column is made for: that of the set's own column, else the most frequent."""
        if self.column is not None:
            return self.column.type
        best = max(
            (
                (count.count, -COLUMN_TYPES.index(kind), kind)
                for kind, count in self.types.items()
                if kind in COLUMN_TYPES
            ),
            default=(0, 0, "S"),
        )
        return best[2]

    def count(self) -> TypeCount:
        return self.types.get(self.type, TypeCount())


def derive_mapping(
    opened: BackupSet, dialect: Dialect, document: MappingDocument, progress: Progress, *, stamp: bool = False
) -> Mapping:
    """The mapping of a whole set.

    :param stamp: with the column of the set's id, for tables to which is appended.
    :raises BadInputError: for a mapping that the set or the database does not allow; nothing was changed.
    :raises IntegrityError: for a damaged census or part.
    """
    census = Census.from_json(opened.document("census"))
    maps = [one.attribute for one in opened.manifest.layout.columns if one.type == "M"]
    rules = [(parse_path(rule.from_), rule) for rule in document.columns]
    whole = {str(path[0]) for path, rule in rules if rule.nested == "columns"}
    if document.nested == "columns" and document.others == "columns":
        written = {str(path[0]) for path, _ in rules}
        whole |= {name for name in maps if name not in written}
    paths = [path for path, rule in rules if len(path) > 1 and rule.nested != "columns"]
    nested = count_nested(opened, Wanted.of(whole, paths), progress)
    told = told_kinds(opened.document("table"), dialect, document.types)
    if document.types and not told:
        raise BadInputError(
            f"mapping {opened.manifest.uri} to {dialect}",
            "the mapping has types, and this is no backup of a SQL table",
            "give each column its type",
        )
    return map_set(opened.manifest, census, nested, dialect, document, told, stamp=stamp)


def map_set(
    manifest: Manifest,
    census: Census,
    nested: NestedCensus,
    dialect: Dialect,
    document: MappingDocument,
    told: dict[str, Kind] | None = None,
    *,
    stamp: bool = False,
) -> Mapping:
    """`derive_mapping`, with what was counted.

    :param told: of a SQL table's backup, see `told_kinds`.
    """
    what = f"mapping {manifest.uri} to {dialect}"
    _check_paths(what, census, document)
    wishes = list(_wishes(manifest, census, nested, document))
    for wish in wishes:
        wish.told = (told or {}).get(str(wish.path[0])) if len(wish.path) == 1 else None
    if document.others == "fail":
        _check_unmapped(what, census, wishes)
    rules = RULES[dialect]
    names, row = ColumnNames(dialect), 0
    # the key keeps its names, then what is written; what is derived has to give way
    for wish in sorted(wishes, key=lambda one: not one.key):
        if wish.rule is not None and wish.rule.name:
            wish.name = names.given(wish.rule.name)
        elif wish.key:
            wish.name = names.derived(_derived_name(wish))
    columns, sets = list[SqlColumn](), list[tuple[_Wish, Kind]]()
    for wish in wishes:
        kind, as_table = _kind(what, wish, dialect, document, row)
        wish.name = wish.name or names.derived(_derived_name(wish))
        if as_table:
            sets.append((wish, kind))
            continue
        column = _column(what, wish, kind, dialect, document)
        columns.append(column)
        row += _row_bytes(column)
    key = [column for column in columns if column.key] + ([stamp_column(dialect)] if stamp else [])
    children = tuple(_child(what, wish, kind, key, dialect) for wish, kind in sets)
    if document.has_rest:
        columns.append(rest_column(dialect))
    if stamp:
        columns.append(stamp_column(dialect))
    if len(columns) > rules.columns:
        raise BadInputError(
            what,
            f"it has {len(columns):,} columns, and a table of {dialect} has {rules.columns:,} at most",
            "name the columns that are wanted in the mapping; `_rest` takes the others",
        )
    return Mapping(
        dialect, tuple(columns), children, document, (*names.notes, *_rest_notes(manifest, census, document))
    )


def _wishes(manifest: Manifest, census: Census, nested: NestedCensus, document: MappingDocument) -> Iterator[_Wish]:
    """What gets a column, in the table's order: the key, what is written, what is derived."""
    layout, seen = manifest.layout, set[Path]()
    ruled = {parse_path(rule.from_): rule for rule in document.columns}

    def top(attribute: str, rule: ColumnRule | None, key: int = 0) -> _Wish:
        column = layout.column_of(attribute)
        types = dict(census.attributes.get(attribute, {}))
        return _Wish((attribute,), types, rule, column, key=key)

    for number, name in enumerate(manifest.key_names, 1):
        seen.add((name,))
        yield top(name, ruled.get((name,)), number)
    for path, rule in ruled.items():
        if path in seen:
            continue
        if rule.nested == "columns":
            yield from (_Wish(leaf, types) for leaf, types in nested.leaves(str(path[0])) if leaf not in ruled)
        elif len(path) == 1:
            yield top(str(path[0]), rule)
        else:
            yield _Wish(path, dict(nested.paths.get(path, {})), rule)
        seen.add(path)
    if document.others != "columns":
        return
    touched = {path[0] for path in ruled}
    for column in layout.columns:
        if (column.attribute,) in seen or column.attribute in touched:
            continue
        if document.nested == "columns" and column.type == "M":
            yield from (_Wish(leaf, types) for leaf, types in nested.leaves(column.attribute))
        else:
            yield top(column.attribute, None)


def _derived_name(wish: _Wish) -> str:
    return wish.column.column if wish.column is not None and wish.rule is None else path_name(wish.path)


def _kind(what: str, wish: _Wish, dialect: Dialect, document: MappingDocument, row: int) -> tuple[Kind, bool]:
    """The kind of a wish's column, or of its members where it becomes a child table."""
    rule = wish.rule
    written = parse_kind(rule.type) if rule is not None and rule.type else None
    sets = (rule.sets if rule is not None and rule.sets else document.sets) if not wish.key else "json"
    if rule is not None and rule.sets == "table" and written is not None:
        return written, True
    if written is not None:
        if wish.key and (written.name in LOSSY or written.name in ("json", "boolean") or written.array):
            raise BadInputError(
                what,
                f"the key attribute {wish.path[0]!r} cannot be {written}, which does not keep keys apart",
                "give it a type that holds it exactly",
            )
        return written, False
    of_set = wish.type if wish.type in ("SS", "NS", "BS") else None
    if (
        of_set is None and rule is not None and rule.sets and sets != "json"
    ):  # asked for by name, whatever most values are
        of_set = max(("SS", "NS", "BS"), key=lambda one: wish.types.get(one, TypeCount()).count)
    if of_set is not None and sets != "json":
        member = _SETS.get(of_set) or _number(wish, of_set)
        if sets == "table":
            return _fitted(member, wish, dialect, row), True
        return Kind(member.name, member.size, member.precision, member.scale, array=True), False
    return _fitted(_natural(wish), wish, dialect, row), False


def _natural(wish: _Wish) -> Kind:
    """What holds the values exactly, in words of no database; of a SQL table what its types are."""
    if wish.told is not None and not (wish.key and wish.told.name in (*LOSSY, "boolean")):
        return wish.told
    logical = LOGICAL.get((wish.column.logical or "") if wish.column is not None else "")
    if logical is not None and len(wish.path) == 1:
        return logical
    match wish.type:
        case "S":
            return Kind("text")
        case "N":
            return _number(wish)
        case "B":
            return Kind("bytes")
        case "BOOL":
            return Kind("boolean")
        case _:
            return Kind("json")


def _number(wish: _Wish, type: str = "N") -> Kind:
    column = wish.column
    if column is not None and column.number is not None and column.type == type:
        number, scale = column.number, column.scale
    else:
        number, scale = number_kind(wish.types.get(type, TypeCount()))
    if number == "int64":
        return Kind("bigint")
    return Kind("numeric", precision=DECIMAL_DIGITS, scale=scale) if number == "decimal" else Kind("numeric")


def _fitted(kind: Kind, wish: _Wish, dialect: Dialect, row: int) -> Kind:
    """The kind as the dialect had better have it: MySQL wants lengths, which the census knows."""
    if dialect != "mysql":
        return kind
    count = wish.count()
    if kind.name in ("text", "bytes") and wish.key:
        return Kind(
            "varchar" if kind.name == "text" else "bytes",
            size=MYSQL_KEY_BYTES.get(wish.key, count.max_bytes) if _long(wish) else 255,
        )
    if kind.name == "text" and "S" in wish.types:
        size = 16
        while size < count.max_bytes:
            size *= 2
        if size <= 1024 and row + 4 * size <= MYSQL_ROW_BYTES:
            return Kind("varchar", size=size)
    if kind.name == "numeric" and (kind.scale > MYSQL_SCALE or kind.precision is None):
        whole, scale = count.max_integer_digits, count.max_scale
        if count.count and whole <= 35 and scale <= MYSQL_SCALE:
            return Kind("numeric", precision=65, scale=MYSQL_SCALE)
    return kind


def _long(wish: _Wish) -> bool:
    return wish.count().max_bytes > 255


def _column(what: str, wish: _Wish, kind: Kind, dialect: Dialect, document: MappingDocument) -> SqlColumn:
    rule = wish.rule
    typed = (rule.json_ if rule is not None and rule.json_ else document.json_) == "typed"
    logical = (wish.column.logical or "") if wish.column is not None else ""
    format = (
        rule.format if rule is not None and rule.format else "json" if logical == "json" and kind.name == "json" else ""
    )
    try:
        return make_column(wish.name, kind, dialect, path=wish.path, key=bool(wish.key), format=format, typed=typed)
    except ValueError as error:
        raise BadInputError(
            what, f"the column {wish.name!r} cannot be {kind}: {error}", "give another type in the mapping"
        ) from None


def _child(what: str, wish: _Wish, kind: Kind, key: list[SqlColumn], dialect: Dialect) -> ChildTable:
    try:
        return child_table(wish.name, wish.path, kind, key, dialect)
    except ValueError as error:
        raise BadInputError(
            what, f"the table of {path_text(wish.path)} cannot hold {kind}: {error}", "give another type"
        ) from None


def _row_bytes(column: SqlColumn) -> int:
    """About what a column takes of MySQL's limit of a row."""
    if column.kind.name == "varchar" or (column.kind.name == "bytes" and column.kind.size):
        return 4 * (column.kind.size or 0) if column.form == "text" else (column.kind.size or 0)
    return 16


def _check_paths(what: str, census: Census, document: MappingDocument) -> None:
    for rule in document.columns:
        if len(parse_path(rule.from_)) > 1 and rule.from_ in census.attributes:
            raise BadInputError(
                what,
                f"{rule.from_!r} may be a path, and it is the name of an attribute",
                f"write from: {path_text((rule.from_,))!r} for the attribute, or rename the other",
            )


def _check_unmapped(what: str, census: Census, wishes: list[_Wish]) -> None:
    mapped = {wish.path[0] for wish in wishes}
    left = sorted(name for name in census.attributes if name not in mapped)
    count = len(left) + (1 if census.others else 0)
    if count:
        named = ", ".join(shown(name) for name in left[:10]) + (
            f" and {len(left) - 10:,} more" if len(left) > 10 else ""
        )
        raise BadInputError(
            what,
            f"the set has attributes that are not mapped: {named or 'beyond those the census names'}",
            "map them, or choose unmapped: rest or drop",
        )


def _rest_notes(manifest: Manifest, census: Census, document: MappingDocument) -> Iterator[str]:
    if document.others != "columns":
        return
    left = [name for name in census.attributes if manifest.layout.column_of(name) is None]
    more = " and more" if census.others else ""
    if left or more:
        named = ", ".join(shown(name) for name in left[:5]) + (
            f" and {len(left) - 5:,} more" if len(left) > 5 else more
        )
        yield f"without a column, so in `_rest`: {named}"
