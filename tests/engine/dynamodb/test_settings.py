"""Reading settings: everything, verbatim; what is refused is named; only DescribeTable must succeed."""

import copy
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.settings import TableSettings, read_settings
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError
from tests.engine.dynamodb.scripted import Call, Reply, Server, TestClock, error, serving
from tests.tables import clients

DESCRIPTION: dict[str, Any] = {
    "TableName": "orders",
    "TableArn": "arn:aws:dynamodb:eu-west-1:210987654321:table/orders",
    "TableId": "id-1",
    "TableStatus": "ACTIVE",
    "CreationDateTime": 1700000000.123,
    "KeySchema": [{"AttributeName": "sk", "KeyType": "RANGE"}, {"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [
        {"AttributeName": "pk", "AttributeType": "S"},
        {"AttributeName": "sk", "AttributeType": "N"},
        {"AttributeName": "g", "AttributeType": "B"},
    ],
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST", "LastUpdateToPayPerRequestDateTime": 1700000001},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
    "ItemCount": 7,
    "TableSizeBytes": 700,
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_g",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "VectorIndexes": [{"IndexName": "v", "CreatedAt": 1700000000.5, "Deep": {"new": [1, None, True]}}],
}
"""With a field that no botocore knows."""


def script(answers: dict[str, Reply | Callable[[Call], Reply]]) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        found = answers.get(call.operation, error("AccessDeniedException", "not authorized"))
        return found if isinstance(found, Reply) else found(call)

    return answer


def everywhere(server: Server) -> SessionClients:
    """Every service is the scripted server."""
    session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
    return SessionClients(
        session, endpoints=dict.fromkeys(["dynamodb", "application-autoscaling", "kms", "sts"], server.url)
    )


def test_everything_of_a_real_table_is_read(local_aws: Any) -> None:
    database, scaling = local_aws.client("dynamodb"), local_aws.client("application-autoscaling")
    key = local_aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    database.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[
            {"AttributeName": name, "AttributeType": kind} for name, kind in [("pk", "S"), ("sk", "N"), ("g", "S")]
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by_g",
                "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "KEYS_ONLY"},
                "ProvisionedThroughput": {"ReadCapacityUnits": 3, "WriteCapacityUnits": 4},
            }
        ],
        ProvisionedThroughput={"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        Tags=[{"Key": f"k{n}", "Value": str(n)} for n in range(25)],
    )
    database.update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    database.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    dimension = {
        "ServiceNamespace": "dynamodb",
        "ResourceId": "table/orders",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    }
    scaling.register_scalable_target(**dimension, MinCapacity=1, MaxCapacity=9)
    scaling.put_scaling_policy(
        PolicyName="p",
        **dimension,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={"TargetValue": 70.0},
    )

    settings = read_settings(clients(), "orders", clock=TestClock())

    assert settings.not_known == ()
    assert (settings.table, settings.region, settings.account) == ("orders", "us-east-1", "123456789012")
    assert settings.table_id == database.describe_table(TableName="orders")["Table"]["TableId"]
    assert [(key.name, key.role, key.type) for key in settings.key_schema] == [
        ("pk", "HASH", "S"),
        ("sk", "RANGE", "N"),
    ]
    assert settings.key_names == ("pk", "sk")
    assert (settings.billing_mode, settings.capacity) == ("PROVISIONED", (5, 6))
    assert (settings.global_indexes, settings.local_indexes) == (("by_g",), ())
    assert (settings.ttl_attribute, settings.point_in_time_recovery, settings.stream_view) == (
        "expires",
        True,
        "NEW_IMAGE",
    )
    assert settings.tags == {f"k{n}": str(n) for n in range(25)}
    assert settings.status == "ACTIVE"
    policies = settings.answer("application-autoscaling:DescribeScalingPolicies")
    assert policies is not None
    assert [policy["PolicyName"] for policy in policies["ScalingPolicies"]] == ["p"]
    owner = settings.answer("kms:DescribeKey")
    assert owner is not None
    assert owner["KeyMetadata"]["KeyManager"] == "CUSTOMER"
    assert settings.document["read_at"] == "2026-11-23T00:00:00.000Z"
    assert TableSettings.from_document(json.loads(json.dumps(settings.as_document()))) == settings


def test_answers_are_verbatim_unknown_fields_included_and_times_are_text() -> None:
    with serving(script({"DescribeTable": Reply({"Table": DESCRIPTION})})) as server:
        settings = read_settings(everywhere(server), "orders")
    assert settings.description == {
        **DESCRIPTION,
        "CreationDateTime": "2023-11-14T22:13:20.123Z",
        "BillingModeSummary": {
            "BillingMode": "PAY_PER_REQUEST",
            "LastUpdateToPayPerRequestDateTime": "2023-11-14T22:13:21.000Z",
        },
    }
    assert (settings.region, settings.account) == ("eu-west-1", "210987654321")
    assert settings.key_names == ("pk", "sk"), "the partition key first, however it was described"
    assert (settings.billing_mode, settings.capacity) == ("PAY_PER_REQUEST", None)
    assert (settings.item_count, settings.size_bytes) == (7, 700)


