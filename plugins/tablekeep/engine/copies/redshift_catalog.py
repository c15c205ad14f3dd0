"""What Redshift's catalog says of tables."""

from typing import Any

from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.redshift_api import DataApi, literal


class Catalog:
    """Asks by one Data API."""

    def __init__(self, api: DataApi) -> None:
        self._api = api

    def has_schema(self, schema: str) -> bool:
        return bool(self._api.rows(f"SELECT 1 FROM pg_namespace WHERE nspname = {literal(schema)}"))  # noqa: S608

    def relation(self, table: TableName) -> tuple[str, str] | None:
        """Number and kind (`r`: an ordinary table) of what has this name."""
        rows = self._api.rows(
            "SELECT c.oid::varchar, c.relkind::varchar FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
            f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.table)}"
        )
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def columns(self, table: TableName) -> list[tuple[str, str]]:
        """Names and types, in the table's order."""
        rows = self._api.rows(
            "SELECT a.attname::varchar, format_type(a.atttypid, a.atttypmod)::varchar FROM pg_attribute a "  # noqa: S608
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.table)} AND a.attnum > 0 "
            "AND NOT a.attisdropped ORDER BY a.attnum"
        )
        return [(str(name), str(kind)) for name, kind in rows]

    def named_like(self, schema: str, prefix: str) -> list[str]:
        """Names of tables that begin so."""
        rows = self._api.rows(
            "SELECT c.relname::varchar FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
            f"WHERE n.nspname = {literal(schema)} AND left(c.relname::varchar, {len(prefix)}) = {literal(prefix)}"
        )
        return [str(name) for (name,) in rows]

    def grants(self, table: TableName, onto: TableName) -> list[str]:
        """Statements that give `onto` what people were granted on `table` (SVV_RELATION_PRIVILEGES), and its comment."""
        rows = self._api.rows(
            "SELECT privilege_type, identity_name, identity_type, admin_option FROM svv_relation_privileges "  # noqa: S608
            f"WHERE namespace_name = {literal(table.schema)} AND relation_name = {literal(table.table)} ORDER BY 2, 3, 4, 1"
        )
        granted: dict[tuple[str, str, bool], list[str]] = {}
        for privilege, name, kind, admin in rows:
            granted.setdefault((str(name), str(kind), _true(admin)), []).append(str(privilege))
        statements = [
            f"GRANT {', '.join(privileges)} ON {onto.sql} TO {_GRANTEES[kind]}{'' if kind == 'public' else quoted(name)}"
            + (" WITH GRANT OPTION" if admin else "")
            for (name, kind, admin), privileges in granted.items()
        ]
        comments = self._api.rows(
            "SELECT d.description FROM pg_description d JOIN pg_class c ON c.oid = d.objoid "  # noqa: S608
            "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.objsubid = 0 "
            f"AND n.nspname = {literal(table.schema)} AND c.relname = {literal(table.table)}"
        )
        return statements + [f"COMMENT ON TABLE {onto.sql} IS {literal(str(text))}" for (text,) in comments]


_GRANTEES = {"user": "", "group": "GROUP ", "role": "ROLE ", "public": "PUBLIC"}


def _true(value: Any) -> bool:
    return value is True or str(value).lower() in ("t", "true")
