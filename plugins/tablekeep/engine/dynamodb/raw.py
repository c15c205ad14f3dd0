"""A botocore client whose successful answers are the body's bytes.

botocore keeps credentials, signing, endpoint resolution and the connection pool. Its response parser, which makes several
Python objects of every attribute value, is replaced for successes; errors still go through it.
"""

import zlib
from collections.abc import Mapping
from typing import Any

import botocore
import botocore.config
import botocore.parsers
import botocore.session

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.prepared import PreparedRequest
from tablekeep.engine.errors import TransientError

BODY = "tablekeep_body"


class _RawParser:
    def __init__(self, standard: Any) -> None:
        self._standard = standard

    def parse(self, response: dict[str, Any], shape: Any) -> Any:
        if response["status_code"] >= 300:
            return self._standard.parse(response, shape)
        headers = {name.lower(): value for name, value in response["headers"].items()}
        return {
            BODY: response["body"],
            "ResponseMetadata": {"HTTPStatusCode": response["status_code"], "HTTPHeaders": headers},
        }


class _RawParserFactory:
    def __init__(self) -> None:
        self._standard = botocore.parsers.ResponseParserFactory()

    def set_parser_defaults(self, **defaults: Any) -> None:
        """botocore calls this on its own factory."""
        self._standard.set_parser_defaults(**defaults)

    def create_parser(self, protocol: str) -> _RawParser:
        return _RawParser(self._standard.create_parser(protocol))


class _Sent:
    """A body on its way through the client's method, and what is left of it for later requests."""

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.prepared: PreparedRequest | None = None


class _SameCredentials:
    """The other session's credentials object itself, so that refreshing ones are refreshed once for both."""

    def __init__(self, clients: SessionClients) -> None:
        self._clients = clients

    def load_credentials(self) -> Any:
        return self._clients.session.get_credentials()


def _take_body(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
    if BODY in params:
        context[BODY] = params.pop(BODY)


class RawClient:
    """Calls one service of one Region; safe to share between threads.

    :param attempts: how often botocore itself tries in all. 1 where a caller has a retry loop of its own.
    :param timeout_seconds: (connect, read).
    """

    def __init__(
        self,
        clients: SessionClients,
        service: str,
        region: str | None = None,
        *,
        attempts: int = 1,
        timeout_seconds: tuple[float, float] = (10, 30),
    ) -> None:
        self._clients, source = clients, clients.session
        self._prepared: dict[tuple[str, str, str | None], PreparedRequest] = {}
        profile = source.profile_name if source.profile_name in source.available_profiles else None
        session = botocore.session.Session(profile=profile)
        session.register_component("response_parser_factory", _RawParserFactory())
        session.register_component("credential_provider", _SameCredentials(clients))
        self.region = region or clients.region
        self._client = session.create_client(
            service,
            region_name=self.region,
            endpoint_url=clients._endpoints.get(
                service
            ),  # the engine's own class, which has no other use for an accessor
            config=botocore.config.Config(
                retries={"mode": "standard", "total_max_attempts": attempts},
                connect_timeout=timeout_seconds[0],
                read_timeout=timeout_seconds[1],
                max_pool_connections=64,
                parameter_validation=False,
                # given whole, for botocore would put it together anew, twice a request: an eighth of the request's time
                user_agent=f"{session.user_agent()} tablekeep",
            ),
        )
        self.model = self._client.meta.service_model
        name = self.model.service_id.hyphenize()
        if attempts == 1:  # its handler would take the checksum of each answer once more, to try again or not
            self._client.meta.events.unregister(f"needs-retry.{name}", unique_id=f"retry-config-{name}")
        self._client.meta.events.register(f"before-parameter-build.{name}", _take_body)
        # first, so that what is kept is what botocore's own handlers are given each time
        self._client.meta.events.register_first(f"before-call.{name}", self._put_body)

    def call(self, operation: str, params: Mapping[str, Any], body: bytes | None = None) -> bytes:
        """The answer's body.

        :param operation: the service's name for it, such as `DescribeTable`.
        :param params: what botocore needs to find the endpoint, or the whole request when there is no `body`.
        :param body: sent as it is instead of botocore's serialisation of `params`.
        :raises botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as botocore does.
        :raises TransientError: when the body does not have the checksum that the service sent with it.
        """
        answer = self._answer(operation, params, None if body is None else _Sent(body))
        content: bytes = answer[BODY]
        expected = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-crc32")
        # botocore's standard mode only tries again on a wrong checksum and lets the last attempt pass as a success.
        if expected is not None and zlib.crc32(content) != int(expected):
            raise TransientError(
                f"calling {operation}",
                "the answer's CRC-32 differs from the one that the service sent with it",
                "try again",
            )
        return content

    def _answer(self, operation: str, params: Mapping[str, Any], sent: _Sent | None) -> Any:
        method = getattr(self._client, botocore.xform_name(operation))
        if sent is None:
            return method(**params)
        # all that the endpoint depends on, beside the client's configuration
        key = operation, repr(params), getattr(self._clients.session.get_credentials(), "account_id", None)
        prepared = self._prepared.get(key)
        if prepared is not None:
            return prepared.send(sent.body)
        answer = method(**params, **{BODY: sent})
        if sent.prepared is not None:
            self._prepared[key] = sent.prepared
        return answer

    def _put_body(
        self, model: Any, params: dict[str, Any], request_signer: Any, context: dict[str, Any], **_: Any
    ) -> None:
        sent = context.pop(BODY, None)
        if sent is not None:
            sent.prepared = PreparedRequest.of(self._client, model, params, request_signer)
            params["body"] = sent.body  # before the request is signed: the signature covers these bytes

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()
