"""Tables built from settings: by whitelist, indexes last, and deleted only by the run that made them."""

import copy
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.profile import compare_settings
from tablekeep.engine.dynamodb.reapply import SKIPPABLE, NotRestored, reapply_settings
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.dynamodb.tables import (
    CREATION_TAG,
    CreatedTable,
    add_index,
    add_indexes,
    await_active,
    create_table,
    creation_request,
    delete_table_created_by_run,
    find_created_table,
    index_request,
)
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.marks import RUN_TAG
from tests.engine.dynamodb.scripted import Call, Notes, Reply, TestClock, error, serving
from tests.tables import clients

KEY = "arn:aws:kms:eu-west-1:210987654321:key/k"
STREAM = "arn:aws:kinesis:eu-west-1:210987654321:stream/changes"
PREFIX = "tablekeep-drill-"

TABLE: dict[str, Any] = {
    "TableName": "orders", "TableArn": "arn:aws:dynamodb:eu-west-1:210987654321:table/orders", "TableId": "id-1", "TableStatus": "ACTIVE",
    "CreationDateTime": "2023-11-14T22:13:20.123Z", "ItemCount": 1, "TableSizeBytes": 1, "LatestStreamArn": "arn", "LatestStreamLabel": "x",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": n, "AttributeType": t} for n, t in [("pk", "S"), ("sk", "N"), ("l", "B"), ("g", "S"), ("h", "N")]],
    "BillingModeSummary": {"BillingMode": "PROVISIONED", "LastUpdateToPayPerRequestDateTime": "2023-11-14T22:13:20.123Z"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 0, "LastIncreaseDateTime": "2023-11-14T22:13:20.123Z"},
    "LocalSecondaryIndexes": [
        {"IndexName": "by_l", "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
         "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]}, "IndexSizeBytes": 1, "ItemCount": 1, "IndexArn": "arn"},
    ],
    "GlobalSecondaryIndexes": [
        {"IndexName": "by_g", "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}], "Projection": {"ProjectionType": "KEYS_ONLY"},
         "IndexStatus": "ACTIVE", "Backfilling": False, "ItemCount": 1, "IndexArn": "arn", "IndexSizeBytes": 1,
         "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8, "NumberOfDecreasesToday": 0},
         "OnDemandThroughput": {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": -1},
         "WarmThroughput": {"ReadUnitsPerSecond": 1, "WriteUnitsPerSecond": 1, "Status": "ACTIVE"}},
        {"IndexName": "by_h", "KeySchema": [{"AttributeName": "h", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}],
         "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["c"]},
         "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1}},
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY},
    "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS", "LastUpdateDateTime": "2023-11-14T22:13:20.123Z"},
    "DeletionProtectionEnabled": True,
    "OnDemandThroughput": {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": -1},
    "WarmThroughput": {"ReadUnitsPerSecond": 24000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
}  # fmt: skip


def settings_of(answers: dict[str, Any] | None = None, without: tuple[str, ...] = (), **fields: Any) -> TableSettings:
    table = {name: value for name, value in {**copy.deepcopy(TABLE), **fields}.items() if name not in without}
    return TableSettings({"version": 1, "answers": {"DescribeTable": {"answer": {"Table": table}}, **(answers or {})}})


ON_DEMAND = {
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
}


def test_a_creation_request_holds_only_what_create_table_takes() -> None:
    assert creation_request(settings_of(), "new") == {
        "TableName": "new",
        "KeySchema": TABLE["KeySchema"],
        "AttributeDefinitions": TABLE["AttributeDefinitions"][:3],
        "BillingMode": "PROVISIONED",
        "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        "LocalSecondaryIndexes": [
            {
                "IndexName": "by_l",
                "KeySchema": TABLE["LocalSecondaryIndexes"][0]["KeySchema"],
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]},
            }
        ],
        "DeletionProtectionEnabled": False,
        "TableClass": "STANDARD_INFREQUENT_ACCESS",
        "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY},
    }


def test_a_plain_on_demand_table() -> None:
    plain = settings_of(without=("LocalSecondaryIndexes", "SSEDescription", "TableClassSummary"), **ON_DEMAND)
    assert creation_request(plain, "new") == {
        "TableName": "new",
        "KeySchema": TABLE["KeySchema"],
        "AttributeDefinitions": TABLE["AttributeDefinitions"][:2],
        "BillingMode": "PAY_PER_REQUEST",
        "DeletionProtectionEnabled": False,
    }


def test_the_key_of_aws_is_not_named_and_another_regions_cannot_be() -> None:
    of_aws = settings_of({"kms:DescribeKey": {"answer": {"KeyMetadata": {"KeyManager": "AWS"}}}})
    assert creation_request(of_aws, "new")["SSESpecification"] == {"Enabled": True, "SSEType": "KMS"}
    assert creation_request(settings_of(), "new", region="us-east-1")["SSESpecification"] == {
        "Enabled": True,
        "SSEType": "KMS",
    }
    assert "SSESpecification" not in creation_request(settings_of(SSEDescription={"Status": "DISABLED"}), "new")


def test_index_requests() -> None:
    assert index_request(settings_of(), "new", "by_g") == {
        "TableName": "new",
        "AttributeDefinitions": [
            entry for entry in TABLE["AttributeDefinitions"] if entry["AttributeName"] in ("pk", "sk", "g")
        ],
        "GlobalSecondaryIndexUpdates": [
            {
                "Create": {
                    "IndexName": "by_g",
                    "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "KEYS_ONLY"},
                    "ProvisionedThroughput": {"ReadCapacityUnits": 7, "WriteCapacityUnits": 8},
                }
            }
        ],
    }
    created = index_request(settings_of(**ON_DEMAND), "new", "by_g")["GlobalSecondaryIndexUpdates"][0]["Create"]
    assert created["OnDemandThroughput"] == {"MaxReadRequestUnits": 70}
    assert "ProvisionedThroughput" not in created
    with pytest.raises(BadInputError, match="no such global secondary index"):
        index_request(settings_of(), "new", "nope")


@given(
    st.permutations(["pk", "sk", "l", "g", "h"]),
    st.lists(st.text(min_size=1), max_size=4),
    st.integers(1, 9),
    st.integers(1, 9),
)
def test_attribute_definitions_are_those_of_keys(order: list[str], unknown: list[str], read: int, write: int) -> None:
    types = {entry["AttributeName"]: entry for entry in TABLE["AttributeDefinitions"]}
    more = {f"New{name}": {"x": 1} for name in unknown}
    settings = settings_of(
        AttributeDefinitions=[types[name] for name in order],
        ProvisionedThroughput={"ReadCapacityUnits": read, "WriteCapacityUnits": write},
        **more,
    )
    request = creation_request(settings, "new")
    assert {entry["AttributeName"] for entry in request["AttributeDefinitions"]} == {"pk", "sk", "l"}
    assert not set(request) & set(more)
    used = {entry["AttributeName"] for entry in index_request(settings, "new", "by_h")["AttributeDefinitions"]}
    assert used == {"pk", "sk", "h"}


# On the stand-in for AWS.


@pytest.fixture
def source(local_aws: Any) -> TableSettings:
    """A table with an index of each kind, tags, a stream, PITR, expiry; and its settings."""
    database = local_aws.client("dynamodb")
    database.create_table(
        TableName="orders",
        KeySchema=TABLE["KeySchema"],
        AttributeDefinitions=TABLE["AttributeDefinitions"],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        LocalSecondaryIndexes=creation_request(settings_of(), "x")["LocalSecondaryIndexes"],
        GlobalSecondaryIndexes=[
            index_request(settings_of(), "x", name)["GlobalSecondaryIndexUpdates"][0]["Create"]
            for name in ("by_g", "by_h")
        ],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        TableClass="STANDARD_INFREQUENT_ACCESS",
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "team", "Value": "shop"}, {"Key": "tablekeep:run", "Value": "an older run"}],
    )
    database.update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    database.update_continuous_backups(
        TableName="orders",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9},
    )
    return read_settings(clients(), "orders")


