"""What a service is told to do for a restore: to make the table of what was staged or of what AWS keeps, or to write what was staged."""

from collections.abc import Callable
from dataclasses import dataclass

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import Clock, utc_text
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.progress import Progress
from tablekeep.engine.restore.bulk import bulk_put
from tablekeep.engine.restore.imports import import_table
from tablekeep.engine.restore.intents import LIVES, Intent, Intents
from tablekeep.engine.restore.making import Made, Making
from tablekeep.engine.restore.plan import Prepared
from tablekeep.engine.restore.service import kept_of, restore_kept, restore_to_point_in_time
from tablekeep.engine.restore.stage import clear_stage, stage_prefix, stage_shuffled
from tablekeep.engine.restore.state import Loaded, Progressing


@dataclass(frozen=True)
class Services:
    """The services, for one restore.

    :ivar at: what is kept of it; `keep` keeps it. :ivar intents: where it is written down which table is about to be made.
    """

    prepared: Prepared
    at: Progressing
    clients: SessionClients
    backup_clients: SessionClients
    clock: Clock
    progress: Progress
    run: str
    keep: Callable[[], None]
    intents: Intents | None = None

    def announce(self, tags: dict[str, str]) -> None:
        """Writes down what will be made, before anything is staged, too: whoever forgets it removes what was."""
        if self.intents is not None:
            self.intents.write(self._intent(tags))

    def make(self, tags: dict[str, str]) -> Made:
        """The service makes the table."""
        making = self._making(tags)
        if self.prepared.plan.path == "pitr":
            return restore_to_point_in_time(self.prepared, making)
        if self.prepared.plan.path == "backup":
            return restore_kept(self.prepared, making)
        prefix = stage_prefix(self.prepared, self.at.token)
        made = import_table(self.prepared, prefix, making, owner=self._owner())
        clear_stage(self.prepared.source.store, prefix)
        return made

    def stage_bulk(self) -> Loaded:
        """Stages what the service will write to the existing table."""
        return stage_shuffled(self.prepared, f"{self._bulk_prefix()}input/", self.progress)

    def put_bulk(self) -> tuple[dict[str, int], IntegrityError | None]:
        """The service writes it; see `bulk_put` for what is returned."""
        prefix = self._bulk_prefix()
        counts, trouble = bulk_put(self.prepared, prefix, self._making({}), owner=self._owner())
        clear_stage(self.prepared.source.store, f"{prefix}input/" if trouble else prefix)
        return counts, trouble

    def _bulk_prefix(self) -> str:
        return stage_prefix(self.prepared, self.at.token, "bulk")

    def _making(self, tags: dict[str, str]) -> Making:
        def begun(job: str) -> None:
            self.at.job = job
            self.keep()

        return Making(self.clients, self.clock, self.progress, self.run, self.at.token, tags, self.at.job, begun)

    def _owner(self) -> str | None:
        """The account of the bucket, when it is another one than that of the table."""
        if self.backup_clients is self.clients or self.backup_clients.account() == self.clients.account():
            return None
        return self.backup_clients.account()

    def _intent(self, tags: dict[str, str]) -> Intent:
        plan = self.prepared.plan
        if plan.path == "import-table":
            bucket = self.prepared.source.full.location.shelf.bucket
            source = {"bucket": bucket, "prefix": stage_prefix(self.prepared, self.at.token)}
        elif plan.path == "pitr":
            moment = self.prepared.source.manifest.as_of.replace(microsecond=0)
            source = {"SourceTableArn": self.prepared.settings.arn, "RestoreDateTime": utc_text(moment)}
        else:
            kept = kept_of(plan)
            source = {"RecoveryPointArn" if kept.by_aws_backup else "SourceBackupArn": kept.arn}
        now = self.clock.now()
        return Intent(
            plan.to_table, plan.account, plan.region, self.run, plan.path, utc_text(now), utc_text(now + LIVES), source, tags
        )  # fmt: skip
