"""Backup set → a table, in steps: the plan, and, once it is approved, the restore."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tablekeep.operators.approve import check_approved, check_fields, check_requester
from tablekeep.operators.base import RuledRestoreOperator, TablekeepOperator
from tablekeep.operators.shelves import shelf_of


class RestoringOperator(RuledRestoreOperator):
    """What both steps are told; the same request gives the same plan.

    :param to_table: the table. :param table: whose backups lie under `to`, the newest verified of which is taken without `backup`.
    :param as_of: instead of a backup: the newest state no later than this (ISO 8601, UTC), increments folded in.
    :param mode, path, backup_arn, backup_role, keys, key_prefix, where, max_wcu, ttl: see `RestoreRequest`; `keys` and `where` also as
        JSON text.
    """

    template_fields: Sequence[str] = (
        "to_table", "backup", "table", "to", "as_of", "mode", "path", "backup_arn", "keys", "key_prefix", "where", "max_wcu",
        "ttl",
        *TablekeepOperator.template_fields,
    )  # fmt: skip

    def __init__(
        self,
        *,
        to_table: str,
        table: str,
        to: str,
        backup: str | None = None,
        as_of: str | None = None,
        mode: str = "new",
        path: str = "auto",
        backup_arn: str | None = None,
        backup_role: str | None = None,
        keys: str | Sequence[str] | None = None,
        key_prefix: str | None = None,
        where: str | Sequence[str] = (),
        max_wcu: float | str | None = None,
        ttl: bool | str = False,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.to_table, self.table, self.to, self.backup = to_table, table, to, backup
        self.as_of, self.mode, self.path = as_of, mode, path
        self.backup_arn, self.backup_role = backup_arn, backup_role
        self.keys, self.key_prefix, self.where = keys, key_prefix, where
        self.max_wcu, self.ttl = max_wcu, ttl

    def request(self, source: Any) -> Any:
        """The engine's request. :raises BadInputError: for a time that cannot be read."""
        from tablekeep.engine.restore.request import RestoreRequest

        keys, where = _lines(self.keys), _lines(self.where)
        as_of = moment(self.as_of)
        return RestoreRequest(
            self.to_table,
            backup=None if as_of else self.backup or None,
            shelf=shelf_of(source, self.to, self.table),
            as_of=as_of,
            mode=self.mode,  # type: ignore[arg-type]
            path=self.path,  # type: ignore[arg-type]
            backup_arn=self.backup_arn or None,
            backup_role=self.backup_role if self.path == "backup" else None,
            keys=keys or None,
            key_prefix=self.key_prefix or None,
            where=where,
            max_wcu=float(self.max_wcu) if self.max_wcu not in (None, "", "None") else None,
            ttl=str(self.ttl) == "True",
            patterns_refused=self.patterns_refused,
            accounts=self.accounts,
            max_usd=self.max_usd,
        )

    @contextmanager
    def telling_what_differs(self) -> Iterator[None]:
        """Logs the keys, as hashes, that a proof has found to differ."""
        from tablekeep.engine.errors import IntegrityError
        from tablekeep.engine.restore.words import attributes_text

        try:
            yield
        except IntegrityError as error:
            for one in (getattr(error, "report", None) and error.report.differing) or ():  # type: ignore[attr-defined]
                self.log.error("key %s: %s %s", one["key"], one["state"], attributes_text(one))
            raise

    def told(self, report: Any) -> dict[str, Any]:
        """The report of a proved restore, in the log and as a dictionary.

        :raises PermanentError: when a setting differs though nothing announced it.
        """
        from tablekeep.engine.errors import PermanentError
        from tablekeep.engine.restore.terraform import import_file

        for missing in report.not_restored:
            self.log.warning("not restored: %s: %s. %s", missing["name"], missing["why"], missing["command"])
        if report.imports:
            self.log.info("for Terraform:\n%s", import_file(report))
        self.log.info("%s holds %s items, content hash %s", report.table, f"{report.items:,}", report.content_hash)
        if report.unverified:
            raise PermanentError(
                f"restoring {report.source_backup['arn']} to {report.table}",
                f"UNVERIFIED: {report.unverified}",
                "the table is there, with its settings; whether it is right has to be known from elsewhere",
            )
        if report.settings_differ:
            raise PermanentError(
                f"restoring {report.backup} to {report.table}",
                f"the items are there and proved, but these settings differ from the backup's: {', '.join(report.settings_differ)}",
                "set them by hand; the record of the restore has both values",
            )
        return dict(report.as_dict())


