"""Operations on clusters. A cluster holds the data; nothing answers before an instance is made in it, after a restore too."""

from datetime import timedelta
from typing import Any

from local_aws.rds import rules
from local_aws.rds.instances import Instances
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


class Clusters:
    """:ivar operations: by name."""

    def __init__(self, state: State, servers: Servers, switches: Any, instances: Instances) -> None:
        self._state, self._servers, self._switches, self._instances = state, servers, switches, instances
        self.operations: dict[str, Handler] = {
            "CreateDBCluster": self._create,
            "DescribeDBClusters": self._describe,
            "ModifyDBCluster": self._modify,
            "DeleteDBCluster": self._delete,
            "RestoreDBClusterFromSnapshot": self._restore,
            "RestoreDBClusterToPointInTime": self._restore_to,
        }

    def _find(self, account: str, region: str, name: str) -> Database:
        found = self._state.find("cluster", account, region, name)
        if found is None:
            raise missing("cluster", name)
        cluster: Database = found
        return cluster

    def _described(self, cluster: Database) -> Document:
        document = cluster.document | {"Status": cluster.status, "TagList": cluster.tag_list()}
        if cluster.endpoint is not None:
            document |= {"Endpoint": cluster.endpoint.address, "Port": cluster.endpoint.port}
        if cluster.bases:
            document["EarliestRestorableTime"] = cluster.bases[0][0]
            document["LatestRestorableTime"] = now() - timedelta(seconds=self._switches.rds_restore_lag_seconds)
        return document

    def _new(self, account: str, region: str, body: Document, engine: str, of: Document) -> Database:
        """A cluster with what the request says, and defaults else."""
        name = body["DBClusterIdentifier"]
        check_identifier("cluster", name, "DBClusterIdentifier")
        if self._state.find("cluster", account, region, name) is not None:
            code, text = TAKEN["cluster"]
            raise ServiceError(code, text)
        group = rules.subnet_group(account, region, body.get("DBSubnetGroupName") or "default")
        document = {
            "DBClusterIdentifier": name.lower(), "DBClusterArn": arn_of("cluster", account, region, name.lower()), "Engine": engine,
            "EngineVersion": engine_version(), "DbClusterResourceId": resource_id("cluster"), "ClusterCreateTime": now(),
            "AvailabilityZones": [f"{region}{zone}" for zone in "abc"], "BackupRetentionPeriod": 1, "PreferredBackupWindow": "07:30-08:00",
            "PreferredMaintenanceWindow": "sun:05:00-sun:05:30", "DBClusterMembers": [], "DBSubnetGroup": group["DBSubnetGroupName"],
            "VpcSecurityGroups": rules.security_groups(account, region, body.get("VpcSecurityGroupIds"), group["VpcId"]),
            "DBClusterParameterGroup": rules.cluster_parameter_group(account, region, body.get("DBClusterParameterGroupName"), engine),
            "StorageEncrypted": False, "IAMDatabaseAuthenticationEnabled": False, "DeletionProtection": False, "CopyTagsToSnapshot": False,
            "EnabledCloudwatchLogsExports": [], "MultiAZ": False, "NetworkType": "IPV4", "AssociatedRoles": [], "EngineMode": "provisioned",
            "AllocatedStorage": 1, "EngineLifecycleSupport": "open-source-rds-extended-support",
        } | of  # fmt: skip
        tags = {one["Key"]: one["Value"] for one in body.get("Tags") or []}
        cluster = Database(
            "cluster", account, region, document, tags=tags, polls=self._switches.rds_polls, port=body.get("Port")
        )
        rules.apply(document, body)
        rules.check(body, document)
        return cluster

    def _create(self, body: Document, account: str, region: str) -> Document:
        engine = body["Engine"]
        if engine not in ("aurora-postgresql", "aurora-mysql"):
            raise ServiceError("InvalidParameterValue", f"this stand-in has no clusters of {engine}")
        for needed in ("MasterUsername", "MasterUserPassword"):
            if not body.get(needed):
                raise ServiceError("InvalidParameterCombination", f"The parameter {needed} must be provided.")
        of: Document = {"MasterUsername": body["MasterUsername"]}
        if body.get("DatabaseName"):
            of["DatabaseName"] = body["DatabaseName"]
        if body.get("StorageEncrypted"):
            of |= {
                "StorageEncrypted": True,
                "KmsKeyId": rules.kms_key(account, region, body.get("KmsKeyId") or "alias/aws/rds"),
            }
        cluster = self._new(account, region, body, engine, of)
        if engine == "aurora-postgresql":
            cluster.server = self._servers.create(
                body["MasterUsername"], body["MasterUserPassword"], body.get("DatabaseName")
            )
        return self._finish(cluster)

    def _finish(self, cluster: Database) -> Document:
        self._state.add(cluster)
        self._instances.keep_base(cluster)
        return {"DBCluster": self._described(cluster)}

    def _describe(self, body: Document, account: str, region: str) -> Document:
        name = body.get("DBClusterIdentifier")
        found = [self._find(account, region, name)] if name else list(self._state.every("cluster", account, region))
        left = still_there(found, self._remove, name)
        shown, marker = page([self._described(one) for one in left], body)
        return {"DBClusters": shown, "Marker": marker}

    def _remove(self, cluster: Database) -> None:
        self._state.remove(cluster)
        cluster.close()
        if cluster.server is not None:
            cluster.server.remove()

    def _modify(self, body: Document, account: str, region: str) -> Document:
        cluster = self._find(account, region, body["DBClusterIdentifier"])
        if cluster.status != "available":
            raise ServiceError("InvalidDBClusterStateFault", f"{cluster.id} is {cluster.status}")
        changed = dict(cluster.document)
        rules.apply(changed, body)
        rules.check(body, changed)
        if body.get("DBClusterParameterGroupName"):
            changed["DBClusterParameterGroup"] = rules.cluster_parameter_group(
                account, region, body["DBClusterParameterGroupName"], changed["Engine"]
            )
        cluster.document = changed
        return {"DBCluster": self._described(cluster)}

    def _delete(self, body: Document, account: str, region: str) -> Document:
        cluster = self._find(account, region, body["DBClusterIdentifier"])
        if cluster.document["DeletionProtection"]:
            raise ServiceError(
                "InvalidParameterCombination",
                "Cannot delete protected Cluster, please disable deletion protection and try again.",
            )
        members = (
            self._state.find("instance", account, region, one["DBInstanceIdentifier"])
            for one in cluster.document["DBClusterMembers"]
        )
        if any(one.status != "deleting" for one in members if one is not None):
            raise ServiceError(
                "InvalidDBClusterStateFault",
                "Cluster cannot be deleted, it still contains DB instances in non-deleting state.",
            )
        if not body.get("SkipFinalSnapshot"):
            raise ServiceError(
                "InvalidParameterCombination",
                "FinalDBSnapshotIdentifier is required unless SkipFinalSnapshot is specified.",
            )
        cluster.become("deleting", "", self._switches.rds_polls)
        return {"DBCluster": self._described(cluster)}

    def _kept(self, of: Document) -> Document:
        kept = (
            "Engine",
            "EngineVersion",
            "MasterUsername",
            "DatabaseName",
            "StorageEncrypted",
            "KmsKeyId",
            "EngineMode",
        )
        return {member: of[member] for member in kept if of.get(member) is not None}

    def _restore(self, body: Document, account: str, region: str) -> Document:
        wanted = body["SnapshotIdentifier"]
        snapshot: Snapshot | None = self._state.find("cluster-snapshot", account, region, wanted)
        if (
            snapshot is None
            or snapshot.region != region
            or not (snapshot.account == account or account in snapshot.shared)
        ):
            raise missing("cluster-snapshot", wanted)
        if snapshot.status != "available":
            raise ServiceError(
                "InvalidDBClusterSnapshotStateFault", f"Snapshot {snapshot.id} is {snapshot.status}, not available."
            )
        of = snapshot.document | snapshot.of
        cluster = self._new(account, region, body, body["Engine"], self._kept(of))
        cluster.port = body.get("Port") or of.get("Port") or None
        cluster.late = self._switches.rds_lazy_answers
        if snapshot.path is not None:
            cluster.server = self._servers.restore(snapshot.path)
        return self._finish(cluster)

    def _restore_to(self, body: Document, account: str, region: str) -> Document:
        source = self._find(account, region, body["SourceDBClusterIdentifier"])
        when = self._instances.moment(source, body.get("RestoreToTime"), bool(body.get("UseLatestRestorableTime")))
        cluster = self._new(account, region, body, source.document["Engine"], self._kept(source.document))
        cluster.port = body.get("Port") or source.port
        cluster.server = self._instances.recovered(source, when)
        return self._finish(cluster)
