"""Sets that released versions wrote, byte for byte. They must verify and decode for ever: never made anew, only added to."""

from pathlib import Path

import pytest

from tablekeep.engine.backups.catalog import list_shelf
from tablekeep.engine.backups.chains import chain
from tablekeep.engine.backups.location import parse_manifest_uri
from tablekeep.engine.backups.sets import BackupSet, open_set
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.backups.verify import verify_set
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.progress import NoProgress
from tests.tables import orders

SETS = Path(__file__).parents[2] / "golden" / "sets"


def opened(version: str) -> list[BackupSet]:
    """The sets that a version wrote, each whole, in the order of `expected.txt`; the last one is full and holds the items of
    `items.jsonl`, where there is none 25 orders."""
    store, folder = MemoryStore(), SETS / version
    for path in folder.rglob("*.*"):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    found = []
    told = (folder / "expected.txt").read_text().split()
    for uri, content in zip(told[::2], told[1::2], strict=True):
        one = open_set(store, parse_manifest_uri(uri))
        report = verify_set(one, "full", clock=SystemClock(), progress=NoProgress())
        assert report.problems == []
        assert str(one.manifest.content) == report.content_hash == content
        found.append(one)
    return found


@pytest.mark.parametrize("version", sorted(path.name for path in SETS.iterdir()))
def test_a_set_of_a_released_version_verifies_and_decodes(version: str) -> None:
    last = opened(version)[-1]
    items = sorted(item for part in last.manifest.parts for batch in last.items(part) for item in batch)
    told = SETS / version / "items.jsonl"
    expected = told.read_bytes().splitlines() if told.exists() else [canonical_item(item) for item in orders(25)]
    assert items == sorted(expected)


def test_the_chain_of_1_1_is_found() -> None:
    full, increment, merged = opened("1.1")
    manifest = full.manifest
    sets = [one for one in list_shelf(full.store, manifest.location.shelf).backups if one.engine != "merge"]
    found = chain(sets, table_id=manifest.table_id)
    assert found
    assert (found.full.uri, [one.uri for one in found.increments]) == (manifest.uri, [increment.manifest.uri])
    assert merged.manifest.parents == (manifest.link, increment.manifest.link)


def test_the_set_of_1_2_has_types_and_a_key_of_three_columns() -> None:
    full, increment, merged = opened("1.2")
    assert full.manifest.key == (("day", "S"), ("shop", "S"), ("nr", "N"))
    logical = {one.attribute: one.logical for one in full.manifest.layout.columns if one.logical}
    assert logical == {
        "day": "date", "share": "float8", "at": "timestamptz", "half": "float4", "clock": "time", "ref": "uuid", "doc": "json",
    }  # fmt: skip
    assert increment.manifest.run["position"] == {"column": "change_no", "since": "26", "to": "102"}
    assert merged.manifest.run["position"] == increment.manifest.run["position"]
