"""What pipelines require: looked for in the stand-in, waited for, and named when it does not come."""

import threading
from datetime import UTC, datetime
from typing import Any

import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.steps.facts import RunFacts
from tablekeep.engine.steps.require import Requirement, filled, missing, wait_for
from tests.tables import BUCKET, clients, make_bucket, make_table, orders

FACTS = RunFacts("nightly", "nightly", "run__nightly/manual", datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
ALL = [
    Requirement("table_exists", "orders"),
    Requirement("table_has_data", "orders"),
    Requirement("key_exists", f"s3://{BUCKET}/in/{{{{ as_of:%Y-%m-%d }}}}/_SUCCESS"),
    Requirement("prefix_not_empty", f"s3://{BUCKET}/in"),
]


def test_each_is_missing_until_it_is_there(local_aws: Any) -> None:
    wanted = filled(ALL, FACTS)
    _, data, key, prefix = wanted
    assert key.name.endswith("/in/2026-11-23/_SUCCESS")
    make_bucket(local_aws)
    s3 = local_aws.client("s3")
    assert missing(wanted, clients()) == wanted
    make_table(local_aws, "orders", [])
    assert missing(wanted, clients()) == [data, key, prefix]
    make_table(local_aws, "another", orders(1))
    local_aws.client("dynamodb").put_item(TableName="orders", Item={"pk": {"S": "a"}, "sk": {"N": "1"}})
    assert missing(wanted, clients()) == [key, prefix]
    s3.put_object(Bucket=BUCKET, Key="in/", Body=b"")  # a folder of the console
    s3.put_object(Bucket=BUCKET, Key="in_v2/x", Body=b"x")  # not below in/
    assert missing(wanted, clients()) == [key, prefix]
    s3.put_object(Bucket=BUCKET, Key="in/2026-11-23/_SUCCESS", Body=b"")
    assert missing(wanted, clients()) == []


def test_what_comes_while_it_is_waited_for_ends_the_waiting(local_aws: Any) -> None:
    make_bucket(local_aws)
    put = threading.Timer(0.4, lambda: local_aws.client("s3").put_object(Bucket=BUCKET, Key="in/x", Body=b"x"))
    put.start()
    wait_for([ALL[3]], clients(), within_seconds=20, poll_seconds=0.1, clock=SystemClock(), progress=NoProgress())
    put.join()


def test_what_does_not_come_is_named(local_aws: Any) -> None:
    make_bucket(local_aws)
    make_table(local_aws, "orders", [])
    with pytest.raises(PermanentError) as caught:
        wait_for(
            filled(ALL, FACTS),
            clients(),
            within_seconds=0.3,
            poll_seconds=0.1,
            clock=SystemClock(),
            progress=NoProgress(),
        )
    assert "there was not an item in the table orders, nor the object s3://" in str(caught.value)
    assert "the table orders," not in str(caught.value).replace("in the table orders", "")


def test_a_bucket_that_does_not_exist_or_an_address_that_is_none_is_an_error_at_once(local_aws: Any) -> None:
    with pytest.raises(PermanentError, match="NoSuchBucket"):
        missing([Requirement("prefix_not_empty", "s3://not-there/in")], clients())
    with pytest.raises(BadInputError, match="does not begin with s3://"):
        missing([Requirement("key_exists", "in/x")], clients())


def test_a_missing_right_is_not_waited_for(local_aws: Any) -> None:
    made = clients()
    make_bucket(local_aws)

    made.client("s3").meta.events.register(
        "before-parse.s3.HeadObject", lambda response_dict, **_: response_dict.update(status_code=403)
    )
    with pytest.raises(PermanentError, match="ListBucket"):
        missing([Requirement("key_exists", f"s3://{BUCKET}/x")], made)
