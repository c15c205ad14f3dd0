"""Which backups may go, and their removal. Says no in doubt: what is deleted wrongly never comes back.

I-13 of the design: never fewer than the minimum of verified full sets, never a chain broken, never a pinned, locked or newest set, and
nothing at all while the newest backup is too old. I-12: a manifest goes first, so that what is half removed is no backup.
What something else reads where it lies (a table of Athena) stays until that reads another set.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tablekeep.engine.backups.catalog import judged, list_shelf
from tablekeep.engine.backups.location import _BACKUP_ID, MANIFEST, SetLocation, Shelf
from tablekeep.engine.backups.locks import lock_warning
from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import Kind, read_records, write_record
from tablekeep.engine.backups.store import AlreadyExistsError, Store
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.leases import Lease
from tablekeep.engine.progress import Progress

GRACE = timedelta(days=7)
"""How long a folder without a manifest rests before it is an orphan: a run that takes long, or is gone on with, writes in it."""
STALE = timedelta(days=7)
"""Age of the newest backup from which on nothing is deleted, where no RPO says it."""

Uses = Callable[[SetLocation], list[str]]
"""What reads a set where it lies: `["athena analytics.orders"]`."""


def no_uses(location: SetLocation) -> list[str]:
    """Nothing does."""
    return []


@dataclass(frozen=True)
class Keep:
    """How many full sets are kept: the newest of each day, ISO week, month and year (UTC), for so many of these that have one.

    :ivar minimum: so many verified full sets stay in any case.
    """

    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    minimum: int = 3

    def check(self) -> "Keep":
        """:raises BadInputError: for a rule that keeps nothing, or a negative number."""
        counts = (self.daily, self.weekly, self.monthly, self.yearly)
        if any(one < 0 for one in counts) or not any(counts):
            raise BadInputError(
                "reading what to keep", "no day, week, month or year is kept", "for example daily: 35, monthly: 12"
            )
        if self.minimum < 1:
            raise BadInputError(
                "reading what to keep", f"the minimum is {self.minimum}", "keep 1 at least; 3 is the default"
            )
        return self


@dataclass
class Verdict:
    """One set: kept, and why; or to be deleted (`why` is empty)."""

    backup: str
    backup_id: str
    as_of: str
    kind: str
    bytes: int
    why: list[str] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        return bool(self.why)


@dataclass
class Expiry:
    """What would be or was deleted.

    :ivar stopped: why nothing is deleted at all; empty when it is not so. :ivar orphans: folders of dead runs, and their bytes.
    :ivar warning: that Object Lock outlasts the rules, with both periods; empty when it does not.
    :ivar deleted: ids of sets and orphans that are gone now. :ivar bytes: that became free, or would.
    """

    table: str
    sets: list[Verdict]
    orphans: dict[str, int]
    stopped: str = ""
    deleted: list[str] = field(default_factory=list)
    bytes: int = 0
    warning: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


_PERIODS: tuple[tuple[str, Callable[[datetime], object]], ...] = (
    ("daily", lambda moment: moment.date()),
    ("weekly", lambda moment: moment.isocalendar()[:2]),
    ("monthly", lambda moment: (moment.year, moment.month)),
    ("yearly", lambda moment: moment.year),
)


def by_periods(moments: Sequence[datetime], keep: Keep) -> list[list[str]]:
    """For each moment, newest first, the rules by which it stays: it is the newest of one of the last days, weeks, months or years."""
    why: list[list[str]] = [[] for _ in moments]
    for name, period in _PERIODS:
        chosen: dict[object, int] = {}
        for number, moment in enumerate(moments):
            chosen.setdefault(period(moment), number)
        for number in list(chosen.values())[: getattr(keep, name)]:
            why[number].append(name)
    return why


def judge_sets(
    sets: Sequence[Manifest], keep: Keep, *, verified: Iterable[str], pinned: Iterable[str], wrong: Iterable[str] = ()
) -> list[Verdict]:
    """A verdict for every set of one table id; a pure function, so that its rules can be tested over all histories.

    :param sets: newest first. :param verified, pinned, wrong: backup ids.
    """
    verified, pinned, wrong = set(verified), set(pinned), set(wrong)
    why: dict[str, list[str]] = {one.backup_id: [] for one in sets}
    full = [one for one in sets if one.window is None]
    good = [one for one in full if one.backup_id not in wrong]
    fine = None
    for one, kept in zip(good, by_periods([one.as_of for one in good], keep), strict=True):
        why[one.backup_id] += kept
        if "daily" in kept:
            fine = one.as_of
    for one in [one for one in good if one.backup_id in verified][: keep.minimum]:
        why[one.backup_id].append("minimum")
    for name in {one.backup_id for one in (*sets[:1], *full[:1])}:
        why[name].append("newest")
    for one in sets:
        if one.backup_id in pinned:
            why[one.backup_id].append("pinned")
    _keep_chains(sets, full, why, fine)
    return [
        Verdict(one.uri, one.backup_id, utc_text(one.as_of), "incremental" if one.window else "full", one.stored_bytes, why[one.backup_id])
        for one in sets
    ]  # fmt: skip


def _keep_chains(
    sets: Sequence[Manifest], full: Sequence[Manifest], why: dict[str, list[str]], fine: datetime | None
) -> None:
    """Increments stay as long as days are told apart (`fine`), and after the newest full set; each of them, and each that is kept for
    another reason, keeps all that lies before it back to a full set, and that one."""
    newest_full = full[0].as_of if full else None
    for one in sets:
        if one.window and (newest_full is None or one.as_of > newest_full or (fine is not None and one.as_of >= fine)):
            why[one.backup_id].append("chain")
    needed = [one for one in sets if one.window and why[one.backup_id]]
    for one in needed:
        base = next((other for other in full if other.as_of <= one.as_of), None)
        for other in sets:
            between = base is not None and other.window and base.as_of < other.as_of < one.as_of
            if (base is None or other.backup_id == base.backup_id or between) and "chain" not in why[other.backup_id]:
                why[other.backup_id].append("chain")


def expire(
    store: Store,
    shelf: Shelf,
    keep: Keep,
    *,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    confirm: bool = False,
    stale: timedelta = STALE,
    uses: Uses = no_uses,
) -> Expiry:
    """Looks at all sets of one table and, with `confirm`, deletes those that no rule keeps, and orphans.

    While it deletes it holds the table's lease, so no backup is made. What the store refuses to delete, or locks, is kept.

    :param stale: age of the newest backup from which on nothing is deleted. :param uses: what reads a set; such a set is kept.
    :raises BadInputError: for rules that make no sense. :raises TransientError: while the table is backed up.
    """
    keep.check()
    if not confirm:
        return _plan(store, shelf, keep, stale, uses)
    with Lease(store, shelf.lease_key, holder=actor, run=run, clock=clock, conflict=AlreadyExistsError) as lease:
        expiry = _plan(store, shelf, keep, stale, uses)
        if expiry.stopped:
            return expiry
        progress.phase("delete", sum(not one.kept for one in expiry.sets) + len(expiry.orphans), "backups")
        for one in reversed(expiry.sets):  # the oldest first: what stays is never a chain without its beginning
            if not one.kept:
                lease.check()
                result = {
                    "backup": one.backup,
                    "as_of": one.as_of,
                    "kind": one.kind,
                    "bytes": one.bytes,
                    "rules": asdict(keep),
                }
                write_record(store, shelf, "delete", result, backup_id=one.backup_id, actor=actor, run=run, clock=clock)
                one.why += _remove_set(store, shelf.set(one.backup_id), uses)
                if one.kept:
                    undone = result | {"undone": one.why}
                    write_record(
                        store, shelf, "delete", undone, backup_id=one.backup_id, actor=actor, run=run, clock=clock
                    )
                    expiry.bytes -= one.bytes
                    continue
                expiry.deleted.append(one.backup_id)
                progress.advance(1)
        for name in expiry.orphans:
            lease.check()
            _remove(store, shelf, name)
            expiry.deleted.append(name)
            progress.advance(1)
    return expiry


def _remove_set(store: Store, location: SetLocation, uses: Uses) -> list[str]:
    """Deletes a set, manifest first. What begins to read it at this moment looks for the manifest afterwards, and this looks for such
    a reader after the manifest is gone: at least one of the two sees the other.

    :returns: what reads it, when the set was left, whole; else nothing.
    """
    text = store.get(location.manifest_key)
    store.delete(location.manifest_key)
    readers = uses(location)
    if readers:
        store.put(location.manifest_key, text, if_absent=True)
        return readers
    _remove(store, location.shelf, location.backup_id)
    return []


def _plan(store: Store, shelf: Shelf, keep: Keep, stale: timedelta, uses: Uses) -> Expiry:
    now, listing = store.now(), list_shelf(store, shelf)  # the store's clock, never this machine's
    whole, wrong = judged(store, shelf)
    verified = {one.backup_id for one in listing.backups if one.window is None} & whole
    pinned, verdicts = pins(store, shelf), list[Verdict]()
    for table_id in dict.fromkeys(one.table_id for one in listing.backups):  # a table made anew begins a new line
        line = [one for one in listing.backups if one.table_id == table_id]
        verdicts += judge_sets(line, keep, verified=verified, pinned=pinned, wrong=wrong)
    expiry = Expiry(shelf.name, verdicts, {})
    if listing.damaged:
        expiry.stopped = f"{listing.damaged[0].uri} has a manifest that cannot be trusted: look into it first"
    elif not listing.backups:
        expiry.stopped = "there is no backup"
    elif now - max(one.consistent[0] for one in listing.backups) > stale:
        age = now - max(one.consistent[0] for one in listing.backups)
        expiry.stopped = f"the newest backup is {age.total_seconds() / 3600:,.0f} hours old: nothing is deleted until there is a new one"
    elif sum(one.kept and one.backup_id in verified for one in verdicts) < keep.minimum:
        expiry.stopped = f"fewer than {keep.minimum} verified full backups would stay: verify them with level full"
    locked = []
    for one in verdicts:
        if not one.kept and (until := store.locked_until(shelf.set(one.backup_id).manifest_key)) and until > now:
            one.why.append(f"locked until {utc_text(until)}")
            locked.append((parse_utc(one.as_of), until))
        if not one.kept:
            one.why += uses(shelf.set(one.backup_id))
    full = [one.as_of for one in listing.backups if one.window is None]
    expiry.warning = lock_warning(keep.daily, full, store.default_lock(), locked, now)
    expiry.orphans = _orphans(store, shelf, {one.backup_id for one in listing.backups}, now, uses)
    expiry.bytes = sum(one.bytes for one in verdicts if not one.kept) + sum(expiry.orphans.values())
    if expiry.stopped:
        expiry.bytes = 0
    return expiry


def _orphans(store: Store, shelf: Shelf, known: set[str], now: datetime, uses: Uses) -> dict[str, int]:
    """Folders of runs that have published nothing and written nothing since `GRACE`."""
    found = {}
    for name in store.folders(f"{shelf.prefix}/"):
        if not _BACKUP_ID.match(name) or name in known:
            continue
        objects = list(store.list(f"{shelf.set(name).prefix}/"))
        if any(one.key.endswith(f"/{MANIFEST}") for one in objects):
            continue  # damaged: for a person to look into
        if all(one.last_modified and now - one.last_modified > GRACE for one in objects) and not uses(shelf.set(name)):
            found[name] = sum(one.size for one in objects)
    return found


def _remove(store: Store, shelf: Shelf, name: str) -> None:
    for info in list(store.list(f"{shelf.set(name).prefix}/")):
        store.delete(info.key)


def pins(store: Store, shelf: Shelf) -> set[str]:
    """Ids of the sets that are pinned."""
    state: dict[str, tuple[str, bool]] = {}
    kinds: tuple[tuple[Kind, bool], ...] = (("pin", True), ("unpin", False))
    for kind, value in kinds:
        for record in read_records(store, shelf, kind):
            name = record["backup_id"]
            if name not in state or record["at"] >= state[name][0]:
                state[name] = (record["at"], value)
    return {name for name, (_at, value) in state.items() if value}
