"""Operations on snapshots of instances and of clusters: create, copy within and between Regions, share, delete."""

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
    missing,
    now,
    page,
)
from local_aws.responses import ServiceError

MOST_COPIES = 20
"""In flight to one Region."""
KINDS = {"instance": "snapshot", "cluster": "cluster-snapshot"}


class Snapshots:
    """Of one kind. :ivar operations: by name."""

    def __init__(self, of: str, state: State, servers: Servers, switches: Any) -> None:
        self._of, self._kind = of, KINDS[of]
        self._state, self._servers, self._switches = state, servers, switches
        self._name = "DBSnapshot" if of == "instance" else "DBClusterSnapshot"
        self._source = "DBInstance" if of == "instance" else "DBCluster"
        self.operations: dict[str, Handler] = {
            f"Create{self._name}": self._create,
            f"Copy{self._name}": self._copy,
            f"Describe{self._name}s": self._describe,
            f"Delete{self._name}": self._delete,
            f"Modify{self._name}Attribute": self._share,
            f"Describe{self._name}Attributes": self._attributes,
        }

    def _answer(self, snapshot: Snapshot) -> Document:
        return {self._name: self._described(snapshot)}

    def _described(self, snapshot: Snapshot) -> Document:
        progress = 100 if snapshot.status == "available" else 0 if self._queued(snapshot) else 50
        return snapshot.document | {
            "Status": snapshot.status,
            "PercentProgress": progress,
            "TagList": snapshot.tag_list(),
        }

    def _queued(self, snapshot: Snapshot) -> bool:
        """Copies of one instance follow each other; one that waits makes no progress."""
        of = snapshot.document[f"{self._source}Identifier"]
        others = (
            one for one in self._state.every(self._kind, snapshot.account, snapshot.region) if one.source is not None
        )
        first = next((one for one in others if one.document[f"{self._source}Identifier"] == of and one.settles), None)
        return first is not None and first is not snapshot and snapshot.source is not None

    def _new(self, account: str, region: str, name: str, document: Document, tags: dict[str, str]) -> Snapshot:
        if self._state.find(self._kind, account, region, name) is not None:
            code, text = TAKEN[self._kind]
            raise ServiceError(code, text.format(name))
        named = {f"{self._name}Identifier": name, f"{self._name}Arn": arn_of(self._kind, account, region, name)}
        return Snapshot(self._kind, account, region, document | named, tags=tags, polls=self._switches.rds_polls)

    def _create(self, body: Document, account: str, region: str) -> Document:
        name = body[f"{self._name}Identifier"]
        check_identifier(self._kind, name, f"{self._name}Identifier")
        found = self._state.find(self._of, account, region, body[f"{self._source}Identifier"])
        if found is None:
            raise missing(self._of, body[f"{self._source}Identifier"])
        source: Database = found
        if source.cluster:
            text = "The specified instance is a member of a cluster and a snapshot cannot be created directly."
            raise ServiceError("InvalidParameterValue", f"{text} Please use the CreateDBClusterSnapshot API instead.")
        if source.status not in ("available", "storage-optimization"):
            code = "InvalidDBInstanceState" if self._of == "instance" else "InvalidDBClusterStateFault"
            raise ServiceError(code, f"{source.id} is not in available state: it is {source.status}.")
        tags = dict(source.tags) if source.document.get("CopyTagsToSnapshot") else {}
        tags |= {one["Key"]: one["Value"] for one in body.get("Tags") or []}
        snapshot = self._new(account, region, name, self._facts(source), tags)
        snapshot.of = {
            member: source.document[member]
            for member in ("DBInstanceClass", "DBName", "DatabaseName", "EngineMode")
            if member in source.document
        }
        if self._switches.rds_fail == "snapshot":
            snapshot.then = "failed"
        if source.server is not None:
            snapshot.path = self._servers.snapshot(source.server)
        self._state.add(snapshot)
        return self._answer(snapshot)

    def _facts(self, source: Database) -> Document:
        """What a snapshot tells of its source. Parameter groups, security groups and the like are not in it."""
        document = source.document
        facts = {
            "SnapshotType": "manual",
            "SnapshotCreateTime": now(),
            "Port": source.endpoint.port if source.endpoint else source.port or 0,
        }
        shared = (
            "Engine", "EngineVersion", "AllocatedStorage", "MasterUsername", "LicenseModel", "KmsKeyId", "BackupRetentionPeriod",
            "IAMDatabaseAuthenticationEnabled", "PreferredBackupWindow", "StorageType", f"{self._source}Identifier",
        )  # fmt: skip
        facts |= {member: document[member] for member in shared if document.get(member) is not None}
        encrypted = bool(document.get("StorageEncrypted"))
        if self._of == "cluster":
            group = rules.subnet_group(source.account, source.region, document["DBSubnetGroup"])
            own = ("DbClusterResourceId", "ClusterCreateTime", "AvailabilityZones", "EngineMode")
            return (
                facts
                | {member: document[member] for member in own if member in document}
                | {"StorageEncrypted": encrypted, "VpcId": group["VpcId"]}
            )
        own = (
            "DbiResourceId",
            "InstanceCreateTime",
            "Iops",
            "StorageThroughput",
            "AvailabilityZone",
            "ProcessorFeatures",
            "DedicatedLogVolume",
        )
        facts |= {member: document[member] for member in own if member in document}
        return facts | {
            "Encrypted": encrypted, "VpcId": document["DBSubnetGroup"]["VpcId"], "OriginalSnapshotCreateTime": facts["SnapshotCreateTime"],
            "OptionGroupName": document["OptionGroupMemberships"][0]["OptionGroupName"],
        }  # fmt: skip

    def _copy(self, body: Document, account: str, region: str) -> Document:
        name, wanted = body[f"Target{self._name}Identifier"], body[f"Source{self._name}Identifier"]
        check_identifier(self._kind, name, f"Target{self._name}Identifier")
        found = self._state.find(self._kind, account, region, wanted)
        if found is None or (found.account != account and not (wanted.startswith("arn:") and account in found.shared)):
            raise missing(self._kind, wanted)
        source: Snapshot = found
        if source.status != "available":
            raise ServiceError(
                f"Invalid{self._name}State" + ("Fault" if self._of == "cluster" else ""),
                f"Snapshot {source.id} is {source.status}, not available.",
            )
        document = {member: one for member, one in source.document.items() if member != "KmsKeyId"}
        self._encrypt(source, document, body, account, region)
        if source.region != region:
            document |= {"SourceRegion": source.region} if self._of == "instance" else {}
            self._check_flights(account, region)
            group = str(document.get("OptionGroupName", ""))
            if self._of == "instance" and not group.startswith("default:"):
                # an option group belongs to a Region: without another one the copy gets the default (UNCONFIRMED)
                document["OptionGroupName"] = body.get("OptionGroupName") or rules.default_option_group(
                    document["Engine"]
                )
        named = "SourceDBSnapshotIdentifier" if self._of == "instance" else "SourceDBClusterSnapshotArn"
        document |= {"SnapshotType": "manual", "SnapshotCreateTime": now()}
        document.pop(named, None)
        if self._of == "cluster" or (source.account, source.region) != (account, region):
            document[named] = source.arn  # of an instance's only "in the case of a cross-account or cross-Region copy"
        tags = dict(source.tags) if body.get("CopyTags") else {}
        tags |= {one["Key"]: one["Value"] for one in body.get("Tags") or []}
        snapshot = self._new(account, region, name, document, tags)
        snapshot.of, snapshot.source = dict(source.of), source
        snapshot.path = self._servers.duplicate(source.path) if source.path else None
        if self._switches.rds_fail == "copy":
            snapshot.then = "failed"
        self._state.add(snapshot)
        return self._answer(snapshot)

    def _encrypt(self, source: Snapshot, document: Document, body: Document, account: str, region: str) -> None:
        """The copy's key. :raises ServiceError: when it needs one and none is given."""
        flag = "Encrypted" if self._of == "instance" else "StorageEncrypted"
        encrypted, away = bool(source.document[flag]), source.region != region
        key = rules.kms_key(account, region, body.get("KmsKeyId"))
        if encrypted and away and source.account != account:
            raise ServiceError(
                "InvalidParameterCombination", "You can't copy a shared and encrypted snapshot to another Region."
            )
        if encrypted and key is None and (away or source.account != account):
            # UNCONFIRMED code
            raise ServiceError(
                "InvalidParameterCombination",
                "KmsKeyId must be specified: KMS keys are specific to their Region and account.",
            )
        # UNCONFIRMED: a caller that sends an empty URL keeps botocore from signing one, and the service refuses the copy
        if encrypted and away and not body.get("PreSignedUrl"):
            raise ServiceError("InvalidParameterCombination", "PreSignedUrl could not be authenticated.")
        document[flag] = encrypted or key is not None
        if document[flag]:
            document["KmsKeyId"] = key or source.document["KmsKeyId"]

    def _check_flights(self, account: str, region: str) -> None:
        flying = [
            one
            for one in self._state.every(self._kind, account, region)
            if one.settles and one.source is not None and one.source.region != region
        ]
        if len(flying) >= MOST_COPIES:
            raise ServiceError(
                "SnapshotQuotaExceeded", f"Cannot copy more than {MOST_COPIES} snapshots to {region} at a time."
            )

    def _describe(self, body: Document, account: str, region: str) -> Document:
        name, of = body.get(f"{self._name}Identifier"), body.get(f"{self._source}Identifier")
        found = (
            [self._state.find(self._kind, account, region, name)]
            if name
            else list(self._state.every(self._kind, account, region))
        )
        if body.get("IncludeShared"):
            found += [one for one in self._state.every(self._kind, region=region) if account in one.shared]
        if found == [None] or (name and found[0].region != region):
            raise missing(self._kind, str(name))
        kind = body.get("SnapshotType")
        left = []
        for snapshot in found:
            if (of and snapshot.document[f"{self._source}Identifier"] != of) or (
                kind and snapshot.document["SnapshotType"] != kind
            ):
                continue
            if snapshot.source is not None and snapshot.settles and self._state.by_arn(snapshot.source.arn) is None:
                snapshot.become("failed", "failed", 0)  # the source was deleted before the copy was whole
            if not self._queued(snapshot):
                snapshot.look()
            left.append(self._described(snapshot))
        shown, marker = page(left, body)
        return {f"{self._name}s": shown, "Marker": marker}

    def _find(self, body: Document, account: str, region: str) -> Snapshot:
        name = body[f"{self._name}Identifier"]
        found = self._state.find(self._kind, account, region, name)
        if found is None or found.account != account:
            raise missing(self._kind, name)
        snapshot: Snapshot = found
        return snapshot

    def _delete(self, body: Document, account: str, region: str) -> Document:
        snapshot = self._find(body, account, region)
        if snapshot.status not in ("available", "failed"):
            raise ServiceError(f"Invalid{self._name}State", f"Snapshot {snapshot.id} is {snapshot.status}.")
        if snapshot.document["SnapshotType"] != "manual":
            raise ServiceError(f"Invalid{self._name}State", "Only manual snapshots can be deleted.")
        self._state.remove(snapshot)
        if snapshot.path is not None:
            self._servers.remove(snapshot.path)
        return {self._name: self._described(snapshot) | {"Status": "deleted"}}

    def _share(self, body: Document, account: str, region: str) -> Document:
        snapshot = self._find(body, account, region)
        if body["AttributeName"] != "restore":
            raise ServiceError("InvalidParameterValue", "AttributeName must be restore")
        given = set(body.get("ValuesToAdd") or [])
        if "all" in given and snapshot.document.get("Encrypted", snapshot.document.get("StorageEncrypted")):
            raise ServiceError("InvalidParameterValue", "You can't make an encrypted snapshot public.")
        snapshot.shared = (snapshot.shared | given) - set(body.get("ValuesToRemove") or [])
        return self._attributes(body, account, region)

    def _attributes(self, body: Document, account: str, region: str) -> Document:
        snapshot = self._find(body, account, region)
        return {
            f"{self._name}AttributesResult": {
                f"{self._name}Identifier": snapshot.id,
                f"{self._name}Attributes": [{"AttributeName": "restore", "AttributeValues": sorted(snapshot.shared)}],
            }
        }
