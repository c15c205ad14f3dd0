"""Mappings: written, derived, hashed, and what they make of items. No database: what databases take of it is in test_targets.py."""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.config.mapping_file import read_mapping
from tablekeep.engine.copies.cells import plain_json
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.ddl import create_statements
from tablekeep.engine.copies.derive import derive_mapping
from tablekeep.engine.copies.dialects import RULES
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.drift import evolve
from tablekeep.engine.copies.kinds import parse_kind, wider
from tablekeep.engine.copies.ledger import packed
from tablekeep.engine.copies.mapping import Mapping, mapping_from_json
from tablekeep.engine.copies.names import parse_table
from tablekeep.engine.copies.paths import parse_path, path_text
from tablekeep.engine.copies.sent import RejectedError
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.canonical import canonical_attributes
from tablekeep.engine.items.layout import Column
from tablekeep.engine.progress import NoProgress
from tests import item_strategies
from tests.sets import make_set
from tests.tables import orders

DIALECTS = ("postgres", "redshift", "mysql")


def document(**rules: Any) -> MappingDocument:
    return MappingDocument.model_validate(rules)


def derive(opened: BackupSet, dialect: Any = "postgres", **rules: Any) -> Mapping:
    return derive_mapping(opened, dialect, document(**rules), NoProgress())


def convert(opened: BackupSet, mapping: Mapping) -> tuple[list[dict[str, Any]], Converter]:
    """All rows as dictionaries, and the converter, checked."""
    converter = Converter(mapping, opened.manifest)
    rows = list[dict[str, Any]]()
    for converted in converter.batches(opened, NoProgress()):
        names = [column.name for column in mapping.columns]
        rows += [
            dict(zip(names, row, strict=True))
            for row in zip(*(array.to_pylist() for array in converted.arrays), strict=True)
        ]
    converter.check("t")
    return rows, converter


def one(value: dict[str, Any], **rules: Any) -> Any:
    """The cell that a written column makes of one attribute's value."""
    opened = make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "v": value}])
    mapping = derive(opened, columns=[{"from": "v", **rules}])
    ((row,), _) = convert(opened, mapping)
    return row["v"]


# what is written


@given(
    st.lists(st.one_of(st.integers(0, 999_999), st.text(min_size=1, max_size=5)), max_size=6),
    st.text(min_size=1, max_size=5),
)
def test_a_path_reads_back_as_it_was_written(more: list[str | int], first: str) -> None:
    path = (first, *more)
    assert parse_path(path_text(path)) == path


@pytest.mark.parametrize(
    "text", ["", ".", "a.", ".a", "a..b", "a[", "a[-1]", "a[x]", "[0]", 'a"b', '"a', "a[0]b", "a[01]"]
)
def test_what_is_no_path(text: str) -> None:
    with pytest.raises(ValueError, match=r"it must be names|after a name"):
        parse_path(text)


