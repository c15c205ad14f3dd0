"""The kinds of value that a pipeline file holds, each with its rule and an example."""

import re
import zoneinfo
from datetime import timedelta
from typing import Annotated, Any

import croniter
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from tablekeep.engine.errors import BadInputError
from tablekeep.engine.names import check_table_name, parse_s3
from tablekeep.engine.steps.facts import names_in, without_names

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"([0-9]{1,6})([smhd])\Z")
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\Z")
_PERCENT = re.compile(r"(?:[0-9]{1,3}(?:\.[0-9]+)?)%\Z")
MAX_NAME = 80


def parse_duration(text: str) -> timedelta:
    """`90s`, `15m`, `2h`, `7d`.

    :raises ValueError: for anything else.
    """
    found = _DURATION.match(text)
    if not found or int(found[1]) == 0:
        raise ValueError("it must be a number above 0 followed by s, m, h or d")
    return timedelta(seconds=int(found[1]) * _UNITS[found[2]])


def duration_text(duration: timedelta) -> str:
    """The shortest form of `parse_duration`."""
    seconds = int(duration.total_seconds())
    unit = next(unit for unit, size in sorted(_UNITS.items(), key=lambda one: -one[1]) if seconds % size == 0)
    return f"{seconds // _UNITS[unit]}{unit}"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("it must be text; put it in quotes")
    return value


def _duration(value: Any) -> timedelta:
    return value if isinstance(value, timedelta) else parse_duration(_text(value))


def _cron(value: Any) -> str:
    text = _text(value)
    try:
        fields = croniter.croniter(text).expanded
    except (croniter.CroniterError, ValueError, AttributeError):
        fields = None
    if fields is None or len(fields) != 5:
        raise ValueError(
            "it must be a cron expression of five fields (minute, hour, day, month, weekday) or @daily and the like"
        )
    try:
        croniter.croniter(text).get_next()
    except croniter.CroniterError:
        raise ValueError("this cron expression never comes due") from None
    return text


def _timezone(value: Any) -> str:
    name = _text(value)
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("it must be a name of the time zone database") from None
    return name


def _budget(value: Any) -> str | float:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("it must be a percentage in quotes or a number of RCU")
    if isinstance(value, str):
        if not _PERCENT.match(value) or not 0 < float(value[:-1]) <= 100:
            raise ValueError("it must be a share of the table's capacity above 0% and at most 100%, or a number of RCU")
        return value
    if not 0 < value < 1e9:
        raise ValueError("it must be more than 0 RCU a second")
    return float(value)


def _as_rule(check: Any) -> Any:
    """An engine check as a validator: its reason is the rule."""

    def validate(value: Any) -> str:
        try:
            check(_text(value))
        except BadInputError as error:
            raise ValueError(error.why) from None
        return str(value)

    return validate


def _name(value: Any) -> str:
    name = _text(value)
    if not _NAME.match(name) or "__" in name or len(name) > MAX_NAME:
        raise ValueError(
            f"it must have 1 to {MAX_NAME} of a-z, 0-9, '.' and '-', and begin and end with a letter or digit"
        )
    return name


def _matches(pattern: str, rule: str) -> Any:
    compiled = re.compile(pattern)

    def validate(value: Any) -> str:
        if not compiled.fullmatch(_text(value)):
            raise ValueError(rule)
        return str(value)

    return validate


def _string(validator: Any, example: str, **more: Any) -> Any:
    return Annotated[str, BeforeValidator(validator), Field(examples=[example], **more)]


Duration = Annotated[
    timedelta,
    BeforeValidator(_duration, json_schema_input_type=str),
    PlainSerializer(duration_text, return_type=str),
    Field(examples=["2h"]),
]
Budget = Annotated[str | float, BeforeValidator(_budget, json_schema_input_type=str | float), Field(examples=["25%"])]
Cron = _string(_cron, "0 2 * * *")
Timezone = _string(_timezone, "Europe/Berlin")
Name = _string(_name, "orders", max_length=MAX_NAME)
TableName = _string(_as_rule(check_table_name), "orders")
S3Uri = _string(_as_rule(parse_s3), "s3://acme-backups/dynamodb")
Region = _string(_matches(r"[a-z]{2,4}(-[a-z]+)+-[0-9]", "it must be a Region's code"), "us-east-1")
Account = _string(_matches(r"[0-9]{12}", "it must be the twelve digits of an account, in quotes"), '"123456789012"')
RoleArn = _string(
    _matches(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", "it must be a role's ARN"),
    "arn:aws:iam::123456789012:role/copy",
)
SecretArn = _string(
    _matches(r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:[0-9]{12}:secret:.+", "it must be a secret's ARN"),
    "arn:aws:secretsmanager:us-east-1:123456789012:secret:dwh",
)
ConnectionId = _string(_matches(r"[A-Za-z0-9_.:\\/-]{1,250}", "it must be an Airflow connection's id"), "analytics_pg")
Database = _string(
    _matches(
        r"[A-Za-z](-?[A-Za-z0-9]){0,62}",
        "it must be the identifier of an instance or cluster: letters, digits and single hyphens",
    ),
    "shop",
)
SqlTable = _string(
    _matches(
        r'(?:(?:"[^"\0]+"|[A-Za-z_][A-Za-z0-9_$]*)\.)?(?:"[^"\0]+"|[A-Za-z_][A-Za-z0-9_$]*)', "it must be schema.table"
    ),
    "public.orders",
)
GlueName = _string(
    _matches(r"[a-z0-9_]{1,255}", "it must be a name that Athena takes: 1 to 255 of a-z, 0-9 and _"), "orders_newest"
)


def _percent(value: Any) -> str:
    text = _text(value)
    if not _PERCENT.match(text) or not 0 < float(text[:-1]) <= 100:
        raise ValueError("it must be a share of more than 0% and at most 100%, or full")
    return text


Percent = Annotated[str, BeforeValidator(_percent, json_schema_input_type=str)]
TestingPlanArn = _string(
    _matches(
        r"arn:aws[a-z-]*:backup:[a-z0-9-]+:[0-9]{12}:restore-testing-plan:[\w-]+",
        "it must be a restore-testing plan's ARN",
    ),
    "arn:aws:backup:us-east-1:123456789012:restore-testing-plan:weekly-0a1b2c3d",
)
TopicArn = _string(
    _matches(r"arn:aws[a-z-]*:sns:[a-z0-9-]+:[0-9]{12}:[\w.-]+", "it must be an SNS topic's ARN"),
    "arn:aws:sns:us-east-1:123456789012:ops",
)


def known_names(value: Any) -> Any:
    """That each `{{ name }}`, in a text or in what holds texts, is one of `RunFacts`.

    :raises ValueError: else, for pydantic.
    """
    try:
        names_in(value)
    except BadInputError as error:
        raise ValueError(f"{error.what.removeprefix('reading ')} is not known: {error.why}") from None
    return value


def _filled_s3(value: Any) -> str:
    parse = _as_rule(parse_s3)
    parse(without_names(known_names(_text(value))))
    return str(value)


Filled = Annotated[str, AfterValidator(known_names)]
"""A text with `{{ as_of }}` and the like, filled in for each run."""
FilledS3 = _string(_filled_s3, "s3://acme-in/{{ as_of:%Y/%m/%d }}/_SUCCESS")
