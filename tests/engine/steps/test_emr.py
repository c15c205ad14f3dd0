"""Steps of EMR clusters, on moto: made with their end built in, and ended whatever happens."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from moto.backends import get_backend

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, PermanentError
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.steps.emr import (
    EmrStepReport,
    EmrStepRequest,
    NewCluster,
    plan_emr_step,
    run_emr_step,
    step_ended,
)
from tablekeep.engine.steps.facts import RunFacts
from tests.tables import clients

FACTS = RunFacts("etl", "etl", "run__etl/manual__2026-11-23T02:00:00+00:00", datetime(2026, 11, 23, 2, 0, tzinfo=UTC))
CLUSTER = NewCluster(
    "emr-7.9.0", "m5.xlarge", "m5.large", 2, "EMR_DefaultRole", "EMR_EC2_DefaultRole", log_uri="s3://acme/logs",
    applications=("Spark",), bootstrap=({"path": "s3://acme/prepare.sh", "arguments": ["a"]},),
)  # fmt: skip
REQUEST = EmrStepRequest(
    "command-runner.jar", ["spark-submit", "s3://acme/etl.py", "{{ as_of:%Y-%m-%d }}"], new_cluster=CLUSTER
)


class Clock(SystemClock):
    """Instead of waiting it does what happens meanwhile."""

    def __init__(self, *meanwhile: Callable[[], object]) -> None:
        self.meanwhile, self.passed = list(meanwhile), 0.0

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float) -> None:
        self.passed += seconds
        if self.meanwhile:
            self.meanwhile.pop(0)()


def the_cluster() -> Any:
    (one,) = get_backend("emr")["123456789012"]["us-east-1"].clusters.values()
    return one


def become(state: str, reason: str = "") -> Callable[[], None]:
    def change() -> None:
        the_cluster().steps[-1].state = state
        the_cluster().steps[-1].last_state_change_reason = reason

    return change


def run(request: EmrStepRequest, clock: Clock, timeout: float = 3600) -> EmrStepReport:
    return run_emr_step(request, clients(), FACTS, timeout_seconds=timeout, clock=clock, progress=NoProgress())


def test_a_cluster_is_made_for_the_step_and_ends_by_itself_and_by_our_word(local_aws: Any) -> None:
    report = run(REQUEST, Clock(lambda: None, become("COMPLETED")))
    made = the_cluster()
    assert (report.cluster, report.made) == (made.id, True)
    assert made.state == "TERMINATED"
    assert made.keep_job_flow_alive_when_no_steps is False
    assert made.termination_protected is False
    (step,) = made.steps
    assert step.args[-1] == "2026-11-23"
    assert step.action_on_failure == "TERMINATE_CLUSTER"
    assert {one["Key"]: one["Value"] for one in made.tags} == {"tablekeep:pipeline": "etl", "tablekeep:run": FACTS.run}
    assert [(group.role, group.instance_type, group.num_instances) for group in made.instance_groups] == [
        ("MASTER", "m5.xlarge", 1),
        ("CORE", "m5.large", 2),
    ]


@pytest.mark.parametrize("state", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_step_that_fails_is_an_error_and_its_cluster_ends(local_aws: Any, state: str) -> None:
    with pytest.raises(PermanentError, match=f"the step is {state}.*: out of memory"):
        run(REQUEST, Clock(become(state, "out of memory")))
    assert the_cluster().state == "TERMINATED"


def test_a_cluster_that_ends_before_its_step_is_an_error(local_aws: Any) -> None:
    with pytest.raises(PermanentError, match="the cluster TERMINATED"):
        run(REQUEST, Clock(lambda: the_cluster().terminate()))


def test_whatever_ends_the_waiting_ends_the_cluster(local_aws: Any) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(REQUEST, Clock(interrupt))
    assert the_cluster().state == "TERMINATED"
    local_aws.reset()
    with pytest.raises(PermanentError, match="did not end in 60 s"):
        run(REQUEST, Clock(), timeout=60)
    assert the_cluster().state == "TERMINATED"


def existing(local_aws: Any) -> EmrStepRequest:
    instances = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 1, "KeepJobFlowAliveWhenNoSteps": True}
    made = local_aws.client("emr").run_job_flow(Name="ours", ReleaseLabel="emr-7.9.0", Instances=instances)
    return EmrStepRequest("s3://acme/x.jar", ["a"], "com.acme.Main", {"k": "{{ run }}"}, cluster=made["JobFlowId"])


def test_on_a_cluster_that_is_there_only_the_step_is_ours(local_aws: Any) -> None:
    report = run(existing(local_aws), Clock(become("COMPLETED")))
    assert not report.made
    assert the_cluster().state == "RUNNING"
    assert the_cluster().steps[0].id == report.emr_step
    assert the_cluster().steps[0].action_on_failure == "CONTINUE"


def test_of_a_step_that_is_not_waited_for_any_longer_the_cluster_is_told(local_aws: Any) -> None:
    asked: list[Any] = []

    def refuse(params: dict[str, Any], **_: Any) -> tuple[Any, dict[str, Any]]:
        asked.append(json.loads(params["body"]))
        return AWSResponse("", 400, {}, None), {"Error": {"Code": "InvalidRequestException", "Message": "it has ended"}}

    made = clients()
    made.client("emr").meta.events.register("before-call.emr.CancelSteps", refuse)  # moto has no CancelSteps
    request = existing(local_aws)
    # its refusal must not hide what ended the waiting
    with pytest.raises(PermanentError, match="did not end in 60 s"):
        run_emr_step(request, made, FACTS, timeout_seconds=60, clock=Clock(), progress=NoProgress())
    assert asked[0]["StepIds"] == [the_cluster().steps[0].id]
    assert the_cluster().state == "RUNNING"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"Steps": []}, "settings.Steps is not to be set"),
        (
            {"Instances": {"KeepJobFlowAliveWhenNoSteps": True}},
            "Instances.KeepJobFlowAliveWhenNoSteps is not to be set",
        ),
        ({"Instances": {"TerminationProtected": True}}, "TerminationProtected is not to be set"),
        ({"EbsRootVolumeSise": 50}, 'Unknown parameter in input: "EbsRootVolumeSise"'),
        ({"Instances": {"Ec2KeyName": 5}}, "Instances.Ec2KeyName"),
    ],
)
def test_settings_are_checked_and_never_keep_a_cluster_alive(
    local_aws: Any, settings: dict[str, Any], why: str
) -> None:
    from dataclasses import replace

    with pytest.raises(BadInputError, match=why):
        run(replace(REQUEST, new_cluster=replace(CLUSTER, settings=settings)), Clock())
    good = replace(
        CLUSTER,
        settings={"EbsRootVolumeSize": 50, "Instances": {"Ec2KeyName": "k"}, "Tags": [{"Key": "a", "Value": "b"}]},
    )
    planned = plan_emr_step(replace(REQUEST, new_cluster=good), FACTS)["job_flow"]
    assert (planned["EbsRootVolumeSize"], planned["Instances"]["Ec2KeyName"], len(planned["Tags"])) == (50, "k", 3)
    assert not get_backend("emr")["123456789012"]["us-east-1"].clusters


def test_a_step_that_is_not_listed_yet_goes_on(local_aws: Any) -> None:
    request = existing(local_aws)
    assert step_ended(clients(), str(request.cluster), None) is False
