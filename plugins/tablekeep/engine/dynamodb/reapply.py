"""After a load: the settings of the source are set on the new table; what cannot be set is listed with the command that does it."""

import json
import shlex
from collections.abc import Callable, Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import CreatedTable, await_active, customer_key, on_demand_limits
from tablekeep.engine.errors import BadInputError, TablekeepError
from tablekeep.engine.progress import NoProgress, Progress

KNOWN = {
    "AttributeDefinitions", "TableName", "KeySchema", "TableStatus", "CreationDateTime", "ProvisionedThroughput", "TableSizeBytes",
    "ItemCount", "TableArn", "TableId", "BillingModeSummary", "LocalSecondaryIndexes", "GlobalSecondaryIndexes", "StreamSpecification",
    "LatestStreamLabel", "LatestStreamArn", "GlobalTableVersion", "Replicas", "RestoreSummary", "SSEDescription", "ArchivalSummary",
    "TableClassSummary", "DeletionProtectionEnabled", "OnDemandThroughput", "WarmThroughput",
}  # fmt: skip
"""Fields of DescribeTable that this version restores, reports, or knows to be no setting. Others are reported as UNKNOWN."""

SKIPPABLE = (
    "tags", "on-demand-limits", "warm-throughput", "auto-scaling", "stream", "contributor-insights", "kinesis", "resource-policy",
    "point-in-time-recovery", "deletion-protection",
)  # fmt: skip
"""Groups of settings that a restore may leave out, in the order in which they are set. Expiry (TTL) is left out unless asked for."""

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


@dataclass(frozen=True, slots=True)
class Step:
    """One setting that is to be set.

    :ivar group: of `SKIPPABLE`, or `ttl`. :ivar command: what a person would type. :ivar apply: sets it.
    """

    group: str
    name: str
    command: str
    apply: Callable[["_Work"], object]


@dataclass(frozen=True, slots=True)
class _Work:
    clients: SessionClients
    created: CreatedTable
    clock: Clock
    progress: Progress

    @property
    def database(self) -> Any:
        return self.clients.client("dynamodb", self.created.region)

    @property
    def scaling(self) -> Any:
        return self.clients.client("application-autoscaling", self.created.region)

    def update(self, **change: Any) -> None:
        self.database.update_table(TableName=self.created.name, **change)
        await_active(self.clients, self.created, clock=self.clock, progress=self.progress)


@dataclass(frozen=True)
class SettingsPlan:
    """What will be set on the new table, and what will be missing there."""

    steps: tuple[Step, ...]
    missing: tuple[NotRestored, ...]


def plan_settings(
    settings: TableSettings, target: CreatedTable, *, ttl: bool = False, skip: Collection[str] = ()
) -> SettingsPlan:
    """Says what `reapply_settings` would do; calls nothing.

    :param target: the new table; before it is there, its name, ARN and Region will do.
    :param ttl: items that have expired meanwhile may go: expiry is switched on. :param skip: groups of `SKIPPABLE` to leave out.
    :raises BadInputError: for an unknown group.
    """
    if unknown := sorted(set(skip) - set(SKIPPABLE)):
        raise BadInputError(
            "restoring settings", f"{unknown[0]} is no group of settings", f"name one of {', '.join(SKIPPABLE)}"
        )
    steps, missing = list[Step](), list[NotRestored]()
    for step in _steps(settings, target):
        if step.group == "ttl" and not ttl:
            why = "left off, because it would delete restored items that have expired meanwhile"
            missing.append(NotRestored(step.name, why, step.command))
        elif step.group in skip:
            missing.append(NotRestored(step.name, "not asked for", step.command))
        else:
            steps.append(step)
    return SettingsPlan(tuple(steps), (*missing, *_impossible(settings, target)))


