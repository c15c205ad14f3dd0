"""Script steps: programs of a team, from `include/scripts` only, and only where the deployment allows them.

A script is started by a list of arguments, never by a shell's line; it sees the facts of its run and nothing of the task's own
environment; its output goes line by line to whoever listens; no process of it outlives the task (`keeper.py`).
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tablekeep.engine.clients import Clients
from tablekeep.engine.clock import Clock
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.progress import size_text
from tablekeep.engine.steps.facts import RunFacts
from tablekeep.engine.steps.files import find_step_file
from tablekeep.engine.steps.stage import fetch, make_folders, put

ALLOW_VARIABLE = "TABLEKEEP_ALLOW_SCRIPTS"
"""Of the process that runs scripts (the Airflow worker, the command line); they are run when it is `true`."""
PASS_VARIABLE = "TABLEKEEP_SCRIPT_VARIABLES"
"""Names, with commas, of variables of that process that scripts get, too."""
FOLDER = "scripts"
"""Beside the folder of pipelines: `include/scripts`."""
TRY_AGAIN = 75
"""The exit code that asks for another try: EX_TEMPFAIL of sysexits.h."""
LONGEST_LINE = 4096
"""Bytes; a longer line is told in pieces."""
_KEEPER = Path(__file__).with_name("keeper.py")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_PASSED = ("PATH", "TZ")


@dataclass(frozen=True)
class ScriptRequest:
    """What is to be run.

    :ivar include: the folder that holds `scripts/`. :ivar script: a path below it. :ivar arguments: `{{ as_of }}` and the like are
        filled in. :ivar region: the script's AWS_REGION. :ivar inputs, outputs: folders of S3, fetched before it and put after it
        (`stage.py`); filled in, too. :ivar grace_seconds: between SIGTERM and SIGKILL after the timeout.
    """

    include: Path | None
    script: str
    arguments: Sequence[str | int]
    timeout_seconds: float
    region: str | None = None
    inputs: Sequence[str] = ()
    outputs: Sequence[str] = ()
    grace_seconds: float = 10.0


@dataclass(frozen=True)
class ScriptReport:
    """What was done; the output is not in it."""

    step: str
    script: str
    exit_code: int
    lines: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Running:
    """A script that runs, for whoever may have to stop it from beside or in a signal's handler."""

    def __init__(self) -> None:
        self.keeper: subprocess.Popen[bytes] | None = None

    def stop(self) -> None:
        """Ends the script, with all that it has started; nothing when none runs."""
        if self.keeper is not None and self.keeper.poll() is None:
            self.keeper.terminate()


def plan_script(request: ScriptRequest, environ: Mapping[str, str] | None = None) -> list[str]:
    """The program and its arguments, before these are filled in, when the script may be run.

    :param environ: the process's own variables.
    :raises BadInputError: where the deployment allows none, it is not there, or nothing says how to start it.
    """
    variables = os.environ if environ is None else environ
    if variables.get(ALLOW_VARIABLE) != "true":
        raise BadInputError(
            f"running the script {request.script}",
            "this deployment allows no scripts",
            f"whoever runs it may set {ALLOW_VARIABLE}=true for the workers",
        )
    path = find_step_file(request.include, FOLDER, request.script)
    return [*_program(path, request.script), *map(str, request.arguments)]


def _program(path: Path, name: str) -> list[str]:
    if os.access(path, os.X_OK):
        return [str(path)]
    # copies over S3 lose the permission to execute
    with path.open("rb") as file:
        first = file.readline(512)
    interpreter = shlex.split(first[2:].decode(errors="replace")) if first.startswith(b"#!") else []
    if not interpreter:
        raise BadInputError(
            f"running the script {name}",
            "it may not be executed, and its first line names no program",
            "begin it with #!/bin/sh or #!/usr/bin/env python3, or chmod +x it",
        )
    return [*interpreter, str(path)]


