"""Steps of EMR clusters: on one that is there, or on one that is made for the step and ends with it.

A cluster that is made here carries the step from its first moment, and EMR itself ends it when the step has ended, well or not
(`KeepJobFlowAliveWhenNoSteps: false`, `TERMINATE_CLUSTER`): even when nothing that made it lives any longer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tablekeep.engine.clients import Clients, translated
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, TransientError
from tablekeep.engine.progress import Progress
from tablekeep.engine.steps.aws_call import AwsCallRequest, plan_aws_call
from tablekeep.engine.steps.facts import RunFacts

POLL_SECONDS = 30.0
OWN = ("Steps", "Name")
OWN_OF_INSTANCES = ("KeepJobFlowAliveWhenNoSteps", "TerminationProtected", "InstanceGroups")
"""Of RunJobFlow: not to be set by hand, for they decide whether the cluster ends."""
_ENDED = {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED"}


@dataclass(frozen=True)
class NewCluster:
    """A cluster for one step.

    :ivar release: `emr-7.9.0`. :ivar master, core: instance types; `core_count` 0: the master alone. :ivar bootstrap: path and
        arguments of each script that prepares the nodes. :ivar settings: more of RunJobFlow's parameters.
    """

    release: str
    master: str
    core: str
    core_count: int
    service_role: str
    instance_role: str
    subnet: str | None = None
    log_uri: str | None = None
    applications: Sequence[str] = ()
    bootstrap: Sequence[Mapping[str, Any]] = ()
    settings: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class EmrStepRequest:
    """What is to be run, and where: on the cluster of an id, or on a new one.

    :ivar jar: `command-runner.jar`, or an S3 address. :ivar arguments: `{{ as_of }}` and the like are filled in.
    """

    jar: str
    arguments: Sequence[str | int]
    main_class: str | None = None
    properties: Mapping[str, str] | None = None
    cluster: str | None = None
    new_cluster: NewCluster | None = None


@dataclass(frozen=True)
class EmrStepReport:
    """:ivar made: the cluster was made for the step, and has been told to end."""

    step: str
    cluster: str
    emr_step: str
    made: bool
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def plan_emr_step(request: EmrStepRequest, facts: RunFacts) -> dict[str, Any]:
    """What EMR would be asked, checked against its own description: `job_flow` (RunJobFlow's parameters; None on a cluster that is
    there) and `steps`.

    :raises BadInputError: for what EMR does not know, or for settings that would keep the cluster alive.
    """
    steps = [_step(request, facts)]
    if request.new_cluster is None:
        plan_aws_call(AwsCallRequest("emr", "add_job_flow_steps", {"JobFlowId": request.cluster, "Steps": steps}))
        return {"job_flow": None, "steps": steps}
    job_flow = _job_flow(request.new_cluster, steps, facts)
    plan_aws_call(AwsCallRequest("emr", "run_job_flow", job_flow))
    return {"job_flow": job_flow, "steps": steps}


def _step(request: EmrStepRequest, facts: RunFacts) -> dict[str, Any]:
    jar: dict[str, Any] = {"Jar": facts.fill(request.jar), "Args": facts.texts(request.arguments)}
    if request.main_class:
        jar["MainClass"] = request.main_class
    if request.properties:
        jar["Properties"] = [{"Key": key, "Value": facts.fill(value)} for key, value in request.properties.items()]
    on_failure = "TERMINATE_CLUSTER" if request.new_cluster else "CONTINUE"
    return {"Name": f"{facts.pipeline} {facts.run}"[:256], "ActionOnFailure": on_failure, "HadoopJarStep": jar}


def _job_flow(cluster: NewCluster, steps: list[dict[str, Any]], facts: RunFacts) -> dict[str, Any]:
    settings: dict[str, Any] = facts.fill(dict(cluster.settings or {}))
    instances, more_tags = dict(settings.pop("Instances", {})), settings.pop("Tags", [])
    refused = [name for name in OWN if name in settings] + [
        f"Instances.{one}" for one in OWN_OF_INSTANCES if one in instances
    ]
    if refused:
        raise BadInputError(
            "planning the EMR cluster", f"settings.{refused[0]} is not to be set by hand", "leave it out"
        )
    groups = [{"InstanceRole": "MASTER", "InstanceType": cluster.master, "InstanceCount": 1}]
    if cluster.core_count:
        groups.append({"InstanceRole": "CORE", "InstanceType": cluster.core, "InstanceCount": cluster.core_count})
    instances |= {"InstanceGroups": groups, "KeepJobFlowAliveWhenNoSteps": False, "TerminationProtected": False}
    if cluster.subnet:
        instances["Ec2SubnetId"] = cluster.subnet
    tags = [{"Key": "tablekeep:pipeline", "Value": facts.pipeline}, {"Key": "tablekeep:run", "Value": facts.run[:256]}]
    job_flow: dict[str, Any] = {
        "Name": f"tablekeep {facts.pipeline}", "ReleaseLabel": cluster.release, "ServiceRole": cluster.service_role,
        "JobFlowRole": cluster.instance_role, "VisibleToAllUsers": True,
        "Applications": [{"Name": name} for name in cluster.applications],
        "BootstrapActions": [_bootstrap(number, one, facts) for number, one in enumerate(cluster.bootstrap, 1)],
    }  # fmt: skip
    if cluster.log_uri:
        job_flow["LogUri"] = cluster.log_uri
    return job_flow | settings | {"Instances": instances, "Steps": steps, "Tags": [*tags, *more_tags]}


def _bootstrap(number: int, one: Mapping[str, Any], facts: RunFacts) -> dict[str, Any]:
    arguments = facts.texts(one.get("arguments", ()))
    return {"Name": f"bootstrap {number}", "ScriptBootstrapAction": {"Path": one["path"], "Args": arguments}}


def step_ended(clients: Clients, cluster: str, step: str | None) -> bool:
    """Whether the step has ended well.

    :param step: None: the first one of a cluster that was made with it. :returns: False while it goes on.
    :raises PermanentError: when it failed, was cancelled, or its cluster ended before it.
    """
    what = f"running a step on the EMR cluster {cluster}"
    emr = clients.client("emr")
    with translated(what):
        found = emr.describe_step(ClusterId=cluster, StepId=step)["Step"] if step else _first_step(emr, cluster)
        status: dict[str, Any] = found["Status"] if found else {"State": "PENDING"}
        if status["State"] == "COMPLETED":
            return True
        about = emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
    over = about["State"] in ("TERMINATED", "TERMINATED_WITH_ERRORS")
    if status["State"] not in _ENDED and not over:
        return False
    failure = status.get("FailureDetails") or {}
    reasons = [
        failure.get("Reason"),
        failure.get("Message"),
        status.get("StateChangeReason", {}).get("Message"),
        about.get("StateChangeReason", {}).get("Message") if over else None,
    ]
    told = "; ".join(dict.fromkeys(one for one in reasons if one)) or "EMR gives no reason"
    log = failure.get("LogFile")
    raise PermanentError(
        what,
        f"the step is {status['State']}, the cluster {about['State']}: {told}",
        f"look into {log}" if log else "look into its logs",
    )


def _first_step(emr: Any, cluster: str) -> dict[str, Any] | None:
    """The step that was given last when there are several, else the only one; None while EMR does not list it."""
    listed: list[dict[str, Any]] = emr.list_steps(ClusterId=cluster)["Steps"]
    return listed[-1] if listed else None


def stop(clients: Clients, cluster: str, step: str | None, *, made: bool) -> None:
    """Ends a cluster that was made for the step; on another one only the step is cancelled.

    :raises TablekeepError: when EMR refuses.
    """
    emr = clients.client("emr")
    with translated(f"ending what runs on the EMR cluster {cluster}"):
        if made:
            emr.terminate_job_flows(JobFlowIds=[cluster])
        elif step:
            emr.cancel_steps(ClusterId=cluster, StepIds=[step], StepCancellationOption="SEND_INTERRUPT")


def run_emr_step(
    request: EmrStepRequest,
    clients: Clients,
    facts: RunFacts,
    *,
    timeout_seconds: float,
    clock: Clock,
    progress: Progress,
) -> EmrStepReport:
    """Runs a step and waits for its end; whatever happens, a cluster that was made for it is told to end.

    :raises BadInputError: before EMR was asked. :raises PermanentError: when it failed or did not end in time.
    """
    planned = plan_emr_step(request, facts)
    began = clock.monotonic()
    emr = clients.client("emr")
    cluster, step = request.cluster or "", None
    with translated("starting a step on EMR"):
        if planned["job_flow"]:
            cluster = str(emr.run_job_flow(**planned["job_flow"])["JobFlowId"])
        else:
            step = str(emr.add_job_flow_steps(JobFlowId=cluster, Steps=planned["steps"])["StepIds"][0])
    made = planned["job_flow"] is not None
    progress.note(f"EMR cluster {cluster}{', made for this step' if made else f', step {step}'}")
    try:
        while not _poll(clients, cluster, step):
            if clock.monotonic() - began > timeout_seconds:
                raise PermanentError(
                    f"running a step on the EMR cluster {cluster}",
                    f"it did not end in {timeout_seconds:,.0f} s",
                    "give it more timeout",
                )
            clock.sleep(POLL_SECONDS)
    except BaseException:
        try:
            stop(clients, cluster, step, made=made)
        except TablekeepError as error:  # what ended the waiting matters more
            progress.note(str(error))
        raise
    if made:
        stop(clients, cluster, step, made=True)
    return EmrStepReport(facts.step, cluster, step or "", made, round(clock.monotonic() - began, 3))


def _poll(clients: Clients, cluster: str, step: str | None) -> bool:
    try:
        return step_ended(clients, cluster, step)
    except TransientError:
        return False
