"""Every setting of an instance: where its description has it, how a restore is given it, how it is set afterwards, who cannot set it.

A restore takes a default for each that its request leaves out (RDS API, RestoreDBInstanceFromDBSnapshot and …ToPointInTime): the
default parameter group and security group, one zone, no deletion protection, gp3, no log exports, public where the VPC is. So all are
given, and compared afterwards.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.rds.instances.service import Description, as_tags, tags_of

Facts = dict[str, Any]
"""Settings by name."""
GP3_BASE = {"iops": 3000, "storage throughput": 125}
"""What gp3 has by itself; below 400 GiB it takes no other figure, not even this one (RDS User Guide, "gp3 storage")."""


@dataclass(frozen=True)
class Setting:
    """One.

    :ivar read: from a description. :ivar restore: parameter of the restore; :ivar modify: of the modification that follows it, for what
        a restore does not take. Neither: it can only be compared. :ivar local: names something that belongs to a Region.
    """

    name: str
    read: Callable[[Description], Any]
    restore: str = ""
    modify: str = ""
    local: bool = False


def _at(member: str) -> Callable[[Description], Any]:
    return lambda found: found.get(member)


def _yes(member: str) -> Callable[[Description], Any]:
    return lambda found: bool(found.get(member))


def _texts(member: str) -> Callable[[Description], Any]:
    return lambda found: sorted(found.get(member) or [])


def _first(member: str, inner: str) -> Callable[[Description], Any]:
    return lambda found: (found.get(member) or [{}])[0].get(inner)


def _groups(found: Description) -> list[str]:
    return sorted(one["VpcSecurityGroupId"] for one in found.get("VpcSecurityGroups") or [])


def _tags(found: Description) -> dict[str, str]:
    return {key: value for key, value in tags_of(found).items() if not key.startswith(("aws:", "tablekeep:"))}


def _monitoring(found: Description) -> Any:
    seconds = found.get("MonitoringInterval") or 0
    return {"seconds": seconds, "role": found.get("MonitoringRoleArn")} if seconds else None


def _insights(found: Description) -> Any:
    if not found.get("PerformanceInsightsEnabled"):
        return None
    return {
        "days": found.get("PerformanceInsightsRetentionPeriod"),
        "key": found.get("PerformanceInsightsKMSKeyId"),
    }


def _processor(found: Description) -> dict[str, str]:
    return {one["Name"]: one["Value"] for one in found.get("ProcessorFeatures") or []}


def _roles(found: Description) -> list[str]:
    return sorted(f"{one.get('FeatureName', '')}={one['RoleArn']}" for one in found.get("AssociatedRoles") or [])


_BOTH = (
    Setting("security groups", _groups, "VpcSecurityGroupIds", local=True),
    Setting("deletion protection", _yes("DeletionProtection"), "DeletionProtection"),
    Setting("IAM authentication", _yes("IAMDatabaseAuthenticationEnabled"), "EnableIAMDatabaseAuthentication"),
    Setting("log exports", _texts("EnabledCloudwatchLogsExports"), "EnableCloudwatchLogsExports"),
    Setting("backup retention", _at("BackupRetentionPeriod"), "BackupRetentionPeriod"),
    Setting("backup window", _at("PreferredBackupWindow"), "PreferredBackupWindow"),
    Setting("maintenance window", _at("PreferredMaintenanceWindow"), modify="PreferredMaintenanceWindow"),
    Setting("copy tags to snapshots", _yes("CopyTagsToSnapshot"), "CopyTagsToSnapshot"),
    Setting("network type", _at("NetworkType"), "NetworkType"),
    Setting("lifecycle support", _at("EngineLifecycleSupport"), "EngineLifecycleSupport"),
    Setting("tags", _tags, "Tags"),
    Setting("engine", _at("Engine")),
    Setting("master user", _at("MasterUsername")),
    Setting("engine version", _at("EngineVersion")),
    Setting("encrypted", _yes("StorageEncrypted")),
    Setting("key", _at("KmsKeyId"), local=True),
    Setting("roles", _roles),
)
INSTANCE: tuple[Setting, ...] = (
    Setting("class", _at("DBInstanceClass"), "DBInstanceClass"),
    Setting("port", lambda found: (found.get("Endpoint") or {}).get("Port"), "Port"),
    Setting("parameter group", _first("DBParameterGroups", "DBParameterGroupName"), "DBParameterGroupName", local=True),
    Setting("option group", _first("OptionGroupMemberships", "OptionGroupName"), "OptionGroupName", local=True),
    Setting("subnet group", lambda found: (found.get("DBSubnetGroup") or {}).get("DBSubnetGroupName"), "DBSubnetGroupName", local=True),
    Setting("Multi-AZ", _yes("MultiAZ"), "MultiAZ"),
    Setting("public access", _yes("PubliclyAccessible"), "PubliclyAccessible"),
    Setting("storage type", _at("StorageType"), "StorageType"),
    Setting("storage", _at("AllocatedStorage"), "AllocatedStorage"),
    Setting("iops", _at("Iops"), "Iops"),
    Setting("storage throughput", _at("StorageThroughput"), "StorageThroughput"),
    Setting("storage autoscaling", _at("MaxAllocatedStorage"), modify="MaxAllocatedStorage"),
    Setting("minor upgrades", _yes("AutoMinorVersionUpgrade"), "AutoMinorVersionUpgrade"),
    Setting("certificate authority", _at("CACertificateIdentifier"), "CACertificateIdentifier"),
    Setting("license", _at("LicenseModel"), "LicenseModel"),
    Setting("processor features", _processor, "ProcessorFeatures"),
    Setting("dedicated log volume", _yes("DedicatedLogVolume"), "DedicatedLogVolume"),
    Setting("backup target", _at("BackupTarget"), "BackupTarget"),
    Setting("enhanced monitoring", _monitoring, modify="MonitoringInterval"),
    Setting("performance insights", _insights, modify="EnablePerformanceInsights"),
    *_BOTH,
)  # fmt: skip
CLUSTER: tuple[Setting, ...] = (
    Setting("port", _at("Port"), "Port"),
    Setting("cluster parameter group", _at("DBClusterParameterGroup"), "DBClusterParameterGroupName", local=True),
    Setting("subnet group", _at("DBSubnetGroup"), "DBSubnetGroupName", local=True),
    Setting("storage type", _at("StorageType"), "StorageType"),
    Setting("backtrack window", _at("BacktrackWindow"), "BacktrackWindow"),
    Setting("serverless scaling", _at("ServerlessV2ScalingConfiguration"), "ServerlessV2ScalingConfiguration"),
    Setting("engine mode", _at("EngineMode"), "EngineMode"),
    *_BOTH,
)
_OF_MEMBERS = {
    *("class", "parameter group", "public access", "minor upgrades", "certificate authority"),
    *("enhanced monitoring", "performance insights", "tags"),
}
MEMBER: tuple[Setting, ...] = (
    *(one for one in INSTANCE if one.name in _OF_MEMBERS),
    Setting("promotion tier", _at("PromotionTier"), "PromotionTier"),
)
"""Of an instance in a cluster: `CreateDBInstance` takes them all, the rest is the cluster's."""
BY_FAMILY: dict[str, tuple[Setting, ...]] = {"instance": INSTANCE, "cluster": CLUSTER, "member": MEMBER}


