"""One load of a set into a table of Redshift: stage, fill, prove, swap. See `redshift.py` for the transactions."""

import re
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tablekeep.engine.clock import Clock
from tablekeep.engine.copies.ddl import create_table, reject_statements
from tablekeep.engine.copies.keys import KeySum
from tablekeep.engine.copies.ledger import LEDGER, create_sql, insert_counted_sql
from tablekeep.engine.copies.mapping import SqlColumn
from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.copies.redshift_api import MAX_STATEMENTS, DataApi, StatementError, literal, without_values
from tablekeep.engine.copies.redshift_catalog import Catalog
from tablekeep.engine.copies.redshift_raw import Documents, key_sum, raw_columns
from tablekeep.engine.copies.redshift_swap import (
    Child,
    Difference,
    Staged,
    Step,
    Way,
    choose_way,
    refill_sql,
    swap_steps,
)
from tablekeep.engine.copies.sent import Sent, differing_counts
from tablekeep.engine.copies.staging import CHANGE_COLUMN, FileGroup, StagedFiles, forget_staged, staging_prefix
from tablekeep.engine.copies.super_documents import PROBE, keeps_decimals
from tablekeep.engine.copies.target import Loaded, Work
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.items.changes import DELETE, PUT
from tablekeep.engine.progress import Progress

STAGING = "tablekeep_staging_"
STAGING_AGE = timedelta(hours=25)
"""Older than any statement of the Data API can run."""
MAX_CHILDREN = 6
"""Tables of sets: three statements each in the swap."""
COUNTED_AT_ONCE = 200
"""Columns whose nulls are counted by one query."""