def create(source: TableSettings, name: str = PREFIX + "orders", run: str = "run-1", **more: Any) -> CreatedTable:
    return create_table(clients(), source, name, run=run, clock=TestClock(), **more)


def test_a_table_is_built_again_indexes_last(local_aws: Any, source: TableSettings) -> None:
    database = local_aws.client("dynamodb")
    created = create(source, tags={"cost": "drills"})
    fresh = read_settings(clients(), created.name)
    assert created.table_id == fresh.table_id != source.table_id
    assert (created.arn, created.region, created.run) == (fresh.arn, "us-east-1", "run-1")
    assert fresh.global_indexes == ()
    assert fresh.local_indexes == ("by_l",)
    assert fresh.stream_view is None
    assert fresh.ttl_attribute is None
    assert not fresh.description["DeletionProtectionEnabled"]
    assert fresh.tags[RUN_TAG] == "run-1"
    assert fresh.tags["cost"] == "drills"

    assert add_indexes(clients(), source, created, clock=TestClock()) == ("by_g", "by_h")
    assert add_indexes(clients(), source, created, clock=TestClock()) == ()

    missing = reapply_settings(clients(), source, created, clock=TestClock())

    done = read_settings(clients(), created.name)
    assert creation_request(done, "x") == creation_request(source, "x")
    for name in ("by_g", "by_h"):
        assert index_request(done, "x", name) == index_request(source, "x", name)
    assert (done.stream_view, done.point_in_time_recovery, done.ttl_attribute) == ("KEYS_ONLY", True, None)
    recovery = database.describe_continuous_backups(TableName=created.name)["ContinuousBackupsDescription"]
    assert recovery["PointInTimeRecoveryDescription"]["RecoveryPeriodInDays"] == 9
    assert done.tags["team"] == "shop"
    assert done.tags[RUN_TAG] == "run-1", "the source's own run tag is not taken over"
    assert done.description["DeletionProtectionEnabled"]
    assert [entry.name for entry in missing] == ["expiry of items (TTL)"]
    assert [one.name for one in compare_settings(source, done, told=missing) if not one.told] == []
    database.update_table(TableName=created.name, DeletionProtectionEnabled=False)
    again = read_settings(clients(), created.name)
    (found,) = [one for one in compare_settings(source, again, told=missing) if not one.told]
    assert (found.name, found.expected, found.actual) == ("deletion protection", True, False)
    assert "update-time-to-live --region us-east-1 --table-name tablekeep-drill-orders" in missing[0].command


