"""The wire client: bytes pass untouched, botocore signs them, nothing is tried twice, nothing leaks."""

import json
import re
from collections.abc import Callable

import boto3
import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.wire import WireClient, WireThrottled, without_values
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, ThrottledError, TransientError
from tests.engine.dynamodb.scripted import Call, Reply, Script, error, serving

ODD_ITEM = b'{ "pk":{"S":"\\u00e9\\/\xc3\xa9"} ,"n":{"N":"1.50"},"n":{"N":"1.5"}}'
"""Odd but legal JSON that no writer of JSON would give back as it is."""


def always(reply: Reply) -> Script:
    return lambda call: reply


def test_a_page_is_the_services_own_bytes() -> None:
    body = b'{"Count":2,"ScannedCount":3,"Items":[%b,{"pk":{"S":"b"}}],"LastEvaluatedKey":%b,' % (ODD_ITEM, ODD_ITEM)
    body += b'"ConsumedCapacity":{"TableName":"t","CapacityUnits":128.5},"SomethingNew":[1]}'
    with serving(always(Reply(body))) as server:
        page = server.wire().scan("t", segment=1, total=4, consistent=True, limit=7, start_key=ODD_ITEM)
    assert [bytes(item) for item in page.items] == [ODD_ITEM, b'{"pk":{"S":"b"}}']
    assert page.last_key == ODD_ITEM
    assert (page.count, page.scanned_count, page.consumed, page.byte_count) == (2, 3, 128.5, len(body))
    (call,) = server.calls
    assert call.operation == "Scan"
    assert ODD_ITEM in call.body
    sent = {name: value for name, value in call.json.items() if name != "ExclusiveStartKey"}
    assert sent == {
        "TableName": "t", "Segment": 1, "TotalSegments": 4, "ConsistentRead": True, "Limit": 7, "ReturnConsumedCapacity": "TOTAL",
    }  # fmt: skip


def test_a_segments_end_has_no_key_and_one_segment_names_none() -> None:
    with serving(always(Reply({"Count": 0, "Items": [], "ScannedCount": 0}))) as server:
        page = server.wire().scan("t")
    assert page.last_key is None
    assert page.items == []
    assert server.calls[0].json == {"TableName": "t", "ReturnConsumedCapacity": "TOTAL"}


def test_writes_carry_items_unparsed_and_return_the_unprocessed() -> None:
    answer = b'{"UnprocessedItems":{"t":[{"PutRequest":{"Item":%b}}]},"ConsumedCapacity":[{"TableName":"t","CapacityUnits":3.0}]}'
    with serving(always(Reply(answer % ODD_ITEM))) as server:
        written = server.wire().batch_write("t", [ODD_ITEM, b'{"pk":{"S":"b"}}'])
    assert written.unprocessed == [ODD_ITEM]
    assert written.consumed == 3.0
    (call,) = server.calls
    puts = b'{"PutRequest":{"Item":%b}},{"PutRequest":{"Item":{"pk":{"S":"b"}}}}' % ODD_ITEM
    assert call.body == b'{"RequestItems":{"t":[%b]},"ReturnConsumedCapacity":"TOTAL"}' % puts


def test_reading_by_key() -> None:
    answer = {
        "Responses": {"t": [{"pk": {"S": "a"}}]},
        "UnprocessedKeys": {"t": {"Keys": [{"pk": {"S": "b"}}]}},
        "ConsumedCapacity": [{"TableName": "t", "CapacityUnits": 1}],
    }
    with serving(always(Reply(answer))) as server:
        got = server.wire().batch_get("t", [b'{"pk":{"S":"a"}}', b'{"pk":{"S":"b"}}'])
    assert [json.loads(bytes(item)) for item in got.items] == [{"pk": {"S": "a"}}]
    assert [json.loads(key) for key in got.unprocessed] == [{"pk": {"S": "b"}}]
    assert got.consumed == 1
    assert server.calls[0].json["RequestItems"]["t"]["ConsistentRead"] is True


