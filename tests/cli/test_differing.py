"""Items that differ, on the command line: hashes by default, keys and values on a person's terminal only."""

import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from tablekeep.cli.command import run
from tablekeep.cli.output import visible
from tablekeep.engine.backups.records import read_records
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.restore import table as table_module
from tests.tables import ROOT, clients, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any) -> str:
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return export("orders").backup


@pytest.fixture
def meddled(backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Somebody writes to the restored table before it is proved."""
    real = table_module.prove_restore

    def meddle(prepared: Any, *given: Any, **more: Any) -> Any:
        item = {"pk": {"S": "customer-3"}, "sk": {"N": "3"}, "price": {"N": "12.5"}, "\x1b[31m": {"S": "\x1b[2J\u202e"}}
        local_aws.client("dynamodb").put_item(TableName=prepared.plan.to_table, Item=item)
        return real(prepared, *given, **more)

    monkeypatch.setattr(table_module, "prove_restore", meddle)
    return backup


def records(backup: str, kind: Any) -> str:
    opened = open_backup(clients(), backup)
    return str(list(read_records(opened.store, opened.manifest.location.shelf, kind)))


@pytest.mark.parametrize("verb", ["restore", "drill"])
def test_restores_and_drills_show_them_where_asked_and_keep_only_hashes(
    meddled: str, verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(number: int, *more: str) -> str:
        given = (
            ["restore", meddled, "--to-table", f"again-{number}"]
            if verb == "restore"
            else ["drill", "orders", "--backups", ROOT]
        )
        assert run([*given, "--quiet", *more]) == 1
        return capsys.readouterr().out

    told = command(1)
    assert "price (N), raw (B | absent)" in told
    assert "different" in told
    assert "customer-3" not in told
    assert "12.5" not in told
    keys = command(2, "--show-keys")
    assert '{"pk":{"S":"customer-3"},"sk":{"N":"3"}}' in keys
    assert "12.5" not in keys
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    values = command(3, "--show-values")
    assert "price (N): 3.25 | 12.5" in values
    assert 'raw (B): "AAECAwQ=" | absent' in values
    for dangerous in ("\x1b", "\u202e"):
        assert dangerous not in told + keys + values
    kept = records(meddled, verb)
    assert "'path': 'price'" in kept
    for secret in ("customer-3", "12.5", "3.25"):
        assert secret not in kept


def test_values_go_to_a_terminal_and_nowhere_else(backup: str, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["compare", "orders", backup, "--show-values"]
    assert run(given) == 2
    assert "stdout is no terminal" in capsys.readouterr().err
    assert run([*given, "--json"]) == 2
    for more in (("--to-file", "x"), ("--to-table", "again", "--no-proof")):
        assert run(["restore", backup, *more, "--show-keys"]) == 2


def test_on_a_real_terminal_the_values_are_shown(backup: str, local_aws: Any) -> None:
    item = {"pk": {"S": "customer-3"}, "sk": {"N": "3"}, "price": {"N": "12.5"}}
    local_aws.client("dynamodb").put_item(TableName="orders", Item=item)
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tablekeep", "compare", backup, "orders", "--show-values", "--quiet"]
    with subprocess.Popen(
        command, stdout=theirs, stderr=theirs, env=dict(os.environ) | {"PYTHONPATH": "plugins"}
    ) as child:
        os.close(theirs)
        told = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not piece:
                break
            told += piece
    os.close(ours)
    assert child.returncode == 1
    assert b"price (N): 3.25 | 12.5" in told
    assert b"address (M): {} | absent" in told


def test_kept_items_are_shown_where_asked(backup: str, local_aws: Any, capsys: pytest.CaptureFixture[str]) -> None:
    item = {"pk": {"S": "customer-3"}, "sk": {"N": "3"}, "price": {"N": "12.5"}}
    local_aws.client("dynamodb").put_item(TableName="orders", Item=item)
    given = ["restore", backup, "--to-table", "orders", "--mode", "missing-only", "--quiet"]
    assert run(given) == 0
    assert "different" not in capsys.readouterr().out
    assert run([*given, "--show-keys"]) == 0
    assert '"customer-3"' in capsys.readouterr().out


def test_what_a_terminal_acts_upon_is_written_as_an_escape() -> None:
    assert visible("grün 東京 \x1b[0m\r\n\x07\x9b\u202e\ud800") == "grün 東京 \\x1b[0m\\r\\n\\x07\\x9b\\u202e\\ud800"
