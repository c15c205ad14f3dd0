"""Copies of a snapshot: to another Region, encrypted by a key of that Region, or once more in the same."""

from typing import Any

import botocore.exceptions

from tablekeep.engine.clients import SessionClients, error_code, translate
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.prices import Prices, load_prices
from tablekeep.engine.progress import NoProgress, Progress
from tablekeep.engine.rds.instances.costs import copy_cost
from tablekeep.engine.rds.instances.marked import COPY_TAG, SNAPSHOT_TAG, Listed, copied_from, list_snapshots
from tablekeep.engine.rds.instances.service import (
    API,
    TAKEN,
    Awaited,
    Description,
    Family,
    Thing,
    Wait,
    as_tags,
    check_identifier,
    describe,
    need,
    tags_of,
    translated_quota,
)

LONGEST_TAG = 256
"""Characters that a tag's value may have."""


def copy_snapshot(
    name: str,
    *,
    family: Family,
    to_region: str,
    key: str | None,
    option_group: str | None,
    clients: SessionClients,
    run: str,
    wait: Wait,
    progress: Progress | None = None,
    prices: Prices | None = None,
    max_usd: float | None = None,
    to_name: str | None = None,
) -> Listed:
    """Copies a snapshot of this Region to another, or once more here. Called again it goes on with the copy that it began.

    Asked for in the target's Region with the ARN and `SourceRegion`, from which botocore signs what an encrypted copy needs.

    :param key: KMS key of the copy, of the target's Region. :param option_group: of the copy, where the source's is not the default.
    :param to_name: the copy's name; the source's in another Region. :param max_usd: what the transfer may cost at most.
    :raises BadInputError: when it needs a key, or the source or a copy of another is in the way.
    """
    thing: Thing = "instance-snapshot" if family == "instance" else "cluster-snapshot"
    words, target = API[thing], to_name or name.rpartition(":")[2]
    what = f"copying the snapshot {name} to {to_region}"
    source = need(clients, thing, name, what)
    away = to_region != clients.region
    encrypted = bool(source.get("Encrypted", source.get("StorageEncrypted")))
    _check_copy(source, words.name, target, what, clients, away=away, encrypted=encrypted, key=key)
    arn = str(source[f"{words.name}Arn"])
    there = describe(clients, thing, target, to_region)
    if there is None:
        cost = copy_cost(int(source.get("AllocatedStorage") or 0), away, (prices or load_prices()).rds)
        told = (
            f"at most {cost['once']:,.2f} dollars for the transfer, and {cost['month']:,.2f} a month while it is kept"
        )
        if max_usd is not None and cost["once"] > max_usd:
            raise BadInputError(what, f"it costs {told}, and limits.max_usd is {max_usd:,.2f}", "raise the limit")
        (progress or NoProgress()).note(f"{what}: {told}")
        tags = {tag: one for tag, one in tags_of(source).items() if not tag.startswith(("aws:", "tablekeep:"))}
        given: dict[str, Any] = {
            f"Source{words.name}Identifier": arn if away else name,
            f"Target{words.name}Identifier": target,
            "CopyTags": False,
            "Tags": as_tags({**tags, SNAPSHOT_TAG: run, COPY_TAG: arn[-LONGEST_TAG:]}),
        }
        given |= {"SourceRegion": clients.region} if away else {}
        given |= {"KmsKeyId": key} if key else {}
        given |= {"OptionGroupName": option_group} if option_group else {}
        try:
            getattr(clients.client("rds", to_region), f"copy_{words.method}")(**given)
        except botocore.exceptions.ClientError as error:
            if error_code(error) not in TAKEN:
                raise translated_quota(error, what) from error
            there = need(clients, thing, target, what, to_region)  # somebody made it meanwhile, or an earlier try
        except botocore.exceptions.BotoCoreError as error:
            raise translate(error, what) from error
    if there is not None:
        _check_ours(there, arn, what, f"{target} in {to_region}")
    wait(Awaited(thing, target, to_region))
    made = need(clients, thing, target, what, to_region)
    if encrypted and not made.get("Encrypted", made.get("StorageEncrypted")):
        raise PermanentError(
            what, "the copy is not encrypted, though its source is", "delete it, and look at the key's policy"
        )
    database = str(source[f"{API[family].name}Identifier"])
    return next(one for one in list_snapshots(clients, family, database, [to_region]) if one.snapshot == target)


def _check_ours(there: Description, arn: str, what: str, name: str) -> None:
    """That a snapshot of the copy's name is our copy of this source.

    :raises BadInputError: when it is another's, or ours of another source: it would be taken for the copy.
    """
    if SNAPSHOT_TAG not in tags_of(there):
        why = f"there is a snapshot {name} that we did not make: it lacks the tag {SNAPSHOT_TAG}"
        raise BadInputError(
            what, why, "it is left alone: copy under another name, or delete that one if nobody needs it"
        )
    of = copied_from(there)
    if of != arn[-LONGEST_TAG:]:
        why = f"there is a snapshot {name} that is {f'a copy of {of}' if of else 'no copy'}"
        raise BadInputError(what, why, "copy under another name, or delete that one if nobody needs it")


def _check_copy(
    source: Description, member: str, target: str, what: str, clients: SessionClients, *, away: bool, encrypted: bool, key: str | None
) -> None:  # fmt: skip
    check_identifier(target, "the copy", 255)
    if source["Status"] != "available":
        raise TransientError(what, f"the snapshot is {source['Status']}", "wait until it is available")
    mine = str(source[f"{member}Arn"]).split(":")[4] == clients.account()
    if encrypted and away and not mine:
        raise BadInputError(
            what,
            "a shared and encrypted snapshot cannot go to another Region",
            "copy it here first, with a key of this account",
        )
    if encrypted and away and not key:
        raise BadInputError(what, "it is encrypted, and keys belong to a Region", "name a KMS key of that Region")
    if key and key.startswith("arn:") and away and key.split(":")[3] == clients.region:
        raise BadInputError(
            what, f"the key is of {clients.region}", "name a KMS key of the Region to which it is copied"
        )
    if not away and target == str(source[f"{member}Identifier"]):
        raise BadInputError(what, "a copy within a Region needs a name of its own", "give another name")
