"""Sealed documents, addresses, records and spools."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.backups.location import Shelf, is_part_name, parse_manifest_uri, part_name
from tablekeep.engine.backups.records import broken_links, read_records, write_record
from tablekeep.engine.backups.sealed import seal, seal_of, unseal
from tablekeep.engine.backups.spool import KeySpool, differences
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.names import parse_s3

plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=9),
)
values = st.recursive(
    plain,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=8,
)
names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=5).filter(lambda name: name != "sha256")
documents = st.dictionaries(names, values, min_size=1, max_size=4)


@given(documents)
def test_unseal_gives_what_was_sealed(document: dict[str, Any]) -> None:
    text = seal(document)
    assert unseal(text, "it") == document
    assert json.loads(text) == document | {"sha256": seal_of(text)}


@given(documents, st.data())
def test_no_single_byte_can_change(document: dict[str, Any], data: st.DataObject) -> None:
    text = bytearray(seal(document))
    position = data.draw(st.integers(0, len(text) - 1))
    text[position] ^= data.draw(st.integers(1, 255))
    with pytest.raises(IntegrityError):
        unseal(bytes(text), "it")


@pytest.mark.parametrize(
    "text",
    [b"", b"{}", b"null\n", b'{"a":1}\n', seal({"a": 1})[:-1], seal({"a": 1}) + b" ", seal({"a": 1})[5:]],
    ids=repr,
)
def test_unseal_refuses_what_is_cut_off_or_never_was_sealed(text: bytes) -> None:
    with pytest.raises(IntegrityError):
        unseal(text, "it")


@pytest.mark.parametrize("body", [b'{"a":1,"a":2}', b'{"b":1,"a":2}', b'{"a": 1}', b'["a"]'], ids=repr)
def test_unseal_refuses_a_well_hashed_text_that_is_not_canonical(body: bytes) -> None:
    import hashlib

    text = body[:-1] + f',"sha256":"{hashlib.sha256(body).hexdigest()}"'.encode() + body[-1:] + b"\n"
    with pytest.raises(IntegrityError):
        unseal(text, "it")


@pytest.mark.parametrize(
    "uri",
    ["bucket/x", "http://bucket/x", "s3://", "s3://UPPER/x", "s3://a/x", "s3://bucket/../x", "s3://bucket//x", "s3://bucket/a/./b", "s3://bucket/\n",
     "s3://arn:aws:s3:::b/x", "s3://buck..et/x", "s3://bucket/" + "x" * 701],
)  # fmt: skip
def test_parse_s3_refuses_what_is_no_address(uri: str) -> None:
    with pytest.raises(BadInputError, match="s3://"):
        parse_s3(uri)


def test_addresses_go_both_ways() -> None:
    for root in ("", "a", "a/b"):
        location = Shelf("bucket", root, "123456789012", "eu-west-1", "dynamodb", "orders").set(
            "20261123T020000Z-4f9c2a1b"
        )
        assert parse_manifest_uri(location.uri) == location
    assert parse_s3("s3://bucket/a/b/") == ("bucket", "a/b")
    with pytest.raises(BadInputError, match="tablekeep list"):
        parse_manifest_uri("s3://bucket/orders/manifest.json")


@pytest.mark.parametrize(
    "name",
    [
        "data/../x.parquet",
        "/etc/passwd",
        "s3://other/data/part-00000-000000-0.parquet",
        "data/part-0-0-0.parquet",
        "part",
    ],
)
def test_forged_part_names_are_not_parts(name: str) -> None:
    assert is_part_name(part_name(3, 1, 0))
    assert not is_part_name(name)


def test_records_are_chained_and_a_removed_or_edited_one_is_missed() -> None:
    store, shelf = MemoryStore(), Shelf("b", "", "1", "r", "dynamodb", "orders")
    keys = [
        write_record(store, shelf, "verify", {"n": n}, backup_id=None, actor="ana", run="r", clock=SystemClock())
        for n in range(3)
    ]
    assert [one["result"]["n"] for one in read_records(store, shelf, "verify")] == [0, 1, 2]
    assert broken_links(store, shelf, "verify") == []
    middle = unseal(store.get(keys[1]), "it")
    store.put(keys[1], seal(middle | {"actor": "eve"}))
    assert "was changed" in broken_links(store, shelf, "verify")[0]
    store.delete(keys[1])
    assert "is missing" in broken_links(store, shelf, "verify")[0]


@given(
    st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 2)), max_size=30),
    st.lists(st.tuples(st.binary(max_size=6), st.integers(0, 2)), max_size=30),
)
def test_spools_find_duplicates_and_differences(left: list[tuple[bytes, int]], right: list[tuple[bytes, int]]) -> None:
    keys = [key for key, _ in left]
    with KeySpool(5_000_000) as one:
        assert one.files > 20
        for key, value in left:
            one.add(key, bytes([value]) * 32)
        assert sorted(one.duplicates()) == sorted({key for key in keys if keys.count(key) > 1})
    a, b = dict(left), dict(right)
    with KeySpool(5_000_000) as one, KeySpool(5_000_000) as two:
        for spool, side in ((one, a), (two, b)):
            for key, value in side.items():
                spool.add(key, bytes([value]) * 32)
        found = dict(differences(one, two))
    expected = {key: "left only" for key in a.keys() - b.keys()} | {key: "right only" for key in b.keys() - a.keys()}
    expected |= {key: "different" for key in a.keys() & b.keys() if a[key] != b[key]}
    assert found == expected