def test_expiry_only_when_asked_and_what_is_not_asked_is_listed(source: TableSettings) -> None:
    created = create(source)
    missing = reapply_settings(
        clients(), source, created, clock=TestClock(), ttl=True, skip=("tags", "point-in-time-recovery", "stream")
    )
    done = read_settings(clients(), created.name)
    assert (done.ttl_attribute, done.stream_view, done.point_in_time_recovery) == ("expires", None, False)
    assert "team" not in done.tags
    assert [entry.name for entry in missing] == ["tags", "stream", "point-in-time recovery"]
    assert all(entry.command.startswith("aws dynamodb ") for entry in missing)
    assert missing[0].as_dict()["why"] == "not asked for"
    with pytest.raises(BadInputError, match="streams is no group"):
        reapply_settings(clients(), source, created, clock=TestClock(), skip=["streams"])


def test_an_existing_table_is_never_touched(local_aws: Any, source: TableSettings) -> None:
    before = read_settings(clients(), "orders").description
    with pytest.raises(BadInputError, match="table orders exists") as caught:
        create(source, "orders")
    assert caught.value.exit_code == 2
    assert read_settings(clients(), "orders").description == before


def test_a_table_of_a_run_is_found_by_its_tag_alone(source: TableSettings) -> None:
    created = create(source)
    assert find_created_table(clients(), created.name, run="run-1") == created
    assert find_created_table(clients(), created.name, run="run-2") is None
    assert find_created_table(clients(), "nope", run="run-1") is None
    assert find_created_table(clients(), "orders", run="run-1") is None


