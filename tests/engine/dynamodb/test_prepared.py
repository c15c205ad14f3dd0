"""Requests that are prepared once: the same bytes, events, errors and credentials as when botocore prepares each."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import botocore.awsrequest
import botocore.credentials
import botocore.endpoint
import botocore.exceptions
import pytest

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.raw import RawClient
from tablekeep.engine.dynamodb.wire import WireClient
from tablekeep.engine.dynamodb.write import BatchWriter
from tests.engine.dynamodb.scripted import Call, Reply, Server, TestClock, error, serving

EACH_ATTEMPT = {"Authorization", "X-Amz-Date", "amz-sdk-invocation-id"}
EVENTS = (
    "provide-client-params", "before-parameter-build", "before-call", "request-created", "choose-signer", "before-sign", "before-send",
    "before-parse", "response-received", "needs-retry", "after-call", "after-call-error",
)  # fmt: skip
ITEM = b'{"pk":{"S":"a"}}'
BODY = b'{"RequestItems":{"t":[{"PutRequest":{"Item":{"pk":{"S":"a"}}}}]}}'
WRITE = ("BatchWriteItem", {"RequestItems": {"t": []}})


class Watched(RawClient):
    """Notes the names of botocore's events in their order, and the answers."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **more)
        self.told: list[str] = []
        self.answers: list[dict[str, Any]] = []
        for event in EVENTS:
            self._client.meta.events.register(f"{event}.dynamodb", self._note)

    def _note(self, event_name: str, **given: Any) -> None:
        self.told.append(event_name.partition(".")[0])
        if self.told[-1] == "after-call":
            self.answers.append(given["parsed"])

    def events(self) -> list[str]:
        told, self.told = self.told, []
        return told

    @property
    def kept(self) -> int:
        return len(self._prepared)


def session_of(key: str = "AKIDEXAMPLE", token: str | None = None, account: str | None = None) -> boto3.session.Session:
    session = boto3.session.Session(region_name="eu-west-1")
    session._session._credentials = botocore.credentials.Credentials(key, "secret", token, account_id=account)
    return session


def watched(server: Server, **more: Any) -> Watched:
    clients = SessionClients(session_of(token="token-1"), endpoints={"dynamodb": server.url})
    return Watched(clients, "dynamodb", **more)


def without_attempt(call: Call) -> tuple[str, list[tuple[str, str]], bytes]:
    """All of a request but what differs between two attempts; the headers in their order."""
    shown = [(name, "" if name in EACH_ATTEMPT else value) for name, value in call.headers.items()]
    return call.first, shown, call.body


