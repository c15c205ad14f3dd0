"""What operators over the backups of one table share: where these lie."""

from typing import Any

from tablekeep.operators.base import TablekeepOperator
from tablekeep.runtime import connection_for


class TableOperator(TablekeepOperator):
    """An operator over the backups of one table.

    :param table: of DynamoDB; with `sql_conn_id` `schema.table` of that database; with another service the name of the backups' folder.
    :param to: the root of the backups, `s3://bucket/prefix`. :param sql_conn_id: the Airflow connection of PostgreSQL or MySQL.
    :param server: how the backups of a SQL table name its server. :param service: `dynamodb`, or `s3` for what came from files.
    """

    template_fields = ("table", "to", *TablekeepOperator.template_fields)

    def __init__(
        self,
        *,
        table: str | None = None,
        to: str | None = None,
        sql_conn_id: str | None = None,
        server: str | None = None,
        service: str = "dynamodb",
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.table, self.to = table, to
        self.sql_conn_id, self.server, self.service = sql_conn_id, server, service

    def sql_source(self) -> Any:
        """The SQL table; nothing is connected to."""
        from tablekeep.engine.connections import sql_database
        from tablekeep.engine.rds.connect import source_of

        return source_of(sql_database(connection_for(str(self.sql_conn_id))), str(self.table), self.server)

    def shelf(self, clients: Any) -> Any:
        """Where the backups lie, of these clients' account and Region."""
        service, name = self.service, str(self.table)
        if self.sql_conn_id:
            source = self.sql_source()
            service, name = source.service, source.name
        return shelf_of(clients, str(self.to), name, service)


def shelf_of(clients: Any, to: str, name: str, service: str = "dynamodb") -> Any:
    """Where the backups of that name, of these clients' account and Region, lie under the root `to`."""
    from tablekeep.engine.backups.location import Shelf
    from tablekeep.engine.names import parse_s3

    bucket, root = parse_s3(to)
    return Shelf(bucket, root, clients.account(), clients.region, service, name)
