"""Snapshots that we make: named and marked, with a record of the instance's settings and of what its tables held."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import botocore.exceptions

from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.store import AlreadyExistsError
from tablekeep.engine.checkpoints import Checkpoint
from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import BadInputError, TransientError
from tablekeep.engine.progress import Progress
from tablekeep.engine.rds.instances.contents import Reading, check_engine, keep_marker, read_contents
from tablekeep.engine.rds.instances.created import resource_of
from tablekeep.engine.rds.instances.marked import PREFIX, SNAPSHOT_TAG
from tablekeep.engine.rds.instances.record import SnapshotReport, shelf_of
from tablekeep.engine.rds.instances.service import (
    API,
    TAKEN,
    Awaited,
    Description,
    Thing,
    Wait,
    as_tags,
    check_identifier,
    describe,
    endpoint_of,
    family_of,
    need,
    plain,
    tags_of,
    translated_quota,
)


def new_name(database: str, clock: Clock) -> str:
    """`tablekeep-shop-20261123t020000-4f9c2a1b`: within the 63 characters that a cluster's snapshot may have."""
    return f"{PREFIX}{database[:25].strip('-')}-{clock.now():%Y%m%dt%H%M%S}-{clock.token(4)}"


def take_snapshot(
    database: str,
    records: str,
    *,
    name: str,
    reading: Reading | None,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    wait: Wait,
) -> SnapshotReport:
    """Makes a snapshot and leaves a record of it. Called again with its name it goes on where it was.

    :param records: the root under which records lie, `s3://bucket/prefix`. :param name: of the snapshot, see `new_name`.
    :param reading: how to look at the contents before and after; without it a drill can compare nothing.
    :raises BadInputError: when the instance is not there or not available, or a snapshot of this name is not ours.
    """
    check_identifier(name, "the snapshot", 255)
    what = f"making a snapshot of {database}"
    shelf = shelf_of(records, clients.account(), clients.region, database)
    store = S3Store(clients, shelf.bucket)
    store.check()
    state = Checkpoint(store, f"{shelf.prefix}/_snapshots/{name}.json", AlreadyExistsError)
    known = state.load() or {"began": utc_text(clock.now())}
    if known.get("done"):
        return SnapshotReport.from_dict(known["done"])
    taker = _Taker(database, name, reading, clients, clock, progress, run, what)
    taker.begin(state, known)
    wait(Awaited(taker.thing, name, clients.region))
    report = taker.finish(known)
    report.seconds = round((clock.now() - datetime.fromisoformat(known["began"])).total_seconds(), 3)
    write_record(store, shelf, "snapshot", report.as_dict(), backup_id=name, actor=actor, run=run, clock=clock)
    state.save(known | {"done": report.as_dict()})
    return report


class _Taker:
    def __init__(
        self, database: str, name: str, reading: Reading | None, clients: SessionClients, clock: Clock, progress: Progress,
        run: str, what: str,
    ) -> None:  # fmt: skip
        self._database, self._name, self._reading = database, name, reading
        self._clients, self._clock, self._progress, self._run, self._what = clients, clock, progress, run, what
        self.family = family_of(clients, database, what)
        self.thing: Thing = "instance-snapshot" if self.family == "instance" else "cluster-snapshot"

    def begin(self, state: Checkpoint, known: dict[str, Any]) -> None:
        """Looks at the contents, leaves the marker, and asks RDS for the snapshot, each unless an earlier try has done it."""
        if self._there():
            return
        source = need(self._clients, self.family, self._database, self._what)
        status = source[API[self.family].status]
        if status not in ("available", "storage-optimization"):
            raise TransientError(
                self._what, f"it is {status}", "wait until it is available; a stopped one has to be started"
            )
        if self._reading is not None and "before" not in known:
            check_engine(source["Engine"], self._what)
            known["before"] = self._look(source, None)
            known["marker"], known["notes"] = self._mark(source)
            state.save(known)
        self._progress.phase("snapshot")
        self._ask(source)

    def _there(self) -> bool:
        """Whether the snapshot was asked for already. :raises BadInputError: when one of this name is another's."""
        there = describe(self._clients, self.thing, self._name)
        if there is None:
            return False
        if tags_of(there).get(SNAPSHOT_TAG) != self._run:
            raise BadInputError(
                self._what, f"there is a snapshot {self._name} that this run did not make", "give another name"
            )
        return True

    def _ask(self, source: Description) -> None:
        words, client = API[self.thing], self._clients.client("rds")
        given = {f"{API[self.family].name}Identifier": self._database, f"{words.name}Identifier": self._name}
        tags = {name: one for name, one in tags_of(source).items() if not name.startswith(("aws:", "tablekeep:"))}
        try:
            getattr(client, f"create_{words.method}")(**given, Tags=as_tags({**tags, SNAPSHOT_TAG: self._run}))
        except botocore.exceptions.ClientError as error:
            if error_code(error) in TAKEN and self._there():
                return  # the answer to the first call was lost
            raise translated_quota(error, self._what) from error
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, self._what) from error

    def _look(self, source: Description, before: Mapping[str, Any] | None) -> dict[str, Any]:
        assert self._reading is not None
        reading, endpoint = self._reading, endpoint_of(source, self.family)
        return {
            name: read_contents(
                reading.login.in_database(name), endpoint, progress=self._progress, exclude=reading.left_out, count_first=before is None,
                horizon=before[name]["horizon"] if before else None,
            ).as_dict()
            for name in reading.names
        }  # fmt: skip

    def _mark(self, source: Description) -> tuple[dict[str, str] | None, list[str]]:
        assert self._reading is not None
        if self._reading.marker is None:
            return None, []
        token = self._clock.token(16)
        marked = utc_text(self._clock.now())
        why = keep_marker(self._reading.login, endpoint_of(source, self.family), self._reading.marker, token)
        if why:
            return None, [f"no marker was left: {why}"]
        return {"table": self._reading.marker, "token": token, "at": marked}, []

    def finish(self, known: dict[str, Any]) -> SnapshotReport:
        """Looks again, and puts together what the record tells."""
        source = need(self._clients, self.family, self._database, self._what)
        there = need(self._clients, self.thing, self._name, self._what)
        before = known.get("before") or {}
        members = [
            plain(need(self._clients, "instance", one["DBInstanceIdentifier"], self._what))
            for one in source.get("DBClusterMembers") or []
        ]
        return SnapshotReport(
            self._name,
            str(there[f"{API[self.thing].name}Arn"]),
            self.family,
            self._database,
            resource_of(source, self.family),
            str(source["Engine"]),
            utc_text(there["SnapshotCreateTime"]),
            int(there.get("AllocatedStorage") or 0),
            bool(there.get("Encrypted", there.get("StorageEncrypted"))),
            plain(source),
            members,
            before,
            self._look(source, before) if before else {},
            known.get("marker"),
            known.get("notes") or [],
        )
