"""After a load: the settings that can be set again without harm are; the others are listed with the command that sets them."""

import json
import shlex
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import CreatedTable, await_active, customer_key, on_demand_limits
from tablekeep.engine.errors import TablekeepError
from tablekeep.engine.progress import NoProgress, Progress

KNOWN = {
    "AttributeDefinitions", "TableName", "KeySchema", "TableStatus", "CreationDateTime", "ProvisionedThroughput", "TableSizeBytes",
    "ItemCount", "TableArn", "TableId", "BillingModeSummary", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "StreamSpecification",
    "LatestStreamLabel", "LatestStreamArn", "GlobalTableVersion", "Replicas", "RestoreSummary", "SSEDescription", "ArchivalSummary",
    "TableClassSummary", "DeletionProtectionEnabled", "OnDemandThroughput", "WarmThroughput",
}  # fmt: skip
"""Fields of DescribeTable that this version restores, reports, or knows to be no setting. Others are reported as UNKNOWN."""

PITR_SECONDS = 300.0
"""How long a new table may answer ContinuousBackupsUnavailableException."""


@dataclass(frozen=True, slots=True)
class NotRestored:
    """A setting of the source that the new table does not have.

    :param command: the AWS CLI command that sets it; empty where no single command does.
    """

    name: str
    why: str
    command: str = ""

    def as_dict(self) -> dict[str, str]:
        """For a report."""
        return asdict(self)


def reapply_settings(
    clients: SessionClients,
    settings: TableSettings,
    created: CreatedTable,
    *,
    clock: Clock,
    ttl: bool = False,
    tags: bool = True,
    point_in_time_recovery: bool = True,
    stream: bool = True,
    progress: Progress | None = None,
) -> tuple[NotRestored, ...]:
    """Sets tags, limits of on-demand capacity, stream, point-in-time recovery and, only when asked, the expiry of items.

    Expiry would delete restored items that have expired since, so it is left off by default. A setting that cannot be set is
    listed, not raised: the items are there, and the restore is not undone for a tag.

    :returns: everything of the source that the new table lacks.
    """
    work = _Reapply(clients, settings, created, clock, progress or NoProgress())
    work.tags(wanted=tags)
    work.on_demand_limits()
    work.stream(wanted=stream)
    work.recovery(wanted=point_in_time_recovery)
    work.expiry(wanted=ttl)
    work.missing += not_restorable(settings, created)
    return tuple(work.missing)


def aws(created: CreatedTable, verb: str, **options: Any) -> str:
    """An AWS CLI command about the table; dictionaries and lists as JSON."""
    words = ["aws", "dynamodb", verb, "--region", created.region]
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(value if isinstance(value, str) else json.dumps(value))
    return shlex.join(words)


class _Reapply:
    def __init__(
        self, clients: SessionClients, settings: TableSettings, created: CreatedTable, clock: Clock, progress: Progress
    ) -> None:
        self._clients, self._settings, self._created, self._clock, self._progress = (
            clients,
            settings,
            created,
            clock,
            progress,
        )
        self._database = clients.client("dynamodb", created.region)
        self.missing: list[NotRestored] = []

    def tags(self, *, wanted: bool) -> None:
        arn = self._created.arn
        own = {
            name: value for name, value in self._settings.tags.items() if not name.startswith(("aws:", "tablekeep:"))
        }
        for name in sorted(name for name in self._settings.tags if name.startswith("aws:")):
            self.missing.append(NotRestored(f"tag {name}", "tags of AWS cannot be set by callers"))
        pairs = [{"Key": name, "Value": value} for name, value in sorted(own.items())]
        if pairs:
            command = aws(self._created, "tag-resource", resource_arn=arn, tags=pairs)
            self._set("tags", command, wanted, lambda: self._database.tag_resource(ResourceArn=arn, Tags=pairs))

    def on_demand_limits(self) -> None:
        limits = on_demand_limits(self._settings.description) if self._settings.capacity is None else {}
        if limits:
            command = aws(self._created, "update-table", table_name=self._created.name, on_demand_throughput=limits)
            self._set("on-demand throughput limits", command, True, lambda: self._update(OnDemandThroughput=limits))

    def stream(self, *, wanted: bool) -> None:
        view = self._settings.stream_view
        if view:
            stream = {"StreamEnabled": True, "StreamViewType": view}
            command = aws(self._created, "update-table", table_name=self._created.name, stream_specification=stream)
            self._set("stream", command, wanted, lambda: self._update(StreamSpecification=stream))

    def recovery(self, *, wanted: bool) -> None:
        if not self._settings.point_in_time_recovery:
            return
        answer = self._settings.answer("DescribeContinuousBackups") or {}
        described = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        specification: dict[str, Any] = {"PointInTimeRecoveryEnabled": True}
        if "RecoveryPeriodInDays" in described:
            specification["RecoveryPeriodInDays"] = described["RecoveryPeriodInDays"]
        name = self._created.name
        command = aws(
            self._created,
            "update-continuous-backups",
            table_name=name,
            point_in_time_recovery_specification=specification,
        )
        self._set("point-in-time recovery", command, wanted, lambda: self._enable_recovery(specification))

    def expiry(self, *, wanted: bool) -> None:
        attribute = self._settings.ttl_attribute
        if attribute:
            name, expiry = self._created.name, {"Enabled": True, "AttributeName": attribute}
            command = aws(self._created, "update-time-to-live", table_name=name, time_to_live_specification=expiry)
            why = "left off, because it would delete restored items that have expired meanwhile"
            self._set(
                "expiry of items (TTL)",
                command,
                wanted,
                lambda: self._database.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry),
                why,
            )

    def _set(self, name: str, command: str, wanted: bool, call: Any, unwanted: str = "not asked for") -> None:
        if not wanted:
            self.missing.append(NotRestored(name, unwanted, command))
            return
        try:
            call()
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, TablekeepError) as error:
            failure = translate(error, f"setting {name} of table {self._created.name}")
            self._progress.note(str(failure))
            self.missing.append(NotRestored(name, failure.why, command))

    def _update(self, **change: Any) -> None:
        self._database.update_table(TableName=self._created.name, **change)
        await_active(self._clients, self._created, clock=self._clock, progress=self._progress)

    def _enable_recovery(self, specification: dict[str, Any]) -> None:
        started = self._clock.monotonic()
        while True:
            try:
                self._database.update_continuous_backups(
                    TableName=self._created.name, PointInTimeRecoverySpecification=specification
                )
                return
            except botocore.exceptions.ClientError as error:
                late = self._clock.monotonic() - started >= PITR_SECONDS
                if error_code(error) != "ContinuousBackupsUnavailableException" or late:
                    raise
                self._clock.sleep(5)


