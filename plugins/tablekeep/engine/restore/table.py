"""Carries out a restore as planned: creates, loads, indexes, sets, compares, proves. Never deletes, never writes to what the plan
does not name; a try that died is gone on with."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.dynamodb.profile import compare_settings
from tablekeep.engine.dynamodb.reapply import reapply_settings
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.tables import CREATION_TAG, CreatedTable, add_indexes, create_table
from tablekeep.engine.dynamodb.write import BatchWriter
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.bulk import bulk_put
from tablekeep.engine.restore.differences import See
from tablekeep.engine.restore.existing import ConditionalWriter, keep_present
from tablekeep.engine.restore.imports import import_table
from tablekeep.engine.restore.intents import LIVES, Intent, Intents
from tablekeep.engine.restore.load import load_items
from tablekeep.engine.restore.making import Made, Making
from tablekeep.engine.restore.plan import Prepared, RestorePlan, open_source, plan_restore
from tablekeep.engine.restore.proof import prove as prove_restore
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import BY_SERVICE, RestoreRequest
from tablekeep.engine.restore.selection import select
from tablekeep.engine.restore.service import kept_of, restore_kept, restore_to_point_in_time
from tablekeep.engine.restore.source import SetSource, Source, settings_of
from tablekeep.engine.restore.stage import clear_stage, stage, stage_prefix, stage_shuffled
from tablekeep.engine.restore.state import Loaded, Progressing, RestoreState, resumable
from tablekeep.engine.restore.targets import Target
from tablekeep.engine.restore.terraform import imports


def restore_table(
    request: RestoreRequest,
    *,
    clients: SessionClients,
    clock: Clock,
    progress: Progress,
    actor: str,
    run: str,
    backup_clients: SessionClients | None = None,
    plan_hash: str | None = None,
    prices: Prices | None = None,
    tags: dict[str, str] | None = None,
    intents: Intents | None = None,
    prove: bool = True,
    record: bool = True,
    see: See | None = None,
) -> RestoreReport:
    """Restores as the request says; an unfinished restore of the same request to the same table is gone on with.

    :param clients: of the target's account and Region. :param backup_clients: for the bucket, when it belongs to another account.
    :param plan_hash: of the plan that was approved, or its first 16 digits or more: nothing else is done.
    :param tags: further tags of a new table. :param intents: where it is written down which table a service is about to make, for those
        who remove tables by their tags: the service's calls take none.
    :param see: is shown the items that the proof finds to differ: for a person's terminal only.
    :param record: keep state and a record beside the backups; without it nothing is written there, and nothing is gone on with.
    :raises BadInputError: before anything was made: the restore may not be done as asked, or the plan is another one by now.
    :raises IntegrityError: for a damaged part (nothing of it was written) or a table that differs in the end; its attribute
        `report` is the RestoreReport.
    """
    request.check()
    began = clock.monotonic()
    given = backup_clients or clients
    source = open_source(request, given, progress, target=clients)
    shelf, account = request.where_backups_lie, clients.account()
    state = RestoreState(source.store, shelf, account, clients.region, request.to_table) if record else None
    with state.lease(actor=actor, run=run, clock=clock) if state else nullcontext():
        return _Restore(request, clients, given, clock, progress, actor, run, state, intents, see).carry_out(
            source, plan_hash, prices or load_prices(), tags or {}, prove, began
        )


class _Restore:
    """One try."""

    def __init__(
        self, request: RestoreRequest, clients: SessionClients, backup_clients: SessionClients, clock: Clock, progress: Progress,
        actor: str, run: str, state: RestoreState | None, intents: Intents | None, see: See | None,
    ) -> None:  # fmt: skip
        self._intents = intents
        self._request, self._clients, self._backup_clients = request, clients, backup_clients
        self._clock, self._progress, self._actor, self._run, self._state = clock, progress, actor, run, state
        self._phases: dict[str, float] = {}
        self._see = see
        self._at = clock.monotonic()
        self._replaced = (0, "")

    def carry_out(
        self, source: Source, plan_hash: str | None, prices: Prices, tags: dict[str, str], prove: bool, began: float
    ) -> RestoreReport:
        self._at = began
        state = self._state.load() if self._state else None
        if (done := self._done(state)) is not None:
            return done
        prepared, at = self._prepared(state, source, plan_hash, prices)
        plan, resumed = prepared.plan, tuple(at.units)
        self._lap("find")
        made = (
            self._by_service(prepared, at, tags) if plan.path in BY_SERVICE else Made(self._table(prepared, at, tags))
        )
        created = made.table
        report = RestoreReport(
            plan.backup,
            plan.to_table,
            created.table_id,
            plan.hash,
            plan.mode,
            plan.as_of,
            plan.selection,
            phases=self._phases,
            path=plan.path,
            source_backup=plan.source_backup,
        )
        report.resumed = len(resumed)
        if plan.path == "bulk-put":
            made = Made(created, self._put(prepared, at, report))
        elif plan.path not in BY_SERVICE:
            self._load(prepared, at)
        self._tell_load(plan, at, report)
        failure = None
        if made.trouble is not None:  # its content decides, not what the service says of itself
            failure = self._decide(prepared, report, made.trouble)
        if failure is None:
            self._indexes(prepared, created, report)
        if prove and made.trouble is None:  # before the settings: with expiry on, items may vanish
            failure = self._prove(prepared, report)
        if plan.mode == "new" and failure is None:
            self._settings(prepared, created, report)
        report.seconds = round(self._clock.monotonic() - began, 3)
        if self._state is not None:
            self._keep(prepared, at, report)
        if failure is not None:
            failure.report = report  # type: ignore[attr-defined]
            raise failure
        return report

    def _done(self, state: Progressing | None) -> RestoreReport | None:
        """The report of an earlier try of this run that came to its end and could not say so."""
        if state is None or not state.finished or state.run != self._run or state.request != self._request.digest():
            return None
        return RestoreReport(**state.report) if state.report else None

    def _prepared(
        self, state: Progressing | None, source: Source, plan_hash: str | None, prices: Prices
    ) -> tuple[Prepared, Progressing]:
        """The plan: that of an unfinished try, else a new one."""
        request = self._request
        known = resumable(state, request.digest())
        if known is not None and state is not None and self._is_there(state, known):
            if request.backup is None and request.as_of is None:  # there may be a newer one meanwhile
                source = SetSource(open_backup(self._backup_clients, known.backup))
            selection = select(source.full.key, keys=request.keys, key_prefix=request.key_prefix, where=request.where)
            if known.seals == tuple(one.seal for one in source.sets):
                _check_hash(known, plan_hash)
                self._progress.note(
                    f"going on with the restore that {state.run} began: {len(state.units)} units are loaded"
                )
                there = None if known.mode == "new" else read_settings(self._clients, known.to_table)
                target = Target(known.to_table, known.account, known.region, there)
                return Prepared(known, source, selection, settings_of(source), target), state
        prepared = plan_restore(
            request, clients=self._clients, backup_clients=self._backup_clients, clock=self._clock, progress=self._progress,
            prices=prices, count_expired=False, source=source,
        )  # fmt: skip
        _check_hash(prepared.plan, plan_hash)
        fresh = Progressing(request.digest(), prepared.plan.as_dict(), self._clock.token(8), self._run)
        if self._state is not None:
            self._state.save(fresh)
        return prepared, fresh

    def _is_there(self, state: Progressing, plan: RestorePlan) -> bool:
        """Whether the table of an unfinished try is still there: one to be made may be gone, and then the restore begins anew."""
        if plan.mode != "new":
            return True
        if plan.path in BY_SERVICE and not state.job:  # whether the service was asked is not known: it is asked again
            return True
        try:
            found = read_settings(self._clients, plan.to_table)
        except BadInputError:
            return plan.path == "backup" and kept_of(plan).by_aws_backup  # its job makes the table later
        return plan.path in BY_SERVICE or found.tags.get(CREATION_TAG) == state.token

    def _table(self, prepared: Prepared, at: Progressing, tags: dict[str, str]) -> CreatedTable:
        if prepared.plan.mode != "new":
            return prepared.target.as_created(self._run)
        self._progress.phase("create")
        created = create_table(
            self._clients, prepared.settings, prepared.plan.to_table, run=self._run, clock=self._clock, tags=tags,
            progress=self._progress, token=at.token,
        )  # fmt: skip
        self._lap("create")
        return created

    def _making(self, at: Progressing, tags: dict[str, str]) -> Making:
        def begun(job: str) -> None:
            at.job = job
            if self._state is not None:
                self._state.save(at)

        return Making(self._clients, self._clock, self._progress, self._run, at.token, tags, at.job, begun)

    def _owner(self) -> str | None:
        """The account of the bucket, when it is another one than that of the table."""
        if self._backup_clients is self._clients or self._backup_clients.account() == self._clients.account():
            return None
        return self._backup_clients.account()

    def _by_service(self, prepared: Prepared, at: Progressing, tags: dict[str, str]) -> Made:
        plan, making = prepared.plan, self._making(at, tags)
        prefix = stage_prefix(prepared, at.token)
        if self._intents is not None:  # before anything is staged, too: whoever forgets it removes what was
            self._intents.write(self._intent(prepared, tags, prefix))
        if plan.path == "import-table":
            if not at.units:  # else it has been staged, and may be being read
                self._staged(prepared, at, stage(prepared, prefix, self._progress))
            self._lap("stage")
        else:
            assert plan.content
            at.loaded = Loaded(ContentHash.parse(plan.content), plan.items)
        if plan.path == "import-table":
            made = import_table(prepared, prefix, making, owner=self._owner())
            clear_stage(prepared.source.store, prefix)
        else:
            made = restore_to_point_in_time(prepared, making) if plan.path == "pitr" else restore_kept(prepared, making)
        self._lap("load")
        return made

    def _staged(self, prepared: Prepared, at: Progressing, loaded: Loaded) -> None:
        """What a service reads is not written a second time while it may be reading it."""
        at.loaded, at.units = loaded, list(prepared.source.units)
        if self._state is not None:
            self._state.save(at)

    def _intent(self, prepared: Prepared, tags: dict[str, str], prefix: str) -> Intent:
        plan = prepared.plan
        if plan.path == "import-table":
            source = {"bucket": prepared.source.full.location.shelf.bucket, "prefix": prefix}
        elif plan.path == "pitr":
            moment = prepared.source.manifest.as_of.replace(microsecond=0)
            source = {"SourceTableArn": prepared.settings.arn, "RestoreDateTime": utc_text(moment)}
        else:
            kept = kept_of(plan)
            source = {"RecoveryPointArn" if kept.by_aws_backup else "SourceBackupArn": kept.arn}
        now = self._clock.now()
        return Intent(
            plan.to_table, plan.account, plan.region, self._run, plan.path, utc_text(now), utc_text(now + LIVES), source, tags
        )  # fmt: skip

    def _put(self, prepared: Prepared, at: Progressing, report: RestoreReport) -> IntegrityError | None:
        """The service writes to the existing table."""
        prefix = stage_prefix(prepared, at.token, "bulk")
        if not at.units:
            if prepared.plan.mode == "overwrite-listed-keys":
                self._replaced = keep_present(self._clients, prepared, self._clock)
            self._staged(prepared, at, stage_shuffled(prepared, f"{prefix}input/", self._progress))
        self._lap("stage")
        report.bulk, trouble = bulk_put(prepared, prefix, self._making(at, {}), owner=self._owner())
        clear_stage(prepared.source.store, f"{prefix}input/" if trouble else prefix)
        self._lap("load")
        return trouble

    def _indexes(self, prepared: Prepared, created: CreatedTable, report: RestoreReport) -> None:
        """Those that a new table was not made with."""
        if prepared.plan.mode != "new":
            return
        self._progress.phase("indexes")
        add_indexes(self._clients, prepared.settings, created, clock=self._clock, progress=self._progress)
        report.indexes = list(prepared.plan.indexes)
        self._lap("indexes")

    def _prove(self, prepared: Prepared, report: RestoreReport) -> IntegrityError | None:
        failure = prove_restore(
            prepared, report, clients=self._clients, clock=self._clock, progress=self._progress, see=self._see
        )
        self._lap("proof")
        return failure

    def _decide(self, prepared: Prepared, report: RestoreReport, trouble: IntegrityError) -> IntegrityError | None:
        failure = self._prove(prepared, report)
        if failure is None and report.proved:
            self._progress.note(f"{trouble.why}; the table was read, and holds exactly what it should all the same")
            return None
        found = f"; {failure.why}" if failure else ""
        return IntegrityError(trouble.what, f"{trouble.why}{found}", trouble.todo)

    def _load(self, prepared: Prepared, at: Progressing) -> None:
        plan, source = prepared.plan, prepared.source
        self._progress.phase("load", plan.items)

        def kept(units: list[str], loaded: Any) -> None:
            at.units += units
            at.loaded.add(loaded)
            if self._state is not None:
                self._state.save(at)

        if plan.mode == "overwrite-listed-keys":
            self._replaced = keep_present(self._clients, prepared, self._clock)
        with source:
            load_items(
                source, prepared.selection, plan.to_table, clients=self._clients, clock=self._clock, progress=self._progress,
                max_wcu=self._request.max_wcu, done=tuple(at.units), kept=kept, writer=_writer_for(plan.mode, plan.key[0]),
            )  # fmt: skip
        self._lap("load")

    def _tell_load(self, plan: RestorePlan, at: Progressing, report: RestoreReport) -> None:
        loaded = at.loaded
        report.replaced, report.replaced_at = self._replaced
        report.items, report.written, report.equal, report.kept = (
            loaded.items,
            loaded.written,
            loaded.equal,
            loaded.kept,
        )
        report.content_hash = str(loaded.content)
        if plan.content is not None and report.content_hash != plan.content:
            raise IntegrityError(
                f"loading the table {plan.to_table}",
                f"the items that were read have the content hash {report.content_hash}, and {plan.content} was planned",
                "verify the backup with level full; do not use the table",
            )

    def _settings(self, prepared: Prepared, created: CreatedTable, report: RestoreReport) -> None:
        self._progress.phase("settings")
        told = reapply_settings(
            self._clients, prepared.settings, created, clock=self._clock, ttl=self._request.ttl, skip=self._request.skip_settings,
            progress=self._progress,
        )  # fmt: skip
        report.not_restored = [one.as_dict() for one in told]
        actual = read_settings(self._clients, created.name)
        report.settings = [one.as_dict() for one in compare_settings(prepared.settings, actual, told=told)]
        report.table_arn = created.arn
        report.imports = [one.as_dict() for one in imports(prepared.settings, actual, created)]
        self._lap("settings")

    def _keep(self, prepared: Prepared, at: Progressing, report: RestoreReport) -> None:
        assert self._state is not None
        location = prepared.source.manifest.location
        write_record(
            prepared.source.store, location.shelf, "restore", report.as_dict(), backup_id=location.backup_id, actor=self._actor,
            run=self._run, clock=self._clock,
        )  # fmt: skip
        at.finished, at.run = True, self._run
        at.report = report.as_dict() if report.proved else None
        self._state.save(at)

    def _lap(self, name: str) -> None:
        now = self._clock.monotonic()
        self._phases[name] = round(now - self._at, 3)
        self._at = now


def _check_hash(plan: RestorePlan, wanted: str | None) -> None:
    if wanted is not None and not (len(wanted) >= 16 and plan.hash.startswith(wanted)):
        raise BadInputError(
            f"restoring to the table {plan.to_table}",
            f"the plan is another one than was approved: {plan.hash[:12]} instead of {wanted[:12]}",
            "look at the plan again with `tablekeep plan restore`, and approve that one",
        )


def _writer_for(mode: str, key_name: str) -> Callable[..., BatchWriter]:
    if mode == "missing-only":
        return lambda *given, **more: ConditionalWriter(*given, key_name=key_name, **more)
    if mode == "overwrite-listed-keys":
        return lambda *given, **more: ConditionalWriter(*given, key_name=None, **more)
    return BatchWriter
