"""Opening and publishing a backup set."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from tablekeep.engine.backups.location import FORMAT_FOLDER, SetLocation, file_name, parse_manifest_uri
from tablekeep.engine.backups.manifest import Manifest, Part, StoredFile, checked, parse_manifest
from tablekeep.engine.backups.parts import part_batches, part_keyed, part_keys, part_records
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sealed import MAX_BYTES
from tablekeep.engine.backups.store import AlreadyExistsError, NotFoundError, Store
from tablekeep.engine.clients import Clients
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError


@dataclass(frozen=True)
class BackupSet:
    """An open set: its manifest, and a way to its objects."""

    store: Store
    manifest: Manifest

    def document(self, role: str) -> dict[str, Any]:
        """The `table` settings or the `census`, its SHA-256 checked.

        :raises IntegrityError: when it is missing, damaged or no JSON object.
        """
        stored = self.manifest.file(role)
        name = stored.name
        try:
            text = self.store.get(self.manifest.location.key(name), max_bytes=MAX_BYTES)
        except NotFoundError:
            raise IntegrityError(
                f"reading {name} of {self.manifest.uri}", "it is missing", "use another backup"
            ) from None
        if len(text) != stored.size or hashlib.sha256(text).hexdigest() != stored.sha256:
            raise IntegrityError(f"reading {name} of {self.manifest.uri}", "its SHA-256 differs from the manifest's")
        document: dict[str, Any] = msgspec.json.decode(text)
        return document

    def batches(self, part: Part) -> Iterator[Any]:
        """The part's record batches, after its SHA-256 was checked."""
        return (batch for batch, _ in part_batches(self.store, self.manifest, part))

    def items(self, part: Part) -> Iterator[list[bytes]]:
        """The part's canonical records, a few thousand at a time, after its SHA-256 was checked: items, or changes."""
        return part_records(self.store, self.manifest, part)

    def keys(self, part: Part) -> Iterator[list[bytes]]:
        """The canonical keys of a part of items, likewise."""
        return part_keys(self.store, self.manifest, part)

    def keyed(self, part: Part) -> Iterator[tuple[list[bytes], list[bytes]]]:
        """Canonical keys and canonical items of a part of items, likewise."""
        return part_keyed(self.store, self.manifest, part)


def open_set(store: Store, location: SetLocation) -> BackupSet:
    """Opens the set at a location.

    :raises BadInputError: when there is none. :raises IntegrityError: when its manifest is not whole.
    """
    try:
        text = store.get(location.manifest_key, max_bytes=MAX_BYTES)
    except NotFoundError:
        raise BadInputError(
            f"opening the backup {location.uri}",
            "there is no manifest, so there is no backup",
            "choose one from `tablekeep list`",
        ) from None
    return BackupSet(store, parse_manifest(text, location))


def open_backup(clients: Clients, uri: str, *, owner: str | None = None, incremental: bool = False) -> BackupSet:
    """Opens a backup by its manifest's URI; see `open_set` for the errors.

    :param incremental: a set of changes will do, too.
    :raises BadInputError: for a set of changes, when the items of a table are wanted.
    """
    location = parse_manifest_uri(uri)
    opened = open_set(S3Store(clients, location.shelf.bucket, owner=owner), location)
    if opened.manifest.window and not incremental:
        raise BadInputError(
            f"opening the backup {location.uri}",
            "it is incremental: it holds the changes of a time, not the table",
            "fold it into a full set with `tablekeep merge`, and use that one",
        )
    return opened


def put_file(store: Store, location: SetLocation, role: str, document: dict[str, Any], attempt: int) -> StoredFile:
    """Writes a JSON document of the set, never over one that another attempt has written, and reads it back.

    :raises IntegrityError: when the store holds something else than was sent.
    """
    text = msgspec.json.format(msgspec.json.encode(document, order="sorted"), indent=1) + b"\n"
    name = file_name(role)
    try:
        store.put(location.key(name), text, if_absent=True)
    except AlreadyExistsError:
        name = file_name(role, attempt)
        store.put(location.key(name), text, if_absent=True)
    if store.get(location.key(name)) != text:
        raise IntegrityError(f"reading back {location.key(name)}", "the store holds something else than was sent")
    return StoredFile(role, name, len(text), hashlib.sha256(text).hexdigest())


def publish(store: Store, manifest: Manifest) -> Manifest:
    """Writes the manifest, if there is none: from then on the set is a backup.

    :raises PermanentError: when another worker has published this set already; nothing was changed.
    """
    text = checked(manifest).text()
    try:
        store.put(manifest.location.manifest_key, text, if_absent=True)
    except AlreadyExistsError:
        if (
            store.get(manifest.location.manifest_key, max_bytes=MAX_BYTES) != text
        ):  # else ours: only its answer was lost
            raise PermanentError(
                f"publishing {manifest.uri}",
                "another worker has published this backup already",
                "verify it; this attempt changed nothing",
            ) from None
    return parse_manifest(store.get(manifest.location.manifest_key), manifest.location)


def may_write(store: Store, root: str) -> bool | None:
    """Whether this store may be written to, found out without writing: by a write on the condition that the probe is not there.

    :returns: None when there is no probe yet: only the first backup makes it. :raises TablekeepError: when the write is refused.
    """
    key = _probe_key(root)
    if store.head(key) is None:
        return None
    try:
        store.put(key, b"", if_absent=True)
    except AlreadyExistsError:
        return True
    raise AssertionError(f"{key} was deleted meanwhile")


def _probe_key(root: str) -> str:
    return "/".join(part for part in (root, FORMAT_FOLDER, "_probe") if part)


def probe_conditional_writes(store: Store, root: str) -> None:
    """Proves that the store honours If-None-Match, with an object that is written twice and never deleted.

    :raises PermanentError: when the second write was taken: two workers could then publish one backup.
    """
    key = _probe_key(root)
    text = b"Tablekeep wrote this object to see that this bucket honours If-None-Match. It may be deleted.\n"
    for _ in range(2):
        try:
            store.put(key, text, if_absent=True)
        except AlreadyExistsError:
            return
    raise PermanentError(
        f"checking {store.address}",
        "it ignores If-None-Match, so nothing keeps two workers from publishing one backup twice",
        "use Amazon S3, or a store that implements conditional writes",
    )