def reapply_settings(
    clients: SessionClients,
    settings: TableSettings,
    created: CreatedTable,
    *,
    clock: Clock,
    ttl: bool = False,
    skip: Collection[str] = (),
    progress: Progress | None = None,
) -> tuple[NotRestored, ...]:
    """Sets what `plan_settings` names. A setting that is refused is listed, not raised: the items are there, and the restore is
    not undone for a tag. A setting that is there already is set again: a second try does no harm.

    :returns: everything of the source that the new table lacks.
    """
    work = _Work(clients, created, clock, progress or NoProgress())
    plan = plan_settings(settings, created, ttl=ttl, skip=skip)
    refused = []
    for step in plan.steps:
        try:
            step.apply(work)
        except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError, TablekeepError) as error:
            failure = translate(error, f"setting {step.name} of table {created.name}")
            work.progress.note(str(failure))
            refused.append(NotRestored(step.name, failure.why, step.command))
    return (*refused, *plan.missing)


def aws(target: CreatedTable, verb: str, *, service: str = "dynamodb", **options: Any) -> str:
    """An AWS CLI command about the table; dictionaries and lists as JSON."""
    words = ["aws", service, verb, "--region", target.region]
    for name, value in options.items():
        words.append("--" + name.replace("_", "-"))
        if value is not True:
            words.append(value if isinstance(value, str) else json.dumps(value))
    return shlex.join(words)


def _steps(settings: TableSettings, target: CreatedTable) -> Iterator[Step]:
    name, description = target.name, settings.description
    own = {key: value for key, value in settings.tags.items() if not key.startswith(("aws:", "tablekeep:"))}
    if pairs := [{"Key": key, "Value": value} for key, value in sorted(own.items())]:
        command = aws(target, "tag-resource", resource_arn=target.arn, tags=pairs)
        yield Step(
            "tags", "tags", command, lambda work: work.database.tag_resource(ResourceArn=work.created.arn, Tags=pairs)
        )
    if limits := on_demand_limits(description) if settings.capacity is None else {}:
        yield _updated(
            "on-demand-limits", "on-demand throughput limits", target, "on_demand_throughput", OnDemandThroughput=limits
        )
    if warm := raised_warm_throughput(settings):
        yield _updated("warm-throughput", "warm throughput", target, "warm_throughput", WarmThroughput=warm)
    yield from _scaling(settings, target)
    if view := settings.stream_view:
        stream = {"StreamEnabled": True, "StreamViewType": view}
        yield Step(
            "stream", "stream", aws(target, "update-table", table_name=name, stream_specification=stream),
            lambda work: _enable_stream(work, stream),
        )  # fmt: skip
    yield from _attached(settings, target)
    policy = (settings.answer("GetResourcePolicy") or {}).get("Policy")
    if policy and settings.account == _account(target):
        # the source's ARN stands in it, and the service takes no policy that names another table
        text = str(policy).replace(settings.arn, target.arn)
        command = aws(target, "put-resource-policy", resource_arn=target.arn, policy=text)
        yield Step(
            "resource-policy", "resource policy", command,
            lambda work: work.database.put_resource_policy(ResourceArn=work.created.arn, Policy=text),
        )  # fmt: skip
    if settings.point_in_time_recovery:
        answer = settings.answer("DescribeContinuousBackups") or {}
        described = answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]
        recovery: dict[str, Any] = {"PointInTimeRecoveryEnabled": True}
        if "RecoveryPeriodInDays" in described:
            recovery["RecoveryPeriodInDays"] = described["RecoveryPeriodInDays"]
        command = aws(
            target, "update-continuous-backups", table_name=name, point_in_time_recovery_specification=recovery
        )
        yield Step(
            "point-in-time-recovery", "point-in-time recovery", command, lambda work: _enable_recovery(work, recovery)
        )
    if attribute := settings.ttl_attribute:
        expiry = {"Enabled": True, "AttributeName": attribute}
        command = aws(target, "update-time-to-live", table_name=name, time_to_live_specification=expiry)
        yield Step("ttl", "expiry of items (TTL)", command, lambda work: _enable_expiry(work, expiry))
    if description.get("DeletionProtectionEnabled"):
        yield _updated(
            "deletion-protection",
            "deletion protection",
            target,
            "deletion_protection_enabled",
            DeletionProtectionEnabled=True,
        )


def _updated(group: str, name: str, target: CreatedTable, option: str, **change: Any) -> Step:
    ((_, value),) = change.items()
    command = aws(target, "update-table", table_name=target.name, **{option: value})
    return Step(group, name, command, lambda work: work.update(**change))


