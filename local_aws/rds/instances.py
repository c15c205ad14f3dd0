"""Operations on instances: create, describe, modify, delete, restore from a snapshot and to a point in time."""

from datetime import datetime, timedelta
from typing import Any

from local_aws.rds import rules
from local_aws.rds.servers import Servers
from local_aws.rds.state import (
    TAKEN,
    Database,
    Document,
    Handler,
    Snapshot,
    State,
    arn_of,
    check_identifier,
    engine_version,
    missing,
    now,
    page,
    resource_id,
    still_there,
)
from local_aws.responses import ServiceError


class Instances:
    """:ivar operations: by name."""

    def __init__(self, state: State, servers: Servers, switches: Any) -> None:
        self._state, self._servers, self._switches = state, servers, switches
        self.operations: dict[str, Handler] = {
            "CreateDBInstance": self._create,
            "DescribeDBInstances": self._describe,
            "ModifyDBInstance": self._modify,
            "DeleteDBInstance": self._delete,
            "StartDBInstance": self._start,
            "StopDBInstance": self._stop,
            "AddRoleToDBInstance": self._add_role,
            "DescribeDBInstanceAutomatedBackups": self._automated_backups,
            "RestoreDBInstanceFromDBSnapshot": self._restore,
            "RestoreDBInstanceToPointInTime": self._restore_to,
        }

    def find(self, account: str, region: str, name: str) -> Database:
        found = self._state.find("instance", account, region, name)
        if found is None:
            raise missing("instance", name)
        instance: Database = found
        return instance

    def described(self, instance: Database) -> Document:
        """As `DescribeDBInstances` tells it."""
        document = instance.document | {"DBInstanceStatus": instance.status, "TagList": instance.tag_list()}
        endpoint = instance.endpoint
        if instance.cluster:
            cluster = self._state.find("cluster", instance.account, instance.region, instance.cluster)
            endpoint = cluster.endpoint if cluster else None
        if endpoint is not None and instance.status not in ("creating", "deleting"):
            document["Endpoint"] = {
                "Address": endpoint.address,
                "Port": endpoint.port,
                "HostedZoneId": "Z2R2ITUGPM61AM",
            }
        if instance.bases:
            document["LatestRestorableTime"] = now() - timedelta(seconds=self._switches.rds_restore_lag_seconds)
        return document

    def _answer(self, instance: Database) -> Document:
        return {"DBInstance": self.described(instance)}

    def _new(self, account: str, region: str, name: str, body: Document) -> Database:
        check_identifier("instance", name, "DBInstanceIdentifier")
        if self._state.find("instance", account, region, name) is not None:
            code, text = TAKEN["instance"]
            raise ServiceError(code, text.format(name))
        document = {
            "DBInstanceIdentifier": name.lower(), "DBInstanceArn": arn_of("instance", account, region, name.lower()),
            "DbiResourceId": resource_id("db"), "InstanceCreateTime": now(), "AvailabilityZone": f"{region}a",
        }  # fmt: skip
        tags = {one["Key"]: one["Value"] for one in body.get("Tags") or []}
        return Database(
            "instance", account, region, document, tags=tags, polls=self._switches.rds_polls, port=body.get("Port")
        )

    def _place(self, instance: Database, body: Document, engine: str) -> None:
        """The groups that a request names, or those that are there when it names none."""
        account, region, document = instance.account, instance.region, instance.document
        group = rules.subnet_group(account, region, body.get("DBSubnetGroupName") or "default")
        document["DBSubnetGroup"] = group
        document["VpcSecurityGroups"] = rules.security_groups(
            account, region, body.get("VpcSecurityGroupIds"), group["VpcId"]
        )
        document["DBParameterGroups"] = rules.parameter_group(account, region, body.get("DBParameterGroupName"), engine)
        document["OptionGroupMemberships"] = rules.option_group(account, region, body.get("OptionGroupName"), engine)

    def _create(self, body: Document, account: str, region: str) -> Document:
        engine = body["Engine"]
        if engine not in rules.ENGINES:
            raise ServiceError("InvalidParameterValue", f"Invalid DB engine: {engine}")
        instance = self._new(account, region, body["DBInstanceIdentifier"], body)
        document = instance.document
        document |= rules.settings_of_new(engine) | {
            "Engine": engine, "EngineVersion": engine_version() if "postgres" in engine else "8.0.40", "BackupRetentionPeriod": 1,
            "StorageType": "gp2",
        }  # fmt: skip
        rules.apply(document, body)
        rules.check(body, document)
        self._place(instance, body, engine)
        if body.get("DBClusterIdentifier"):
            self._join(instance, body["DBClusterIdentifier"])
            return self._answer(instance)
        for needed in ("MasterUsername", "MasterUserPassword", "AllocatedStorage"):
            if not body.get(needed):
                raise ServiceError("InvalidParameterCombination", f"The parameter {needed} must be provided.")
        document |= {"MasterUsername": body["MasterUsername"], "StorageEncrypted": bool(body.get("StorageEncrypted"))}
        if body.get("DBName"):
            document["DBName"] = body["DBName"]
        if document["StorageEncrypted"]:
            document["KmsKeyId"] = rules.kms_key(account, region, body.get("KmsKeyId") or "alias/aws/rds")
        if engine == "postgres":
            instance.server = self._servers.create(
                body["MasterUsername"], body["MasterUserPassword"], body.get("DBName")
            )
        self._finish(instance)
        return self._answer(instance)

    def _join(self, instance: Database, cluster_name: str) -> None:
        """A member of a cluster: it serves what the cluster holds."""
        cluster = self._state.find("cluster", instance.account, instance.region, cluster_name)
        if cluster is None:
            raise missing("cluster", cluster_name)
        instance.cluster = cluster.id
        document = instance.document
        document |= {
            name: cluster.document[name] for name in ("Engine", "EngineVersion", "StorageEncrypted", "MasterUsername")
        }
        document |= {
            "DBClusterIdentifier": cluster.id,
            "StorageType": "aurora",
            "BackupRetentionPeriod": cluster.document["BackupRetentionPeriod"],
        }
        document.setdefault("PromotionTier", 1)
        document["VpcSecurityGroups"], document["DBSubnetGroup"] = (
            cluster.document["VpcSecurityGroups"], {"DBSubnetGroupName": cluster.document["DBSubnetGroup"]}
        )  # fmt: skip
        members = cluster.document["DBClusterMembers"]
        members.append(
            {
                "DBInstanceIdentifier": instance.id,
                "IsClusterWriter": not members,
                "DBClusterParameterGroupStatus": "in-sync",
                "PromotionTier": document["PromotionTier"],
            }
        )
        cluster.open()
        self._state.add(instance)

    def _finish(self, instance: Database) -> None:
        """It is there, and can be reached; from here on its past can be reached, too."""
        self._state.add(instance)
        instance.open()
        self.keep_base(instance)

    def keep_base(self, database: Database) -> None:
        """A first automated backup, where they are on."""
        if database.server is not None and database.document.get("BackupRetentionPeriod") and not database.bases:
            database.server.keep_log()
            database.bases.append((now(), self._servers.snapshot(database.server)))

    def _describe(self, body: Document, account: str, region: str) -> Document:
        name = body.get("DBInstanceIdentifier")
        found = [self.find(account, region, name)] if name else list(self._state.every("instance", account, region))
        for one in body.get("Filters") or []:
            member = {
                "engine": "Engine",
                "db-instance-id": "DBInstanceIdentifier",
                "db-cluster-id": "DBClusterIdentifier",
            }.get(one["Name"])
            if member is None:
                raise ServiceError("InvalidParameterValue", f"Unrecognized filter name: {one['Name']}")
            found = [instance for instance in found if instance.document.get(member) in one["Values"]]
        left = still_there(found, self._remove, name)
        shown, marker = page([self.described(one) for one in left], body)
        return {"DBInstances": shown, "Marker": marker}

    def _remove(self, instance: Database) -> None:
        self._state.remove(instance)
        instance.close()
        if instance.server is not None:
            instance.server.remove()
        if instance.keeps_backups and instance.bases:
            self._state.retained.append(instance)
        else:
            for _, base in instance.bases:
                self._servers.remove(base)
        if instance.cluster and (
            cluster := self._state.find("cluster", instance.account, instance.region, instance.cluster)
        ):
            members = [
                one for one in cluster.document["DBClusterMembers"] if one["DBInstanceIdentifier"] != instance.id
            ]
            cluster.document["DBClusterMembers"] = members

    def need(self, database: Database, *states: str) -> None:
        """:raises ServiceError: InvalidDBInstanceState."""
        if database.status not in (states or ("available",)):
            raise ServiceError(
                "InvalidDBInstanceState", f"Instance {database.id} is not in available state: it is {database.status}."
            )

    def _modify(self, body: Document, account: str, region: str) -> Document:
        instance = self.find(account, region, body["DBInstanceIdentifier"])
        self.need(instance)
        document = instance.document
        changed = dict(document)
        rules.apply(changed, body)
        rules.check(body, changed)
        if body.get("DBParameterGroupName"):
            changed["DBParameterGroups"] = rules.parameter_group(
                account, region, body["DBParameterGroupName"], document["Engine"]
            )
        if body.get("OptionGroupName"):
            changed["OptionGroupMemberships"] = rules.option_group(
                account, region, body["OptionGroupName"], document["Engine"]
            )
        if body.get("VpcSecurityGroupIds"):
            vpc = document["DBSubnetGroup"]["VpcId"]
            changed["VpcSecurityGroups"] = rules.security_groups(account, region, body["VpcSecurityGroupIds"], vpc)
        if logs := body.get("CloudwatchLogsExportConfiguration"):
            kept = set(document["EnabledCloudwatchLogsExports"]) - set(logs.get("DisableLogTypes") or [])
            changed["EnabledCloudwatchLogsExports"] = sorted(kept | set(logs.get("EnableLogTypes") or []))
        if body.get("MasterUserPassword") and instance.server is not None:
            instance.server.set_password(document["MasterUsername"], body["MasterUserPassword"])
        instance.document = changed
        instance.become("modifying", "available", self._switches.rds_polls)
        self.keep_base(instance)
        return self._answer(instance)

    def _delete(self, body: Document, account: str, region: str) -> Document:
        instance = self.find(account, region, body["DBInstanceIdentifier"])
        if instance.status == "deleting":
            raise ServiceError("InvalidDBInstanceState", f"Instance {instance.id} is already being deleted.")
        if instance.document["DeletionProtection"]:
            raise ServiceError(
                "InvalidParameterCombination",
                "Cannot delete protected DB Instance, please disable deletion protection and try again.",
            )
        final = body.get("FinalDBSnapshotIdentifier")
        if not instance.cluster and not body.get("SkipFinalSnapshot") and not final:
            raise ServiceError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        if final:
            self._state_snapshot(instance, final)
        instance.keeps_backups = body.get("DeleteAutomatedBackups") is False
        instance.become("deleting", "", self._switches.rds_polls)
        return self._answer(instance)

    def _state_snapshot(self, instance: Database, name: str) -> None:
        raise ServiceError(
            "InvalidParameterCombination", f"this stand-in makes no final snapshot such as {name} of {instance.id}"
        )

    def _start(self, body: Document, account: str, region: str) -> Document:
        instance = self.find(account, region, body["DBInstanceIdentifier"])
        self.need(instance, "stopped")
        if instance.server is not None:
            instance.server.start()
        instance.open()
        instance.become("starting", "available", self._switches.rds_polls)
        return self._answer(instance)

    def _stop(self, body: Document, account: str, region: str) -> Document:
        instance = self.find(account, region, body["DBInstanceIdentifier"])
        self.need(instance)
        instance.close()
        if instance.server is not None:
            instance.server.stop()
        instance.become("stopping", "stopped", self._switches.rds_polls)
        return self._answer(instance)

    def _add_role(self, body: Document, account: str, region: str) -> Document:
        instance = self.find(account, region, body["DBInstanceIdentifier"])
        role = {"RoleArn": body["RoleArn"], "FeatureName": body["FeatureName"], "Status": "ACTIVE"}
        instance.document["AssociatedRoles"] = [*instance.document["AssociatedRoles"], role]
        return {}

    def _automated_backups(self, body: Document, account: str, region: str) -> Document:
        found = []
        here = [one for one in self._state.retained if (one.account, one.region) == (account, region)]
        for instance in [*self._state.every("instance", account, region), *here]:
            if instance.bases and body.get("DbiResourceId") in (None, instance.document["DbiResourceId"]):
                newest = now() - timedelta(seconds=self._switches.rds_restore_lag_seconds)
                window = {"EarliestTime": instance.bases[0][0], "LatestTime": newest}
                found.append(
                    {
                        "DBInstanceIdentifier": instance.id,
                        "Status": "active" if instance.status else "retained",
                        "RestoreWindow": window,
                    }
                )
        return {"DBInstanceAutomatedBackups": found}

    def _restored(
        self, body: Document, account: str, region: str, name: str, of: Document, tags: dict[str, str]
    ) -> Database:
        """The new instance of a restore: what lies in the data is the source's, nearly everything else is a default."""
        engine = of["Engine"]
        instance = self._new(account, region, name, body)
        document = instance.document
        document |= rules.settings_of_new(engine)
        kept = ("Engine", "EngineVersion", "MasterUsername", "DBName", "AllocatedStorage", "DBInstanceClass", "LicenseModel",
                "StorageEncrypted", "KmsKeyId", "BackupRetentionPeriod", "PreferredBackupWindow")  # fmt: skip
        document |= {member: of[member] for member in kept if of.get(member) is not None}
        document["StorageEncrypted"] = bool(of.get("Encrypted", of.get("StorageEncrypted")))
        document["StorageType"] = "io1" if body.get("Iops") else "gp3"
        if body.get("Iops") is None and body.get("StorageType") in ("io1", "io2") and of.get("Iops"):
            document["Iops"] = of["Iops"]
        rules.apply(document, body)
        rules.check(body, document)
        self._place(instance, {"OptionGroupName": of.get("OptionGroupName")} | body, engine)
        instance.port = body.get("Port") or of.get("Port")
        instance.late = self._switches.rds_lazy_answers
        if not instance.tags:
            instance.tags = dict(tags)
        return instance

    def _restore(self, body: Document, account: str, region: str) -> Document:
        wanted = body["DBSnapshotIdentifier"]
        found = self._state.find("snapshot", account, region, wanted)
        mine = found is not None and (
            found.account == account or (wanted.startswith("arn:") and account in found.shared)
        )
        if not mine or found.region != region:
            raise missing("snapshot", wanted)
        snapshot: Snapshot = found
        if snapshot.status != "available":
            raise ServiceError("InvalidDBSnapshotState", f"Snapshot {snapshot.id} is {snapshot.status}, not available.")
        instance = self._restored(
            body, account, region, body["DBInstanceIdentifier"], snapshot.document | snapshot.of, snapshot.tags
        )
        if snapshot.path is not None:
            instance.server = self._servers.restore(snapshot.path)
        if self._switches.rds_fail == "restore":
            instance.then = "incompatible-restore"
        self._finish(instance)
        return self._answer(instance)

    def _restore_to(self, body: Document, account: str, region: str) -> Document:
        source = self.find(account, region, body["SourceDBInstanceIdentifier"])
        when = self.moment(source, body.get("RestoreTime"), bool(body.get("UseLatestRestorableTime")))
        of = source.document | {"Port": source.port or (source.endpoint.port if source.endpoint else None)}
        instance = self._restored(body, account, region, body["TargetDBInstanceIdentifier"], of, {})
        instance.server = self.recovered(source, when)
        self._finish(instance)
        return self._answer(instance)

    def moment(self, source: Database, asked: datetime | None, latest: bool) -> datetime | None:
        """The time of a recovery; None for the end of the log. :raises ServiceError: for one that cannot be had."""
        if not source.bases or source.server is None:
            raise ServiceError(
                "PointInTimeRestoreNotEnabled",
                f"Point in time restore is not enabled for {source.id}: it keeps no automated backups.",
            )
        if bool(asked) == latest:
            raise ServiceError(
                "InvalidParameterCombination", "Specify either a restore time or UseLatestRestorableTime."
            )
        newest = now() - timedelta(seconds=self._switches.rds_restore_lag_seconds)
        if asked is not None and not source.bases[0][0] <= asked <= newest:
            raise ServiceError(
                "InvalidParameterValue",
                f"The specified instance cannot be restored to a time before {source.bases[0][0]} or after {newest}.",
            )
        if latest and self._switches.rds_restore_lag_seconds:
            return newest
        return asked

    def recovered(self, source: Database, when: datetime | None) -> Any:
        assert source.server is not None
        source.server.archive()
        base = [path for made, path in source.bases if when is None or made <= when][-1]
        return self._servers.restore_to(base, source.server.folder / "wal", when)
