"""Tables that a service makes for us: none of its calls takes a tag, so they get their marks when they are ACTIVE. Until then an intent
(`intents`) or the restore's state says whose they are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tablekeep.engine.clients import SessionClients, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import CREATION_TAG, CreatedTable, await_active, creation_request
from tablekeep.engine.errors import IntegrityError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.progress import Progress

POLL_SECONDS = 10.0
NOTE_SECONDS = 120.0
WAIT_SECONDS = 7 * 86400.0
"""How long a service may take: restores and imports have no time limit of their own."""


@dataclass(frozen=True)
class Making:
    """What all of the service's ways need.

    :ivar token: of the table's creation, and of the order where the service takes one: the same token is the same order.
    :ivar tags: of the table, beside our own. :ivar job: what an earlier try was told of its order; empty for a new one.
    :ivar begun: told, as soon as the service has taken the order, how to find it again.
    """

    clients: SessionClients
    clock: Clock
    progress: Progress
    run: str
    token: str
    tags: dict[str, str]
    job: str = ""
    begun: Callable[[str], None] = field(default=lambda job: None)

    @property
    def database(self) -> Any:
        return self.clients.client("dynamodb")

    def marked(self, name: str) -> CreatedTable:
        """The table, when it is ACTIVE and carries its marks."""
        with translated(f"describing table {name}"):
            table = self.database.describe_table(TableName=name)["Table"]
        where = self.database.meta.region_name
        created = CreatedTable(name, str(table.get("TableId", "")), str(table["TableArn"]), where, self.run)
        mark(self.clients, created, {**self.tags, CREATION_TAG: self.token}, self.clock, self.progress)
        return created

    def wait(self, what: str, running: Callable[[], str | None]) -> None:
        """Until `running` gives None; what it gives is said now and then."""
        noted = self.clock.monotonic()
        with translated(what):
            while (state := running()) is not None:
                if self.clock.monotonic() - noted > NOTE_SECONDS:
                    noted = self.clock.monotonic()
                    self.progress.note(f"{what}: {state}")
                self.clock.sleep(POLL_SECONDS)


@dataclass(frozen=True)
class Made:
    """The table, and what the service says went wrong: then its content decides."""

    table: CreatedTable
    trouble: IntegrityError | None = None


def mark(
    clients: SessionClients, created: CreatedTable, tags: dict[str, str], clock: Clock, progress: Progress | None = None
) -> None:
    """Waits until the table is ACTIVE, and tags it as made by `created.run`."""
    await_active(clients, created, clock=clock, progress=progress, timeout_seconds=WAIT_SECONDS)
    labels = {**tags, RUN_TAG: created.run}
    with translated(f"tagging table {created.name}"):
        clients.client("dynamodb", created.region).tag_resource(
            ResourceArn=created.arn, Tags=[{"Key": key, "Value": value} for key, value in labels.items()]
        )


def overrides(settings: TableSettings, name: str, region: str) -> dict[str, Any]:
    """Billing, capacity and encryption as a restore takes them. Told explicitly: the documentation contradicts itself on whether they
    are the source's of the moment, or its present ones."""
    request = creation_request(settings, name, region=region)
    names = {
        "BillingMode": "BillingModeOverride",
        "ProvisionedThroughput": "ProvisionedThroughputOverride",
        "SSESpecification": "SSESpecificationOverride",
    }
    return {names[member]: request[member] for member in names if member in request}
