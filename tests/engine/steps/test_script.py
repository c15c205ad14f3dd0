"""Scripts: who may run, what they see, what is told of them, and that nothing of them is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, PermanentError, TransientError
from tablekeep.engine.steps.facts import RunFacts
from tablekeep.engine.steps.script import Running, ScriptReport, ScriptRequest, run_script
from tablekeep.engine.steps.stage import fetch, make_folders
from tests.tables import BUCKET, clients, make_bucket

FACTS = RunFacts(
    "totals", "tell", "run__totals/manual", datetime(2026, 11, 23, 2, 0, tzinfo=UTC), manifest="s3://b/m.json"
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[ScriptReport, list[str]]]:
    """`script("echo hello")` runs a shell script and gives its report and its lines."""
    monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", "true")
    (tmp_path / "scripts").mkdir()

    def run(
        text: str, *arguments: str, timeout: float = 20, name: str = "x.sh", clients: Any = None, **more: Any
    ) -> tuple[ScriptReport, list[str]]:
        path = tmp_path / "scripts" / name
        path.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        run.said = said = []  # type: ignore[attr-defined]
        request = ScriptRequest(tmp_path, name, arguments, timeout, **more)
        return run_script(request, FACTS, clock=SystemClock(), say=said.append, clients=clients), said

    return run


def left(mark: str) -> list[int]:
    """Processes whose command line has the mark."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdigit() and int(one.name) != os.getpid():
            try:
                if mark.encode() in (one / "cmdline").read_bytes():
                    found.append(int(one.name))
            except OSError:
                continue
    return found


def running(mark: str, count: int, seconds: float = 5) -> bool:
    """Whether so many processes are there, or will be soon."""
    until = time.monotonic() + seconds
    while len(left(mark.replace(" ", "\0"))) != count:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_output_and_errors_come_line_by_line_in_their_order(script: Any) -> None:
    report, said = script("echo one; echo two >&2; printf 'three\\r\\n\\033[31mfour\\n\\377five'; exit 0")
    assert said == ["one", "two", "three", "\ufffd[31mfour", "\ufffdfive"]
    assert (report.exit_code, report.lines, report.step, report.script) == (0, 5, "tell", "x.sh")


def test_arguments_are_a_list_and_never_a_shells_line(script: Any) -> None:
    _, said = script(
        'for one in "$@"; do echo "[$one]"; done', "a b; echo no", "$(echo no)", "*", "{{ as_of:%Y-%m }}", ""
    )
    assert said == ["[a b; echo no]", "[$(echo no)]", "[*]", "[2026-11]", "[]"]


