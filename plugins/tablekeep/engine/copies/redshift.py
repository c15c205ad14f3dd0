"""The copy target Redshift, over its Data API: staged Parquet, COPY, counts and sums, then one transaction that swaps.

The Data API gives results only after a transaction has ended, so there are three: one makes the staging tables, one fills them (COPY into
a temporary table, JSON_PARSE and casts from there), one brings the rows into the table. Before the last one the staged rows are counted,
and their keys summed up. It begins with a statement that fails when the ledger is not as it was when the copy began: of two copies at
once the second changes nothing, and what was done though its answer was lost is not done twice. A staging table or file that a killed
process left is removed by a later copy, once it is older than any statement can run.

Rows come and go inside of the table, which gets the columns that it lacks, so that its number, grants and views stay. Only where a
column's type has to change, or the mapping says `swap: rename`, another table takes its place, with its grants and comment.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.ddl import reject_statements
from tablekeep.engine.copies.dialects import Dialect
from tablekeep.engine.copies.ledger import LEDGER, Load, load_of, newest_sql, of_backup_sql
from tablekeep.engine.copies.modes import ModeName
from tablekeep.engine.copies.names import TableName, parse_table, quoted
from tablekeep.engine.copies.redshift_api import Address, DataApi, literal
from tablekeep.engine.copies.redshift_catalog import Catalog
from tablekeep.engine.copies.redshift_load import RedshiftLoad
from tablekeep.engine.copies.sent import Reject
from tablekeep.engine.copies.target import Loaded, Standing, Work
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.progress import Progress

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+\Z")


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
        return True

    @property
    def modes(self) -> frozenset[ModeName]:
        return frozenset({"replace", "append", "upsert", "incremental"})

    @contextmanager
    def session(self, clock: Clock) -> Iterator["RedshiftSession"]:
        what = f"copying to {self._table} in {self.address}"
        yield RedshiftSession(DataApi(self._clients, self._address, clock, what), self._table, self._role, what, clock)

    def keep_rejects(self, backup_id: str, rejects: tuple[Reject, ...], clock: Clock) -> None:
        api = DataApi(self._clients, self._address, clock, f"writing the reject table of {self._table}")
        for statement in reject_statements(self._table, backup_id, rejects, clock.now(), literal):
            api.run([statement])


class RedshiftSession:
    """One copy. Nothing is locked before the swap, which tells whether another copy was faster."""

    def __init__(self, api: DataApi, table: TableName, role: str, what: str, clock: Clock) -> None:
        self._api, self._table, self._role, self._what, self._clock = api, table, role, what, clock
        self._catalog = Catalog(api)
        self._oid: str | None = None
        self._lines: int | None = None  # of this target in the ledger; None: there is no ledger
        self._last: Load | None = None

    def standing(self) -> Standing:
        table = self._table
        if not self._catalog.has_schema(table.schema):
            raise BadInputError(
                self._what,
                f"there is no schema {table.schema!r}",
                f"CREATE SCHEMA {quoted(table.schema)}, or name another",
            )
        found = self._catalog.relation(table)
        last = None
        if self._catalog.relation(table.beside(LEDGER)) is not None:
            ledger, target = table.beside(LEDGER).sql, literal(str(table))
            self._lines = int(self._api.rows(f'SELECT COUNT(*) FROM {ledger} WHERE "target" = {target}')[0][0])  # noqa: S608
            rows = self._api.rows(newest_sql(table, target))
            last = load_of(rows[0]) if rows else None
        if found is None:
            return Standing(False, last=last)
        self._oid, kind = found
        if last is not None and last.table_id != self._oid:
            last = None  # dropped and made anew by somebody else: theirs
        self._last = last
        return Standing(True, kind == "r", last, tuple(name for name, _ in self._catalog.columns(table)))

    def rows(self) -> int:
        return int(self._api.rows(f"SELECT COUNT(*) FROM {self._table.sql}")[0][0])  # noqa: S608

    def loaded(self, backup_id: str) -> Load | None:
        if self._lines is None:
            return None
        rows = self._api.rows(of_backup_sql(self._table, literal(str(self._table)), literal(backup_id)))
        found = load_of(rows[0]) if rows else None
        return found if found is not None and found.table_id == self._oid else None

    def load(self, work: Work, *, progress: Progress) -> Loaded:
        mapping = self._last.last_mapping if self._last is not None else None
        known = frozenset(child.suffix for child in mapping.children) if mapping is not None else frozenset()
        load = RedshiftLoad(
            self._api,
            self._table,
            self._role,
            self._what,
            self._clock,
            oid=self._oid,
            ours=self._last is not None,
            lines=self._lines,
            known=known,
        )
        return load.run(work, progress)
