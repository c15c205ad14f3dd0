"""A restore in steps: look, make the table, load it, complete it, prove it, set its settings. One process does them all (`table.py`), or
tasks on several machines do each its own (`groups.py`); what they hand on lies beside the backups (`state.py`)."""

from collections.abc import Sequence
from datetime import timedelta

from tablekeep.engine.backups.records import write_record
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, parse_utc, utc_text
from tablekeep.engine.dynamodb.profile import compare_settings
from tablekeep.engine.dynamodb.reapply import reapply_settings
from tablekeep.engine.dynamodb.settings import read_settings
from tablekeep.engine.dynamodb.tables import CREATION_TAG, CreatedTable, add_indexes, await_active, create_table
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.items.hashing import ContentHash
from tablekeep.engine.leases import Lease
from tablekeep.engine.prices import Prices
from tablekeep.engine.processes import NO_END
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.existing import keep_present
from tablekeep.engine.restore.intents import Intents
from tablekeep.engine.restore.load import load_units
from tablekeep.engine.restore.order import LANES, distant, in_turn
from tablekeep.engine.restore.plan import Prepared, RestorePlan, open_source, plan_restore
from tablekeep.engine.restore.report import RestoreReport
from tablekeep.engine.restore.request import BY_SERVICE, RestoreRequest
from tablekeep.engine.restore.service import kept_of
from tablekeep.engine.restore.services import Services
from tablekeep.engine.restore.shown import check_age
from tablekeep.engine.restore.source import REST, Source, open_sets, settings_of
from tablekeep.engine.restore.state import Loaded, Progressing, RestoreState, resumable
from tablekeep.engine.restore.targets import Target
from tablekeep.engine.restore.terraform import imports
from tablekeep.engine.restore.workers import load_in_processes

KEPT_BY_AWS = ("pitr", "backup")
"""Paths on which nothing of the backup set is loaded: it only proves."""
BULK = "all items"
"""The unit of what StartBulkPutItems writes: it is staged as a whole, out of order."""


