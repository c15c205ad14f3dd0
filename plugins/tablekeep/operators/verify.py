"""Backup set → proof that it is whole."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.shelves import TableOperator


class VerifyBackupOperator(TableOperator):
    """Verifies a backup and leaves a record beside it. A backup that is not whole is a failed task that names what is wrong.

    :param backup: the manifest's URI, or several; else the newest backup of `table` under `to`.
    :param level: `list`, `checksum` or `full`. :param bucket_owner: the account that must own the bucket.
    :param subset: read the next of so many equal groups of parts. :param max_seconds: begin no further part after so long.
    """

    template_fields: Sequence[str] = ("backup", *TableOperator.template_fields)

    def __init__(
        self,
        *,
        backup: str | Sequence[str] | None = None,
        level: str = "full",
        subset: int | None = None,
        max_seconds: float | None = None,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.backup = backup
        self.level = level
        self.subset, self.max_seconds = subset, max_seconds
        self.bucket_owner = bucket_owner

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.catalog import newest
        from tablekeep.engine.backups.s3 import S3Store
        from tablekeep.engine.errors import BadInputError

        common = self.engine_arguments(context)
        backups = [self.backup] if isinstance(self.backup, str) else list(self.backup or ())
        if not backups:
            shelf = self.shelf(common["clients"])
            manifest = newest(S3Store(common["clients"], shelf.bucket, owner=self.bucket_owner), shelf)
            if manifest is None:
                raise BadInputError(
                    f"verifying the newest backup of {self.table}", f"there is none under {self.to}", "back it up first"
                )
            backups = [manifest.uri]
        return [self._verified(backup, common) for backup in backups][-1]

    def _verified(self, backup: str, common: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.backups.verify import verify_backup
        from tablekeep.engine.errors import IntegrityError

        report = verify_backup(
            backup=backup, level=self.level, owner=self.bucket_owner, share=(0, self.subset) if self.subset else None,  # type: ignore[arg-type]
            max_seconds=self.max_seconds, **common,
        )  # fmt: skip
        if not report.ok:
            first = "; ".join(report.problems[:5])
            more = f" and {len(report.problems) - 5} more" if len(report.problems) > 5 else ""
            raise IntegrityError(
                f"verifying {backup}", f"{first}{more}", "do not rely on this backup; run the backup again"
            )
        self.log.info("%s is whole at level %s: %s items", backup, report.level, f"{report.items:,}")
        return report.as_dict()
