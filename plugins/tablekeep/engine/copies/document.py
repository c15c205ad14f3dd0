"""A mapping as people write it: under `copies[].mapping` of a pipeline, or in a file of its own for `tablekeep copy --mapping`.

What it leaves open is derived from the set's census. Nothing here imports Arrow: pipeline files are checked while Airflow parses.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from tablekeep.engine.copies.kinds import parse_kind
from tablekeep.engine.copies.paths import parse_path


class _Model(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        validate_by_alias=True,
    )


def _checked(parse: Any) -> Any:
    def validate(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("it must be text; put it in quotes")
        parse(value)
        return value

    return validate


PathText = Annotated[str, BeforeValidator(_checked(parse_path)), Field(examples=["customer.address.city"])]
KindText = Annotated[str, BeforeValidator(_checked(parse_kind)), Field(examples=["numeric(12,2)"])]
ColumnName = Annotated[str, Field(min_length=1, max_length=127, pattern=r"^[^\x00]+$", examples=["city"])]
Json = Literal["plain", "typed"]
Sets = Literal["json", "array", "table"]
Nested = Literal["json", "columns"]
Format = Literal["epoch", "epoch_ms", "json"]


class ColumnRule(_Model):
    """One column, or one attribute that becomes several."""

    from_: Annotated[PathText, Field(alias="from")]
    """The attribute, or a path into it: customer.address.city, lines[0].sku; odd names in double quotes."""
    name: ColumnName | None = None
    """The column's name; the path with _ when not given."""
    type: KindText | None = None
    """text, varchar(n) of n bytes, smallint, integer, bigint, numeric, numeric(p,s), real, double, boolean, bytes, json, date, time,
    timestamp, timestamptz, uuid, or an array such as text[]; what holds all values of the set exactly when not given."""
    format: Format | None = None
    """How the value is written: epoch or epoch_ms for a time that is a number, json for a string that is a JSON document."""
    nested: Nested | None = None
    """columns: of a map, a column for each path found in the set."""
    json_: Annotated[Json | None, Field(alias="json")] = None
    """plain or typed, for this column."""
    sets: Sets | None = None
    """json, array or table, for this column."""

    @model_validator(mode="after")
    def _fits(self) -> "ColumnRule":
        kind = parse_kind(self.type) if self.type else None
        if self.format in ("epoch", "epoch_ms") and (
            kind is None or kind.name not in ("date", "timestamp", "timestamptz")
        ):
            raise ValueError(f"format: {self.format} goes with type: timestamptz, timestamp or date")
        if self.format == "json" and (kind is None or kind.name != "json"):
            raise ValueError("format: json goes with type: json")
        if self.json_ and kind is not None and kind.name != "json":
            raise ValueError("json goes with type: json")
        if self.nested == "columns" and (self.type or self.name or self.format or self.json_ or self.sets):
            raise ValueError("nested: columns makes several columns, so name and type cannot be given")
        return self


class Misfits(_Model):
    """What becomes of a value that its column cannot hold; its row is loaded in any case, with NULL there."""

    to: Literal["rest", "reject", "fail"] | None = None
    """rest: kept in `_rest` with its type, and counted; what that cannot hold either fails · reject: a line in the reject table, which
    tells the key's hash, the column and the reason, never the value · fail: the copy is refused."""
    most: Annotated[int, Field(ge=0, le=1_000_000_000, examples=[100])] = 0
    """With reject: so many at most, else nothing is swapped."""
    truncate: bool = False
    """true: texts that are longer than their column takes (in SUPER, strings of more than 65,535 bytes) are cut at a whole character
    instead, and counted. What is cut off is lost."""

    @model_validator(mode="after")
    def _most_of_rejects(self) -> "Misfits":
        if self.most and self.to != "reject":
            raise ValueError("most goes with to: reject")
        return self


class MappingDocument(_Model):
    """Which attribute becomes which column, and what becomes of the others."""

    version: Annotated[Literal[1], Field(examples=[1])] = 1
    """Version of the mapping's format."""
    columns: list[ColumnRule] = []
    """Columns in their order; the key's come first in any case."""
    types: dict[Annotated[str, Field(min_length=1, max_length=100, examples=["tinyint(1)"])], KindText] = {}
    """Of a backup of a SQL table: what columns of a type become, by the whole type, tinyint(1), or its name, enum; in lower case."""
    unmapped: Literal["columns", "rest", "drop", "fail"] | None = None
    """Attributes without an entry: columns derives one for each, and `_rest` takes what fits none (default without `columns`) · rest
    puts them into `_rest` (default with `columns`) · drop leaves them out · fail refuses a set that has any."""
    nested: Nested = "json"
    """json: a map is one column · columns: one for each path found in the set."""
    json_: Annotated[Json, Field(alias="json")] = "plain"
    """plain: JSON's own numbers, strings, arrays and objects · typed: DynamoDB's."""
    sets: Sets = "json"
    """json: an array in JSON · array: one of the database (postgres) · table: a table beside it, a row a member."""
    misfits: Misfits = Misfits()
    """Values that do not fit."""
    drift: Literal["evolve", "rest", "fail"] = "evolve"
    """A new attribute, type or longer value against the last load: evolve changes the table · rest keeps it and puts them into `_rest` ·
    fail refuses. Each is reported."""

    @model_validator(mode="after")
    def _agrees(self) -> "MappingDocument":
        names = [one.name for one in self.columns if one.name]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two columns have the name {twice[0]}")
        paths = [parse_path(one.from_) for one in self.columns]
        if len(set(paths)) != len(paths):
            raise ValueError("two columns are from the same attribute or path")
        if self.unmapped in ("drop", "fail") and self.misfits.to == "rest":
            raise ValueError(f"misfits to: rest needs `_rest`, which unmapped: {self.unmapped} leaves out")
        if self.unmapped in ("drop", "fail") and self.drift == "rest":
            raise ValueError(f"drift: rest needs `_rest`, which unmapped: {self.unmapped} leaves out")
        return self

    @property
    def others(self) -> str:
        """`unmapped` with its default."""
        return self.unmapped or ("rest" if self.columns else "columns")

    @property
    def has_rest(self) -> bool:
        return self.others in ("columns", "rest")

    @property
    def misfits_to(self) -> str:
        """`misfits.to` with its default."""
        return self.misfits.to or ("rest" if self.has_rest else "fail")

    def as_yaml(self) -> dict[str, Any]:
        """As it is written, without what is default."""
        return self.model_dump(by_alias=True, exclude_defaults=True) | {"version": 1}
