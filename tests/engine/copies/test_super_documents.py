"""Documents for SUPER: no digit is lost, and what it cannot hold is told beforehand."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.copies.super_documents import (
    PROBE,
    STRING_BYTES,
    cut,
    cut_strings,
    exact_numbers,
    has_twins,
    keeps_decimals,
    unfit,
)

NUMBERS = st.one_of(
    st.integers(min_value=-(10**50), max_value=10**50).map(str),
    st.decimals(allow_nan=False, allow_infinity=False, places=5).map(lambda one: format(one, "f")),
    st.tuples(st.integers(0, 10**20), st.integers(0, 10**30)).map(lambda pair: f"-{pair[0]}.{pair[1]}"),
)
DOCUMENTS = st.recursive(
    st.one_of(st.none(), st.booleans(), st.text(max_size=50), NUMBERS.map(lambda text: RawNumber(text))),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
    max_leaves=12,
)


class RawNumber(str):
    """A number by its text."""


def text_of(value: Any) -> str:
    match value:
        case RawNumber():
            return str(value)
        case dict():
            return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{text_of(v)}" for k, v in value.items()) + "}"
        case list():
            return "[" + ",".join(map(text_of, value)) + "]"
        case _:
            return json.dumps(value, ensure_ascii=False)


@given(DOCUMENTS, st.booleans())
def test_whatever_stays_a_number_is_exact_and_nothing_else_changes(value: Any, decimals: bool) -> None:
    text = text_of(value)
    changed, count = exact_numbers(text, decimals=decimals)
    before = json.loads(text, parse_int=RawNumber, parse_float=RawNumber)
    after = json.loads(changed, parse_int=RawNumber, parse_float=RawNumber)
    assert before == after  # RawNumber is a str: a number that became a string has the same text
    stayed = [0]

    def check(one: Any) -> Any:
        if isinstance(one, RawNumber):
            stayed[0] += 1
            digits = one.lstrip("-").replace(".", "").lstrip("0")
            scale = len(one.partition(".")[2])
            small = scale == 0 and abs(int(one)) < 2**63
            if decimals:
                assert small or (len(digits) <= 38 and scale <= 37)
            else:
                assert small or Decimal(repr(float(one))) == Decimal(one)
        for inner in one.values() if isinstance(one, dict) else one if isinstance(one, list) else ():
            check(inner)
        return one

    check(after)
    assert (count == 0) == (changed == text)


@pytest.mark.parametrize(
    ("text", "decimals", "expected"),
    [
        ("[" + "9" * 38 + "," + "9" * 39 + "]", True, "[" + "9" * 38 + ',"' + "9" * 39 + '"]'),
        ("[1" + "0" * 125 + "]", True, '["1' + "0" * 125 + '"]'),
        ("[0." + "1" * 37 + ",0." + "1" * 38 + "]", True, "[0." + "1" * 37 + ',"0.' + "1" * 38 + '"]'),
        ("[9223372036854775807,9223372036854775808]", False, '[9223372036854775807,"9223372036854775808"]'),
        ('{"' + "9" * 50 + '":"' + "9" * 50 + '","a\\"1":12345678901234567.5}', False,
         '{"' + "9" * 50 + '":"' + "9" * 50 + '","a\\"1":"12345678901234567.5"}'),
        ("[1e5,1.2345678901234567e5,1e400]", True, '[1e5,"1.2345678901234567e5","1e400"]'),
        ("[1.10,-7,0.1]", False, "[1.10,-7,0.1]"),
    ],
)  # fmt: skip
def test_numbers_at_the_limits(text: str, decimals: bool, expected: str) -> None:
    assert exact_numbers(text, decimals=decimals)[0] == expected


def test_the_probe_tells_whether_decimals_are_kept() -> None:
    assert keeps_decimals(PROBE)
    assert not keeps_decimals(PROBE.replace("12345678901234567890123456789012345678", "1.2345678901234568e+37"))
    # each of its numbers needs a decimal, or fits both
    assert exact_numbers(PROBE, decimals=True) == (PROBE, 0)
    assert exact_numbers(PROBE, decimals=False)[1] == 3


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (json.dumps("x" * STRING_BYTES), None),
        (json.dumps(["é" * 32767, "x" * 65535], ensure_ascii=False), None),
        (json.dumps(["é" * 32768], ensure_ascii=False), "with a string longer than 65,535 bytes"),
        (json.dumps({"é" * 32768: 1}, ensure_ascii=False), "with a string longer than 65,535 bytes"),
        ('["' + "\\u0001" * 65536 + '"]', "with a string longer than 65,535 bytes"),
        ('["' + "\\u0001" * 65535 + '"]', None),
        (json.dumps(["x" * 60000] * 18), "longer than 1,024,000 bytes"),
        ("[" * 1000 + "]" * 1000, None),
        ("[" * 1001 + "]" * 1001, "nested deeper than 1,000 levels"),
        ('["' + "[" * 2000 + '"]', None),
    ],
)
def test_what_super_cannot_hold(text: str, why: str | None) -> None:
    assert unfit(text) == why


def test_attributes_that_are_named_twice() -> None:
    assert has_twins('{"a": [{"b": 1, "b": 2}]}')
    assert has_twins('{"a": 1, "\\u0061": 2}')
    assert not has_twins('{"a": {"a": 1}, "A": 2}')


def test_texts_are_cut_at_whole_characters() -> None:
    assert cut("aé😀", 2) == "a"
    assert cut("aé😀", 3) == "aé"
    assert cut("aé😀", 6) == "aé"
    assert cut("aé😀", 7) == "aé😀"
    long = "é" * 40000
    text, count = cut_strings(json.dumps({"a": long, "b": "short", "n": 1.10}, ensure_ascii=False))
    assert (count, json.loads(text)["a"], json.loads(text)["b"]) == (1, "é" * 32767, "short")
    assert unfit(text) is None
    assert cut_strings('{"a":1.10}') == ('{"a":1.10}', 0)