def test_the_signature_covers_the_bytes_that_are_sent() -> None:
    with serving(always(Reply({}))) as server:
        server.wire().batch_write("t", [ODD_ITEM])
    (call,) = server.calls
    headers = {name.lower(): value for name, value in call.headers.items()}
    signed = re.search(r"SignedHeaders=([^,]+), *Signature=(\w+)", headers["authorization"])
    assert signed is not None
    request = botocore.awsrequest.AWSRequest(
        "POST", server.url + "/", {name: headers[name] for name in signed[1].split(";")}, call.body
    )
    request.context["timestamp"] = headers["x-amz-date"]
    auth = botocore.auth.SigV4Auth(botocore.credentials.Credentials("AKIDEXAMPLE", "secret"), "dynamodb", "eu-west-1")
    text = auth.string_to_sign(request, auth.canonical_request(request))
    assert auth.signature(text, request) == signed[2]


def test_credentials_are_the_sessions_own_and_refresh_once_for_both() -> None:
    session = boto3.session.Session(region_name="eu-west-1")
    provided = botocore.credentials.Credentials("FIRST", "secret", "token-1")
    session._session._credentials = provided
    with serving(always(Reply({"Count": 0, "Items": []}))) as server:
        wire = WireClient(SessionClients(session, endpoints={"dynamodb": server.url}))
        wire.scan("t")
        provided.access_key, provided.token = "SECOND", "token-2"
        wire.scan("t")
    assert [re.search(r"Credential=(\w+)/", call.headers["Authorization"])[1] for call in server.calls] == [
        "FIRST",
        "SECOND",
    ]  # type: ignore[index]
    assert [call.headers["X-Amz-Security-Token"] for call in server.calls] == ["token-1", "token-2"]


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
def test_the_endpoint_is_taken_as_boto3_takes_it(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with serving(always(Reply({"Count": 0, "Items": []}))) as server:
        monkeypatch.setenv(variable, server.url)
        session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
        assert WireClient(SessionClients(session)).scan("t").count == 0


def test_without_credentials_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    session = boto3.session.Session(region_name="eu-west-1")
    monkeypatch.setattr(session, "get_credentials", lambda: None)
    with serving(always(Reply({}))) as server, pytest.raises(BadInputError, match="no AWS credentials"):
        WireClient(SessionClients(session, endpoints={"dynamodb": server.url})).scan("t")
    assert server.calls == []


PAGE = Reply({"Count": 1, "Items": [{"pk": {"S": "a"}}]})


def test_a_wrong_checksum_is_never_data() -> None:
    wrong = Reply(PAGE.body, checksum="wrong")
    with serving(always(wrong)) as server, pytest.raises(TransientError, match="CRC-32"):
        server.wire().scan("t")
    with serving(always(Reply(PAGE.body, checksum=None))) as server:
        assert server.wire().scan("t").count == 1


def test_a_throttle_comes_through_at_once_with_its_reasons() -> None:
    reasons = [
        {"reason": "TableReadKeyRangeThroughputExceeded", "resource": "arn:aws:dynamodb:…:table/t"},
        {"reason": "TableReadAccountLimitExceeded", "resource": "arn:aws:dynamodb:…:table/t"},
    ]
    for code, name in [
        ("ProvisionedThroughputExceededException", "ThrottlingReasons"),
        ("RequestLimitExceeded", "ThrottlingReasons"),
        ("ThrottlingException", "throttlingReasons"),
    ]:
        with serving(always(error(code, **{name: reasons}))) as server, pytest.raises(ThrottledError) as caught:
            server.wire().scan("t")
        assert len(server.calls) == 1, "botocore tried again by itself"
        assert isinstance(caught.value, WireThrottled)
        assert caught.value.reasons == ("TableReadAccountLimitExceeded", "TableReadKeyRangeThroughputExceeded")
        assert not caught.value.hot_key_only
    hot = WireThrottled("x", "y", "", ("TableReadKeyRangeThroughputExceeded", "IndexReadKeyRangeThroughputExceeded"))
    assert hot.hot_key_only
    assert not WireThrottled("x", "y").hot_key_only


@pytest.mark.parametrize(
    "reply",
    [
        error("InternalServerError", status=500),
        Reply(b"<html><body>busy</body></html>", 503),
        Reply(b"", 502),
        error("ReplicatedWriteConflictException", status=409),
        Reply(PAGE.content, cut=5),
        Reply(b'{"Count":1,"Items":[{"pk":{"S":"a"', checksum=None),
        Reply(b'{"Count":"1","Items":[]}'),
        Reply(b"<html>a proxy</html>", 200),
    ],
    ids=["500", "503 html", "502 empty", "conflict", "cut off", "half JSON", "not the protocol", "a proxy"],
)
def test_faults_are_transient_and_tried_once(reply: Reply) -> None:
    with serving(always(reply)) as server, pytest.raises(TransientError) as caught:
        server.wire().scan("t")
    assert caught.value.family == "transient"
    assert len(server.calls) == 1


def test_a_server_that_is_not_there_is_transient() -> None:
    with serving(always(PAGE)) as server:
        wire = server.wire()
    with pytest.raises(TransientError, match="connection failed"):
        wire.scan("t")


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (error("ValidationException", "bad"), "bad"),
        (error("AccessDeniedException", "not authorized to perform: dynamodb:Scan"), "allow the action of Scan"),
        (error("ResourceNotFoundException", "Requested resource not found"), "deleted meanwhile"),
        (error("ExpiredTokenException", "expired"), "renew the credentials"),
    ],
)
def test_what_cannot_succeed_is_permanent(reply: Reply, words: str) -> None:
    with serving(always(reply)) as server, pytest.raises(PermanentError, match=words):
        server.wire().scan("t")
    assert len(server.calls) == 1


