"""Which backups there are: read from manifests alone, so that nothing half-made is ever listed."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tablekeep.engine.backups.location import _BACKUP_ID, FORMAT_FOLDER, RECORDS_ONLY, Shelf
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import open_set
from tablekeep.engine.backups.store import Store
from tablekeep.engine.errors import BadInputError, IntegrityError


@dataclass(frozen=True)
class Damaged:
    """A folder whose manifest cannot be trusted: told to the person who lists, never used."""

    uri: str
    why: str


@dataclass(frozen=True)
class Listing:
    """All sets found under a root, newest first, and what was found damaged."""

    backups: list[Manifest]
    damaged: list[Damaged]


def shelves(store: Store, bucket: str, root: str, *, name: str | None = None) -> Iterator[Shelf]:
    """Every table (or database) that has a folder under the root."""
    top = f"{root}/{FORMAT_FOLDER}/" if root else f"{FORMAT_FOLDER}/"
    for account in store.folders(top):
        for region in store.folders(f"{top}{account}/"):
            for service in store.folders(f"{top}{account}/{region}/"):
                if service in RECORDS_ONLY:
                    continue
                for found in store.folders(f"{top}{account}/{region}/{service}/"):
                    if name is None or found == name:
                        yield Shelf(bucket, root, account, region, service, found)


def find_shelf(store: Store, bucket: str, root: str, table: str, doing: str) -> Shelf:
    """The one shelf of a table's backups.

    :param doing: what it is for, as the error begins: `drilling the table`.
    :raises BadInputError: when there is none, or one in several accounts or Regions.
    """
    found = list(shelves(store, bucket, root, name=table))
    what = f"{doing} {table}"
    if not found:
        raise BadInputError(
            what, f"there is no backup of it under {store.address}/{root}", "make one with `tablekeep export`"
        )
    if len(found) > 1:
        places = ", ".join(f"{one.account}/{one.region}" for one in found)
        raise BadInputError(
            what,
            f"there are backups of tables of this name in {places}",
            "keep them under roots of their own, and name that one",
        )
    return found[0]


def list_shelf(store: Store, shelf: Shelf) -> Listing:
    """The sets of one table, newest first."""
    backups, damaged = [], []
    for folder in store.folders(f"{shelf.prefix}/"):
        if not _BACKUP_ID.match(folder):
            continue
        location = shelf.set(folder)
        try:
            backups.append(open_set(store, location).manifest)
        except BadInputError:
            continue  # no manifest: running, or given up; not a backup
        except IntegrityError as error:
            damaged.append(Damaged(location.uri, error.why))
    return Listing(sorted(backups, key=lambda one: (one.as_of, one.finished), reverse=True), damaged)


def list_backups(store: Store, bucket: str, root: str, *, name: str | None = None) -> Listing:
    """The sets of all tables under a root, by table, newest first."""
    backups: list[Manifest] = []
    damaged: list[Damaged] = []
    for shelf in shelves(store, bucket, root, name=name):
        listing = list_shelf(store, shelf)
        backups += listing.backups
        damaged += listing.damaged
    return Listing(backups, damaged)


def newest(store: Store, shelf: Shelf, *, table_id: str | None = None) -> Manifest | None:
    """The newest set by `as_of`, full or not, of one table id where it is given: a table made anew begins a new line."""
    found = list_shelf(store, shelf).backups
    return next((one for one in found if table_id is None or one.table_id == table_id), None)


DISPROOF = "confirm"
"""The level of a record that compares a merged set with a fresh export. What it disproves no later look makes good: that a set is stored
as it was written does not make it right."""


def verifications(store: Store, shelf: Shelf) -> dict[str, dict[str, Any]]:
    """For each backup id the verification record that says most of it: the one that found it wrong, as long as that stands (see
    `judged`); else the last one at level `full`; else the newest."""
    newest, full, bad = dict[str, dict[str, Any]](), dict[str, dict[str, Any]](), dict[str, dict[str, Any]]()
    for record in read_records(store, shelf, "verify"):
        name, result = record["backup_id"], record["result"]
        if not name:
            continue
        newest[name] = record
        if not result["ok"]:
            bad[name] = record
        elif result["level"] == "full":
            full[name] = record
            if name in bad and bad[name]["result"]["level"] != DISPROOF:
                del bad[name]
    return newest | full | bad


def judged(store: Store, shelf: Shelf) -> tuple[set[str], set[str]]:
    """Ids of the sets that a verification at level `full` found whole, and none since found anything wrong with; and of those with
    which one did, since when none at level `full` found them whole, or a confirmation ever."""
    whole, bad, disproved = dict[str, bool](), set[str](), set[str]()
    for record in read_records(store, shelf, "verify"):
        name, result = record["backup_id"], record["result"]
        # a later, lighter look does not undo a full one, unless it finds something
        whole[name] = result["ok"] and (result["level"] == "full" or whole.get(name, False))
        if not result["ok"]:
            bad.add(name)
        elif result["level"] == "full":  # a lighter look, or one at other parts, does not see what was wrong
            bad.discard(name)
        if result["level"] == DISPROOF and not result["ok"]:
            disproved.add(name)
    return {name for name, ok in whole.items() if ok} - disproved, bad | disproved


def verified_sets(store: Store, shelf: Shelf) -> Iterator[Manifest]:
    """The full sets that are verified, see `judged`; newest first."""
    whole, _ = judged(store, shelf)
    return (one for one in list_shelf(store, shelf).backups if one.backup_id in whole and one.window is None)


def usable_sets(store: Store, shelf: Shelf) -> tuple[list[Manifest], list[Manifest]]:
    """All sets but those that were found wrong, and these; newest first."""
    _, bad = judged(store, shelf)
    found = list_shelf(store, shelf).backups
    return [one for one in found if one.backup_id not in bad], [one for one in found if one.backup_id in bad]


def newest_verified(store: Store, shelf: Shelf) -> Manifest | None:
    """The newest of `verified_sets`."""
    return next(verified_sets(store, shelf), None)