@dataclass(frozen=True)
class SettingDifference:
    """A setting that is not as the source's. `told`: it was left out, or given otherwise, on purpose."""

    name: str
    expected: Any
    actual: Any
    told: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Unrestored:
    """What the new instance lacks, why, and the command for it."""

    name: str
    why: str
    command: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def facts(description: Description, family: str) -> Facts:
    """The settings of a description."""
    return {one.name: one.read(description) for one in BY_FAMILY[family]}


def local_names(family: str) -> tuple[str, ...]:
    """Settings that name something of a Region and have to be named anew in another."""
    return tuple(one.name for one in BY_FAMILY[family] if one.local and one.restore)


def restore_parameters(wanted: Facts, family: str) -> dict[str, Any]:
    """The parameters of the restore that make it have `wanted`."""
    given: dict[str, Any] = {}
    for one in BY_FAMILY[family]:
        value = wanted.get(one.name)
        if not one.restore or value is None or _by_itself(one.name, value, wanted):
            continue
        if one.name == "tags":
            value = as_tags(value)
        elif one.name == "processor features":
            value = [{"Name": name, "Value": text} for name, text in sorted(value.items())]
        if value != [] or one.name == "log exports":
            given[one.restore] = value
    return given


def _by_itself(name: str, value: Any, wanted: Facts) -> bool:
    """Whether a figure of the storage is what its type has by itself, or is not taken with it."""
    kind = wanted.get("storage type")
    if name not in GP3_BASE:
        return (name == "storage type" and value == "aurora") or (name == "dedicated log volume" and not value)
    if kind == "gp3":
        return bool(value == GP3_BASE[name])
    return kind not in ("io1", "io2") or name == "storage throughput"