def _lines(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """Lines of a form, as a template renders them."""
    found = json.loads(given) if isinstance(given, str) and given else given
    return tuple(str(one) for one in found or () if str(one).strip())


def moment(text: str | None) -> Any:
    """A time of a form, as a template renders it; None for none. :raises BadInputError: for what is no time."""
    from datetime import datetime

    from tablekeep.engine.errors import BadInputError

    if not text or text == "None":
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError("reading the time", f"{text[:40]!r} is none", "for example 2026-11-23T02:00:00Z") from None


class PlanRestoreOperator(RestoringOperator):
    """Shows what a restore would do, and refuses one that may not be done. Changes nothing but a record beside the backups.

    Gives `{"backup", "backup_arn", "hash", "text"}`: the manifest's URI, what AWS will restore (empty where it does not), the plan's hash,
    the plan in Markdown.

    :param people: who may ask for it, by name; everybody who may trigger the DAG when empty.
    :param count: the items of a past time, and those that have expired, whatever it takes; see `count_items`.
    """

    template_fields: Sequence[str] = ("count", *RestoringOperator.template_fields)

    def __init__(self, *, people: Sequence[str] = (), count: bool | str = False, **more: Any) -> None:
        super().__init__(**more)
        self.people = list(people)
        self.count = count

    def execute(self, context: Mapping[str, Any]) -> dict[str, Any]:
        from tablekeep.engine.prices import load_prices
        from tablekeep.engine.restore.plan import plan_restore
        from tablekeep.engine.restore.shown import record_plan
        from tablekeep.engine.restore.words import plan_lines, plan_markdown

        common = self.engine_arguments(context)
        source, what = common.pop("clients"), f"restoring to the table {self.to_table}"
        check_fields(context, what)
        check_requester(context, source, shelf_of(source, self.to, self.table), self.people, what)
        prepared = plan_restore(
            self.request(source), clients=self.target(), backup_clients=source, clock=common["clock"], progress=common["progress"],
            prices=load_prices(), count=True if str(self.count) == "True" else None,
        )  # fmt: skip
        plan = prepared.plan
        self.log.info("plan:\n%s", "\n".join(f"  {name:<13} {text}" for name, text in plan_lines(plan)))
        record_plan(prepared, actor=common["actor"], run=common["run"], clock=common["clock"])
        kept = plan.source_backup["arn"] if plan.source_backup else ""
        return {"backup": plan.backup, "backup_arn": kept, "hash": plan.hash, "text": plan_markdown(plan)}


class ParquetToDynamoDBOperator(RestoringOperator):
    """Restores as planned and proves it by reading back. A retry goes on where the try before it died.

    :param plan_hash: of the approved plan: nothing else is done.
    """

    template_fields: Sequence[str] = ("plan_hash", *RestoringOperator.template_fields)

    def __init__(self, *, plan_hash: str, **more: Any) -> None:
        super().__init__(**more)
        self.plan_hash = plan_hash

    def execute(self, context: Mapping[str, Any]) -> Any:
        from tablekeep.engine.restore.table import restore_table

        check_approved(self.plan_hash, f"restoring to the table {self.to_table}")
        common = self.engine_arguments(context)
        source = common.pop("clients")
        with self.telling_what_differs():
            report = restore_table(
                self.request(source), clients=self.target(), backup_clients=source, plan_hash=self.plan_hash, **common
            )
        return self.told(report)