def test_paths_are_not_deeper_than_items() -> None:
    assert len(parse_path("a" + ".b" * 32)) == 33
    with pytest.raises(ValueError, match="33 steps"):
        parse_path("a" + ".b" * 33)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("decimal(12, 2)", "numeric(12,2)"), ("STRING", "text"), ("double precision", "double"), ("int", "integer"), ("jsonb", "json"),
        ("varchar(20)", "varchar(20)"), ("numeric[]", "numeric[]"), ("numeric(9)", "numeric(9,0)"), ("bytes(16)", "bytes(16)"),
    ],
)  # fmt: skip
def test_kinds_are_known_by_the_words_of_several_databases(text: str, shown: str) -> None:
    assert str(parse_kind(text)) == shown
    assert str(parse_kind(shown)) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        "money",
        "varchar",
        "varchar(0)",
        "numeric(2,3)",
        "numeric(0)",
        "text(3)",
        "numeric(1001)",
        "text[][]",
        "x; DROP",
    ],
)
def test_what_is_no_kind(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_kind(text)


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        ("bigint", "numeric(38,4)", "numeric(23,4)"), ("numeric(10,2)", "numeric(9,4)", "numeric(12,4)"), ("integer", "bigint", "bigint"),
        ("numeric(38,0)", "numeric(38,30)", "numeric"), ("varchar(5)", "varchar(9)", "varchar(9)"), ("varchar(5)", "text", "text"),
        ("real", "double", "double"), ("text", "bigint", None), ("double", "numeric", None), ("text[]", "text", None),
        ("bigint[]", "numeric[]", "numeric[]"), ("bytes(3)", "bytes", "bytes"), ("json", "text", None),
    ],
)  # fmt: skip
def test_the_wider_of_two_kinds(one: str, other: str, both: str | None) -> None:
    for a, b in ((one, other), (other, one)):
        found = wider(parse_kind(a), parse_kind(b))
        # bigint has 19 digits before the point, so it and numeric(38,4) fit into numeric(38,4) alone
        assert (None if found is None else str(found)) == ("numeric(38,4)" if both == "numeric(23,4)" else both)


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"columns": [{"from": "a"}, {"from": "a"}]}, "same attribute"),
        ({"columns": [{"from": "a", "name": "x"}, {"from": "b", "name": "x"}]}, "have the name x"),
        ({"columns": [{"from": "a..b"}]}, "names with points"),
        ({"columns": [{"from": "$.store[*]"}]}, "position such as"),
        ({"columns": [{"from": "a", "type": "money"}]}, "one of text"),
        ({"columns": [{"from": "a", "format": "epoch"}]}, "goes with type"),
        ({"columns": [{"from": "a", "nested": "columns", "name": "x"}]}, "several columns"),
        ({"columns": [{"from": "a", "colour": "red"}]}, "Extra inputs"),
        ({"unmapped": "drop", "misfits": {"to": "rest"}}, "needs `_rest`"),
        ({"unmapped": "fail", "drift": "rest"}, "needs `_rest`"),
        ({"misfits": {"most": 3}}, "to: reject"),
        ({"version": 2}, "Input should be 1"),
    ],
)
def test_mappings_that_contradict_themselves(rules: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        document(**rules)


def test_a_file_is_read_strictly_and_told_by_line(tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text("mapping:\n  columns:\n    - {from: customer.city, type: varchar(40)}\n  unmapped: drop\n")
    assert read_mapping(file).others == "drop"
    file.write_text("columns:\n  - {from: a, type: money}\n  - {from: b, nmae: x}\nunmaped: drop\n")
    with pytest.raises(BadInputError) as caught:
        read_mapping(file)
    for told in (
        "orders.yaml:2: columns[0].type",
        "orders.yaml:3: columns[1].nmae",
        "did you mean name?",
        "did you mean unmapped?",
    ):
        assert told in caught.value.why
    with pytest.raises(BadInputError, match="cannot be read"):
        read_mapping(tmp_path / "nothing.yaml")


# what is derived


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_derived_can_be_written_and_gives_the_same(dialect: Any) -> None:
    opened = make_set(orders())
    for rules in ({}, {"nested": "columns"}, {"columns": [{"from": "tags", "sets": "table"}], "unmapped": "columns"}):
        mapping = derive(opened, dialect, **rules)
        again = derive(opened, dialect, **mapping.as_yaml())
        assert again.columns == mapping.columns
        assert again.children == mapping.children
        assert create_statements(again, parse_table("t", dialect)) == create_statements(
            mapping, parse_table("t", dialect)
        )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_mapping_reads_back_from_its_json(dialect: Any) -> None:
    mapping = derive(
        make_set(orders()),
        dialect,
        columns=[{"from": "tags", "sets": "table"}, {"from": "address", "json": "typed"}],
        unmapped="columns",
    )
    again = mapping_from_json(json.loads(mapping.text))
    assert again.columns == mapping.columns
    assert again.children == mapping.children
    assert (again.text, again.hash) == (mapping.text, mapping.hash)
    other = derive(make_set(orders()), dialect, columns=[{"from": "address"}], unmapped="columns")
    assert other.hash != mapping.hash


def test_a_long_mapping_is_packed_and_a_short_one_is_not() -> None:
    assert packed("short") == "short"
    assert packed("x" * 70_000).startswith("z:")
    assert len(packed("x" * 70_000)) < 1000


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_that_a_database_cannot_take(dialect: Any) -> None:
    rules = RULES[dialect]
    long = [
        "x" * rules.limit,
        "x" * (rules.limit + 1),
        "ä" * rules.limit,
        "x" * 300 + "1",
        "x" * 300 + "2",
        "nul\0",
        "ctid",
        "_backup_id",
        "\U0001f600",
        " ",
    ]
    opened = make_set(
        [{"pk": {"S": "a"}, "sk": {"N": "1"}} | {name: {"S": str(number)} for number, name in enumerate(long)}]
    )
    mapping = derive(opened, dialect)
    names = [column.name for column in mapping.columns]
    assert "x" * rules.limit in names
    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert 0 < rules.size(name) <= rules.limit
        assert "\0" not in name
        assert name.casefold() not in rules.taken
    ((row,), _) = convert(opened, mapping)
    by = {column.attribute: row[column.name] for column in mapping.columns}
    assert [by[name] for name in long] == [str(number) for number in range(len(long))]
    assert derive(opened, dialect).hash == mapping.hash


@pytest.mark.parametrize(
    ("name", "why"),
    [("x" * 64, "64 bytes"), ("_rest", "taken"), ("ctid", "taken"), ("sk", "taken")],
)
def test_names_that_are_written_are_taken_as_they_are_or_refused(name: str, why: str) -> None:
    opened = make_set(orders(3))
    with pytest.raises(BadInputError, match=why):
        derive(opened, columns=[{"from": "price", "name": name}])


def test_a_name_of_an_attribute_that_looks_like_a_path_is_no_path() -> None:
    opened = make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "a.b": {"S": "x"}, "a": {"M": {"b": {"S": "y"}}}}])
    with pytest.raises(BadInputError, match="may be a path"):
        derive(opened, columns=[{"from": "a.b"}])
    ((row,), _) = convert(opened, derive(opened, columns=[{"from": '"a.b"', "name": "one"}]))
    assert row["one"] == "x"


