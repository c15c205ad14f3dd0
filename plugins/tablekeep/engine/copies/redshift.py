"""The copy target Redshift, over its Data API: staged Parquet, COPY into a staging table, counts, then one swap.

The Data API gives results only after a transaction has ended, so there are two: one makes and fills the staging table, the
other swaps. Between them the staging table is counted. The swap begins with a statement that fails when the ledger is not
as it was when the copy began: of two copies at once the second changes nothing. A staging table that a killed process left
is dropped by a later copy of the same target, once it is older than any statement can run.

Where the columns are the same the rows are replaced inside of the table, so that grants, views and keys stay; else the table
is dropped (refused by Redshift when views need it) and the staging table takes its name.
"""

import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.convert import Reject, Sent, differing_counts
from tablekeep.engine.copies.ddl import reject_statements
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.ledger import LEDGER, Load, create_sql, insert_sql, load_of, newest_sql, of_backup_sql
from tablekeep.engine.copies.mapping import Mapping
from tablekeep.engine.copies.modes import ModeName
from tablekeep.engine.copies.names import TableName, parse_table, quoted
from tablekeep.engine.copies.redshift_api import Address, DataApi, StatementError, literal
from tablekeep.engine.copies.staging import StagedFiles
from tablekeep.engine.copies.target import Loaded, Standing, Work
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.progress import Progress

STAGING = "tablekeep_staging_"
STAGING_AGE = timedelta(hours=25)
"""Older than any statement of the Data API can run."""
_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+\Z")
COUNTED_AT_ONCE = 200
"""Columns whose nulls are counted by one query."""


class RedshiftTarget:
    """A table of a Redshift database.

    :param iam_role: with which Redshift reads the staged files. :param table: `schema.table`; Redshift folds names to lower case.
    :raises BadInputError: for an impossible address.
    """

    def __init__(
        self,
        clients: Clients,
        table: str,
        *,
        database: str,
        iam_role: str,
        workgroup: str | None = None,
        cluster: str | None = None,
        db_user: str | None = None,
        secret: str | None = None,
    ) -> None:
        parsed = parse_table(table, "redshift")
        self._table = TableName(parsed.schema.lower(), parsed.table.lower(), "redshift")
        if self._table.table == LEDGER:
            raise BadInputError(f"copying to {self._table}", "this is the ledger itself", "name another table")
        if not _ROLE.match(iam_role):
            raise BadInputError(
                f"copying to {self._table}",
                f"{iam_role!r} is no role's ARN",
                "for example arn:aws:iam::123456789012:role/copy",
            )
        self._clients, self._role = clients, iam_role
        self._address = Address(database, workgroup, cluster, db_user, secret)

    @property
    def address(self) -> str:
        return self._address.text

    @property
    def table(self) -> TableName:
        return self._table

    @property
    def dialect(self) -> Dialect:
        return "redshift"

    @property
    def child_tables(self) -> bool:
        return False

    @property
    def modes(self) -> frozenset[ModeName]:
        return frozenset({"replace"})

    @contextmanager
    def session(self, clock: Clock) -> Iterator["RedshiftSession"]:
        what = f"copying to {self._table} in {self.address}"
        yield RedshiftSession(DataApi(self._clients, self._address, clock, what), self._table, self._role, what, clock)

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...], clock: Clock) -> None:
        api = DataApi(self._clients, self._address, clock, f"writing the reject table of {self._table}")
        api.run(reject_statements(self._table, backup_id, rejects, clock.now(), literal))


