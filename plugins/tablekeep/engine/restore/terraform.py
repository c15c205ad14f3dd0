"""A restored table for Terraform: import blocks for it and for what the AWS provider manages beside it.

Forms of the import IDs: the page of each resource under `website/docs/r/` in hashicorp/terraform-provider-aws (2026), section "Import";
for contributor insights of a table `contributorInsightsCreateResourceID` in its source, as that page shows an index only.
`aws_appautoscaling_scheduled_action` has no importer there. No block was tried against AWS.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.dynamodb.reapply import SCALING, insights, kinesis_streams
from tablekeep.engine.dynamodb.settings import TableSettings
from tablekeep.engine.dynamodb.tables import CreatedTable
from tablekeep.engine.restore.report import RestoreReport

_TARGETS, _POLICIES, _ACTIONS = (f"application-autoscaling:{told}" for _, _, told, _, _ in SCALING)


@dataclass(frozen=True, slots=True)
class Import:
    """What `terraform import` takes.

    :ivar to: the resource's address, a proposal. :ivar id: its import ID; empty for what the provider cannot import.
    :ivar there: the table has it. :ivar instead: it may be managed as a resource of its own, instead of in `aws_dynamodb_table`.
    """

    to: str
    id: str
    there: bool
    instead: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def imports(source: TableSettings, actual: TableSettings, target: CreatedTable) -> list[Import]:
    """Everything of the restored table that can be imported, and of the source what the table does not have yet.

    :param actual: the table's settings now.
    """
    there, had = list(_resources(actual, target)), list(_resources(source, target))
    found, taken = list[Import](), set[str]()
    for one in [*there, *(other for other in had if other not in there and not other[3])]:
        kind, label, identity, instead = one
        base = name = f"{kind}.{_label(target.name, label)}"
        number = 1
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        found.append(Import(name, identity, one in there, instead))
    return found


def _resources(settings: TableSettings, target: CreatedTable) -> Iterator[tuple[str, str, str, bool]]:
    """(type, a word for its address, import ID, whether it is a part of the table, too) of what settings describe, for `target`."""
    account = target.arn.split(":")[4]
    yield "aws_dynamodb_table", "", target.name, False
    for call, listed, kind, name in (
        (_TARGETS, "ScalableTargets", "aws_appautoscaling_target", ""),
        (_POLICIES, "ScalingPolicies", "aws_appautoscaling_policy", "PolicyName"),
    ):
        for entry in (settings.answer(call) or {}).get(listed) or []:
            resource = str(entry["ResourceId"]).replace(f"table/{settings.table}", f"table/{target.name}", 1)
            identity = f"dynamodb/{resource}/{entry['ScalableDimension']}" + (f"/{entry[name]}" if name else "")
            scaled = resource.partition("/index/")[2]
            yield kind, f"{scaled}_{'read' if 'Read' in entry['ScalableDimension'] else 'write'}", identity, False
    for index in insights(settings):
        identity = f"name:{target.name}/index:{index or ''}/{account}"
        yield "aws_dynamodb_contributor_insights", index or "", identity, False
    for arn in kinesis_streams(settings):
        if arn.split(":")[3:5] == [target.region, account]:  # a stream elsewhere cannot be a table's
            yield "aws_dynamodb_kinesis_streaming_destination", arn.rpartition("/")[2], f"{target.name},{arn}", False
    for entry in (settings.answer(_ACTIONS) or {}).get("ScheduledActions") or []:
        yield "aws_appautoscaling_scheduled_action", str(entry["ScheduledActionName"]), "", False
    if (settings.answer("GetResourcePolicy") or {}).get("Policy"):
        yield "aws_dynamodb_resource_policy", "", target.arn, False
    regions = [str(one["RegionName"]) for one in settings.description.get("Replicas") or []]
    for region in sorted(set(regions) - {target.region}):
        yield "aws_dynamodb_table_replica", region, f"{target.name}:{target.region}", False
    for tag in sorted(tag for tag in settings.tags if not tag.startswith(("aws:", "tablekeep:"))):
        yield "aws_dynamodb_tag", tag, f"{target.arn},{tag}", True
    for index in settings.global_indexes:
        yield "aws_dynamodb_global_secondary_index", index, f"{target.name},{index}", True


def import_file(report: RestoreReport) -> str:
    """A file of import blocks. What is not there yet, or is a matter of choice, is in comments."""
    made = [Import(**one) for one in report.imports]
    account, region = report.table_arn.split(":")[4], report.table_arn.split(":")[3]
    lines = [
        f"# Table {report.table}, restored from a backup, for Terraform 1.5 or later:",
        f"# {report.backup}",
        f"# The provider must be of account {account}, Region {region}. Change the addresses after `to` to your own.",
        "# Where an address still holds the table that is gone: `terraform state rm ADDRESS` first.",
        "# `terraform plan -generate-config-out=FILE` writes resources that you do not have yet. Read the plan before you apply",
        "# it: nothing may be destroyed or replaced. The tags tablekeep:run and tablekeep:creation may go.",
        "",
    ]
    for one in made:
        if one.id and one.there and not one.instead:
            lines += [*_block(one), ""]
    absent = [one for one in made if one.id and not one.there]
    lines += _commented("Not there yet. Import it when the command below, or somebody, has made it:", absent)
    parts = [one for one in made if one.instead]
    lines += _commented("Parts of aws_dynamodb_table; only where you manage them one by one, never both:", parts)
    for one in made:
        if not one.id:
            lines += [f"# {one.to} cannot be imported: declare it, and applying sets it again.", ""]
    if any(one.to.startswith("aws_dynamodb_table_replica.") for one in made):
        lines += [
            "# A replica's resource needs a provider of the replica's Region, and `ignore_changes = [replica]` on the table.",
            "",
        ]
    for missing in report.not_restored:
        lines.append(f"# Not restored: {_plain(missing['name'])}: {_plain(missing['why'])}")
        lines += [f"#   {_plain(missing['command'])}"] if missing["command"] else []
    return "\n".join(lines).rstrip() + "\n"


def _commented(title: str, some: Iterable[Import]) -> list[str]:
    lines = [f"# {line}" for one in some for line in _block(one)]
    return [f"# {title}", *lines, ""] if lines else []


def _block(one: Import) -> list[str]:
    return ["import {", f"  to = {one.to}", f"  id = {_text(one.id)}", "}"]


def _text(value: str) -> str:
    """A string of HCL without interpolation."""
    escaped = (
        value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r").replace("\t", "\\t")
    )
    return '"' + escaped.replace("${", "$${").replace("%{", "%%{") + '"'


def _plain(text: str) -> str:
    """One line of a comment."""
    return " ".join(text.split())


def _label(table: str, part: str) -> str:
    """An identifier of Terraform."""
    name = re.sub("[^A-Za-z0-9_-]", "_", f"{table}_{part}".strip("_"))
    return name if re.match("[A-Za-z_]", name) else f"t_{name}"