def test_a_key_is_always_there_and_comes_first() -> None:
    opened = make_set(orders(3))
    mapping = derive(opened, columns=[{"from": "price"}, {"from": "sk", "name": "number", "type": "integer"}])
    assert [column.name for column in mapping.columns] == ["pk", "number", "price", "_rest"]
    assert mapping.key == ["pk", "number"]
    with pytest.raises(BadInputError, match="keep keys apart"):
        derive(opened, columns=[{"from": "sk", "type": "double"}])
    with pytest.raises(BadInputError, match="cannot hold every key"):
        convert(
            make_set([{"pk": {"S": "a"}, "sk": {"N": "40000"}}]),
            derive(opened, columns=[{"from": "sk", "type": "smallint"}]),
        )


def test_more_columns_than_a_table_has() -> None:
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "m": {"M": {f"n{number}": {"BOOL": True} for number in range(1600)}}}
    opened = make_set([item])
    with pytest.raises(BadInputError, match="1,600 at most"):
        derive(opened, nested="columns")


def test_attributes_that_are_not_mapped() -> None:
    opened = make_set(orders(10))
    only = [{"from": "price"}]
    rows, _ = convert(opened, derive(opened, columns=only))
    assert json.loads(rows[0]["_rest"])["tags"] == {"SS": ["new", "t0"]}
    rows, _ = convert(opened, derive(opened, columns=only, unmapped="drop"))
    assert list(rows[0]) == ["pk", "sk", "price"]
    with pytest.raises(BadInputError, match="not mapped: 'Price', '_rest', 'address'"):
        derive(opened, columns=only, unmapped="fail")
    rows, _ = convert(opened, derive(opened, columns=[{"from": "price", "name": "amount"}], unmapped="columns"))
    assert {"amount", "tags", "lines"} <= set(rows[0])
    assert "price" not in rows[0]