def test_a_count_that_is_not_the_number_of_items_is_an_integrity_error() -> None:
    with (
        serving(always(Reply({"Count": 2, "Items": [{"pk": {"S": "a"}}]}))) as server,
        pytest.raises(IntegrityError, match="Count 2"),
    ):
        server.wire().scan("t")


def test_a_key_twice_in_a_request_is_an_integrity_error() -> None:
    refusal = error("ValidationException", "Provided list of item keys contains duplicates")
    with serving(always(refusal)) as server, pytest.raises(IntegrityError, match="a key twice"):
        server.wire().batch_write("t", [b'{"pk":{"S":"a"}}'] * 2)


def test_no_value_of_an_item_is_in_an_error_or_its_chain() -> None:
    secrets = {
        "pk": {"S": "jane@example.org"},
        "n": {"N": "123x"},
        "m": {"M": {"nested-key": {"SS": ["set one"]}}},
        "b": {"L": [{"B": "QUJD"}]},
    }
    message = "The parameter cannot be converted to a numeric value: 123x (jane@example.org, nested-key, set one, QUJD) for key pk"

    def script(call: Call) -> Reply:
        return error("ValidationException", message)

    body = json.dumps(secrets).encode()
    with serving(script) as server:
        wire = server.wire()
        attempts: list[Callable[[], object]] = [
            lambda: wire.batch_write("t", [body]),
            lambda: wire.batch_get("t", [body]),
            lambda: wire.scan("t", start_key=body),
        ]
        for attempt in attempts:
            with pytest.raises(PermanentError) as caught:
                attempt()
            assert "numeric value: [value] ([value], [value], [value], [value]) for key pk" in str(caught.value)
            link: BaseException | None = caught.value
            while link is not None:
                for secret in ("jane", "123x", "nested-key", "set one", "QUJD"):
                    assert secret not in repr(link)
                link = link.__cause__ or link.__context__


@given(st.text(min_size=1), st.text(st.characters(categories=["L", "N"]), min_size=1), st.text())
def test_values_are_taken_out_of_any_message(before: str, value: str, after: str) -> None:
    shown = without_values(f"{before}: {value} {after}", [json.dumps({"a": {"S": value}}).encode()])
    assert not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", shown.replace("[value]", ""))


def test_the_table_id_is_the_services() -> None:
    with serving(always(Reply({"Table": {"TableId": "abc"}}))) as server:
        assert server.wire().table_id("t") == "abc"
