"""Texts of files and the types that are declared for them: which are values, and in which form they are kept."""

from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.copies.kinds import parse_kind
from tablekeep.engine.files.columns import Typed, derive

VALUES: list[tuple[str, list[tuple[str, Any]]]] = [
    ("integer", [("1", "1"), ("-007", "-7"), ("2147483647", "2147483647"), ("2147483648", None), ("1.0", "1"), ("1.5", None), ("", None), ("x", None)]),
    ("bigint", [("9223372036854775807", "9223372036854775807"), ("9223372036854775808", None), ("-9223372036854775808", "-9223372036854775808"), ("1e3", "1000")]),
    ("smallint", [("32767", "32767"), ("32768", None)]),
    ("numeric(5,2)", [("123.45", "123.45"), ("1.5", "1.5"), ("1234.5", None), ("0.125", None), ("-.5", "-0.5"), ("1,5", None), ("NaN", None)]),
    ("numeric", [("1" + "0" * 30 + ".5", "1" + "0" * 30 + ".5"), ("9" * 39, None)]),
    ("double", [("0.1", "0.1"), ("1E15", "1e+15"), ("NaN", "NaN"), ("-inf", "-Infinity"), ("1_0", None), ("x", None)]),
    ("real", [("0.1", "0.1"), ("1000000", "1e+06")]),
    ("boolean", [("true", True), ("F", False), ("1", True), ("no", None)]),
    ("bytes", [("AP8=", b"\x00\xff"), ("", b""), ("A", None)]),
    ("date", [("2026-11-23", "2026-11-23"), ("20261123", "2026-11-23"), ("23.11.2026", None)]),
    ("time", [("02:00", "02:00:00"), ("02:00:00.50", "02:00:00.5"), ("02:00:00+01:00", None), ("24:00:00", None)]),
    ("timestamp", [("2026-11-23 02:00:00", "2026-11-23 02:00:00"), ("2026-11-23T02:00:00.500", "2026-11-23 02:00:00.5"), ("2026-11-23T02:00:00Z", None)]),
    ("timestamptz", [("2026-11-23T02:00:00Z", "2026-11-23 02:00:00+00"), ("2026-11-23 02:00:00.25+05:30", "2026-11-22 20:30:00.25+00"), ("2026-11-23 02:00:00", None)]),
    ("uuid", [("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"), ("x", None)]),
    ("json", [('{"a": 1.50}', '{"a": 1.50}'), ("{", None)]),
    ("varchar(3)", [("longer", "longer")]),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values"), VALUES)
def test_what_is_a_value_of_a_type(kind: str, values: list[tuple[str, Any]]) -> None:
    column = Typed("c", parse_kind(kind))
    texts = pa.array([*(text for text, _ in values), None], pa.string())
    assert column.read(texts).to_pylist() == [*(expected for _, expected in values), None]


@given(st.lists(st.one_of(st.integers(), st.integers(-(2**63) - 3, 2**63 + 3)), min_size=1))
def test_integers_fit_to_their_last_one(numbers: list[int]) -> None:
    for name, bits in (("smallint", 15), ("integer", 31), ("bigint", 63)):
        found = Typed("c", parse_kind(name)).read(pa.array([str(one) for one in numbers])).to_pylist()
        assert found == [str(one) if -(1 << bits) <= one < 1 << bits else None for one in numbers]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["1", "2.50", None], "numeric"), (["007"], "text"), (["2026-11-23"], "date"), (["2026-11-23 02:00:00"], "timestamp"),
        (["2026-11-23 02:00:00+00"], "timestamptz"), (["2026-11-23T02:00:00Z"], "text"), (["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"], "uuid"),
        (["true", "false"], "text"), (["1", "x"], "text"), ([None], "text"), ([], "text"), (["1e5"], "text"),
    ],
)  # fmt: skip
def test_types_are_derived_where_every_text_of_a_sample_is_one(texts: list[str | None], expected: str) -> None:
    (column,) = derive(["c"], [pa.array(texts, pa.string())])
    assert (column.kind.name, column.derived) == (expected, True)