class RedshiftLoad:
    """One load. Made after the session has looked.

    :param oid: the table's number; None when there is none. :param ours: the table was made, or taken over, by us.
    :param lines: of the target in the ledger; None: there is no ledger.
    :param known: suffixes of the child tables that the last load has made.
    """

    def __init__(
        self, api: DataApi, table: TableName, role: str, what: str, clock: Clock, *, oid: str | None, ours: bool,
        lines: int | None, known: frozenset[str],
    ) -> None:  # fmt: skip
        self._api, self._catalog, self._table, self._role, self._what = api, Catalog(api), table, role, what
        self._clock, self._oid, self._ours, self._lines, self._known = clock, oid, ours, lines, known
        self._token = f"{clock.now():%Y%m%d%H%M%S}_{clock.token(4)}"
        self._prefix = f"{STAGING}{zlib.crc32(table.table.encode()):08x}_"
        self._made = list[TableName]()
        self._have = list[tuple[str, str]]()

    def run(self, work: Work, progress: Progress) -> Loaded:
        """See `Session.load`."""
        opened, mapping = work.opened, work.mapping
        self._check_region(work)
        if len(mapping.children) > MAX_CHILDREN:
            raise BadInputError(
                self._what,
                f"{len(mapping.children)} sets become tables, and one transaction of the Data API takes {MAX_STATEMENTS} statements",
                f"make tables of {MAX_CHILDREN} at most, and JSON of the others",
            )
        self._forget(progress)
        forget_staged(opened.store, opened.manifest.location, opened.store.now(), STAGING_AGE)
        self._have = self._catalog.columns(self._table) if self._oid is not None else []
        columns = self._ordered(mapping.columns)
        documents = Documents(decimals=self._keeps_decimals(mapping.columns, progress))
        children = [raw_columns(child.columns, documents) for child in mapping.children]
        files = StagedFiles(
            opened,
            staging_prefix(opened.manifest.location, self._token),
            raw_columns(mapping.columns, documents),
            children,
        )
        try:
            with files:
                sent = files.write(mapping, str(self._table), progress)
                progress.phase("load")
                staged = self._stage(work, columns, files, progress)
            self._prove(work, staged, sent)
            for name, count in documents.texts.items():
                progress.note(f"column {name!r}: {count:,} numbers that SUPER would not hold exactly are texts in it")
            progress.phase("swap")
            counts = self._swap(work, staged, sent, progress)
        except BaseException:
            self._give_up()
            raise
        rows = int(self._api.rows(f"SELECT COUNT(*) FROM {self._table.sql}")[0][0])  # noqa: S608
        puts = sent.rows - sent.deletes
        inserted = counts.get("inserted", puts - counts.get("updated", 0))
        return Loaded(sent, rows, inserted, counts.get("updated", 0), counts.get("deleted", 0))

    def _check_region(self, work: Work) -> None:
        """COPY takes Parquet from a bucket of the warehouse's own Region only ("COPY from columnar data formats")."""
        found = work.opened.store.region()
        if found and found != self._api.region:
            raise BadInputError(
                self._what,
                f"the backup lies in {found} and the warehouse in {self._api.region}: COPY takes Parquet from its own Region only",
                f"replicate the bucket to {self._api.region} and copy the set from there; nothing was written",
            )

    def _keeps_decimals(self, columns: tuple[SqlColumn, ...], progress: Progress) -> bool:
        if not any(column.form == "json" and not column.typed for column in columns):
            return True
        ((answer,),) = self._api.rows(f"SELECT JSON_SERIALIZE(JSON_PARSE({literal(PROBE)}))")
        kept = keeps_decimals(str(answer))
        if not kept:
            progress.note(
                "this warehouse makes doubles of decimals in SUPER: numbers that a double does not hold are texts"
            )
        return kept

    def _ordered(self, columns: tuple[SqlColumn, ...]) -> list[SqlColumn]:
        """The columns in the order of the table, which may not be the mapping's; new ones last."""
        place = {name: number for number, (name, _) in enumerate(self._have)}
        return sorted(columns, key=lambda column: place.get(column.name.lower(), len(place)))

    def _staging(self, suffix: str = "") -> TableName:
        made = self._table.beside(f"{self._prefix}{self._token}{suffix}")
        self._made.append(made)
        return made

    def _stage(self, work: Work, columns: list[SqlColumn], files: StagedFiles, progress: Progress) -> Staged:
        """Makes the staging tables and fills them."""
        mapping = work.mapping
        key = [column for column in columns if column.key]
        rows, changes = self._staging(), work.opened.manifest.window is not None
        statements = [create_table(rows, columns)]
        deletes = self._staging("_d") if changes else None
        if deletes is not None:
            statements.append(create_table(deletes, key))
        children = list[Child]()
        for number, child in enumerate(mapping.children):
            name = child.beside(self._table)
            there = self._catalog.relation(name) is not None
            if there and child.suffix not in self._known and not work.adopt:
                raise BadInputError(
                    self._what,
                    f"the table {name} exists and is not in our ledger, so others made it",
                    "give the set another name",
                )
            children.append(Child(name, self._staging(f"_c{number}"), there))
            statements.append(create_table(children[-1].staging, child.columns))
        self._api.run(statements, progress)
        made = {column.name: raw.made for column, raw in zip(mapping.columns, files.rows.columns, strict=False)}
        values = ", ".join(made[column.name] for column in columns)
        targets = [(rows, values, f"WHERE {CHANGE_COLUMN.name} = '{PUT}'" if changes else "")]
        if deletes is not None:
            targets.append(
                (deletes, ", ".join(made[one.name] for one in key), f"WHERE {CHANGE_COLUMN.name} = '{DELETE}'")
            )
        self._fill(files.rows, targets, progress)
        for one, group in zip(children, files.children, strict=True):
            self._fill(group, [(one.staging, ", ".join(raw.made for raw in group.columns), "")], progress)
        names = tuple(column.name for column in mapping.columns if column.key)
        return Staged(self._table, rows, names, deletes, tuple(children), columns=tuple(columns))

    def _fill(self, group: FileGroup, targets: list[tuple[TableName, str, str]], progress: Progress) -> None:
        if not group.rows:
            return
        raw = "tablekeep_raw"
        statements = [
            f"CREATE TEMPORARY TABLE {raw} ({', '.join(column.definition for column in group.columns)})",
            f"COPY {raw} FROM {literal(group.manifest_uri)} IAM_ROLE {literal(self._role)} FORMAT AS PARQUET MANIFEST",
            *(f"INSERT INTO {name.sql} SELECT {values} FROM {raw} {where}".strip() for name, values, where in targets),  # noqa: S608
        ]
        try:
            self._api.run(statements, progress)
        except StatementError as error:
            raise self._explained(error) from None

    def _explained(self, error: StatementError) -> TablekeepError:
        """A failed COPY with what Redshift notes of it: columns and rules, never values."""
        if error.number != 1 or not error.query_id:
            return error
        try:
            rows = self._api.rows(
                "SELECT trim(column_name), trim(column_type), trim(error_message) FROM sys_load_error_detail "  # noqa: S608
                f"WHERE query_id = {int(error.query_id)} ORDER BY start_time LIMIT 3"
            )
        except (PermanentError, TransientError):
            rows = []
        told = "; ".join(
            (f"column {column} ({kind}): " if column else "") + without_values(str(message))
            for column, kind, message in rows
        )
        # errors of Spectrum stand in the message only
        return PermanentError(self._what, f"COPY failed: {told or error.message}", "the table was left as it was")

    def _prove(self, work: Work, staged: Staged, sent: Sent) -> None:
        """That the staging tables hold what was sent: rows, nulls of each column, the key set's sum, members of sets."""
        mapping = work.mapping
        keys = [column for column in mapping.columns if column.key]
        rows, nulls = -1, dict[str, int]()
        for start in range(0, len(mapping.columns), COUNTED_AT_ONCE):
            columns = mapping.columns[start : start + COUNTED_AT_ONCE]
            counts = ", ".join(f"COUNT(*) - COUNT({quoted(column.name)})" for column in columns)
            (row,) = self._api.rows(f"SELECT COUNT(*), {counts} FROM {staged.rows.sql}")  # noqa: S608
            rows = int(row[0])
            nulls |= {column.name: int(count) for column, count in zip(columns, row[1:], strict=True)}
        total = self._sum(staged.rows, keys)
        if staged.deletes is not None:
            gone = self._sum(staged.deletes, keys)
            rows, total = rows + gone.count, KeySum(total.count + gone.count, total.total + gone.total)
            # deleted items have their key alone
            nulls = {name: count + (0 if name in staged.key else gone.count) for name, count in nulls.items()}
        problems = differing_counts(sent, rows, nulls, total)
        listed = ", ".join(quoted(column.name) for column in keys)
        twice = f"SELECT 1 FROM {staged.rows.sql} GROUP BY {listed} HAVING COUNT(*) > 1 LIMIT 1"  # noqa: S608
        if not problems and self._api.rows(twice):
            problems.append("a key is there twice")
        for child, one in zip(mapping.children, staged.children, strict=True):
            members = int(self._api.rows(f"SELECT COUNT(*) FROM {one.staging.sql}")[0][0])  # noqa: S608
            if members != sent.members[child.suffix]:
                problems.append(f"{one.table} has {members:,} members, {sent.members[child.suffix]:,} were sent")
        if problems:
            raise IntegrityError(
                self._what,
                f"the staging tables differ from what was sent: {'; '.join(problems[:5])}",
                "nothing was swapped",
            )

    def _sum(self, table: TableName, keys: list[SqlColumn]) -> KeySum:
        ((count, total),) = self._api.rows(f"SELECT COUNT(*), {key_sum(keys, quoted)} FROM {table.sql}")  # noqa: S608
        return KeySum(int(count), int(total))

    def _swap(self, work: Work, staged: Staged, sent: Sent, progress: Progress) -> dict[str, int]:
        """Brings the staged rows into the table; returns the rows that were inserted, updated and deleted, where the mode tells."""
        need = self._catalog.columns(staged.rows)
        difference = Difference.of(self._have, need)
        way = choose_way(self._oid is not None, self._ours, work.mode, difference)
        staged = replace(staged, extra=difference.extra)
        self._check_children(way, staged)
        added = [column for column in work.mapping.columns if column.name.lower() in difference.missing]
        changes = staged.deletes is not None
        before = list[str]()
        if way == "refill":
            staged = replace(staged, fresh=self._staging("_n"))
            assert staged.fresh is not None
            theirs = [
                f"ALTER TABLE {staged.fresh.sql} ADD COLUMN {quoted(name)} {kind}"
                for name, kind in self._have
                if name in difference.extra
            ]
            self._api.run([create_table(staged.fresh, staged.columns), *theirs])
            before = [refill_sql(staged.fresh, self._table, staged.columns, self._have, need)]
        if way in ("anew", "refill"):
            taken = staged.fresh if staged.fresh is not None else staged.rows
            before += self._catalog.grants(self._table, taken)
        oid = self._number(way, staged)
        if sent.rejects:
            for statement in reject_statements(
                self._table, work.load.backup_id, sent.rejects, self._clock.now(), literal
            ):
                self._api.run([statement])
        steps = [
            *(Step(sql) for sql in self._guard()),
            *(Step(sql) for sql in before),
            *swap_steps(way, work.mode, staged, added, changes=changes),
            Step(insert_counted_sql(self._table, replace(work.load, table_id=oid), _sql_value)),
        ]
        try:
            parts = self._api.run([step.sql for step in steps], progress)
        except StatementError as error:
            raise self._swap_error(error) from None
        self._made.clear()
        counts: dict[str, int] = {}
        for step, part in zip(steps, parts, strict=True):
            if step.counts:
                counts[step.counts] = counts.get(step.counts, 0) + max(0, int(part.get("ResultRows", 0)))
        return counts

    def _check_children(self, way: Way, staged: Staged) -> None:
        for one in staged.children if way in ("rows", "refill") else ():
            if one.there and self._catalog.columns(one.table) != self._catalog.columns(one.staging):
                raise BadInputError(
                    self._what, f"the columns of {one.table} have changed", "use mode: replace with swap: rename once"
                )

    def _number(self, way: Way, staged: Staged) -> str:
        """The table's number after the swap; a renamed table keeps its own."""
        if way == "rows" and self._oid is not None:
            return self._oid
        found = self._catalog.relation(staged.fresh if staged.fresh is not None else staged.rows)
        if found is None:
            raise TransientError(self._what, "the staging table is gone", "try again")
        return found[0]

    def _guard(self) -> list[str]:
        """Statements that fail, and with them the transaction, when another copy has added a line to the ledger meanwhile."""
        table, ledger = self._table, self._table.beside(LEDGER)
        if self._lines is None:
            try:
                self._api.run([create_sql(table, "redshift")])
            except StatementError:  # another copy may have made it at the same moment
                if self._catalog.relation(ledger) is None:
                    raise
            self._lines = 0
        target = literal(str(table))
        return [
            f"LOCK {ledger.sql}",
            f'SELECT 1 / (CASE WHEN COUNT(*) = {self._lines} THEN 1 ELSE 0 END) FROM {ledger.sql} WHERE "target" = {target}',  # noqa: S608
        ]

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

    def _forget(self, progress: Progress) -> None:
        """Drops what killed copies of this target left."""
        for name in self._catalog.named_like(self._table.schema, self._prefix):
            made = re.fullmatch(rf"{self._prefix}([0-9]{{14}})_[0-9a-f]{{8}}(?:_[a-z0-9]+)?", name)
            if (
                made
                and self._clock.now() - datetime.strptime(made[1], "%Y%m%d%H%M%S").replace(tzinfo=UTC) > STAGING_AGE
            ):
                progress.note(f"dropping the staging table {name}, which a copy left that did not end")
                self._api.run([f"DROP TABLE IF EXISTS {self._table.beside(name).sql}"])

    def _give_up(self) -> None:
        for made in self._made:
            try:
                self._api.run([f"DROP TABLE IF EXISTS {made.sql}"])
            except Exception:  # the error that led here matters more; a later copy drops the table
                return


def _sql_value(value: Any) -> str:
    """A value of the ledger as SQL."""
    if isinstance(value, datetime):
        return f"{literal(value.astimezone(UTC).isoformat())}::timestamptz"
    return str(value) if isinstance(value, int) else literal(str(value))