def test_a_script_sees_its_run_and_nothing_of_the_task(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_ANALYTICS_PG", "postgresql://u:PL4NTED@h/d")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "PL4NTED")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("TABLEKEEP_SCRIPT_VARIABLES", "HTTPS_PROXY, NOT_SET")
    _, said = script("env | sort", region="eu-west-1")
    seen = dict(line.split("=", 1) for line in said)
    assert seen.pop("HOME") == seen.pop("TMPDIR")
    assert seen.pop("PATH") == os.environ["PATH"]
    for name in ("PWD", "_", "SHLVL", "OLDPWD", "TZ"):  # the shell's own
        seen.pop(name, None)
    assert seen == {
        "LANG": "C.UTF-8",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "HTTPS_PROXY": "http://proxy:3128",
        "TABLEKEEP_PIPELINE": "totals",
        "TABLEKEEP_STEP": "tell",
        "TABLEKEEP_RUN": "run__totals/manual",
        "TABLEKEEP_AS_OF": "2026-11-23T02:00:00Z",
        "TABLEKEEP_MANIFEST": "s3://b/m.json",
    }


def test_its_folder_is_its_own_and_is_removed(script: Any) -> None:
    _, said = script("touch here; pwd; ls; ls -l /proc/self/fd | wc -l")
    assert said[1] == "here"
    assert not Path(said[0]).exists()


@pytest.mark.parametrize(
    ("text", "family", "why"),
    [
        ("echo so; exit 3", PermanentError, "exit code 3"),
        ("exit 75", TransientError, "asks for another try"),
        ("kill -9 $$", PermanentError, "signal 9"),
        ("not-a-command", PermanentError, "exit code 127"),
        ("#!/no/such/interpreter\n", PermanentError, "could not be started: No such file"),
    ],
)
def test_its_exit_code_is_honoured(script: Any, text: str, family: type[Exception], why: str) -> None:
    with pytest.raises(family, match=why):
        script(text)


def test_a_script_that_takes_too_long_dies_with_all_that_it_started(script: Any) -> None:
    began = time.monotonic()
    mark = f"sleep 3{os.getpid()}"
    children = f"{mark} & setsid {mark} & (setsid sh -c '{mark}; true' &) ; trap '' TERM; {mark}; {mark}"
    with pytest.raises(PermanentError, match="did not end in 1 s and was killed"):
        script(children, timeout=1, grace_seconds=0.3)
    assert time.monotonic() - began < 5
    assert running(mark, 0, 1)


def test_what_it_leaves_in_the_background_is_ended_with_it(script: Any) -> None:
    mark = f"sleep 4{os.getpid()}"
    began = time.monotonic()
    script(f"{mark} & setsid {mark} & echo done")
    assert time.monotonic() - began < 5  # nor is its open output waited for
    assert running(mark, 0, 1)


TASK = """
import sys
from pathlib import Path
sys.path[:0] = ["plugins", "."]
from tests.engine.steps.test_script import FACTS
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.steps.script import ScriptRequest, run_script
run_script(ScriptRequest(Path(sys.argv[1]), "x.sh", (), 600), FACTS, clock=SystemClock(), say=lambda line: print(line, flush=True))
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_script_whose_task_is_killed_leaves_no_process(tmp_path: Path, how: int) -> None:
    mark = f"sleep 5{os.getpid()}{int(how)}"
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "x.sh").write_text(f"#!/bin/sh\n{mark} & setsid {mark} & echo started; {mark}\n")
    task = subprocess.Popen(
        [sys.executable, "-c", TASK, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=os.environ | {"TABLEKEEP_ALLOW_SCRIPTS": "true"},
        cwd=Path(__file__).parents[3],
    )
    assert task.stdout
    assert task.stdout.readline() == b"started\n"
    assert running(mark, 3)
    task.send_signal(how)
    task.wait(20)
    task.stdout.close()
    assert running(mark, 0)


def test_whoever_interrupts_the_task_ends_the_script(script: Any, tmp_path: Path) -> None:
    mark = f"sleep 6{os.getpid()}"

    class Stop(Exception):
        pass

    def stop(line: str) -> None:
        raise Stop

    (tmp_path / "scripts" / "y.sh").write_text(f"#!/bin/sh\n{mark} & echo started; {mark}\n")
    request = ScriptRequest(tmp_path, "y.sh", (), 600)
    with pytest.raises(Stop):
        run_script(request, FACTS, clock=SystemClock(), say=stop)
    assert running(mark, 0, 1)


@pytest.mark.parametrize("value", [None, "", "false", "True", "1"])
def test_without_the_deployments_word_nothing_is_run(
    script: Any, value: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("TABLEKEEP_ALLOW_SCRIPTS")
    if value is not None:
        monkeypatch.setenv("TABLEKEEP_ALLOW_SCRIPTS", value)
    with pytest.raises(BadInputError, match="this deployment allows no scripts"):
        script(f"touch {tmp_path}/was-run")
    assert not (tmp_path / "was-run").exists()


def test_scripts_lie_below_include_scripts_and_say_how_they_start(script: Any, tmp_path: Path) -> None:
    def run(name: str) -> None:
        run_script(ScriptRequest(tmp_path, name, (), 5), FACTS, clock=SystemClock(), say=lambda line: None)

    outside = tmp_path / "outside.sh"
    outside.write_text("#!/bin/sh\n")
    outside.chmod(0o755)
    (tmp_path / "scripts" / "link.sh").symlink_to(outside)
    (tmp_path / "scripts" / "plain").write_text("echo hello\n")
    (tmp_path / "scripts" / "lost-its-bit.sh").write_text("#!/bin/sh -e\nexit 0\n")
    for name, why in (
        ("../outside.sh", "does not lie below"),
        (str(outside), "does not lie below"),
        ("link.sh", "leads out of"),
        ("missing.sh", "no such file"),
        ("plain", "its first line names no program"),
    ):
        with pytest.raises(BadInputError, match=why):
            run(name)
    run("lost-its-bit.sh")


def test_a_long_line_is_told_in_pieces_and_much_output_is_not_kept(script: Any) -> None:
    report, said = script("head -c 10000 /dev/zero | tr '\\0' x; echo; yes line | head -n 20000")
    assert [len(line) for line in said[:3]] == [4096, 4096, 1808]
    assert report.lines == 20003


def test_folders_of_s3_are_fetched_before_it_and_put_after_it(local_aws: Any, script: Any) -> None:
    make_bucket(local_aws)
    s3 = local_aws.client("s3")
    for key in ("in/2026-11/a.log", "in/2026-11/deep/b.log", "in/2026-11/", "in/2026-112/c.log"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"GET /\nPOST /\nGET /x\n" if key.endswith("log") else b"")
    text = (
        'cd "$INPUT1_STAGING_DIR"; grep -rc GET . | sort > "$OUTPUT1_STAGING_DIR/counts.txt"; '
        'mkdir "$OUTPUT1_STAGING_DIR/sub"; echo x > "$OUTPUT1_STAGING_DIR/sub/x"; ln -s /etc/passwd "$OUTPUT1_STAGING_DIR/link"; ln -s /etc "$OUTPUT1_STAGING_DIR/folder"'
    )
    where = {
        "inputs": (f"s3://{BUCKET}/in/{{{{ as_of:%Y-%m }}}}",),
        "outputs": (f"s3://{BUCKET}/out",),
        "clients": clients(),
    }
    report, said = script(text, **where)
    assert said == ["fetched 2 objects, 40 B", "put 2 objects, 27 B"]
    assert report.lines == 0
    assert s3.get_object(Bucket=BUCKET, Key="out/counts.txt")["Body"].read() == b"./a.log:2\n./deep/b.log:2\n"
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="out/")["KeyCount"] == 2
    with pytest.raises(PermanentError, match="exit code 1"):
        script('echo y > "$OUTPUT1_STAGING_DIR/y"; exit 1', **where)
    assert s3.list_objects_v2(Bucket=BUCKET, Prefix="out/")["KeyCount"] == 2
    with pytest.raises(PermanentError, match="NoSuchBucket"):
        script('echo y > "$OUTPUT1_STAGING_DIR/y"', **(where | {"outputs": ("s3://not-there/out",)}))


@pytest.mark.parametrize("keys", [["in/../x"], ["in/a", "in/a/b"], ["in//etc/x"]])
def test_a_key_that_is_no_file_s_name_is_refused(local_aws: Any, tmp_path: Path, keys: list[str]) -> None:
    made = clients()
    make_bucket(local_aws)
    listed = {"Contents": [{"Key": key, "Size": 1} for key in keys]}
    for key in keys:
        if ".." not in key:
            made.client("s3").put_object(Bucket=BUCKET, Key=key, Body=b"x")
    if ".." in keys[0]:  # the stand-in's HTTP library would resolve it on its way
        made.client("s3").meta.events.register("after-call.s3.ListObjectsV2", lambda parsed, **_: parsed.update(listed))
    with pytest.raises(BadInputError, match="cannot be a file's name"):
        fetch(make_folders(tmp_path, [f"s3://{BUCKET}/in"], []), made)
    assert not (tmp_path / "x").exists()


def test_whoever_kills_the_keeper_kills_the_script(script: Any, tmp_path: Path) -> None:
    mark, handle = f"sleep 9{os.getpid()}", Running()
    (tmp_path / "scripts" / "y.sh").write_text(f"#!/bin/sh\necho started\nexec {mark}\n")

    def kill(line: str) -> None:
        assert handle.keeper
        assert running(mark, 1)
        handle.keeper.kill()

    with pytest.raises(PermanentError, match="it was stopped"):
        run_script(ScriptRequest(tmp_path, "y.sh", (), 600), FACTS, clock=SystemClock(), say=kill, running=handle)
    assert running(mark, 0)