def test_nested_paths_are_counted_over_all_items_and_flattened() -> None:
    def item(number: int) -> dict[str, Any]:
        address = {"city": {"S": f"c{number}"}, "zip": {"N": str(number)}, "geo": {"M": {"lat": {"N": "1.5"}}}}
        if number == 2999:  # the last of all: a sample would not see it
            address |= {"zip": {"N": "1.25"}, "floor": {"N": "3"}}
        return {"pk": {"S": "a"}, "sk": {"N": str(number)}, "customer": {"M": {"address": {"M": address}}}}

    opened = make_set([item(number) for number in range(3000)])
    mapping = derive(opened, nested="columns")
    kinds = {column.name: str(column.kind) for column in mapping.columns}
    assert kinds == {
        "pk": "text", "sk": "bigint", "customer_address_city": "text", "customer_address_geo_lat": "numeric(38,5)",
        "customer_address_zip": "numeric(38,6)", "customer_address_floor": "bigint", "_rest": "json",
    }  # fmt: skip
    rows, _ = convert(opened, mapping)
    assert rows[2999]["customer_address_floor"] == 3
    assert {row["_rest"] for row in rows} == {None}


def test_what_a_path_leaves_stays_in_rest() -> None:
    lines = {"L": [{"M": {"sku": {"S": "x"}, "n": {"N": "1"}}}]}
    customer = {"M": {"name": {"S": "Ana"}, "address": {"M": {"city": {"S": "Rom"}}}, "vip": {"BOOL": True}}}
    opened = make_set(
        [
            {"pk": {"S": "a"}, "sk": {"N": "1"}, "lines": lines, "customer": customer},
            {"pk": {"S": "b"}, "sk": {"N": "1"}},
        ]
    )
    mapping = derive(
        opened,
        columns=[
            {"from": "customer.address.city", "name": "city"},
            {"from": "lines[0].sku", "name": "sku"},
            {"from": "lines[9].sku", "name": "far"},
        ],
    )
    (first, second), _ = convert(opened, mapping)
    assert (first["city"], first["sku"], first["far"]) == ("Rom", "x", None)
    assert json.loads(first["_rest"]) == {
        "customer": {"M": {"name": {"S": "Ana"}, "vip": {"BOOL": True}}},
        "lines": lines,
    }
    assert (second["city"], second["_rest"]) == (None, None)


def test_sets_as_json_arrays_and_tables() -> None:
    opened = make_set(orders(3))
    rows, _ = convert(opened, derive(opened, sets="array"))
    assert (sorted(rows[1]["tags"]), [str(n) for n in rows[1]["sizes"]], sorted(rows[1]["hashes"])) == (
        ["new", "t1"], ["1.00000", "2.50000"], [b"\x00\x01", b"\xff"]
    )  # fmt: skip
    mapping = derive(
        opened, columns=[{"from": "tags", "sets": "table"}, {"from": "sizes", "sets": "table"}], unmapped="columns"
    )
    converter = Converter(mapping, opened.manifest)
    (converted,) = converter.batches(opened, NoProgress())
    tags, sizes = converted.children
    assert [array.to_pylist() for array in tags][1:] == [[0, 0, 1, 1, 2, 2], ["new", "t0", "new", "t1", "new", "t2"]]
    assert converter.check("t").members == {"tags": 6, "sizes": 6}
    assert len(sizes) == 3
    assert {column.name for column in mapping.columns}.isdisjoint({"tags", "sizes"})
    for dialect in ("redshift", "mysql"):
        with pytest.raises(BadInputError, match="no arrays"):
            derive(opened, dialect, sets="array")


def test_json_as_dynamodb_writes_it() -> None:
    opened = make_set(orders(1))
    ((row,), _) = convert(opened, derive(opened, json="typed"))
    assert json.loads(row["lines"]) == orders(1)[0]["lines"]
    assert json.loads(row["sizes"]) == {"NS": ["1", "2.5"]}


