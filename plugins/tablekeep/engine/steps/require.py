"""What a pipeline requires before it begins: tables, data, keys and prefixes that others make."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import botocore.exceptions

from tablekeep.engine.clients import Clients, error_code, translate
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import PermanentError, TransientError
from tablekeep.engine.names import parse_s3
from tablekeep.engine.progress import Progress
from tablekeep.engine.steps.facts import RunFacts

Kind = Literal["table_exists", "table_has_data", "key_exists", "prefix_not_empty"]
_MOST_PAGES = 20


@dataclass(frozen=True)
class Requirement:
    """One thing that must be there.

    :ivar name: a table's name or an S3 address; `{{ as_of:%Y/%m/%d }}` and the like are filled in before it is looked for.
    """

    kind: Kind
    name: str

    def __str__(self) -> str:
        return _WORDS[self.kind].format(self.name)


_WORDS: dict[Kind, str] = {
    "table_exists": "the table {}",
    "table_has_data": "an item in the table {}",
    "key_exists": "the object {}",
    "prefix_not_empty": "an object below {}",
}


def filled(requirements: Sequence[Requirement], facts: RunFacts) -> list[Requirement]:
    """The requirements of one run."""
    return [Requirement(one.kind, facts.fill(one.name)) for one in requirements]


def missing(requirements: Sequence[Requirement], clients: Clients) -> list[Requirement]:
    """Those that are not fulfilled now.

    :raises TablekeepError: when a service refuses to say; a missing right is no missing thing.
    """
    return [one for one in requirements if not _is_there(one, clients)]


def wait_for(
    requirements: Sequence[Requirement],
    clients: Clients,
    *,
    within_seconds: float,
    poll_seconds: float,
    clock: Clock,
    progress: Progress,
) -> None:
    """Waits until all are fulfilled.

    :raises PermanentError: when they are not in time; says which. :raises TablekeepError: when a service refuses to say.
    """
    until = clock.monotonic() + within_seconds
    said: list[Requirement] = []
    left: list[Requirement] = list(requirements)
    while left:
        try:
            left = missing(left, clients)
        except TransientError:
            pass
        if left and clock.monotonic() >= until:
            raise in_vain(left, within_seconds)
        if left:
            if left != said:
                progress.note(f"waiting for {', '.join(map(str, left))}")
                said = left
            clock.sleep(min(poll_seconds, max(0.0, until - clock.monotonic())))


def in_vain(left: Sequence[Requirement], within_seconds: float) -> PermanentError:
    """The error of a wait that came to its end."""
    return PermanentError(
        "waiting for what the pipeline requires",
        f"after {within_seconds:,.0f} s there was not {', nor '.join(map(str, left))}",
        "look into what makes it; then clear the task, or run it again",
    )


def _is_there(requirement: Requirement, clients: Clients) -> bool:
    try:
        return _LOOK[requirement.kind](requirement.name, clients)
    except botocore.exceptions.ClientError as error:
        if error_code(error) in ("ResourceNotFoundException", "404", "NoSuchKey"):
            return False
        failure = translate(error, f"looking for {requirement}")
        if error_code(error) == "403":
            failure.todo = "allow s3:GetObject and s3:ListBucket; without the latter S3 hides whether a key is missing"
        raise failure from None
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, f"looking for {requirement}") from None


def _table_exists(name: str, clients: Clients) -> bool:
    state = clients.client("dynamodb").describe_table(TableName=name)["Table"]["TableStatus"]
    return state in ("ACTIVE", "UPDATING")


def _table_has_data(name: str, clients: Clients) -> bool:
    """Reads one item at most, and asks only for its number."""
    if not _table_exists(name, clients):
        return False
    client, more = clients.client("dynamodb"), dict[str, Any]()
    for _ in range(_MOST_PAGES):
        page = client.scan(TableName=name, Limit=1, Select="COUNT", ConsistentRead=True, **more)
        if page["Count"] or "LastEvaluatedKey" not in page:
            return bool(page["Count"])
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
    return False


def _key_exists(name: str, clients: Clients) -> bool:
    bucket, key = parse_s3(name)
    clients.client("s3").head_object(Bucket=bucket, Key=key)
    return True


def _prefix_not_empty(name: str, clients: Clients) -> bool:
    """`s3://b/orders` is the folder: `orders_v2/` is not below it. A marker that a console has made for a folder is nothing."""
    bucket, prefix = parse_s3(name)
    folder = f"{prefix}/" if prefix else ""
    page = clients.client("s3").list_objects_v2(Bucket=bucket, Prefix=folder, MaxKeys=_MOST_PAGES)
    return any(not one["Key"].endswith("/") or one["Size"] for one in page.get("Contents", ()))


_LOOK: dict[Kind, Callable[[str, Clients], bool]] = {
    "table_exists": _table_exists,
    "table_has_data": _table_has_data,
    "key_exists": _key_exists,
    "prefix_not_empty": _prefix_not_empty,
}