def signed_by(call: Call) -> str:
    found = re.search(r"Credential=(\w+)/", call.headers["Authorization"])
    assert found
    return found[1]


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AWS_SDK_UA_APP_ID": "nightly"},
        {"AWS_LAMBDA_FUNCTION_NAME": "f", "_X_AMZN_TRACE_ID": "Root=1-2-3"},
    ],
)
def test_a_prepared_request_is_what_botocore_prepares_itself(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with serving(lambda call: Reply({})) as server:
        for operation, params in [
            WRITE,
            ("PutItem", {"TableName": "t", "Item": {}}),
            ("BatchGetItem", {"RequestItems": {"t": {"Keys": []}}}),
            ("Scan", {"TableName": "t"}),
        ]:
            raw = watched(server)
            for body in (BODY, BODY, BODY + b" "):
                raw.call(operation, params, body)
            itself, prepared, other = server.calls[-3:]
            assert without_attempt(prepared) == without_attempt(itself)
            assert other.body == BODY + b" "
            assert other.headers["Content-Length"] == str(len(BODY) + 1)
            assert other.headers["Authorization"] != prepared.headers["Authorization"]
            assert len({call.headers["amz-sdk-invocation-id"] for call in (itself, prepared, other)}) == 3
            assert raw.told.count("before-parameter-build") == 1, "prepared more than once"
            raw.close()


def test_all_events_from_the_call_on_come_and_their_handlers_may_change_the_request() -> None:
    with serving(lambda call: Reply({})) as server:
        raw = watched(server)
        raw.call(*WRITE, BODY)
        whole = raw.events()
        raw.call(*WRITE, BODY)
        assert raw.events() == whole[whole.index("before-call") :]
        raw._client.meta.events.register(
            "before-call.dynamodb", lambda params, **_: params["headers"].update({"x-note": "one"})
        )
        raw.call(*WRITE, BODY)
        assert server.calls[-1].headers["x-note"] == "one"


def test_another_table_is_prepared_anew_and_a_request_without_a_body_always() -> None:
    with serving(lambda call: Reply({})) as server:
        raw = watched(server)
        for table in ("t", "u", "t", "u"):
            raw.call("PutItem", {"TableName": table, "Item": {}}, b"{}")
        for _ in range(2):
            raw.call("DescribeTable", {"TableName": "t"})
        assert raw.events().count("before-parameter-build") == 4
        assert [call.json for call in server.calls[-2:]] == [{"TableName": "t"}] * 2


def test_credentials_that_are_renewed_during_a_restore_sign_what_follows() -> None:
    keys = iter(["SECOND", "THIRD"])

    def renewed() -> dict[str, str]:
        key = next(keys)
        until = datetime.now(UTC) + timedelta(hours=1)
        return {"access_key": key, "secret_key": "s", "token": f"of-{key}", "expiry_time": until.isoformat()}

    session = session_of()
    credentials = botocore.credentials.RefreshableCredentials(
        "FIRST", "s", "of-FIRST", datetime.now(UTC) + timedelta(hours=1), renewed, "assume-role"
    )
    session._session._credentials = credentials

    def script(call: Call) -> Reply:
        if len(server.calls) == 3:
            credentials._expiry_time = datetime.now(UTC) - timedelta(seconds=1)
        return Reply({})

    with serving(script) as server:
        wire = WireClient(SessionClients(session, endpoints={"dynamodb": server.url}))
        with BatchWriter(wire, "t", clock=TestClock(), in_flight=1) as writer:
            writer.put_many(b'{"pk":{"N":"%d"}}' % number for number in range(150))
    assert [signed_by(call) for call in server.calls] == ["FIRST"] * 3 + ["SECOND"] * 3
    assert {call.headers["X-Amz-Security-Token"] for call in server.calls[3:]} == {"of-SECOND"}


def test_each_attempt_is_signed_and_numbered_anew_and_the_answer_says_how_many() -> None:
    with serving(
        lambda call: error("InternalServerError", status=500) if len(server.calls) in (2, 4) else Reply({})
    ) as server:
        raw = watched(server, attempts=3)
        for _ in range(3):
            raw.call(*WRITE, BODY)
    assert [answer["ResponseMetadata"]["RetryAttempts"] for answer in raw.answers] == [0, 1, 1]
    told = [re.sub(r"ttl=\d{8}T\d{6}Z", "ttl=…", call.headers["amz-sdk-request"]) for call in server.calls]
    assert told == ["attempt=1"] + ["attempt=1", "ttl=…; attempt=2; max=3"] * 2
    ids = [call.headers["amz-sdk-invocation-id"] for call in server.calls]
    assert ids[1] == ids[2] != ids[3] == ids[4]
    assert len({call.body for call in server.calls}) == 1


@pytest.mark.parametrize(
    "reply",
    [
        error("ProvisionedThroughputExceededException", ThrottlingReasons=[{"reason": "TableWriteKeyRangeThroughputExceeded"}]),
        error("ConditionalCheckFailedException", Item={"pk": {"S": "a"}}),
        error("SomethingNew"),
        error("InternalServerError", status=500),
        Reply(b"<html>busy</html>", 503),
        Reply(b"{}", cut=1),
    ],
    ids=["throttled", "condition", "unknown", "fault", "html", "cut off"],
)  # fmt: skip
def test_errors_are_the_clients_own(reply: Reply) -> None:
    replies = iter([reply, Reply({}), reply])
    with serving(lambda call: next(replies)) as server:
        raw = watched(server)
        with pytest.raises((botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError)) as itself:
            raw.call(*WRITE, BODY)
        whole = raw.events()
        raw.call(*WRITE, BODY)
        raw.events()
        with pytest.raises(type(itself.value)) as prepared:
            raw.call(*WRITE, BODY)
        assert raw.events() == whole[whole.index("before-call") :]
    assert type(prepared.value) is type(itself.value)
    assert str(prepared.value) == str(itself.value)
    if isinstance(itself.value, botocore.exceptions.ClientError):
        assert isinstance(prepared.value, botocore.exceptions.ClientError)
        assert prepared.value.operation_name == "BatchWriteItem"
        first, later = (dict(caught.value.response) for caught in (itself, prepared))
        assert {**first, "ResponseMetadata": 0} == {**later, "ResponseMetadata": 0}
        assert later["ResponseMetadata"]["RetryAttempts"] == 0


@contextmanager
def going_nowhere(raw: RawClient) -> Iterator[list[botocore.awsrequest.AWSPreparedRequest]]:
    """The requests that would be sent; each is answered by `{}`."""
    caught: list[botocore.awsrequest.AWSPreparedRequest] = []

    class Stream:
        def stream(self) -> list[bytes]:
            return [b"{}"]

    def take(request: Any, **_: Any) -> botocore.awsrequest.AWSResponse:
        caught.append(request)
        return botocore.awsrequest.AWSResponse(request.url, 200, {}, Stream())

    raw._client.meta.events.register("before-send.dynamodb", take)
    yield caught


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "https://dynamodb.eu-west-1.amazonaws.com/"),
        ({"AWS_USE_FIPS_ENDPOINT": "true"}, "https://dynamodb-fips.eu-west-1.amazonaws.com/"),
        ({"AWS_USE_DUALSTACK_ENDPOINT": "true"}, "https://dynamodb.eu-west-1.api.aws/"),
        ({"AWS_ENDPOINT_URL_DYNAMODB": "https://proxy.example/a/b"}, "https://proxy.example/a/b"),
        ({"AWS_ENDPOINT_URL": "https://proxy.example"}, "https://proxy.example/"),
    ],
)
def test_the_endpoint_is_the_configured_one(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], url: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    raw = Watched(SessionClients(session_of()), "dynamodb")
    with going_nowhere(raw) as caught:
        for _ in range(2):
            raw.call(*WRITE, BODY)
    assert [request.url for request in caught] == [url, url]
    assert raw.events().count("before-parameter-build") == 1


