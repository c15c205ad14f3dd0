"""The newest verified backup → a table of Glue's catalog, in Athena."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.copy import true
from tablekeep.operators.shelves import TableOperator
from tablekeep.runtime import clients_for


class ParquetToAthenaOperator(TableOperator):
    """Points a table of Glue's catalog at the newest verified backup of `table` under `to`. No row is moved.

    :param database, target_table: of the catalog. :param backup: this backup instead, by its manifest's URI.
    :param allow_older: put it over a newer one. :param adopt: take over, once, a table that others made.
    :param glue_conn_id, glue_region_name: for Glue; default the operator's own.
    """

    template_fields: Sequence[str] = (
        *("database", "target_table", "backup", "allow_older", "adopt"),
        *TableOperator.template_fields,
    )

    def __init__(
        self,
        *,
        database: str,
        target_table: str,
        backup: str | None = None,
        allow_older: bool | str = False,
        adopt: bool | str = False,
        bucket_owner: str | None = None,
        glue_conn_id: str | None = None,
        glue_region_name: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.database, self.target_table = database, target_table
        self.backup, self.allow_older, self.adopt, self.bucket_owner = backup, allow_older, adopt, bucket_owner
        self.glue_conn_id, self.glue_region_name = glue_conn_id, glue_region_name

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.copies.athena import AthenaTarget, register_backup, register_newest

        common = self.engine_arguments(context)
        glue = clients_for(self.glue_conn_id or self.aws_conn_id, self.glue_region_name or self.region_name)
        options = {
            "target": AthenaTarget(glue, self.database, self.target_table), "allow_older": true(self.allow_older),
            "adopt": true(self.adopt), "owner": self.bucket_owner,
        }  # fmt: skip
        if self.backup:
            report = register_backup(backup=self.backup, **options, **common)
        else:
            report = register_newest(shelf=self.shelf(common["clients"]), **options, **common)
        self.log.info("%s in %s: %s. %s", report.table, report.target, report.status, report.reason)
        return report.as_dict()
