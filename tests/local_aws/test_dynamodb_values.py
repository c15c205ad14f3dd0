"""Attribute values are accepted, refused and returned as by the service."""

from typing import Any

import pytest

from local_aws.dynamodb.values import normal_item
from local_aws.server import LocalAws
from tests.local_aws.support import create_table, refused

KEY: dict[str, Any] = {"p": {"S": "a"}, "s": {"N": "1"}}


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "x"}
    for _ in range(depth):
        value = {"L": [value]}
    return value


@pytest.mark.parametrize(
    ("written", "returned"),
    [
        ("1.50", "1.5"), ("1E5", "100000"), ("1e-5", "0.00001"), ("-0", "0"), ("0.000", "0"), ("0E200", "0"),
        ("+5", "5"), ("007", "7"), (".5", "0.5"), ("5.", "5"), ("9" * 38, "9" * 38), ("1" + "0" * 60, "1" + "0" * 60),
        ("1E-130", "0." + "0" * 129 + "1"), ("9.99E+125", "999" + "0" * 123), ("-1E-130", "-0." + "0" * 129 + "1"),
    ],
)  # fmt: skip
def test_numbers_come_back_plain(local_aws: LocalAws, written: str, returned: str) -> None:
    client = create_table(local_aws)
    client.put_item(TableName="items", Item=KEY | {"v": {"N": written}})
    assert client.get_item(TableName="items", Key=KEY)["Item"]["v"] == {"N": returned}


@pytest.mark.parametrize(
    ("written", "why"),
    [
        ("9" * 39, "38 significant digits"), ("0." + "1" * 39, "38 significant digits"), ("1E126", "overflow"),
        ("1E-131", "underflow"), ("1E99999999999999999999", "overflow"), ("abc", "numeric value: abc"),
        ("", "numeric value"), (" 1", "numeric value"), ("NaN", "numeric value"), ("Infinity", "numeric value"),
        ("1_0", "numeric value"), ("0x1", "numeric value"),
    ],
)  # fmt: skip
def test_numbers_that_the_service_refuses(local_aws: LocalAws, written: str, why: str) -> None:
    client = create_table(local_aws)
    code, status, message = refused(client.put_item, TableName="items", Item=KEY | {"v": {"N": written}})
    assert (code, status) == ("ValidationException", 400)
    assert why in message


@pytest.mark.parametrize(
    ("written", "returned"),
    [
        ({"NS": ["3", "1E1", "2.50", "-1"]}, {"NS": ["-1", "2.5", "3", "10"]}),
        ({"SS": ["b", "é", "", "B", "a"]}, {"SS": ["", "B", "a", "b", "é"]}),
        ({"BS": [b"\xff", b"", b"\x00"]}, {"BS": [b"", b"\x00", b"\xff"]}),
        ({"L": []}, {"L": []}),
        ({"M": {}}, {"M": {}}),
        ({"S": ""}, {"S": ""}),
        ({"B": b""}, {"B": b""}),
        ({"NULL": True}, {"NULL": True}),
        ({"M": {"b": {"B": b"\x00\xff"}, "l": {"L": [{"N": "1.0"}, {"BS": [b"\x01"]}]}}},
         {"M": {"b": {"B": b"\x00\xff"}, "l": {"L": [{"N": "1"}, {"BS": [b"\x01"]}]}}}),
    ],
)  # fmt: skip
def test_values_come_back_in_the_services_form(local_aws: LocalAws, written: Any, returned: Any) -> None:
    client = create_table(local_aws)
    client.put_item(TableName="items", Item=KEY | {"v": written})
    assert client.get_item(TableName="items", Key=KEY)["Item"]["v"] == returned
    assert client.scan(TableName="items")["Items"] == [KEY | {"v": returned}]
    # moto's own operations see the same item
    query = {"KeyConditionExpression": "p = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}
    assert client.query(TableName="items", **query)["Items"] == [KEY | {"v": returned}]
    assert client.scan(TableName="items")["Items"] == [KEY | {"v": returned}]


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({"NS": ["1", "1.0"]}, "duplicates"), ({"SS": ["a", "a"]}, "duplicates"), ({"BS": [b"a", b"a"]}, "duplicates"),
        ({"NS": []}, "may not be empty"), ({"SS": []}, "may not be empty"), ({"BS": []}, "should not be empty"),
        ({"M": {"": {"S": "x"}}}, "Empty attribute name"), ({"NULL": False}, "Null attribute value"),
        ({"L": [{"M": {"a": {"N": "1E126"}}}]}, "overflow"), (nested(32), "Nesting Levels"),
    ],
)  # fmt: skip
def test_values_that_the_service_refuses(local_aws: LocalAws, value: Any, why: str) -> None:
    client = create_table(local_aws)
    code, _, message = refused(client.put_item, TableName="items", Item=KEY | {"v": value})
    assert code == "ValidationException"
    assert why in message
    assert client.scan(TableName="items")["Count"] == 0