def test_the_endpoint_of_an_account_follows_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    session = session_of(account="111122223333")
    raw = Watched(SessionClients(session), "dynamodb")
    with going_nowhere(raw) as caught:
        for account in ("111122223333", "111122223333", "444455556666", "444455556666"):
            session._session._credentials.account_id = account
            raw.call(*WRITE, BODY)
    assert [request.url.partition(".")[0] for request in caught] == [
        "https://111122223333", "https://111122223333", "https://444455556666", "https://444455556666"
    ]  # fmt: skip
    assert raw.events().count("before-parameter-build") == 2


def test_a_proxy_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with serving(lambda call: Reply({})) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        clients = SessionClients(session_of(), endpoints={"dynamodb": "http://dynamodb.example"})
        raw = RawClient(clients, "dynamodb")
        for _ in range(2):
            raw.call(*WRITE, BODY)
        assert [call.first for call in server.calls] == ["POST http://dynamodb.example/ HTTP/1.1"] * 2


def test_a_botocore_that_sends_another_way_prepares_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not there, or is another thing than is known, is not called."""
    sending = botocore.endpoint.Endpoint.make_request

    def other(self: Any, operation: Any, request: Any, *, more: int = 0) -> Any:
        return sending(self, operation, request)

    with serving(lambda call: Reply({})) as server:
        missing = watched(server)
        client = missing._client
        client._transport, client._make_request = (
            client._endpoint, lambda model, request, context: client._transport.make_request(model, request)
        )  # fmt: skip
        del client._endpoint
        monkeypatch.setattr(botocore.endpoint.Endpoint, "make_request", other)
        for raw in (missing, watched(server)):
            for _ in range(2):
                raw.call(*WRITE, BODY)
            assert raw.kept == 0
            assert raw.events().count("before-parameter-build") == 2
    assert len({str(without_attempt(call)) for call in server.calls}) == 1


@pytest.mark.parametrize("trait", ["http_checksum", "http_checksum_required", "request_compression"])
def test_a_body_that_botocore_sums_or_compresses_is_prepared_each_time(
    monkeypatch: pytest.MonkeyPatch, trait: str
) -> None:
    with serving(lambda call: Reply({})) as server:
        raw = watched(server)
        model = raw.model.operation_model("BatchWriteItem")
        monkeypatch.setitem(
            model.__dict__, trait, {"encodings": ["gzip"]} if trait == "request_compression" else {"a": "b"}
        )
        for _ in range(2):
            raw.call(*WRITE, BODY)
        assert raw.kept == 0