def test_what_is_refused_is_named_and_nothing_else_is_lost() -> None:
    answers: dict[str, Any] = {
        "DescribeTable": Reply({"Table": DESCRIPTION}),
        "DescribeTimeToLive": Reply({"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}),
        "GetResourcePolicy": error("PolicyNotFoundException"),
        "DescribeContinuousBackups": error("InternalServerError", status=500),
        "DescribeKinesisStreamingDestination": Reply(b"no json", checksum=None),
    }
    with serving(script(answers)) as server:
        settings = read_settings(everywhere(server), "orders")
    refused = "AccessDeniedException"
    assert settings.not_known == (
        ("DescribeContinuousBackups", "InternalServerError"),
        ("DescribeContributorInsights", refused),
        ("DescribeContributorInsights/index/by_g", refused),
        ("DescribeKinesisStreamingDestination", "JSONDecodeError"),
        ("ListTagsOfResource", refused),
        ("application-autoscaling:DescribeScalableTargets", refused),
        ("application-autoscaling:DescribeScalingPolicies", refused),
        ("application-autoscaling:DescribeScheduledActions", refused),
    )
    assert settings.answer("DescribeTimeToLive") == {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    assert (settings.ttl_attribute, settings.point_in_time_recovery, settings.tags) == (None, None, {})


def test_lists_are_read_over_all_pages() -> None:
    def tags(call: Call) -> Reply:
        page = int(call.json.get("NextToken", "0"))
        more = {"NextToken": str(page + 1)} if page < 2 else {}
        return Reply({"Tags": [{"Key": f"k{page}", "Value": "v"}], **more})

    with serving(script({"DescribeTable": Reply({"Table": DESCRIPTION}), "ListTagsOfResource": tags})) as server:
        settings = read_settings(everywhere(server), "orders")
    assert settings.answer("ListTagsOfResource") == {"Tags": [{"Key": f"k{page}", "Value": "v"} for page in range(3)]}
    assert "NextToken" not in json.dumps(settings.as_document())


def test_replicas_are_asked_for_their_scaling_and_keys_for_their_owner() -> None:
    described = {
        **DESCRIPTION,
        "Replicas": [{"RegionName": "us-east-1"}],
        "SSEDescription": {"Status": "ENABLED", "KMSMasterKeyArn": "arn:aws:kms:eu-west-1:1:key/k"},
    }
    answers: dict[str, Any] = {
        "DescribeTable": Reply({"Table": described}),
        "DescribeTableReplicaAutoScaling": Reply({"TableAutoScalingDescription": {"TableName": "orders"}}),
        "DescribeKey": Reply({"KeyMetadata": {"KeyManager": "AWS"}}),
    }
    with serving(script(answers)) as server:
        settings = read_settings(everywhere(server), "orders")
    assert settings.answer("DescribeTableReplicaAutoScaling") == {
        "TableAutoScalingDescription": {"TableName": "orders"}
    }
    assert settings.answer("kms:DescribeKey") == {"KeyMetadata": {"KeyManager": "AWS"}}


def test_a_service_that_cannot_be_reached_is_asked_once() -> None:
    with serving(script({"DescribeTable": Reply({"Table": DESCRIPTION})})) as server:
        session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
        endpoints = {
            "dynamodb": server.url,
            "application-autoscaling": "http://127.0.0.1:9",
            "kms": "http://127.0.0.1:9",
        }
        settings = read_settings(SessionClients(session, endpoints=endpoints), "orders")
    lost = [code for call, code in settings.not_known if call.startswith("application-autoscaling:")]
    assert lost == ["EndpointConnectionError"] * 3


def test_no_such_table_names_table_account_region_and_the_next_step(local_aws: Any) -> None:
    with pytest.raises(BadInputError) as caught:
        read_settings(clients(), "nope")
    assert str(caught.value) == (
        "describing table nope: there is no such table in account 123456789012 in Region us-east-1. "
        "check the name, the Region and the account."
    )
    assert caught.value.exit_code == 2


def test_no_such_table_without_leave_to_ask_for_the_account() -> None:
    with (
        serving(script({"DescribeTable": error("ResourceNotFoundException")})) as server,
        pytest.raises(BadInputError, match="Region eu-west-1"),
    ):
        read_settings(everywhere(server), "nope")


def test_a_refused_describe_table_is_an_error() -> None:
    with serving(script({})) as server, pytest.raises(PermanentError, match="allow the action of DescribeTable"):
        read_settings(everywhere(server), "orders")


def test_a_document_that_is_not_one_is_refused() -> None:
    good = {
        "version": 1,
        "read_at": "x",
        "region": "eu-west-1",
        "answers": {"DescribeTable": {"answer": {"Table": DESCRIPTION}}},
    }
    TableSettings.from_document(good)
    for path in (["version"], ["answers"], ["answers", "DescribeTable"], ["answers", "DescribeTable", "answer", "Table", "KeySchema"],
                 ["answers", "DescribeTable", "answer", "Table", "TableArn"], ["answers", "DescribeTable", "answer", "Table", "AttributeDefinitions"]):  # fmt: skip
        broken = copy.deepcopy(good)
        inner: Any = broken
        for name in path[:-1]:
            inner = inner[name]
        del inner[path[-1]]
        with pytest.raises(IntegrityError):
            TableSettings.from_document(broken)
    with pytest.raises(IntegrityError, match="newer"):
        TableSettings.from_document({**good, "version": 2})


def test_a_table_without_a_billing_summary_is_provisioned_when_it_has_capacity() -> None:
    def of(read: int) -> TableSettings:
        table = {**DESCRIPTION, "ProvisionedThroughput": {"ReadCapacityUnits": read, "WriteCapacityUnits": read}}
        del table["BillingModeSummary"]
        return TableSettings({"answers": {"DescribeTable": {"answer": {"Table": table}}}})

    assert (of(5).billing_mode, of(5).capacity) == ("PROVISIONED", (5, 5))
    assert (of(0).billing_mode, of(0).capacity) == ("PAY_PER_REQUEST", None)
