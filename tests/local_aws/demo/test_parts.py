"""The demo's pieces: processes, the result's figures and page."""

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from local_aws.demo.follow import Run, readable
from local_aws.demo.processes import DemoError, Mark, Server, StateFile, free_ports, last_lines, stop_group
from local_aws.demo.result import Result, TableResult, cells, page


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)


def test_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("127.0.0.1", port))


def test_a_process_is_told_from_a_later_one_with_its_pid() -> None:
    process = sleeper()
    try:
        mark = Mark.of(process.pid)
        assert mark.alive()
        stranger = Mark(process.pid, mark.started - 100)
        assert not stranger.alive()
        stop_group(stranger)
        assert process.poll() is None or process.pid == 0  # a stranger's process with the pid is left alone
    finally:
        process.kill()
        process.wait()
    assert not mark.alive()


def test_stopping_ends_the_children_of_a_server_too(tmp_path: Path) -> None:
    program = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print('up', flush=True); time.sleep(60)"
    server = Server("one", [sys.executable, "-c", program], {}, tmp_path / "log", tmp_path)
    mark = server.start()
    while "up" not in (tmp_path / "log").read_text():
        time.sleep(0.02)
    server.stop()
    deadline = time.monotonic() + 5
    while group_lives(mark.pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def group_lives(group: int) -> bool:
    done = subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip())


def test_a_server_that_ends_is_reported_with_its_last_lines(tmp_path: Path) -> None:
    server = Server(
        "one", [sys.executable, "-c", "print('why it ended'); raise SystemExit(3)"], {}, tmp_path / "log", tmp_path
    )
    server.ready = lambda: False
    server.start()
    with pytest.raises(DemoError, match=r"(?s)one ended with code 3.*why it ended"):
        server.wait(10)
    late = Server(
        "late", [sys.executable, "-c", "import time; time.sleep(60)"], {}, tmp_path / "late", tmp_path, lambda: False
    )
    late.start()
    try:
        with pytest.raises(DemoError, match="late is not ready after"):
            late.wait(0.3)
    finally:
        late.stop()


def test_the_state_survives_being_torn(tmp_path: Path) -> None:
    state = StateFile(tmp_path)
    assert (state.read(), state.main(), state.marks()) == (None, None, [])
    state.file.write_text('{"main": {"pid"')
    assert (state.read(), state.main(), state.marks()) == (None, None, [])
    own = Mark.of(__import__("os").getpid())
    state.write({"main": vars(own), "children": [vars(own)]})
    assert (state.main(), state.marks()) == (own, [own])
    assert state.file.stat().st_mode & 0o077 == 0


def result(**changes: object) -> Result:
    table = TableResult(
        "orders", 10, 10, 2000, 9000, 1.25, "s3://b/<i>", "10-aa", {"pg": 10, "dwh": -1}, 2.0, 8.0, True
    )
    for name, value in changes.items():
        setattr(table, name, value)
    return Result([table], 30.0, {"one": 1.0, "two": 0.0}, 'http://x/"', "admin")


def test_a_result_is_proved_only_without_problems() -> None:
    assert result().proved
    bad = result(problems=["the copy pg has 9 rows <b>"])
    assert not bad.proved
    assert not Result([], 1.0, {}, "", "").proved
    assert bad.as_dict()["tables"][0]["proved"] is False
    text = page(bad)
    assert "Not proved" in text
    assert "9 rows &lt;b&gt;" in text
    assert "Everything was proved" in page(result())


def test_the_page_escapes_and_needs_nothing_from_elsewhere() -> None:
    text = page(result())
    assert "s3://b/&lt;i&gt;" in text
    assert 'href="http://x/&quot;"' in text
    assert "<script" not in text
    assert "src=" not in text
    assert "@import" not in text


def test_a_missing_copy_is_said() -> None:
    assert "MISSING" in cells(result().tables[0])
    assert "NOT PROVED" in cells(result(drill=False).tables[0])


def test_logs_of_tasks_are_made_readable() -> None:
    line = '{"timestamp":"2026-01-01T02:03:04Z","level":"error","event":"Task failed","error_detail":[{"exc_type":"BadInputError","exc_value":"no table"}]}'
    assert readable(f"{line}\nplain") == "02:03:04 error   Task failed\n  BadInputError: no table\nplain"
    assert last_lines(Path("/not/there")) == "(no log at /not/there)"
    assert (
        str(Run("backup__a", "r", "running", {"backup": "success", "verify": ""}))
        == "backup__a: running (backup success, verify waiting)"
    )