def not_restorable(settings: TableSettings, created: CreatedTable) -> Iterator[NotRestored]:
    """What `reapply_settings` never sets: it costs, opens access, or belongs to other services."""
    name, description = created.name, settings.description
    if description.get("DeletionProtectionEnabled"):
        command = aws(created, "update-table", table_name=name, deletion_protection_enabled=True)
        yield NotRestored("deletion protection", "left off until the restore is accepted", command)
    key = customer_key(settings)
    if key is not None and key.split(":")[3] != created.region:
        yield NotRestored(
            "customer managed key",
            f"the key is in Region {key.split(':')[3]}; the table uses the key of AWS",
            aws(
                created,
                "update-table",
                table_name=name,
                sse_specification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "KEY"},
            ),
        )
    if description.get("Replicas"):
        regions = ", ".join(sorted(str(replica["RegionName"]) for replica in description["Replicas"]))
        yield NotRestored(
            "global table replicas", f"a restored table stands alone; the source has replicas in {regions}"
        )
    if description.get("WarmThroughput") and settings.capacity is None:
        warm = {unit: description["WarmThroughput"][unit] for unit in ("ReadUnitsPerSecond", "WriteUnitsPerSecond")
                if unit in description["WarmThroughput"]}  # fmt: skip
        yield NotRestored(
            "warm throughput",
            "raising it is charged",
            aws(created, "update-table", table_name=name, warm_throughput=warm),
        )
    policy = (settings.answer("GetResourcePolicy") or {}).get("Policy")
    if policy:
        command = aws(created, "put-resource-policy", resource_arn=created.arn, policy=policy)
        yield NotRestored(
            "resource policy", "it grants access and names the source's ARN; read it before you set it", command
        )
    yield from _attached(settings, created)
    for field in sorted(set(description) - KNOWN):
        if description[field] not in (None, [], {}, ""):
            yield NotRestored(
                field, "UNKNOWN: this version does not know the setting; its value is in the backup's table.json"
            )
    for call, code in settings.not_known:
        yield NotRestored(call, f"not known: the service answered {code} when the backup was made")


def _attached(settings: TableSettings, created: CreatedTable) -> Iterator[NotRestored]:
    """Streams to Kinesis, contributor insights and auto scaling."""
    name = created.name
    destinations = (settings.answer("DescribeKinesisStreamingDestination") or {}).get(
        "KinesisDataStreamDestinations"
    ) or []
    for destination in destinations:
        if destination.get("DestinationStatus") == "ACTIVE":
            command = aws(
                created, "enable-kinesis-streaming-destination", table_name=name, stream_arn=destination["StreamArn"]
            )
            yield NotRestored(
                "Kinesis streaming destination", "consumers would get the restored table's changes, too", command
            )
    for index in (None, *settings.global_indexes):
        call = "DescribeContributorInsights" + (f"/index/{index}" if index else "")
        if (settings.answer(call) or {}).get("ContributorInsightsStatus") in {"ENABLED", "ENABLING"}:
            options: dict[str, Any] = {"index_name": index} if index else {}
            command = aws(
                created, "update-contributor-insights", table_name=name, **options, contributor_insights_action="ENABLE"
            )
            yield NotRestored(
                "contributor insights" + (f" of index {index}" if index else ""), "it is charged", command
            )
    targets = (settings.answer("application-autoscaling:DescribeScalableTargets") or {}).get("ScalableTargets") or []
    for target in targets:
        resource = str(target["ResourceId"]).replace(f"table/{settings.table}", f"table/{name}", 1)
        command = shlex.join(
            ["aws", "application-autoscaling", "register-scalable-target", "--region", created.region,
             "--service-namespace", "dynamodb", "--resource-id", resource, "--scalable-dimension", str(target["ScalableDimension"]),
             "--min-capacity", str(target["MinCapacity"]), "--max-capacity", str(target["MaxCapacity"])]
        )  # fmt: skip
        yield NotRestored(
            f"auto scaling of {target['ScalableDimension']} of {resource}",
            "its target and policies belong to another service; the policies are in the backup's table.json",
            command,
        )
