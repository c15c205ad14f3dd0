"""Instances and clusters that a run of ours made: found by their tags, deleted by them, and no others ever changed or deleted."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate, translated
from tablekeep.engine.errors import PermanentError
from tablekeep.engine.marks import RUN_TAG
from tablekeep.engine.rds.instances.service import (
    API,
    GONE,
    Awaited,
    Description,
    Family,
    Wait,
    describe,
    every,
    tags_of,
)

PLAN_TAG = "tablekeep:plan"
"""On a restored instance or cluster: the plan by which it was made, so that a second try goes on with it."""


@dataclass(frozen=True)
class Created:
    """A thing of ours; `resource` is the id that no other thing of its name has."""

    family: Family
    name: str
    resource: str
    region: str
    run: str


def resource_of(description: Description, family: Family) -> str:
    """The id that stays with a thing whatever its name."""
    return str(description.get("DbiResourceId" if family == "instance" else "DbClusterResourceId") or "")


def find_created(clients: SessionClients, family: Family, name: str, run: str) -> Created | None:
    """The instance or cluster of that name if it carries the tag of `run`; None when there is none, or another's."""
    found = describe(clients, family, name)
    if found is None or not run or tags_of(found).get(RUN_TAG) != run:
        return None
    return Created(family, name, resource_of(found, family), clients.region, run)


def own(clients: SessionClients, created: Created, what: str) -> Description:
    """Its description, if it still is the created one.

    :raises PermanentError: when it is gone, another one has its name, or its tag names another run.
    """
    found = describe(clients, created.family, created.name, created.region)
    if found is None:
        raise PermanentError(what, "it is not there any more", "run it again under a new name")
    if not created.resource or resource_of(found, created.family) != created.resource:
        raise PermanentError(what, f"another {created.family} has its name by now", "leave it alone and use a new name")
    if tags_of(found).get(RUN_TAG) != created.run:
        raise PermanentError(what, f"its tag {RUN_TAG} does not name this run", "look at it by hand")
    return found


def begin_deletion(clients: SessionClients, created: Created, *, prefix: str) -> bool:
    """Tells RDS to delete it, members of a cluster first, without a last snapshot; False when it was gone before.

    :param prefix: what the name must begin with; not empty.
    :raises PermanentError: when name, tag or resource id do not agree; nothing is deleted then.
    """
    what = f"deleting the {created.family} {created.name}"
    if not prefix or not created.name.startswith(prefix):
        raise PermanentError(
            what, f"its name does not begin with {prefix!r}", "only scratch instances of a run are deleted"
        )
    found = describe(clients, created.family, created.name, created.region)
    if found is None or found[API[created.family].status] == "deleting":
        return found is not None
    own(clients, created, what)
    client = clients.client("rds", created.region)
    if created.family == "cluster":
        for member in found.get("DBClusterMembers") or []:
            one = find_created(clients, "instance", member["DBInstanceIdentifier"], created.run)
            if one is None:
                raise PermanentError(
                    what, f"its member {member['DBInstanceIdentifier']} is not this run's", "look at it by hand"
                )
            begin_deletion(clients, one, prefix=prefix)
        _delete(client.delete_db_cluster, what, DBClusterIdentifier=created.name, SkipFinalSnapshot=True)
    elif found.get("DBClusterIdentifier"):
        _delete(client.delete_db_instance, what, DBInstanceIdentifier=created.name)
    else:
        given = {"SkipFinalSnapshot": True, "DeleteAutomatedBackups": True}
        _delete(client.delete_db_instance, what, DBInstanceIdentifier=created.name, **given)
    return True


def _delete(call: Any, what: str, **given: Any) -> None:
    try:
        call(**given)
    except botocore.exceptions.ClientError as error:
        if error_code(error) not in GONE:
            raise translate(error, what) from error
    except botocore.exceptions.BotoCoreError as error:
        raise translate(error, what) from error


def await_deletion(created: Created, wait: Wait) -> None:
    """Waits until RDS does not know it any more."""
    wait(Awaited(created.family, created.name, created.region, "gone"))


def tagged(clients: SessionClients, family: Family, prefix: str) -> Iterator[tuple[Description, dict[str, str]]]:
    """Every one whose name begins with the prefix, and its tags."""
    for found in every(clients, family):
        name = str(found[f"{API[family].name}Identifier"])
        if name.startswith(prefix):
            yield found, tags_of(found)


def modify(clients: SessionClients, created: Created, given: dict[str, Any]) -> None:
    """Changes settings of one of ours, at once.

    :raises PermanentError: when it is not ours.
    """
    what = f"setting the {created.family} {created.name}"
    own(clients, created, what)
    client, words = clients.client("rds", created.region), API[created.family]
    with translated(what):
        getattr(client, f"modify_{words.method}")(
            **{f"{words.name}Identifier": created.name, "ApplyImmediately": True, **given}
        )