@pytest.mark.parametrize(
    ("value", "kind", "more", "cell"),
    [
        ({"S": "2026-11-23"}, "date", {}, "2026-11-23"), ({"S": "2026-11-23T02:00:00.25Z"}, "timestamptz", {}, "2026-11-23 02:00:00.250000+00:00"),
        ({"S": "2026-11-23T02:00:00+01:00"}, "timestamptz", {}, "2026-11-23 01:00:00+00:00"),
        ({"S": "2026-11-23 02:00:00"}, "timestamp", {}, "2026-11-23 02:00:00"), ({"S": "02:00:00.5"}, "time", {}, "02:00:00.500000"),
        ({"N": "1795399200"}, "timestamptz", {"format": "epoch"}, "2026-11-23 02:00:00+00:00"),
        ({"N": "1795399200.5"}, "timestamptz", {"format": "epoch"}, "2026-11-23 02:00:00.500000+00:00"),
        ({"N": "1795399200250"}, "timestamp", {"format": "epoch_ms"}, "2026-11-23 02:00:00.250000"),
        ({"N": "1795399200"}, "date", {"format": "epoch"}, "2026-11-23"), ({"N": "-1"}, "date", {"format": "epoch"}, "1969-12-31"),
        ({"S": "42"}, "bigint", {}, "42"), ({"S": "1.50"}, "numeric(5,2)", {}, "1.50"), ({"N": "7"}, "text", {}, "7"), ({"N": "0.1"}, "double", {}, "0.1"),
        ({"BOOL": True}, "text", {}, "true"), ({"S": "true"}, "boolean", {}, "True"), ({"N": "0"}, "boolean", {}, "False"),
        ({"B": "AAE="}, "text", {}, "AAE="), ({"S": '{"a": 1}'}, "json", {"format": "json"}, '{"a": 1}'), ({"S": "x"}, "json", {}, '"x"'),
        ({"M": {"a": {"N": "1.0"}}}, "text", {}, '{"a":1}'), ({"S": "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11"}, "uuid", {}, "A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ({"N": "9.99E+125"}, "numeric", {}, "999" + "0" * 123), ({"NULL": True}, "bigint", {}, "None"),
        ({"L": [{"N": "1"}, {"N": "2"}]}, "bigint[]", {}, "[1, 2]"),
    ],
)  # fmt: skip
def test_what_a_written_type_makes_of_a_value(
    value: dict[str, Any], kind: str, more: dict[str, Any], cell: str
) -> None:
    assert str(one(value, type=kind, **more)) == cell


@pytest.mark.parametrize(
    ("value", "kind", "more", "reason"),
    [
        ({"S": "2026-02-30"}, "date", {}, "no ISO 8601 date"), ({"S": "2026-11-23T02:00:00"}, "timestamptz", {}, "without zone"),
        ({"S": "2026-11-23T02:00:00Z"}, "timestamp", {}, "with a zone"), ({"N": "1E100"}, "timestamptz", {"format": "epoch"}, "no time between"),
        ({"S": "4x"}, "bigint", {}, "no number"), ({"N": "1.5"}, "bigint", {}, "no whole number"), ({"N": "3000000000"}, "integer", {}, "outside of integer"),
        ({"N": "1.234"}, "numeric(5,2)", {}, r"outside of numeric\(5,2\)"), ({"N": "1234"}, "numeric(5,2)", {}, "outside of"),
        ({"S": "ääää"}, "varchar(7)", {}, "longer than 7 bytes"), ({"S": "a\0b"}, "text", {}, r"U\+0000"), ({"L": []}, "bigint", {}, "of type L"),
        ({"S": "maybe"}, "boolean", {}, "neither true nor false"), ({"S": "{"}, "json", {"format": "json"}, "no JSON"), ({"S": "zz"}, "uuid", {}, "no UUID"),
        ({"SS": ["\0"]}, "json", {}, r"U\+0000"), ({"SS": ["a"]}, "bigint[]", {}, "no number"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_fit(value: dict[str, Any], kind: str, more: dict[str, Any], reason: str) -> None:
    good: dict[str, Any] = {"pk": {"S": "b"}, "sk": {"N": "1"}}
    opened = make_set([{"pk": {"S": "secret-key"}, "sk": {"N": "1"}, "v": value}, good])
    columns = [{"from": "v", "type": kind, **more}]
    with pytest.raises(RejectedError, match=rf"'v': 1 .*{reason}") as caught:
        convert(opened, derive(opened, columns=columns, unmapped="drop"))
    assert "secret-key" not in str(caught.value) + repr(caught.value.rejects)
    (reject,) = caught.value.rejects
    assert len(reject.key) == 64
    rows, converter = convert(
        opened, derive(opened, columns=columns, misfits={"to": "reject", "most": 1}, unmapped="drop")
    )
    assert (len(rows), rows[0]["v"], converter.sent.rejected) == (2, None, 1)
    with pytest.raises(RejectedError):
        convert(opened, derive(opened, columns=columns, misfits={"to": "reject"}))
    if "U+0000" not in reason.replace("\\", ""):  # JSON of PostgreSQL does not take that either
        rows, converter = convert(opened, derive(opened, columns=columns))
        assert json.loads(rows[0]["_rest"])["v"] == canonical_attributes({"v": value})["v"]
        assert converter.sent.kept == {"v": 1}


def test_a_value_that_nothing_holds_stops_the_copy_or_is_rejected_alone() -> None:
    item = {"pk": {"S": "a"}, "sk": {"N": "1"}, "bad": {"M": {"x": {"S": "a\0"}}}, "note": {"NULL": True}}
    opened = make_set([item])
    with pytest.raises(RejectedError, match=r"'bad': 1 with the character U\+0000"):
        convert(opened, derive(opened))
    ((row,), converter) = convert(opened, derive(opened, misfits={"to": "reject", "most": 2}))
    assert json.loads(row["_rest"]) == {"note": {"NULL": True}}
    assert row["bad"] is None
    assert set(converter.sent.misfits) == {("bad", "with the character U+0000")}


def test_a_long_string_of_redshift_is_a_misfit() -> None:
    opened = make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "text": {"S": "ä" * 40_000}, "b": {"S": "x"}}])
    with pytest.raises(RejectedError, match="longer than 65,535 bytes"):
        convert(opened, derive(opened, "redshift"))
    ((row,), _) = convert(opened, derive(opened, "redshift", misfits={"to": "reject", "most": 5}))
    assert (row["text"], row["b"], row["_rest"]) == (None, "x", None)


def test_logical_types_of_sql_rows_become_their_own_kinds() -> None:
    cells = {
        "date": "2026-11-23", "time": "02:00:00", "timestamp": "2026-11-23 02:00:00.5", "timestamptz": "2026-11-23 02:00:00+00", "float4": "1.5", "float8": "1e-05",
        "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "json": '{"a": [1]}',
    }  # fmt: skip
    items = [{"pk": {"S": "a"}, "sk": {"N": "1"}} | {name: {"S": text} for name, text in cells.items()}]
    items.append({"pk": {"S": "b"}, "sk": {"N": "1"}, "timestamp": {"S": "infinity"}})
    opened = make_set(items, pins=[Column(name, name, "S", logical=name) for name in cells])
    mapping = derive(opened)
    kinds = {column.name: column.sql_type for column in mapping.columns if column.name in cells}
    assert kinds == {
        "date": "date", "time": "time", "timestamp": "timestamp", "timestamptz": "timestamptz", "float4": "real", "float8": "double precision", "uuid": "uuid",
        "json": "jsonb",
    }  # fmt: skip
    (first, second), _ = convert(opened, mapping)
    assert {name: str(first[name]) for name in cells} == cells | {
        "timestamp": "2026-11-23 02:00:00.500000", "timestamptz": "2026-11-23 02:00:00+00:00"
    }  # fmt: skip
    assert json.loads(second["_rest"]) == {"timestamp": {"S": "infinity"}}
    ((row, _), _) = convert(opened, derive(opened, columns=[{"from": name, "type": "text"} for name in cells]))
    assert {name: row[name] for name in cells} == cells


# nothing is lost

ITEMS = st.lists(
    st.dictionaries(item_strategies.names.filter(lambda name: name not in ("pk", "sk")), item_strategies.values, max_size=6), min_size=1, max_size=9
)  # fmt: skip


@given(ITEMS, st.sampled_from(["json", "columns"]), st.sampled_from(["plain", "typed"]))
def test_every_item_can_be_made_again_from_its_row(made: list[dict[str, Any]], nested: str, style: str) -> None:
    items = [
        json.loads(msgspec.json.encode(canonical_attributes(item | {"pk": {"S": "k"}, "sk": {"N": str(number)}})))
        for number, item in enumerate(made)
        if "\\u0000" not in json.dumps(item)
    ]
    if not items:
        return
    opened = make_set(items)
    mapping = derive(opened, nested=nested, json=style)
    rows, _ = convert(opened, mapping)
    for item, row in zip(items, rows, strict=True):
        for name, value in item.items():
            assert _told(mapping, row, name, value), name
        rest = json.loads(row["_rest"] or "{}")
        assert rest.keys() <= item.keys()


def _told(mapping: Mapping, row: dict[str, Any], name: str, value: dict[str, Any]) -> bool:
    """Whether the row tells the value of an attribute: whole in its column or in `_rest`, or leaf by leaf."""
    rest = json.loads(row["_rest"] or "{}")
    if rest.get(name) == value:
        return True
    for column in mapping.columns:
        if column.path == (name,):
            return _same(row[column.name], value, typed=column.typed)
    return _leaves_told(mapping, row, (name,), value, rest.get(name))


def _leaves_told(
    mapping: Mapping, row: dict[str, Any], path: tuple[str, ...], value: dict[str, Any], rest: Any
) -> bool:
    if rest == value:
        return True
    column = next((one for one in mapping.columns if one.path == path), None)
    if column is not None and row[column.name] is not None and _same(row[column.name], value, typed=column.typed):
        return True
    if "M" not in value:
        return False
    inside = (rest or {}).get("M", {})
    return all(_leaves_told(mapping, row, (*path, name), one, inside.get(name)) for name, one in value["M"].items())


def _same(cell: Any, value: dict[str, Any], *, typed: bool) -> bool:
    ((kind, content),) = value.items()
    if cell is None:
        return False
    if typed:
        return bool(json.loads(cell) == value)
    if kind in ("S", "BOOL"):
        return (
            bool(cell == content)
            or (isinstance(cell, str) and cell == json.dumps(content, ensure_ascii=False))
            or _json(cell, value)
        )
    if kind == "N":
        return str(cell) == content or _json(cell, value) or float(cell) == float(content)
    if kind == "B":
        return bool(cell == base64.b64decode(content)) or _json(cell, value)
    return _json(cell, value)


def _json(cell: Any, value: dict[str, Any]) -> bool:
    plain = msgspec.json.encode(plain_json(value))
    return isinstance(cell, str) and msgspec.json.decode(cell) == msgspec.json.decode(plain)


# drift


def test_drift_widens_adds_and_never_drops() -> None:
    before = derive(
        make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "1"}, "gone": {"S": "x"}, "t": {"S": "x"}}])
    )
    wanted = derive(
        make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "1.5"}, "new": {"BOOL": True}, "t": {"N": "1"}}])
    )
    evolution = evolve("copying", before, wanted)
    assert [column.name for column in evolution.mapping.columns] == ["pk", "sk", "gone", "n", "t", "new", "_rest"]
    assert [(one.name, one.sql_type) for one in evolution.widened] == [("n", "numeric(38,5)")]
    assert [one.name for one in evolution.added] == ["new"]
    assert {(one.what, one.column, one.done) for one in evolution.drifts} == {
        ("wider", "n", "widened"), ("new", "new", "added"), ("gone", "gone", "kept"), ("other", "t", "kept")
    }  # fmt: skip
    assert evolve("copying", evolution.mapping, wanted).drifts == tuple(
        one for one in evolution.drifts if one.what in ("gone", "other")
    )