def clean_environment(
    request: ScriptRequest, facts: RunFacts, home: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All that the script sees: PATH, TZ, a language, a home and a folder for temporary files of its own, the Region, the facts
    of the run (`RunFacts.environment`), and what `TABLEKEEP_SCRIPT_VARIABLES` names.
    """
    variables = os.environ if environ is None else environ
    named = [name.strip() for name in variables.get(PASS_VARIABLE, "").split(",") if name.strip()]
    passed = {name: variables[name] for name in (*_PASSED, *named) if name in variables}
    region = {"AWS_REGION": request.region, "AWS_DEFAULT_REGION": request.region} if request.region else {}
    return {"LANG": "C.UTF-8", "HOME": home, "TMPDIR": home} | region | passed | facts.environment()


def run_script(
    request: ScriptRequest,
    facts: RunFacts,
    *,
    clock: Clock,
    say: Callable[[str], None],
    running: Running | None = None,
    clients: Clients | None = None,
) -> ScriptReport:
    """Runs a script to its end.

    :param say: gets each line of its output and errors, in their order, without control characters.
    :param running: by which it can be stopped. :param clients: for inputs and outputs.
    :raises BadInputError: before it was started. :raises TransientError: when it ended with the exit code 75.
    :raises PermanentError: when it ended with another one, by a signal, or not in time.
    """
    what = f"running the script {request.script}"
    command = plan_script(request)
    command[len(command) - len(request.arguments) :] = facts.texts(request.arguments)
    began = clock.monotonic()
    with tempfile.TemporaryDirectory(prefix="tablekeep-script-", ignore_cleanup_errors=True) as home:
        staged = make_folders(Path(home), *(facts.fill(list(one)) for one in (request.inputs, request.outputs)))
        if staged.inputs and clients:
            count, size = fetch(staged, clients)
            say(f"fetched {count:,} objects, {size_text(size)}")
        environment = clean_environment(request, facts, home) | staged.environment()
        said, lines = _run(command, request, environment, say, running or Running())
        if said == "exit 0" and staged.outputs and clients:
            count, size = put(staged, clients)
            say(f"put {count:,} objects, {size_text(size)}")
    seconds = round(clock.monotonic() - began, 3)
    kind, _, number = said.partition(" ")
    if said == "exit 0":
        return ScriptReport(facts.step, request.script, 0, lines, seconds)
    if kind == "exit" and int(number) == TRY_AGAIN:
        raise TransientError(
            what, f"it ended with exit code {TRY_AGAIN}, which asks for another try", "its output is in the log"
        )
    if kind == "timeout":
        raise PermanentError(
            what, f"it did not end in {request.timeout_seconds:,.0f} s and was killed, with all that it had started",
            "give it more timeout, or less to do",
        )  # fmt: skip
    words = {
        "exit": f"it ended with exit code {number}",
        "signal": f"it was ended by signal {number}",
        "unable": f"it could not be started: {number}",
    }
    raise PermanentError(what, words.get(kind, "it was stopped"), "its output is in the log")


def _run(
    command: list[str],
    request: ScriptRequest,
    environment: dict[str, str],
    say: Callable[[str], None],
    running: Running,
) -> tuple[str, int]:
    """What the keeper says of the end, and how many lines there were."""
    status, status_in = os.pipe()
    limits = [str(status_in), str(request.timeout_seconds), str(request.grace_seconds)]
    try:
        keeper = running.keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", str(_KEEPER), *limits, "--", *command],
            stdin=subprocess.PIPE,  # closes when this process ends, however it does
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=environment["HOME"],
            pass_fds=(status_in,),
            start_new_session=True,
        )
    finally:
        os.close(status_in)
    lines = 0
    try:
        assert keeper.stdout
        while piece := keeper.stdout.readline(LONGEST_LINE):
            lines += 1
            say(_CONTROL.sub("\ufffd", piece.decode(errors="replace").rstrip("\r\n")))
        keeper.wait()
        with os.fdopen(status, "rb", closefd=False) as answer:
            return answer.readline().decode().strip() or "stopped", lines
    finally:
        _end(keeper, request.grace_seconds)
        os.close(status)


def _end(keeper: "subprocess.Popen[bytes]", grace: float) -> None:
    """Lets the keeper end the script, when this task is ended before it."""
    assert keeper.stdin
    assert keeper.stdout
    keeper.stdin.close()
    try:
        keeper.wait(grace + 5)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()
    keeper.stdout.close()
