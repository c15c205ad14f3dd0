"""Sets that released versions wrote, byte for byte. They must verify and decode for ever: never made anew, only added to."""

from pathlib import Path

import pytest

from tablekeep.engine.backups.location import parse_manifest_uri
from tablekeep.engine.backups.sets import open_set
from tablekeep.engine.backups.store import MemoryStore
from tablekeep.engine.backups.verify import verify_set
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.items.canonical import canonical_item
from tablekeep.engine.progress import NoProgress
from tests.tables import orders

SETS = Path(__file__).parents[2] / "golden" / "sets"


@pytest.mark.parametrize("version", sorted(path.name for path in SETS.iterdir()))
def test_a_set_of_a_released_version_verifies_and_decodes(version: str) -> None:
    store, folder = MemoryStore(), SETS / version
    for path in folder.rglob("*.*"):
        if path.is_file():
            store.put(path.relative_to(folder).as_posix(), path.read_bytes())
    uri, content = (folder / "expected.txt").read_text().split()
    opened = open_set(store, parse_manifest_uri(uri))
    report = verify_set(opened, "full", clock=SystemClock(), progress=NoProgress())
    assert report.problems == []
    assert str(opened.manifest.content) == report.content_hash == content
    items = sorted(item for part in opened.manifest.parts for batch in opened.items(part) for item in batch)
    assert items == sorted(canonical_item(item) for item in orders(25))