def _account(target: CreatedTable) -> str:
    return target.arn.split(":")[4]


def warm_throughput(described: dict[str, Any]) -> dict[str, Any]:
    """Units a second that a table is prepared for, as a request takes them. Raising them is charged."""
    warm = described.get("WarmThroughput") or {}
    return {unit: warm[unit] for unit in ("ReadUnitsPerSecond", "WriteUnitsPerSecond") if unit in warm}


FRESH = {"ReadUnitsPerSecond": 12_000, "WriteUnitsPerSecond": 4_000}
"""What a new table on demand is prepared for (Developer Guide, "Warm throughput"); a provisioned one for its capacity."""


def raised_warm_throughput(settings: TableSettings) -> dict[str, Any]:
    """Warm throughput beyond what a new table has by itself."""
    fresh = FRESH if settings.capacity is None else dict(zip(FRESH, settings.capacity, strict=True))
    warm = warm_throughput(settings.description)
    return warm if any(value > fresh[unit] for unit, value in warm.items()) else {}


def _enable_stream(work: _Work, stream: dict[str, Any]) -> None:
    there = work.database.describe_table(TableName=work.created.name)["Table"].get("StreamSpecification") or {}
    if not there.get("StreamEnabled"):  # the service refuses to enable it twice
        work.update(StreamSpecification=stream)


def _enable_expiry(work: _Work, expiry: dict[str, Any]) -> None:
    there = work.database.describe_time_to_live(TableName=work.created.name)["TimeToLiveDescription"]
    if there.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
        work.database.update_time_to_live(TableName=work.created.name, TimeToLiveSpecification=expiry)


def _enable_recovery(work: _Work, recovery: dict[str, Any]) -> None:
    started = work.clock.monotonic()
    while True:
        try:
            work.database.update_continuous_backups(
                TableName=work.created.name, PointInTimeRecoverySpecification=recovery
            )
            return
        except botocore.exceptions.ClientError as error:
            late = work.clock.monotonic() - started >= PITR_SECONDS
            if error_code(error) != "ContinuousBackupsUnavailableException" or late:
                raise
            work.clock.sleep(5)


def _attached(settings: TableSettings, target: CreatedTable) -> Iterator[Step]:
    """Contributor insights, and streams to Kinesis, which follow the load: consumers do not get its items."""
    name = target.name
    for index in insights(settings):
        options = {"index_name": index} if index else {}
        given = {"IndexName": index} if index else {}
        command = aws(
            target, "update-contributor-insights", table_name=name, **options, contributor_insights_action="ENABLE"
        )
        yield Step(
            "contributor-insights", "contributor insights" + (f" of index {index}" if index else ""), command,
            lambda work, given=given: work.database.update_contributor_insights(  # type: ignore[misc]
                TableName=work.created.name, ContributorInsightsAction="ENABLE", **given
            ),
        )  # fmt: skip
    for arn in kinesis_streams(settings):
        if arn.split(":")[3:5] == [target.region, _account(target)]:
            yield Step(
                "kinesis", "Kinesis streaming destination",
                aws(target, "enable-kinesis-streaming-destination", table_name=name, stream_arn=arn),
                lambda work, arn=arn: work.database.enable_kinesis_streaming_destination(  # type: ignore[misc]
                    TableName=work.created.name, StreamArn=arn
                ),
            )  # fmt: skip


def insights(settings: TableSettings) -> list[str | None]:
    """Of what contributor insights are on: None is the table, the others are indexes."""

    def on(index: str | None) -> bool:
        answer = settings.answer("DescribeContributorInsights" + (f"/index/{index}" if index else "")) or {}
        return answer.get("ContributorInsightsStatus") in {"ENABLED", "ENABLING"}

    return [index for index in (None, *settings.global_indexes) if on(index)]


def kinesis_streams(settings: TableSettings) -> list[str]:
    """ARNs of the Kinesis streams to which changes go, or will go in a moment."""
    answer = settings.answer("DescribeKinesisStreamingDestination") or {}
    found = answer.get("KinesisDataStreamDestinations") or []
    return [
        str(one["StreamArn"]) for one in found if one.get("DestinationStatus") in {"ACTIVE", "ENABLING", "UPDATING"}
    ]