class RedshiftSession:
    """One copy. Nothing is locked before the swap, which tells whether another copy was faster."""

    def __init__(self, api: DataApi, table: TableName, role: str, what: str, clock: Clock) -> None:
        self._api, self._table, self._role, self._what, self._clock = api, table, role, what, clock
        self._oid: str | None = None
        self._ledger: int | None = None  # lines of this target in it; None: there is no ledger

    def standing(self) -> Standing:
        table = self._table
        if not self._api.rows(f"SELECT 1 FROM pg_namespace WHERE nspname = {literal(table.schema)}"):  # noqa: S608
            raise BadInputError(
                self._what,
                f"there is no schema {table.schema!r}",
                f"CREATE SCHEMA {quoted(table.schema)}, or name another",
            )
        found = self._relation(table)
        last = None
        if self._relation(table.beside(LEDGER)) is not None:
            self._ledger = self._lines()
            rows = self._api.rows(newest_sql(table, literal(str(table))))
            last = load_of(rows[0]) if rows else None
        if found is None:
            return Standing(False, last=last)
        self._oid, kind = found
        if last is not None and last.table_id != self._oid:
            last = None  # dropped and made anew by somebody else: theirs
        return Standing(True, kind == "r", last)

    def _relation(self, table: TableName) -> tuple[str, str] | None:
        rows = self._api.rows(
            "SELECT c.oid::varchar, c.relkind::varchar FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
            f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.table)}"
        )
        return (str(rows[0][0]), str(rows[0][1])) if rows else None

    def _lines(self) -> int:
        ledger = self._table.beside(LEDGER).sql
        return int(self._api.rows(f'SELECT count(*) FROM {ledger} WHERE "target" = {literal(str(self._table))}')[0][0])  # noqa: S608

    def rows(self) -> int:
        return int(self._api.rows(f"SELECT count(*) FROM {self._table.sql}")[0][0])  # noqa: S608

    def loaded(self, backup_id: str) -> Load | None:
        if self._ledger is None:
            return None
        rows = self._api.rows(of_backup_sql(self._table, literal(str(self._table)), literal(backup_id)))
        found = load_of(rows[0]) if rows else None
        return found if found is not None and found.table_id == self._oid else None

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        opened, mapping, load = work.opened, work.mapping, work.load
        self._drop_forgotten(progress)
        token = f"{self._clock.now():%Y%m%d%H%M%S}_{self._clock.token(4)}"
        staging = self._table.beside(f"{self._staging_prefix()}{token}")
        prefix = f"{opened.manifest.location.prefix}/_state/redshift-{token}"
        with StagedFiles(opened, mapping, prefix) as files:
            files.write(str(self._table), progress)
            progress.phase("load")
            self._fill(staging, mapping, files, progress)
        try:
            self._check(staging, mapping, files.sent)
            progress.phase("swap")
            self._swap(staging, mapping, load, files.sent.rejects, progress)
        except BaseException:
            self._give_up(staging)
            raise
        return Loaded(files.sent, files.sent.rows)

    def _staging_prefix(self) -> str:
        """Says of which target a staging table is; names may be too long to stand in it whole."""
        return f"{STAGING}{zlib.crc32(self._table.table.encode()):08x}_"

    def _drop_forgotten(self, progress: Progress) -> None:
        """Drops what killed copies of this target left."""
        prefix = self._staging_prefix()
        rows = self._api.rows(
            "SELECT c.relname::varchar FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "  # noqa: S608
            f"WHERE n.nspname = {literal(self._table.schema)} AND left(c.relname::varchar, {len(prefix)}) = {literal(prefix)}"
        )
        for (name,) in rows:
            made = re.fullmatch(rf"{prefix}([0-9]{{14}})_[0-9a-f]{{8}}", str(name))
            if (
                made
                and self._clock.now() - datetime.strptime(made[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) > STAGING_AGE
            ):
                progress.note(f"dropping the staging table {name}, which a copy left that did not end")
                self._api.run([f"DROP TABLE IF EXISTS {self._table.beside(str(name)).sql}"])

    def _give_up(self, staging: TableName) -> None:
        try:
            self._api.run([f"DROP TABLE IF EXISTS {staging.sql}"])
        except Exception:  # the error that led here matters more; a later copy drops the table
            return

    def _fill(self, staging: TableName, mapping: Mapping, files: StagedFiles, progress: Progress) -> None:
        statements = [f"CREATE TABLE {staging.sql} ({mapping.definitions})"]
        if not files.empty:
            statements.append(
                f"COPY {staging.sql} FROM {literal(files.manifest_uri)} IAM_ROLE {literal(self._role)} FORMAT AS PARQUET MANIFEST"
            )
        try:
            self._api.run(statements, progress)
        except StatementError as error:
            raise self._explained(error) from None

    def _explained(self, error: StatementError) -> PermanentError:
        """A failed COPY with what Redshift notes of it; the notes name columns and rules, never values."""
        if error.number != 1 or not error.query_id:
            return error
        try:
            rows = self._api.rows(
                "SELECT trim(column_name), trim(column_type), trim(error_message) FROM sys_load_error_detail "  # noqa: S608
                f"WHERE query_id = {int(error.query_id)} ORDER BY start_time LIMIT 3"
            )
        except (PermanentError, TransientError):
            rows = []
        if not rows:  # errors of Spectrum stand in the message only
            return PermanentError(self._what, f"COPY failed: {error.message}", "the table was left as it was")
        told = "; ".join(f"column {column} ({kind}): {message}" for column, kind, message in rows)
        return PermanentError(self._what, f"COPY failed: {told}", "the table was left as it was")

    def _check(self, staging: TableName, mapping: Mapping, sent: Sent) -> None:
        rows, nulls = -1, dict[str, int]()
        for start in range(0, len(mapping.columns), COUNTED_AT_ONCE):
            columns = mapping.columns[start : start + COUNTED_AT_ONCE]
            counts = ", ".join(f"count(*) - count({quoted(column.name)})" for column in columns)
            (row,) = self._api.rows(f"SELECT count(*), {counts} FROM {staging.sql}")  # noqa: S608
            rows = int(row[0])
            nulls |= {column.name: int(count) for column, count in zip(columns, row[1:], strict=True)}
        problems = differing_counts(sent, rows, nulls)
        if problems:
            raise IntegrityError(
                self._what,
                f"the staging table differs from what was sent: {'; '.join(problems[:5])}",
                "nothing was swapped",
            )

    def _columns(self, table: TableName) -> list[Any]:
        return self._api.rows(
            "SELECT a.attname::varchar, format_type(a.atttypid, a.atttypmod)::varchar FROM pg_attribute a "  # noqa: S608
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace "
            f"WHERE n.nspname = {literal(table.schema)} AND c.relname = {literal(table.table)} AND a.attnum > 0 "
            "AND NOT a.attisdropped ORDER BY a.attname"
        )

    def _swap(
        self, staging: TableName, mapping: Mapping, load: Load, rejects: list[Reject], progress: Progress
    ) -> None:
        table, ledger = self._table, self._table.beside(LEDGER).sql
        if self._ledger is None:
            try:
                self._api.run([create_sql(table, "redshift")])
            except StatementError:  # another copy may have made it at the same moment
                if self._relation(table.beside(LEDGER)) is None:
                    raise
            self._ledger = 0
        target = literal(str(table))
        statements = [
            f"LOCK {ledger}",
            # fails, and with it the transaction, when another copy has added a line meanwhile
            f'SELECT 1 / (CASE WHEN count(*) = {self._ledger} THEN 1 ELSE 0 END) FROM {ledger} WHERE "target" = {target}',  # noqa: S608
        ]
        if self._oid is not None and self._columns(staging) == self._columns(table):
            names = ", ".join(quoted(column.name) for column in mapping.columns)
            statements += [
                f"DELETE FROM {table.sql}",  # noqa: S608
                f"INSERT INTO {table.sql} ({names}) SELECT {names} FROM {staging.sql}",  # noqa: S608
                f"DROP TABLE {staging.sql}",
            ]
            oid = self._oid
        else:
            made = self._relation(staging)
            if made is None:
                raise TransientError(self._what, "the staging table is gone", "try again")
            oid = made[0]  # a renamed table keeps its number
            statements += [f"DROP TABLE {table.sql}"] if self._oid is not None else []
            statements.append(f"ALTER TABLE {staging.sql} RENAME TO {quoted(table.table)}")
        if rejects:
            statements += reject_statements(table, load.backup_id, rejects, self._clock.now(), literal)
        values = ", ".join(_sql_value(value) for value in replace(load, table_id=oid).values())
        statements.append(insert_sql(table, values))
        try:
            self._api.run(statements, progress)
        except StatementError as error:
            raise self._swap_error(error) from None

    def _swap_error(self, error: StatementError) -> Exception:
        if error.number == 1 or "divi" in error.message.lower():
            return TransientError(
                self._what, "another copy to this table was faster", "look at what the table holds now, and try again"
            )
        if "already exists" in error.message:
            return TransientError(self._what, "a table of this name was made meanwhile", "look at it, and try again")
        if "depend" in error.message:
            return BadInputError(
                self._what, f"the columns have changed, and the old table is needed: {error.message}",
                "drop the views on it, copy again, and make them again; the table was left as it was",
            )  # fmt: skip
        return error


def _sql_value(value: Any) -> str:
    """A value of the ledger as SQL."""
    if isinstance(value, datetime):
        return f"{literal(value.astimezone(UTC).isoformat())}::timestamptz"
    return str(value) if isinstance(value, int) else literal(str(value))