def delete(
    created: CreatedTable, run: str = "run-1", prefix: str = PREFIX, clients_: SessionClients | None = None
) -> bool:
    return delete_table_created_by_run(clients_ or clients(), created, run=run, name_prefix=prefix, clock=TestClock())


def test_a_table_of_the_run_is_deleted_and_gone(local_aws: Any, source: TableSettings) -> None:
    created = create(source)
    assert delete(created) is True
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]
    assert delete(created) is False


def test_nothing_else_is_ever_deleted(local_aws: Any, source: TableSettings) -> None:
    created = create(source)
    database = local_aws.client("dynamodb")
    with pytest.raises(PermanentError, match="does not begin with"):
        delete(created, prefix="scratch-")
    with pytest.raises(PermanentError, match="does not begin with"):
        delete(created, prefix="")
    for run in ("run-2", ""):
        with pytest.raises(PermanentError, match="does not name this run"):
            delete(created, run=run)
        with pytest.raises(PermanentError, match="does not name this run"):
            delete(CreatedTable(created.name, created.table_id, created.arn, created.region, run), run=run)
    with pytest.raises(PermanentError, match="another table has its name"):
        delete(CreatedTable(created.name, source.table_id, created.arn, created.region, "run-1"))
    with pytest.raises(PermanentError, match="table id is not known"):
        delete(CreatedTable(created.name, "", created.arn, created.region, "run-1"))
    database.untag_resource(ResourceArn=created.arn, TagKeys=[RUN_TAG])
    with pytest.raises(PermanentError, match="does not name this run"):
        delete(created)
    assert database.list_tables()["TableNames"] == ["orders", created.name]


def test_an_index_is_not_added_to_another_table_of_the_name(local_aws: Any, source: TableSettings) -> None:
    created = create(source)
    other = CreatedTable(created.name, "another", created.arn, created.region, created.run)
    with pytest.raises(PermanentError, match="another table has its name"):
        add_index(clients(), source, other, "by_g", clock=TestClock())
    gone = CreatedTable("gone", "id", created.arn, created.region, created.run)
    with pytest.raises(PermanentError, match="not there any more"):
        add_index(clients(), source, gone, "by_g", clock=TestClock())
    assert read_settings(clients(), created.name).global_indexes == ()


# Against a scripted service.


class Service:
    """A table that takes its time; `steps` are the descriptions that follow each other, the last one for ever."""

    def __init__(self, *steps: dict[str, Any], tags: dict[str, str] | None = None) -> None:
        self.steps, self.turn, self.tags = steps, itertools.count(), tags or {}

    def __call__(self, call: Call) -> Reply:
        if call.operation == "DescribeTable":
            step = self.steps[min(next(self.turn), len(self.steps) - 1)]
            return Reply(
                {"Table": {**TABLE, "TableName": "new", "TableArn": CREATED.arn, "GlobalSecondaryIndexes": [], **step}}
            )
        if call.operation == "ListTagsOfResource":
            return Reply({"Tags": [{"Key": key, "Value": value} for key, value in self.tags.items()]})
        if call.operation == "CreateTable":
            return error("ResourceInUseException", "Table already exists: new")
        return Reply({"TableDescription": {**TABLE, "TableName": "new", "TableArn": CREATED.arn}})


CREATED = CreatedTable("new", "id-1", TABLE["TableArn"].replace("orders", "new"), "eu-west-1", "run-1")


def test_waiting_lasts_until_table_and_indexes_are_active() -> None:
    index = {"IndexName": "by_g", "IndexStatus": "CREATING", "Backfilling": True}
    service = Service(
        {"TableStatus": "CREATING"},
        {"TableStatus": "UPDATING", "GlobalSecondaryIndexes": [index]},
        {"GlobalSecondaryIndexes": [index]},
        {"GlobalSecondaryIndexes": [{**index, "IndexStatus": "ACTIVE"}]},
        {"GlobalSecondaryIndexes": [{**index, "IndexStatus": "ACTIVE", "Backfilling": False}]},
    )
    clock = TestClock()
    with serving(service) as server:
        await_active(server.clients(), CREATED, clock=clock)
        assert len(server.calls) == 5
    assert clock.monotonic() > 3