def modify_parameters(wanted: Facts, actual: Facts, family: str) -> dict[str, Any]:
    """The parameters of a modification that give an instance what a restore does not take; `{}` when nothing is left to do."""
    given: dict[str, Any] = {}
    for one in BY_FAMILY[family]:
        value = wanted.get(one.name)
        if not one.modify or value is None or value == actual.get(one.name):
            continue
        if one.name == "enhanced monitoring":
            given |= {"MonitoringInterval": value["seconds"], "MonitoringRoleArn": value["role"]}
        elif one.name == "performance insights":
            given["EnablePerformanceInsights"] = True
            given |= {"PerformanceInsightsRetentionPeriod": value["days"]} if value["days"] else {}
            given |= {"PerformanceInsightsKMSKeyId": value["key"]} if value["key"] else {}
        else:
            given[one.modify] = value
    return given


def modified_names(wanted: Facts, family: str) -> tuple[str, ...]:
    """Settings that a modification gives, as a restore does not take them."""
    return tuple(sorted(one.name for one in BY_FAMILY[family] if one.modify and wanted.get(one.name) is not None))


def differences(source: Facts, wanted: Facts, actual: Facts, told: Iterable[str] = ()) -> list[SettingDifference]:
    """Where an instance is not as it was to be, or not as its source is.

    :param wanted: what it was to have; what is given otherwise than the source has it is `told`. :param told: settings that were left
        out on purpose, whatever they are now.
    """
    found, left_out = [], set(told)
    for name, mine in source.items():
        now, asked = actual.get(name), wanted.get(name, mine)
        if name in left_out:
            found += [SettingDifference(name, mine, now, True)] if now != mine else []
        elif now != asked:
            found.append(SettingDifference(name, asked, now))
        elif asked != mine:
            found.append(SettingDifference(name, mine, now, True))
    return found


def unrestored(description: Description, family: str, name: str) -> list[Unrestored]:
    """What a restore and a modification cannot give the new instance.

    :param name: of the new instance.
    """
    flag = "--db-instance-identifier" if family == "instance" else "--db-cluster-identifier"
    verb = "instance" if family == "instance" else "cluster"
    found = []
    for role in _roles(description):
        feature, _, arn = role.partition("=")
        command = f"aws rds add-role-to-db-{verb} {flag} {name} --role-arn {arn} --feature-name {feature}"
        found.append(Unrestored(f"role {feature}", "a restore takes no roles", command))
    for replica in (
        description.get("ReadReplicaDBInstanceIdentifiers") or description.get("ReadReplicaIdentifiers") or []
    ):
        command = f"aws rds create-db-instance-read-replica --db-instance-identifier {replica}-new --source-db-instance-identifier {name}"
        found.append(Unrestored(f"read replica {replica}", "it replicates the source still", command))
    if description.get("MasterUserSecret"):
        command = f"aws rds modify-db-{verb} {flag} {name} --manage-master-user-password --apply-immediately"
        why = "the master user has the password of the snapshot's time; the source's secret is the source's"
        found.append(Unrestored("managed password", why, command))
    if description.get("ActivityStreamStatus") in ("started", "starting"):
        command = (
            f"aws rds start-activity-stream --resource-arn ARN --mode {description.get('ActivityStreamMode', 'async')}"
            f" --kms-key-id {description.get('ActivityStreamKmsKeyId', 'KEY')} --apply-immediately"
        )
        found.append(Unrestored("activity stream", "it belongs to one instance", command))
    for one in description.get("DBInstanceAutomatedBackupsReplications") or []:
        arn = str(one["DBInstanceAutomatedBackupsArn"])
        where = arn.split(":")[3]
        command = (
            f"aws rds start-db-instance-automated-backups-replication --region {where} --source-db-instance-arn ARN"
        )
        found.append(Unrestored(f"backup replication to {where}", "it belongs to one instance", command))
    for one in description.get("DomainMemberships") or []:
        command = f"aws rds modify-db-{verb} {flag} {name} --domain {one.get('Domain')} --domain-iam-role-name {one.get('IAMRoleName')}"
        found.append(Unrestored(f"domain {one.get('Domain')}", "joining it is left to a person", command))
    return found
