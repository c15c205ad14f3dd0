"""Reads a chain's increments into the final state of every key that they changed."""

from tablekeep.engine.backups.chains import Chain
from tablekeep.engine.backups.changed import ChangedKeys
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import Store
from tablekeep.engine.items.changes import parse_change
from tablekeep.engine.progress import Progress


def gather(store: Store, found: Chain, changed: ChangedKeys, progress: Progress) -> None:
    """Adds all changes of the chain's increments, in their order.

    :raises IntegrityError: for a damaged part.
    """
    progress.phase("changes", sum(one.items for one in found.increments), "changes")
    for increment in found.increments:
        assert increment.window
        opened = BackupSet(store, increment)
        for part in increment.parts:
            for records in opened.items(part):
                changes = [parse_change(one, increment.key_names) for one in records]
                changed.apply(changes, old_images=increment.window.old_images)
                progress.advance(len(records))
