"""Calls of AWS that a team names: one method of one service, checked against the service's own description before it is made.

What the service answers may hold anything. So a summary is an allowance, not a filter: identifiers, names, states, times and
counts are told; everything else by its kind and size alone.
"""

import difflib
import re
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import botocore.exceptions
import botocore.session
import botocore.validate
from botocore import xform_name
from botocore.model import OperationModel, Shape

from tablekeep.engine.clients import Clients, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.steps.facts import RunFacts

MOST_ENTRIES = 10
"""Of a list; the rest is counted."""
MOST_CHARACTERS = 200
"""Of a text."""
MOST_VALUES = 100
"""Of a whole summary."""
_TOLD = re.compile(
    r"(?:Id|Ids|Identifier|Arn|ARN|Name|Names|Status|State|Type|Class|Engine|EngineVersion|Version|Time|Date|At|Count|Size|"
    r"SizeBytes|Bytes|Region|Zone|Storage|Mode|Progress|Percent|Port|Code|Reason)\Z"
)
_NEVER = re.compile(
    r"secret|password|passphrase|token|credential|access_?key|private|plaintext|signature|cookie|session", re.I
)
_TOKENS = uuid.UUID("7c0c8e0a-3a52-4b6e-9a55-0d3c1b6f2f11")


@dataclass(frozen=True)
class AwsCallRequest:
    """What is to be called.

    :ivar service: boto3's name: `rds`. :ivar method: boto3's or the service's name: `create_db_snapshot`, `CreateDBSnapshot`.
    :ivar parameters: as the service names them; `{{ as_of }}` and the like are filled in.
    """

    service: str
    method: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class AwsCallReport:
    """:ivar answered: the summary of the answer. :ivar request_id: of the service."""

    step: str
    call: str
    region: str
    request_id: str
    answered: dict[str, Any]
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_aws_call(request: AwsCallRequest, facts: RunFacts | None = None) -> tuple[OperationModel, dict[str, Any]]:
    """The operation and its parameters, when the service knows both. Nothing is called.

    :param facts: fills the parameters in; without them a parameter that is to be filled in is only checked for its name.
    :raises BadInputError: for a service, method or parameter that does not exist, is missing, or has another type.
    """
    what = f"calling {request.service}.{request.method}"
    operation = _operation(request, what)
    parameters = facts.fill(request.parameters) if facts else dict(request.parameters)
    if operation.has_event_stream_input or operation.has_event_stream_output:
        raise BadInputError(
            what, "it goes on for as long as it is listened to, and a step makes one call", "use a script"
        )
    shape = operation.input_shape
    if shape is None:
        if parameters:
            raise BadInputError(what, "it takes no parameters", "leave them out")
        return operation, {}
    report = botocore.validate.ParamValidator().validate(parameters, shape)
    if report.has_errors():
        told = "; ".join(_short(line) for line in report.generate_report().splitlines())
        raise BadInputError(what, told, f"the parameters are {', '.join(shape.members) or 'none'}")
    return operation, parameters


def _operation(request: AwsCallRequest, what: str) -> OperationModel:
    session = botocore.session.get_session()
    try:
        service = session.get_service_model(request.service)
    except botocore.exceptions.UnknownServiceError:
        known = session.get_available_services()
        raise BadInputError(what, f"boto3 knows no service {request.service}{_close(request.service, known)}") from None
    methods = {xform_name(name): name for name in service.operation_names}
    name = methods.get(request.method, request.method)
    if name not in service.operation_names:
        raise BadInputError(
            what, f"{request.service} has no method {request.method}{_close(request.method, [*methods])}"
        )
    return service.operation_model(name)


def _close(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _short(line: str) -> str:
    """One of botocore's lines, without the value that it found, which may be anything."""
    line = re.sub(r"(, )?value: .*?(?=, type: |, valid |\Z)", "", line)
    return re.sub(r"<class '(\w+)'>", r"\1", line.replace("Parameter validation failed:", "")).strip()


def run_aws_call(
    request: AwsCallRequest, clients: Clients, facts: RunFacts, *, attempt: str, clock: Clock
) -> AwsCallReport:
    """Makes the call.

    :param attempt: the same for the tries that are one call: where the service takes a token against doing a thing twice, they give
        the same one.
    :raises BadInputError: before anything was called. :raises TablekeepError: what the service answered, by family.
    """
    operation, parameters = plan_aws_call(request, facts)
    call = f"{request.service}.{xform_name(operation.name)}"
    if operation.idempotent_members:
        token = str(uuid.uuid5(_TOKENS, f"{attempt}/{facts.step}"))
        parameters = {name: token for name in operation.idempotent_members} | parameters
    began = clock.monotonic()
    try:
        answer = getattr(clients.client(request.service), xform_name(operation.name))(**parameters)
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        raise translate(error, f"calling {call}") from None
    metadata = answer.pop("ResponseMetadata", {})
    for one in answer.values():
        if hasattr(one, "close"):  # a body that is not read
            one.close()
    return AwsCallReport(
        facts.step, call, clients.region, str(metadata.get("RequestId", "")), summarise(answer, operation.output_shape),
        round(clock.monotonic() - began, 3),
    )  # fmt: skip


def summarise(answer: Mapping[str, Any], shape: Shape | None) -> dict[str, Any]:
    """What may be told of an answer: its structure, with identifiers, names, states, times and counts.

    :param shape: the service's description: what it calls sensitive is not told, nor are maps, whose keys are data.
    """
    told: dict[str, Any] = _Summary().structure(answer, shape)
    return told


class _Summary:
    """Walks one answer; counts the values, so that a large one stays short."""

    def __init__(self) -> None:
        self._values = 0

    def structure(self, value: Mapping[str, Any], shape: Any) -> dict[str, Any]:
        members = getattr(shape, "members", {})
        return {name: self._value(name, one, members.get(name)) for name, one in value.items() if one is not None}

    def _value(self, name: str, value: Any, shape: Any) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            return "…"
        kind = getattr(shape, "type_name", "")
        if (
            _NEVER.search(name)
            or getattr(shape, "sensitive", False)
            or (getattr(shape, "metadata", None) or {}).get("sensitive")
        ):
            return "(not told)"
        if kind == "structure" and isinstance(value, Mapping) and not getattr(shape, "is_document_type", False):
            return self.structure(value, shape)
        if kind == "list" and isinstance(value, list):
            shown = [self._value(name, one, shape.member) for one in value[:MOST_ENTRIES]]
            return [*shown, f"… {len(value) - MOST_ENTRIES:,} more"] if len(value) > MOST_ENTRIES else shown
        if kind == "map" and isinstance(value, Mapping):
            return f"({len(value):,} entries)"
        return self._scalar(name, value, kind)

    def _scalar(self, name: str, value: Any, kind: str) -> Any:
        if not _TOLD.search(name) or kind in ("blob", ""):
            size = f", {len(value):,} long" if isinstance(value, str | bytes) else ""
            return f"({kind or type(value).__name__}{size})"
        if hasattr(value, "isoformat"):
            return value.isoformat()
        return value[:MOST_CHARACTERS] if isinstance(value, str) else value
