"""A request that botocore has prepared once, sent again with other bodies.

botocore finds the endpoint, the headers and the way of signing anew for every request, though only the body differs between
two requests of an operation to a table. Here they are found once, by botocore. Each later request goes through botocore's own
`before-call` event and `Endpoint.make_request`: invocation id, signature with the credentials and the time of the attempt,
retries, events, connections and the parsing of answers are botocore's.
"""

import inspect
from collections.abc import Callable
from typing import Any


def _copied(given: dict[str, Any]) -> dict[str, Any]:
    """With copies of the dicts in it (`signing`, `endpoint_properties`), to which botocore adds while it sends."""
    return {name: dict(value) if type(value) is dict else value for name, value in given.items()}


def sender_of(client: Any) -> Callable[..., Any] | None:
    """`make_request` of a client's endpoint; None where botocore has no such thing, or another one than is known here."""
    found: Any = getattr(getattr(client, "_endpoint", None), "make_request", None)
    try:
        known = list(inspect.signature(found).parameters) == ["operation_model", "request_dict"]
    except (TypeError, ValueError):  # not there, or nothing that can be called
        return None
    return found if known else None


def _whole_by_headers(model: Any) -> bool:
    """Whether botocore derives nothing but the signature from the body: neither a checksum nor a compressed form."""
    return not (
        getattr(model, "http_checksum", True)
        or getattr(model, "http_checksum_required", True)
        or getattr(model, "request_compression", True)
    )


class PreparedRequest:
    """What `before-call` is given for one request, without its body. Safe to share between threads.

    :param client: the botocore client that prepared it. :param model: the operation's. :param request: the dict that botocore
        makes its request from. :param signer: the client's.
    """

    def __init__(self, client: Any, model: Any, request: dict[str, Any], signer: Any) -> None:
        self._client, self._model, self._signer = client, model, signer
        self._request = {name: value for name, value in request.items() if name != "body"}
        self._request["headers"], self._request["context"] = dict(request["headers"]), _copied(request["context"])
        self._name = f"{model.service_model.service_id.hyphenize()}.{model.name}"
        self._before, self._after = f"before-call.{self._name}", f"after-call.{self._name}"

    @classmethod
    def of(cls, client: Any, model: Any, request: dict[str, Any], signer: Any) -> "PreparedRequest | None":
        """The request for later ones; None where botocore must prepare each anew."""
        return cls(client, model, request, signer) if _whole_by_headers(model) and sender_of(client) else None

    def send(self, body: bytes) -> Any:
        """The parsed answer, as the client's method gives it.

        :raises botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError: as the client's method does.
        """
        client, model = self._client, self._model
        context = _copied(self._request["context"])
        request = {**self._request, "headers": dict(self._request["headers"]), "context": context, "body": body}
        emit = client.meta.events.emit
        _, answered = client.meta.events.emit_until_response(
            self._before, model=model, params=request, request_signer=self._signer, context=context
        )
        if answered is not None:
            http, parsed = answered
        else:
            try:
                http, parsed = client._endpoint.make_request(model, request)
            except Exception as error:
                emit(f"after-call-error.{self._name}", exception=error, context=context)
                raise
        emit(self._after, http_response=http, parsed=parsed, model=model, context=context)
        if http.status_code >= 300:
            code = context.get("error_code_override") or parsed.get("Error", {}).get("Code")
            raise client.exceptions.from_code(code)(parsed, model.name)
        return parsed