_TARGET = ("ScalableDimension", "MinCapacity", "MaxCapacity")
_POLICY = (
    "PolicyName",
    "ScalableDimension",
    "PolicyType",
    "TargetTrackingScalingPolicyConfiguration",
    "StepScalingPolicyConfiguration",
)
_ACTION = (
    "ScheduledActionName",
    "Schedule",
    "Timezone",
    "ScalableDimension",
    "StartTime",
    "EndTime",
    "ScalableTargetAction",
)
SCALING = (
    ("register_scalable_target", "auto scaling", "DescribeScalableTargets", "ScalableTargets", _TARGET),
    ("put_scaling_policy", "scaling policy", "DescribeScalingPolicies", "ScalingPolicies", _POLICY),
    ("put_scheduled_action", "scheduled scaling", "DescribeScheduledActions", "ScheduledActions", _ACTION),
)
"""(the call that sets it, its name, the call that told it, the list in its answer, the members that a request takes)."""


def _scaling(settings: TableSettings, target: CreatedTable) -> Iterator[Step]:
    for call, word, told, listed, members in SCALING:
        for entry in (settings.answer(f"application-autoscaling:{told}") or {}).get(listed) or []:
            resource = str(entry["ResourceId"]).replace(f"table/{settings.table}", f"table/{target.name}", 1)
            request = {"ServiceNamespace": "dynamodb", "ResourceId": resource}
            request |= {member: entry[member] for member in members if entry.get(member) is not None}
            options = {
                _dashed(member): str(value) if isinstance(value, int) else value for member, value in request.items()
            }
            yield Step(
                "auto-scaling", f"{word} of {entry['ScalableDimension']} of {resource}",
                aws(target, call.replace("_", "-"), service="application-autoscaling", **options),
                lambda work, call=call, request=request: getattr(work.scaling, call)(**request),  # type: ignore[misc]
            )  # fmt: skip


def _dashed(member: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in member).lstrip("_")


def _impossible(settings: TableSettings, target: CreatedTable) -> Iterator[NotRestored]:
    """What no call of ours sets."""
    name, description = target.name, settings.description
    for tag in sorted(tag for tag in settings.tags if tag.startswith("aws:")):
        yield NotRestored(f"tag {tag}", "tags of AWS cannot be set by callers")
    key = customer_key(settings)
    if key is not None and key.split(":")[3] != target.region:
        why = f"the key is in Region {key.split(':')[3]}; the table uses the key of AWS"
        encryption = {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": "KEY"}
        yield NotRestored(
            "customer managed key", why, aws(target, "update-table", table_name=name, sse_specification=encryption)
        )
    regions = [str(replica["RegionName"]) for replica in description.get("Replicas") or []]
    for region in sorted(set(regions) - {target.region}):
        update = [{"Create": {"RegionName": region}}]
        why = "a replica is charged, and a table that has had one cannot be deleted for a day: add it when the table is in service"
        yield NotRestored(
            f"replica in {region}", why, aws(target, "update-table", table_name=name, replica_updates=update)
        )
    policy = (settings.answer("GetResourcePolicy") or {}).get("Policy")
    if policy and settings.account != _account(target):
        command = aws(
            target, "put-resource-policy", resource_arn=target.arn, policy=str(policy).replace(settings.arn, target.arn)
        )
        yield NotRestored("resource policy", "it was written for another account; read it before you set it", command)
    for arn in kinesis_streams(settings):
        if arn.split(":")[3:5] != [target.region, _account(target)]:
            yield NotRestored(
                "Kinesis streaming destination", f"the stream is in {' of account '.join(arn.split(':')[3:5])}"
            )
    for field in sorted(set(description) - KNOWN):
        if description[field] not in (None, [], {}, ""):
            yield NotRestored(
                field, "UNKNOWN: this version does not know the setting; its value is in the backup's table.json"
            )
    for call, code in settings.not_known:
        yield NotRestored(call, f"not known: the service answered {code} when the backup was made")
