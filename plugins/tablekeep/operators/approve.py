"""A person looks at the plan of a restore and approves it, or not."""

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator

from tablekeep.notify import publish
from tablekeep.operators.shelves import shelf_of
from tablekeep.runtime import actor, clients_for, requester, run_name


class ApproveRestoreOperator(ApprovalOperator):
    """Carries the plan as Markdown to Airflow's page of required actions, and waits. Whoever answers, and nobody's answer, is recorded.

    Gives `{"plan", "approver"}`. Rejected, unanswered within `response_timeout`, or answered by somebody who may not: a failed task.

    :param plan_hash: of the plan in `body`. :param people: names of those of whom requester and approver must both be one, and not the
        same; anybody who may answer when empty. :param notify: an SNS topic that is told that a plan waits.
    :param table, to: whose backups, and their root. :param service: `rds` when it is an instance, and `table` its name.
    """

    template_fields: Sequence[str] = ("subject", "body", "plan_hash", "table", "to", "aws_conn_id", "region_name")

    def __init__(
        self,
        *,
        plan_hash: str,
        table: str,
        to: str,
        service: str = "dynamodb",
        people: Sequence[str] = (),
        notify: str | None = None,
        aws_conn_id: str = "aws_default",
        region_name: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(fail_on_reject=True, **more)
        self.plan_hash, self.table, self.to, self.people = plan_hash, table, to, list(people)
        self.aws_conn_id, self.region_name, self.notify, self.service = aws_conn_id, region_name, notify, service

    def execute(self, context: Mapping[str, Any]) -> Any:
        try:
            link = self.generate_link_to_ui_from_context(context=context)  # type: ignore[arg-type]
        except ValueError:  # api.base_url is not set
            link = "see Required Actions in Airflow"
        self.log.warning("waiting for a person: %s", link)
        text = f"{requester(context) or 'Somebody'} asks for it. Approve or reject: {link}\n\n{self.body}"
        publish(self.notify, str(self.subject), text, aws_conn_id=self.aws_conn_id, region=self.region_name)
        return super().execute(context)  # type: ignore[arg-type]

    def execute_complete(self, context: Mapping[str, Any], event: dict[str, Any]) -> Any:
        """Judges the answer. :raises PermanentError: for anything but an approval by one who may give it."""
        from tablekeep.engine.errors import PermanentError

        what, todo = f"approving the plan {self.plan_hash[:16]}", "trigger a new run if the restore is still wanted"
        if "error" in event:
            within = f"{self.response_timeout.total_seconds() / 3600:g} hours" if self.response_timeout else "time"
            why = f"nobody answered within {within}" if event.get("error_type") == "timeout" else str(event["error"])
            self._record(context, False, "", why)
            raise PermanentError(what, why, todo)
        given = event.get("responded_by_user") or {}
        names = {str(name) for name in (given.get("name"), given.get("id")) if name}
        approver = str(given.get("name") or given.get("id") or "")
        asked_by = requester(context)
        approved = event["chosen_options"] == [self.APPROVE]
        why = ""
        if not approved:
            why = f"{approver or 'somebody'} rejected it"
        elif self.people and not names & set(self.people):
            why = f"{approver or 'somebody unknown'} approved it, and restore.people names {', '.join(self.people)}"
        elif self.people and asked_by in names:
            why = f"{approver} asked for it and approved it; with restore.people these must be two"
        self._record(context, not why, approver, why)
        if why:
            raise PermanentError(what, why, todo)
        self.log.info("approved by %s", approver)
        return {"plan": self.plan_hash, "approver": approver}

    def _record(self, context: Mapping[str, Any], approved: bool, approver: str, why: str) -> None:
        clients = clients_for(self.aws_conn_id, self.region_name)
        record_approval(
            context,
            clients,
            shelf_of(clients, self.to, self.table, self.service),
            self.plan_hash,
            approved,
            approver,
            why,
        )


def record_approval(
    context: Mapping[str, Any], clients: Any, shelf: Any, plan: str, approved: bool, approver: str, why: str
) -> None:
    """Keeps beside the backups who asked for a restore, who answered, and what; of a request that was refused at once, too."""
    from tablekeep.engine.backups.records import write_record
    from tablekeep.engine.backups.s3 import S3Store
    from tablekeep.engine.clock import SystemClock

    result = {"plan": plan, "approved": approved, "requester": requester(context), "approver": approver, "why": why}
    write_record(
        S3Store(clients, shelf.bucket), shelf, "approval", result, backup_id=None, actor=actor(context), run=run_name(context),
        clock=SystemClock(),
    )  # fmt: skip


def check_fields(context: Mapping[str, Any], what: str) -> None:
    """That the run was triggered with fields of the form alone: Airflow takes others in silence, and what was meant by them would not
    be done. :raises BadInputError: for another one."""
    from tablekeep.engine.errors import BadInputError

    known, given = set(context["dag"].params), set(context["dag_run"].conf or {})
    if unknown := sorted(given - known):
        raise BadInputError(what, f"there is no field {unknown[0][:60]}", f"the fields are {', '.join(sorted(known))}")


def check_requester(context: Mapping[str, Any], clients: Any, shelf: Any, people: Sequence[str], what: str) -> None:
    """That whoever triggered the run is one of the people who may; recorded when not.

    :raises BadInputError: else.
    """
    from tablekeep.engine.errors import BadInputError

    asked_by = requester(context)
    if people and asked_by not in people:
        why = f"{asked_by or 'nobody'} asks for it, and restore.people names {', '.join(people)}"
        record_approval(context, clients, shelf, "", False, "", why)
        raise BadInputError(what, why, "ask one of them to trigger it")


def check_approved(plan_hash: str, what: str) -> None:
    """That a plan was approved. :raises BadInputError: else."""
    from tablekeep.engine.errors import BadInputError

    if not plan_hash or plan_hash == "None":
        raise BadInputError(what, "nobody has approved it", "trigger a new run")
