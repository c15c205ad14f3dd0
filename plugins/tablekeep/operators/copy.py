"""The newest verified backup → rows in a database."""

from collections.abc import Mapping, Sequence
from typing import Any

from tablekeep.operators.shelves import TableOperator
from tablekeep.runtime import clients_for, connection_for


class _ParquetToDatabaseOperator(TableOperator):
    """Loads the newest verified backup of `table` under `to`; the ledger in the database decides whether it is newer.

    :param target_table: `schema.table` in the database.
    :param mode: `replace`, `append`, `upsert`, `incremental`, or Data Pipeline's name of one.
    :param keep_absent: with `upsert`, keys that the backup lacks stay. :param swap: of `replace`: `rows` or `rename`.
    :param mapping: as under `copies[].mapping`; derived from the backup when not given.
    :param backup: this backup instead, by its manifest's URI.
    :param allow_older: put it over a newer one. :param adopt: replace, once, a table that others made.
    """

    template_fields: Sequence[str] = (
        *("target_table", "backup", "allow_older", "adopt"),
        *TableOperator.template_fields,
    )

    def __init__(
        self,
        *,
        target_table: str,
        mode: str = "replace",
        keep_absent: bool = False,
        swap: str = "rows",
        mapping: dict[str, Any] | None = None,
        backup: str | None = None,
        allow_older: bool | str = False,
        adopt: bool | str = False,
        bucket_owner: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.target_table = target_table
        self.mode = mode
        self.keep_absent = keep_absent
        self.swap = swap
        self.mapping = mapping
        self.backup = backup
        self.allow_older = allow_older
        self.adopt = adopt
        self.bucket_owner = bucket_owner

    def target(self) -> Any:
        """The engine's target."""
        raise NotImplementedError

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.copies.copy import copy_backup
        from tablekeep.engine.copies.document import MappingDocument
        from tablekeep.engine.copies.modes import parse_mode
        from tablekeep.engine.copies.newest import copy_newest

        common = self.engine_arguments(context)
        options = {
            "target": self.target(), "mode": parse_mode(self.mode, keep_absent=self.keep_absent, swap=self.swap),
            "mapping": MappingDocument.model_validate(self.mapping) if self.mapping else None,
            "allow_older": true(self.allow_older), "adopt": true(self.adopt), "owner": self.bucket_owner,
        }  # fmt: skip
        if self.backup:
            report = copy_backup(backup=self.backup, **options, **common)
        else:
            report = copy_newest(shelf=self.shelf(common["clients"]), **options, **common)
        self.log.info(
            "%s in %s: %s, %s rows. %s", report.table, report.target, report.status, f"{report.rows:,}", report.reason
        )
        return report.as_dict()


def true(value: bool | str) -> bool:
    """A parameter of a form, which a template may have turned into text."""
    return value if isinstance(value, bool) else value == "True"


class ParquetToPostgresOperator(_ParquetToDatabaseOperator):
    """Copies to PostgreSQL.

    :param conn_id: the Airflow connection of the database.
    """

    def __init__(self, *, conn_id: str, **more: Any) -> None:
        super().__init__(**more)
        self.conn_id = conn_id

    def target(self) -> Any:
        from tablekeep.engine.connections import postgres_conninfo
        from tablekeep.engine.copies.postgres import PostgresTarget

        return PostgresTarget(postgres_conninfo(connection_for(self.conn_id)), self.target_table)


class ParquetToMySqlOperator(_ParquetToDatabaseOperator):
    """Copies to MySQL or MariaDB.

    :param conn_id: the Airflow connection of the database.
    """

    def __init__(self, *, conn_id: str, **more: Any) -> None:
        super().__init__(**more)
        self.conn_id = conn_id

    def target(self) -> Any:
        from tablekeep.engine.connections import mysql_arguments
        from tablekeep.engine.copies.mysql import MysqlTarget

        return MysqlTarget(mysql_arguments(connection_for(self.conn_id)), self.target_table)


class ParquetToRedshiftOperator(_ParquetToDatabaseOperator):
    """Copies to Redshift over its Data API.

    :param database: the database. :param iam_role: with which Redshift reads the backup from S3.
    :param workgroup: serverless; or `cluster` with `db_user` or `secret`.
    :param redshift_conn_id, redshift_region_name: for the Data API; default the operator's own.
    """

    def __init__(
        self,
        *,
        database: str,
        iam_role: str,
        workgroup: str | None = None,
        cluster: str | None = None,
        db_user: str | None = None,
        secret: str | None = None,
        redshift_conn_id: str | None = None,
        redshift_region_name: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.database = database
        self.iam_role = iam_role
        self.workgroup = workgroup
        self.cluster = cluster
        self.db_user = db_user
        self.secret = secret
        self.redshift_conn_id = redshift_conn_id
        self.redshift_region_name = redshift_region_name

    def target(self) -> Any:
        from tablekeep.engine.copies.redshift import RedshiftTarget

        clients = clients_for(self.redshift_conn_id or self.aws_conn_id, self.redshift_region_name or self.region_name)
        return RedshiftTarget(
            clients, self.target_table, database=self.database, iam_role=self.iam_role, workgroup=self.workgroup,
            cluster=self.cluster, db_user=self.db_user, secret=self.secret,
        )  # fmt: skip
