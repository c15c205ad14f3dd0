"""Records: what was done with a table's backups, beside the sets and outliving them; written once, chained by hash.

`<name>/_records/<kind>/<utc>-<id>.json`. Each names the record before it and that one's seal, so a record that was edited
or removed is missed by its successor. Two that are written at one moment may name the same predecessor.
"""

from collections.abc import Iterator
from typing import Any, Literal

from tablekeep.engine.backups.location import RECORDS, Shelf
from tablekeep.engine.backups.sealed import seal, seal_of, unseal
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import TransientError

Kind = Literal["verify", "copy", "drill", "plan", "approval", "restore", "delete", "pin", "unpin", "snapshot"]
_FORMAT = "tablekeep-record"
_MAX_BYTES = 16 * 1024 * 1024


def _folder(shelf: Shelf, kind: str) -> str:
    return f"{shelf.prefix}/{RECORDS}/{kind}/"


def _keys(store: Store, shelf: Shelf, kind: str) -> Iterator[str]:
    """The records' keys, oldest first; a page that lies beside a record is none."""
    return (info.key for info in store.list(_folder(shelf, kind)) if info.key.endswith(".json"))


def write_record(
    store: Store,
    shelf: Shelf,
    kind: Kind,
    result: dict[str, Any],
    *,
    backup_id: str | None,
    actor: str,
    run: str,
    clock: Clock,
) -> str:
    """Writes one record and returns its key.

    :param result: what was found or done: counts and key hashes, never item contents.
    :param actor: who asked for it. :param run: which run did it (an Airflow run id, or `cli-…`).
    """
    folder = _folder(shelf, kind)
    previous = None
    for key in _keys(store, shelf, kind):
        previous = key
    document: dict[str, Any] = {
        "format": _FORMAT,
        "version": 1,
        "kind": kind,
        "at": utc_text(clock.now()),
        "backup_id": backup_id,
        "actor": actor,
        "run": run,
        "previous": {"name": previous[len(folder) :], "sha256": seal_of(store.get(previous))} if previous else None,
        "result": result,
    }
    for _ in range(3):
        key = f"{folder}{clock.now():%Y%m%dT%H%M%S%fZ}-{clock.token(4)}.json"
        try:
            store.put(key, seal(document), if_absent=True)
            return key
        except AlreadyExistsError:
            continue
    raise TransientError(f"writing a record under {folder}", "three names in a row were taken", "try again")


def read_records(store: Store, shelf: Shelf, kind: Kind) -> Iterator[dict[str, Any]]:
    """All records of one kind, oldest first.

    :raises IntegrityError: for one that was edited.
    """
    for key in _keys(store, shelf, kind):
        yield unseal(store.get(key, max_bytes=_MAX_BYTES), f"the record {key}") | {"key": key}


def broken_links(store: Store, shelf: Shelf, kind: Kind) -> list[str]:
    """Records that name a predecessor which is gone or changed: `["…-id.json names … which is missing"]`."""
    folder = _folder(shelf, kind)
    seals, problems = dict[str, str](), []
    for key in _keys(store, shelf, kind):
        name, text = key[len(folder) :], store.get(key, max_bytes=_MAX_BYTES)
        previous = unseal(text, f"the record {key}")["previous"]
        if previous and seals.get(previous["name"]) != previous["sha256"]:
            state = "was changed" if previous["name"] in seals else "is missing"
            problems.append(f"{name} names {previous['name']}, which {state}")
        seals[name] = seal_of(text)
    return problems