def test_thirty_two_levels_are_accepted(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    client.put_item(TableName="items", Item=KEY | {"v": nested(31)})
    assert client.get_item(TableName="items", Key=KEY)["Item"]["v"] == nested(31)


@pytest.mark.parametrize(
    ("item", "why"),
    [
        ({"p": {"S": "a"}}, "Missing the key s"),
        ({"p": {"S": ""}, "s": {"N": "1"}}, "empty string value. Key: p"),
        ({"p": {"N": "1"}, "s": {"N": "1"}}, "Type mismatch for key p expected: S actual: N"),
        ({"p": {"S": "x" * 2049}, "s": {"N": "1"}}, "2048 bytes"),
        (KEY | {"": {"S": "x"}}, "Empty attribute name"),
    ],
)
def test_keys_that_the_service_refuses(local_aws: LocalAws, item: Any, why: str) -> None:
    client = create_table(local_aws)
    code, _, message = refused(client.put_item, TableName="items", Item=item)
    assert code == "ValidationException"
    assert why in message


def test_an_item_has_at_most_400_kb_with_its_names(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    room = 400 * 1024 - normal_item(KEY | {"v": {"S": ""}})[1]
    client.put_item(TableName="items", Item=KEY | {"v": {"S": "x" * room}})
    code, _, message = refused(client.put_item, TableName="items", Item=KEY | {"v": {"S": "x" * (room + 1)}})
    assert (code, message) == ("ValidationException", "Item size has exceeded the maximum allowed size")


@pytest.mark.parametrize("value", [{"N": "1"}, {"NULL": True}, {"S": ""}])
def test_an_index_refuses_other_types_only_while_it_exists(local_aws: LocalAws, value: Any) -> None:
    indexed = create_table(local_aws, "indexed", index=True)
    code, _, message = refused(indexed.put_item, TableName="indexed", Item=KEY | {"g": value})
    assert code == "ValidationException"
    assert "by-g" in message
    plain = create_table(local_aws, "plain")
    plain.put_item(TableName="plain", Item=KEY | {"g": value})
    created = {
        "IndexName": "by-g",
        "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
    }
    plain.update_table(
        TableName="plain",
        AttributeDefinitions=[{"AttributeName": "g", "AttributeType": "S"}],
        GlobalSecondaryIndexUpdates=[{"Create": created}],
    )
    assert plain.scan(TableName="plain")["Items"] == [KEY | {"g": value}]
    assert plain.scan(TableName="plain", IndexName="by-g")["Items"] == []
    assert plain.describe_table(TableName="plain")["Table"]["GlobalSecondaryIndexes"][0]["ItemCount"] == 0
    assert refused(plain.put_item, TableName="plain", Item=KEY | {"g": value})[0] == "ValidationException"


def test_updates_are_exact_and_keep_the_rules(local_aws: LocalAws) -> None:
    client = create_table(local_aws, index=True)

    def update(expression: str, value: Any) -> None:
        client.update_item(
            TableName="items", Key=KEY, UpdateExpression=expression, ExpressionAttributeValues={":x": value}
        )

    update("SET v = :x", {"N": "12345678901234567890123456789012345678"})
    update("SET v = v + :x", {"N": "1.0"})
    update("ADD t :x", {"SS": ["b", "a"]})
    expected = KEY | {"v": {"N": "12345678901234567890123456789012345679"}, "t": {"SS": ["a", "b"]}}
    assert client.get_item(TableName="items", Key=KEY)["Item"] == expected
    with pytest.raises(client.exceptions.ClientError):
        update("SET v = v + :x", {"N": "0.1"})
    with pytest.raises(client.exceptions.ClientError):
        update("SET g = :x", {"N": "1"})
    assert client.scan(TableName="items")["Items"] == [expected]


def test_an_update_that_fails_makes_no_item(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    values = {":x": {"S": "x" * 410000}}
    arguments = {
        "TableName": "items",
        "Key": KEY,
        "UpdateExpression": "SET v = :x",
        "ExpressionAttributeValues": values,
    }
    assert refused(client.update_item, **arguments)[0] == "ValidationException"
    assert client.scan(TableName="items")["Count"] == 0


def test_a_transaction_is_strict_and_whole(local_aws: LocalAws) -> None:
    client = create_table(local_aws)
    puts = [{"Put": {"TableName": "items", "Item": KEY | {"s": {"N": str(n)}, "v": {"N": "1.0"}}}} for n in range(2)]
    client.transact_write_items(TransactItems=puts)
    assert [i["v"] for i in client.scan(TableName="items")["Items"]] == [{"N": "1"}] * 2
    bad = {"Put": {"TableName": "items", "Item": KEY | {"s": {"N": "9"}, "v": {"SS": ["a", "a"]}}}}
    assert refused(client.transact_write_items, TransactItems=[*puts, bad])[0] == "ValidationException"
    failing = {"Put": {"TableName": "items", "Item": KEY, "ConditionExpression": "attribute_not_exists(p)"}}
    new = {"Put": {"TableName": "items", "Item": KEY | {"s": {"N": "10"}}}}
    assert refused(client.transact_write_items, TransactItems=[new, failing])[0] == "TransactionCanceledException"
    assert client.scan(TableName="items")["Count"] == 2