def test_drift_may_be_refused_or_put_into_rest() -> None:
    first = make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "1"}}])
    second = make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "1.5"}, "new": {"S": "x"}}])
    with pytest.raises(BadInputError, match=r"drift: fail: n needs numeric\(38,5\) now, not bigint.*new is new"):
        evolve("copying", derive(first), derive(second, drift="fail"))
    evolution = evolve("copying", derive(first), derive(second, drift="rest"))
    assert [column.name for column in evolution.mapping.columns] == ["pk", "sk", "n", "_rest"]
    ((row,), converter) = convert(second, evolution.mapping)
    assert row["n"] is None
    assert json.loads(row["_rest"]) == {"n": {"N": "1.5"}, "new": {"S": "x"}}
    assert converter.sent.kept == {"n": 1}
    assert [str(one) for one in evolution.drifts] == [
        "n needs numeric(38,5) now, not bigint: the column 'n' is left as it was", "new is new (text): it is in `_rest`"
    ]  # fmt: skip


def test_another_key_is_another_table() -> None:
    one = derive(make_set([{"pk": {"S": "a"}, "sk": {"N": "1"}}]))
    other = derive(make_set([{"pk": {"S": "a"}}], key=[("pk", "S")]))
    with pytest.raises(BadInputError, match="another table"):
        evolve("copying", one, other)