def test_waiting_ends_and_tells_meanwhile() -> None:
    clock, notes = TestClock(), Notes()
    with (
        serving(Service({"TableStatus": "CREATING"})) as server,
        pytest.raises(TransientError, match="not done after 6"),
    ):
        await_active(server.clients(), CREATED, clock=clock, timeout_seconds=600, progress=notes)
    assert 600 <= clock.monotonic() < 606
    assert 8 <= len(notes.notes) <= 10


def test_one_index_at_a_time() -> None:
    order: list[str] = []
    indexes: list[dict[str, Any]] = []

    def script(call: Call) -> Reply:
        if call.operation == "UpdateTable":
            assert all(index["IndexStatus"] == "ACTIVE" for index in indexes), "the one before is still being made"
            name = call.json["GlobalSecondaryIndexUpdates"][0]["Create"]["IndexName"]
            order.append(name)
            indexes.append({"IndexName": name, "IndexStatus": "CREATING", "Backfilling": True})
            return Reply({"TableDescription": {}})
        answer = Reply({"Table": {**TABLE, "TableName": "new", "GlobalSecondaryIndexes": copy.deepcopy(indexes)}})
        for index in indexes:
            index |= {"IndexStatus": "ACTIVE", "Backfilling": False}
        return answer

    with serving(script) as server:
        assert add_indexes(server.clients(), settings_of(), CREATED, clock=TestClock()) == ("by_g", "by_h")
    assert order == ["by_g", "by_h"]


def test_a_creation_whose_answer_was_lost_knows_its_own_table() -> None:
    clock = TestClock()
    service = Service({}, tags={RUN_TAG: "run-1", CREATION_TAG: clock.token(8)})
    with serving(service) as server:
        created = create_table(server.clients(), settings_of(), "new", run="run-1", clock=clock)
    assert created == CREATED
    service.tags[CREATION_TAG] = "another"
    with serving(service) as server, pytest.raises(BadInputError, match="table new exists"):
        create_table(server.clients(), settings_of(), "new", run="run-1", clock=clock)


def test_an_existing_table_whose_tags_may_not_be_read_is_anothers() -> None:
    service = Service({})

    def script(call: Call) -> Reply:
        return error("AccessDeniedException") if call.operation == "ListTagsOfResource" else service(call)

    with serving(script) as server, pytest.raises(BadInputError, match="table new exists"):
        create_table(server.clients(), settings_of(), "new", run="run-1", clock=TestClock())


def test_deleting_waits_until_the_table_is_gone() -> None:
    service = Service({}, tags={RUN_TAG: "run-1"})
    left = [3]

    def script(call: Call) -> Reply:
        if call.operation == "DescribeTable" and any(c.operation == "DeleteTable" for c in server.calls):
            left[0] -= 1
            if left[0] < 0:
                return error("ResourceNotFoundException")
        return service(call)

    with serving(script) as server:
        assert delete_table_created_by_run(server.clients(), CREATED, run="run-1", name_prefix="new", clock=TestClock())
        assert len(server.operations("DeleteTable")) == 1
    assert left == [-1]


def reapplied(
    settings: TableSettings, script: Any, **more: Any
) -> tuple[tuple[NotRestored, ...], list[Call], TestClock]:
    clock = TestClock()
    with serving(script) as server:
        given = server.clients("application-autoscaling")
        return reapply_settings(given, settings, CREATED, clock=clock, **more), server.calls, clock