class Restoring:
    """One restore, by whoever does its next step.

    :param state: None: nothing is kept, and nothing gone on with. :param intents: see `Services`.
    :ivar prepared: the plan and what it was made of. :ivar at: what is kept. :ivar loaded: by unit; those of earlier tries, too.
    """

    prepared: Prepared
    at: Progressing

    def __init__(
        self, request: RestoreRequest, clients: SessionClients, backup_clients: SessionClients, clock: Clock, progress: Progress,
        actor: str, run: str, state: RestoreState | None, intents: Intents | None = None,
    ) -> None:  # fmt: skip
        self._intents = intents
        self._request, self._clients, self._backup_clients = request, clients, backup_clients
        self._clock, self._progress, self._actor, self._run, self._state = clock, progress, actor, run, state
        self._lapped = clock.monotonic()
        self._lease: Lease | None = None
        self._bulk: dict[str, int] | None = None
        self.loaded: dict[str, Loaded] = {}
        self.resumed = 0

    @property
    def plan(self) -> RestorePlan:
        return self.prepared.plan

    def hold(self, lease: Lease | None) -> None:
        """The lease under which this one works; None: nothing is kept, and nobody else can know of it."""
        self._lease = lease

    def earlier_report(self) -> RestoreReport | None:
        """The report of an earlier try of this run that came to its end and could not say so."""
        state = self._state.load() if self._state else None
        if state is None or not state.finished or state.run != self._run or state.request != self._request.digest():
            return None
        return RestoreReport(**state.report) if state.report else None

    def begun(self) -> RestorePlan | None:
        """The plan of an unfinished try of the same request, which is gone on with."""
        state = self._state.load() if self._state else None
        plan = resumable(state, self._request.digest())
        return plan if plan and state and self._is_there(state, plan) else None

    def open(self) -> Source:
        """The source that is asked for. :raises BadInputError: when there is none."""
        return open_source(self._request, self._backup_clients, self._progress, target=self._clients)

    def begin(
        self, source: Source | None, plan_hash: str | None, prices: Prices, holds: timedelta | None = None
    ) -> None:
        """Goes on with an unfinished try, or makes a plan and keeps it.

        :param source: of the request, where it is open already. :param holds: see `restore_table`; what was begun in time is gone on with.
        :raises BadInputError: when the restore may not be done as asked, or the plan is another one than was approved.
        """
        if self.begun() is not None:
            self.go_on()
            self.plan.check_hash(plan_hash)
            self.at.phases = {}
            self._progress.note(
                f"going on with the restore that {self.at.run} began: {len(self.loaded)} units are loaded"
            )
        else:
            self.prepared = plan_restore(
                self._request, clients=self._clients, backup_clients=self._backup_clients, clock=self._clock, progress=self._progress,
                prices=prices, count=False, source=source or self.open(),
            )  # fmt: skip
            self.plan.check_hash(plan_hash)
            if plan_hash is not None and holds is not None:
                check_age(self.prepared, holds, self._clock)
            now = utc_text(self._clock.now())
            self.at = Progressing(
                self._request.digest(), self.plan.as_dict(), self._clock.token(8), self._run, now, now
            )
            self._save()
        self.lap("find")

    def go_on(self) -> None:
        """Takes up what another process has begun.

        :raises BadInputError: when nothing was. :raises IntegrityError: when a set that is to be restored has another manifest now.
        :raises PermanentError: when another table has the name of the existing one.
        """
        state = self._state.load() if self._state else None
        plan = resumable(state, self._request.digest())
        what = f"going on with the restore to the table {self._request.to_table}"
        if plan is None or state is None:
            raise BadInputError(what, "no restore of this request is unfinished", "begin it first")
        source = open_sets(
            self._backup_clients, (plan.backup, *plan.increments), self._progress, parts=self._request.parts
        )
        if tuple(one.seal for one in source.sets) != plan.seals:
            raise IntegrityError(what, "the backup's manifest is another one than was planned", "verify the backup")
        request = self._request
        selection = request.selection(source.full.key)
        there = None if plan.mode == "new" else read_settings(self._clients, plan.to_table)
        if there is not None and there.table_id != plan.target_id:
            raise PermanentError(what, "another table has its name now", "look at it, and plan the restore again")
        target = Target(plan.to_table, plan.account, plan.region, there)
        self.prepared, self.at = Prepared(plan, source, selection, settings_of(source), target), state
        self.reload()
        self.resumed = len(self.loaded)

    def go_on_in_time(self) -> None:
        """As `go_on`, and phases last from where the step before ended, on whatever machine that was."""
        self.go_on()
        self.resumed = 0
        self._lapped = self._clock.monotonic() - (self._clock.now() - parse_utc(self.at.lapped)).total_seconds()

    def reload(self) -> None:
        """Looks which units are loaded."""
        self.loaded = self._state.units(self.at.token) if self._state else {}

    def make(self, tags: dict[str, str]) -> None:
        """The new table, a second time the same one; where the service will make it, it is written down that it is about to."""
        if self.plan.path in BY_SERVICE:
            self._services().announce(tags)
        elif self.plan.mode == "new":
            self._progress.phase("create")
            created = create_table(
                self._clients, self.prepared.settings, self.plan.to_table, run=self._run, clock=self._clock, tags=tags,
                progress=self._progress, token=self.at.token,
            )  # fmt: skip
            self._made(created)
            self.lap("create")

    def _services(self) -> Services:
        return Services(
            self.prepared, self.at, self._clients, self._backup_clients, self._clock, self._progress, self._run, self._save,
            self._intents,
        )  # fmt: skip

    def _made(self, created: CreatedTable) -> None:
        self.at.table_id, self.at.table_arn = created.table_id, created.arn
        self._save()

    @property
    def parts(self) -> list[str]:
        """The units that may be loaded in any order, by anybody: all but the last one of a chain."""
        return [unit for unit in self.prepared.source.units if unit != REST]

    def load(self, workers: int = 1) -> None:
        """All that is left, by this process or several of this machine."""
        if (
            self.plan.path in KEPT_BY_AWS or self.at.job or BULK in self.loaded
        ):  # what a service was given is staged once
            return
        self.keep_what_stands()
        if self.plan.path == "bulk-put":
            self._done(BULK, self._services().stage_bulk())
            return
        units = [unit for unit in self.parts if unit not in self.loaded]
        self._phase(self.plan.items)
        with self.prepared.source:
            if workers > 1 and len(units) > 1:
                load_in_processes(
                    self.prepared, self._request, self.at.token, distant(units, LANES * workers), min(workers, len(units)),
                    clients=(self._clients, self._backup_clients), progress=self._progress, done=self._done, until=self._until,
                )  # fmt: skip
            else:
                self._load(distant(units, LANES))
            self._load_rest()

    def keep_what_stands(self) -> None:
        """Where listed items are overwritten: first what is there now. Each worker does it before it puts: others may write, too."""
        if self.plan.mode == "overwrite-listed-keys":
            count, where = keep_present(self._clients, self.prepared, self._clock)
            if not self.at.replaced_at:
                self.at.replaced, self.at.replaced_at = count, where
                self._save()

    def load_group(self, units: Sequence[str], turn: float, share: float) -> None:
        """Some parts, beside others who load theirs.

        :param turn: 0 … 1: where in them to begin, so that neighbours are not loaded at the same time.
        :param share: of the write budget.
        """
        if not units:
            return
        self.keep_what_stands()
        order = distant(units, LANES)
        first = round(turn * len(order))
        self._phase(round(self.plan.items * len(units) / max(1, len(self.parts))))
        with self.prepared.source:
            self._load(order[first:] + order[:first], share)

    def load_last(self) -> None:
        """When all parts are loaded: what the increments added."""
        if REST in self.prepared.source.units and REST not in self.loaded and not self.at.job:
            self._check_loaded(self.parts)
            self.keep_what_stands()
            self._phase(None)
            with self.prepared.source:
                self._load_rest()

    def _load_rest(self) -> None:
        source = self.prepared.source
        if REST in source.units and REST not in self.loaded:
            for unit, loaded in self.loaded.items():
                source.done(unit, loaded.memo)
            self._load([REST])

    def _load(self, units: Sequence[str], share: float = 1.0) -> None:
        load_units(
            self.prepared, self.at.token, in_turn(units), clients=self._clients, clock=self._clock, progress=self._progress,
            budget=self._request.budget(self._clock, share=share), done=self._done, guard=self._guard,
        )  # fmt: skip

    def _phase(self, items: int | None) -> None:
        self._progress.phase("stage" if self.plan.path == "import-table" else "load", items)

    def _check_loaded(self, units: Sequence[str]) -> None:
        """:raises TransientError: when one is not."""
        if missing := [unit for unit in units if unit not in self.loaded]:
            raise TransientError(
                f"loading the table {self.plan.to_table}",
                f"{len(missing)} of {len(units)} parts are not loaded",
                "run the workers of these again",
            )

    def _until(self) -> float:
        """Until when (monotonic) the work is ours."""
        return self._lease.until if self._lease else NO_END

    def _guard(self) -> None:
        """:raises PermanentError: when it is not ours any more."""
        if self._lease is not None:
            self._lease.guard()

    def _done(self, unit: str, loaded: Loaded) -> None:
        if self._lease is not None:
            self._lease.check()
        if self._state is not None:
            self._state.keep(self.at.token, unit, loaded)
        self.loaded[unit] = loaded

    def complete(self, tags: dict[str, str]) -> IntegrityError | None:
        """When all is loaded: the service's part, and the counts.

        :returns: what the service says went wrong: then the table's content decides (`proof.decide`).
        :raises TransientError: when a unit is not loaded. :raises IntegrityError: when what was read is not what was planned.
        """
        plan, trouble = self.plan, None
        if plan.path not in KEPT_BY_AWS:
            self._check_loaded([BULK] if plan.path == "bulk-put" else self.prepared.source.units)
        self.lap("stage" if plan.path in ("import-table", "bulk-put") else "load")
        if plan.path in BY_SERVICE:
            made = self._services().make(tags)
            self._made(made.table)
            trouble = made.trouble
            self.lap("load")
        elif plan.path == "bulk-put":
            self._bulk, trouble = self._services().put_bulk()
            self.lap("load")
        content = self.content
        if plan.content is not None and str(content) != plan.content:
            raise IntegrityError(
                f"loading the table {plan.to_table}",
                f"the items that were read have the content hash {content}, and {plan.content} was planned",
                "verify the backup with level full; do not use the table",
            )
        return trouble

    def index(self) -> None:
        """The indexes with which a new table was not made."""
        if self.plan.mode != "new":
            return
        self._progress.phase("indexes")
        add_indexes(self._clients, self.prepared.settings, self._created(), clock=self._clock, progress=self._progress)
        self.lap("indexes")

    @property
    def content(self) -> ContentHash:
        """Of what was loaded; of what should be there where the service has done it."""
        if self.plan.path in KEPT_BY_AWS:
            return ContentHash.parse(str(self.plan.content))
        return sum((one.content for one in self.loaded.values()), ContentHash())

    def _created(self) -> CreatedTable:
        """The table; functions that change it find out by its id whether it still is this one."""
        if self.plan.mode != "new":
            return self.prepared.target.as_created(self._run)
        return CreatedTable(self.plan.to_table, self.at.table_id, self.at.table_arn, self.plan.region, self._run)

    def report(self) -> RestoreReport:
        """What is known when the table is complete, and before anything was proved."""
        plan, whole = self.plan, Loaded()
        for one in self.loaded.values():
            whole.add(one)
        content = self.content
        written = content.count if plan.path in KEPT_BY_AWS else whole.written
        report = RestoreReport(
            plan.backup, plan.to_table, self._created().table_id, plan.hash, plan.mode, plan.as_of, plan.selection,
            items=content.count, written=written, equal=whole.equal, kept=whole.kept, content_hash=str(content),
            indexes=list(plan.indexes), resumed=self.resumed, path=plan.path, source_backup=plan.source_backup, bulk=self._bulk,
        )  # fmt: skip
        report.replaced, report.replaced_at = self.at.replaced, self.at.replaced_at
        return report

    def settle(self, report: RestoreReport, failure: IntegrityError | None, seconds: float | None = None) -> None:
        """The settings, when nothing was wrong; then the record, and the end.

        :param seconds: that it took; since it was begun when not given. :raises IntegrityError: the failure.
        """
        if self.plan.mode == "new" and failure is None:
            self._settings(report)
        if seconds is None:
            seconds = (self._clock.now() - parse_utc(self.at.began)).total_seconds()
        report.seconds, report.phases = round(seconds, 3), dict(self.at.phases)
        if self._state is not None:
            self._keep(report)
        if failure is not None:
            failure.report = report  # type: ignore[attr-defined]
            raise failure

    def _settings(self, report: RestoreReport) -> None:
        self._progress.phase("settings")
        created, settings = self._created(), self.prepared.settings
        told = reapply_settings(
            self._clients, settings, created, clock=self._clock, ttl=self._request.ttl, skip=self._request.skip_settings,
            progress=self._progress,
        )  # fmt: skip
        report.not_restored = [one.as_dict() for one in told]
        actual = read_settings(self._clients, created.name)
        report.settings = [one.as_dict() for one in compare_settings(settings, actual, told=told)]
        report.table_arn = created.arn
        report.imports = [one.as_dict() for one in imports(settings, actual, created)]
        self.lap("settings")

    def _keep(self, report: RestoreReport) -> None:
        location = self.prepared.source.manifest.location
        write_record(
            self.prepared.source.store, location.shelf, "restore", report.as_dict(), backup_id=location.backup_id, actor=self._actor,
            run=self._run, clock=self._clock,
        )  # fmt: skip
        self.at.finished, self.at.run = True, self._run
        self.at.report = report.as_dict() if report.proved else None
        self._save()

    def lap(self, name: str) -> None:
        """A phase has ended."""
        now = self._clock.monotonic()
        self.at.phases[name] = round(now - self._lapped, 3)
        self.at.lapped, self._lapped = utc_text(self._clock.now()), now

    def keep(self) -> None:
        """For the step that another process does next."""
        self._save()

    def check_table(self) -> None:
        """:raises PermanentError: when the table that was made is gone, or another one has its name."""
        if self.at.table_id:
            await_active(self._clients, self._created(), clock=self._clock, progress=self._progress)

    def _save(self) -> None:
        if self._state is not None:
            self._state.save(self.at)

    def _is_there(self, state: Progressing, plan: RestorePlan) -> bool:
        """Whether the table of an unfinished try is still there: one to be made may be gone, and then the restore begins anew."""
        if plan.mode != "new":
            try:
                return read_settings(self._clients, plan.to_table).table_id == plan.target_id
            except BadInputError:
                return False
        if plan.path in BY_SERVICE and not state.job:  # whether the service was asked is not known: it is asked again
            return True
        try:
            found = read_settings(self._clients, plan.to_table)
        except BadInputError:
            return plan.path == "backup" and kept_of(plan).by_aws_backup  # its job makes the table later
        mine = found.tags.get(CREATION_TAG) == state.token or bool(state.table_id and found.table_id == state.table_id)
        return plan.path in BY_SERVICE or mine
