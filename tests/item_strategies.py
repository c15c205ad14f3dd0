"""Hypothesis strategies for every item that a DynamoDB table can hold, as decoded wire JSON."""

import base64
from decimal import Context, Decimal
from typing import Any

from hypothesis import strategies as st

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
names = st.one_of(
    st.sampled_from(
        ["id", "ID", "Id", "_rest", "_REST", "_rest~2", "a", "A", "a~2", "ß", "SS", "a.b", " ", "price", "\x00", '"']
    ),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6),
)


@st.composite
def numbers(draw: Any) -> str:
    """Numbers of up to 38 digits over the whole range, in any notation that a writer may have used."""
    digits = draw(st.integers(1, 10**38 - 1))
    value = Decimal(digits)
    exponent = draw(st.one_of(st.integers(-8, 8), st.integers(-130, 125)))
    value = value.scaleb(exponent - value.adjusted(), Context(prec=40))  # the default context would round to 28 digits
    if draw(st.booleans()):
        value = value.copy_negate()  # unary minus would round
    notation = draw(st.sampled_from(["plain", "scientific", "zeros"]))
    if notation == "plain":
        return format(value, "f")
    if notation == "scientific":
        return str(value)
    plain = format(value, "f")
    return plain + ("0" if "." in plain else ".0")


number_text = st.one_of(
    numbers(),
    st.integers(-(2**63) - 2, 2**63 + 2).map(str),
    st.integers(-99, 99).map(str),
    st.sampled_from(["0", "-0", "0.0", "1E2", "9.99E+125", "1E-130"]),
)
binary = st.binary(max_size=12).map(lambda raw: base64.b64encode(raw).decode())


def _unique_numbers(texts: list[str]) -> bool:
    return len({Decimal(one) for one in texts}) == len(texts)


scalars = st.one_of(
    text.map(lambda v: {"S": v}),
    number_text.map(lambda v: {"N": v}),
    binary.map(lambda v: {"B": v}),
    st.booleans().map(lambda v: {"BOOL": v}),
    st.just({"NULL": True}),
    st.lists(text, min_size=1, max_size=4, unique=True).map(lambda v: {"SS": v}),
    st.lists(number_text, min_size=1, max_size=4).filter(_unique_numbers).map(lambda v: {"NS": v}),
    st.lists(binary, min_size=1, max_size=4, unique=True).map(lambda v: {"BS": v}),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda v: {"L": v}),
        st.dictionaries(names, inner, max_size=3).map(lambda v: {"M": v}),
    ),
    max_leaves=6,
)


@st.composite
def items(draw: Any) -> dict[str, Any]:
    """An item with the key `pk` (S) and `sk` (N)."""
    item = draw(st.dictionaries(names, values, max_size=6))
    item["pk"] = {"S": draw(text.filter(bool))}
    item["sk"] = {"N": draw(number_text)}
    return item