def test_limits_of_on_demand_capacity_come_after_the_load() -> None:
    missing, calls, _ = reapplied(settings_of(**ON_DEMAND), Service({}))
    updates = [call.json for call in calls if call.operation == "UpdateTable"]
    assert updates[0] == {"TableName": "new", "OnDemandThroughput": {"MaxReadRequestUnits": 100}}
    assert updates[1]["WarmThroughput"] == {"ReadUnitsPerSecond": 24000, "WriteUnitsPerSecond": 4000}
    assert updates[-1] == {"TableName": "new", "DeletionProtectionEnabled": True}, (
        "last: a failed restore can be deleted"
    )
    assert not {"on-demand throughput limits", "warm throughput"} & {entry.name for entry in missing}
    missing, _, _ = reapplied(settings_of(**ON_DEMAND), Service({}), skip=["warm-throughput"])
    assert [entry.command for entry in missing if entry.name == "warm throughput"] == [
        "aws dynamodb update-table --region eu-west-1 --table-name new --warm-throughput "
        """'{"ReadUnitsPerSecond": 24000, "WriteUnitsPerSecond": 4000}'"""
    ]


def test_a_setting_that_is_refused_is_listed_and_the_others_go_on() -> None:
    answers = {
        "ListTagsOfResource": {
            "answer": {
                "Tags": [{"Key": "team", "Value": "shop"}, {"Key": "aws:cloudformation:stack-name", "Value": "x"}]
            }
        },
        "DescribeContinuousBackups": {
            "answer": {
                "ContinuousBackupsDescription": {
                    "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}
                }
            }
        },
    }
    service = Service({})

    def script(call: Call) -> Reply:
        return error("AccessDeniedException", "no tags") if call.operation == "TagResource" else service(call)

    missing, calls, _ = reapplied(settings_of(answers), script)
    found = {entry.name: entry for entry in missing}
    assert "AccessDeniedException" in found["tags"].why
    assert "tag-resource" in found["tags"].command
    assert "cannot be set" in found["tag aws:cloudformation:stack-name"].why
    assert {"UpdateTable", "UpdateContinuousBackups"} <= {call.operation for call in calls}
    (tagging,) = [call.json for call in calls if call.operation == "TagResource"]
    assert tagging["Tags"] == [{"Key": "team", "Value": "shop"}]


def test_point_in_time_recovery_waits_for_a_new_table_but_not_for_ever() -> None:
    answers = {
        "DescribeContinuousBackups": {
            "answer": {
                "ContinuousBackupsDescription": {
                    "PointInTimeRecoveryDescription": {"PointInTimeRecoveryStatus": "ENABLED"}
                }
            }
        }
    }
    service, turns = Service({}), itertools.count()

    def late(call: Call) -> Reply:
        if call.operation == "UpdateContinuousBackups" and next(turns) < 4:
            return error("ContinuousBackupsUnavailableException", "being enabled")
        return service(call)

    missing, _, clock = reapplied(settings_of(answers), late)
    assert "point-in-time recovery" not in [entry.name for entry in missing]
    assert clock.monotonic() == pytest.approx(20, abs=2)

    def never(call: Call) -> Reply:
        return (
            error("ContinuousBackupsUnavailableException")
            if call.operation == "UpdateContinuousBackups"
            else service(call)
        )

    missing, _, clock = reapplied(settings_of(answers), never)
    assert "point-in-time recovery" in [entry.name for entry in missing]
    assert 300 <= clock.monotonic() < 310


ATTACHED: dict[str, Any] = {
    "GetResourcePolicy": {"answer": {"Policy": ""}},
    "DescribeKinesisStreamingDestination": {"answer": {"KinesisDataStreamDestinations": [
        {"StreamArn": STREAM, "DestinationStatus": "ACTIVE"}, {"StreamArn": "arn:aws:kinesis:us-east-2:1:stream/x", "DestinationStatus": "ACTIVE"}]}},
    "DescribeContributorInsights": {"answer": {"ContributorInsightsStatus": "ENABLED"}},
    "DescribeContributorInsights/index/by_g": {"answer": {"ContributorInsightsStatus": "ENABLED"}},
    "DescribeContributorInsights/index/by_h": {"refused": "AccessDeniedException"},
    "application-autoscaling:DescribeScalableTargets": {"answer": {"ScalableTargets": [
        {"ResourceId": "table/orders/index/by_g", "ScalableDimension": "dynamodb:index:WriteCapacityUnits", "MinCapacity": 1, "MaxCapacity": 9,
         "RoleARN": "arn:linked"}]}},
    "application-autoscaling:DescribeScalingPolicies": {"answer": {"ScalingPolicies": [
        {"ResourceId": "table/orders/index/by_g", "ScalableDimension": "dynamodb:index:WriteCapacityUnits", "PolicyName": "p", "PolicyARN": "a",
         "PolicyType": "TargetTrackingScaling", "TargetTrackingScalingPolicyConfiguration": {"TargetValue": 70.0}}]}},
}  # fmt: skip
WRITES_OF_INDEX = "dynamodb:index:WriteCapacityUnits of table/new/index/by_g"


def attached() -> TableSettings:
    settings = settings_of()
    answers = copy.deepcopy(ATTACHED)
    answers["GetResourcePolicy"]["answer"]["Policy"] = json.dumps({"Statement": f"it's {settings.arn}"})
    return settings_of(
        answers, Replicas=[{"RegionName": "us-east-1"}], VectorIndexes=[{"IndexName": "v"}], Empty=[],
        SSEDescription={"Status": "ENABLED", "KMSMasterKeyArn": KEY.replace("eu-west-1", "us-east-2")}, without=("StreamSpecification",),
    )  # fmt: skip


def test_what_is_attached_to_a_table_is_attached_again() -> None:
    _, calls, _ = reapplied(attached(), Service({}))
    sent = {(call.operation, call.json.get("IndexName")): call.json for call in calls}
    assert sent["PutResourcePolicy", None]["ResourceArn"] == CREATED.arn
    assert json.loads(sent["PutResourcePolicy", None]["Policy"]) == {"Statement": f"it's {CREATED.arn}"}
    assert sent["EnableKinesisStreamingDestination", None]["StreamArn"] == STREAM
    assert ("UpdateContributorInsights", None) in sent
    assert ("UpdateContributorInsights", "by_g") in sent
    target = sent["RegisterScalableTarget", None]
    assert (target["ResourceId"], target["MaxCapacity"]) == ("table/new/index/by_g", 9)
    assert "RoleARN" not in target, "the service makes its own"
    policy = sent["PutScalingPolicy", None]
    assert policy["TargetTrackingScalingPolicyConfiguration"] == {"TargetValue": 70.0}
    order = [call.operation for call in calls]
    assert order.index("RegisterScalableTarget") < order.index("PutScalingPolicy")


def test_what_cannot_be_restored_is_listed_with_the_command_for_it() -> None:
    groups = [
        one for one in SKIPPABLE if one not in ("tags", "stream", "point-in-time-recovery", "deletion-protection")
    ]
    missing, _, _ = reapplied(attached(), Service({}), skip=groups)
    found = {entry.name: entry for entry in missing}
    assert set(found) == {
        "customer managed key", "replica in us-east-1", "resource policy", "Kinesis streaming destination", "contributor insights",
        "contributor insights of index by_g", f"auto scaling of {WRITES_OF_INDEX}", f"scaling policy of {WRITES_OF_INDEX}",
        "VectorIndexes", "DescribeContributorInsights/index/by_h", "warm throughput",
    }  # fmt: skip
    assert "UNKNOWN" in found["VectorIndexes"].why
    assert "AccessDeniedException" in found["DescribeContributorInsights/index/by_h"].why
    assert "--index-name by_g" in found["contributor insights of index by_g"].command
    assert "'\"'\"'" in found["resource policy"].command, "quoted for a shell"
    assert "--replica-updates" in found["replica in us-east-1"].command
    assert found[f"auto scaling of {WRITES_OF_INDEX}"].command.startswith(
        "aws application-autoscaling register-scalable-target --region eu-west-1 --service-namespace dynamodb"
    )
