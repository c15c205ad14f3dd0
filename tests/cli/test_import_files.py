"""`tablekeep import-set --format` as a person uses it."""

import json
from typing import Any

import pytest

from tests.cli.test_cli import tablekeep
from tests.tables import BUCKET, ROOT, make_bucket

SOURCE = f"s3://{BUCKET}/drop"


def test_files_become_a_set_that_is_shown(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    make_bucket(local_aws)
    local_aws.client("s3").put_object(Bucket=BUCKET, Key="drop/a.csv", Body=b"1;x;1.50\n2;y;nothing\n3;z;2\n")
    common = ("import-set", SOURCE, "--format", "csv", "--table", "orders", "--key", "id", "--to", ROOT)
    options = ("--no-header", "--delimiter", ";", "--columns", "id:integer,name,total:numeric(10,2)")
    refused = tablekeep(*common, *options)
    assert refused.returncode == 1
    assert "drop/a.csv line 2: the column 'total' is no numeric(10,2)" in refused.stderr
    done = tablekeep(*common, *options, "--max-bad-rows", "1")
    assert done.returncode == 0, done.stderr
    assert "bad rows that were left out: 1; _rejects/" in done.stderr
    assert "yes: every item was read back" in done.stdout
    listed = json.loads(tablekeep("list", ROOT, "--json").stdout)
    (made,) = listed["backups"]
    assert (made["table"], made["items"], made["engine"]) == ("orders", 2, "files")
    shown = json.loads(tablekeep("show", made["backup"], "--json").stdout)
    assert (shown["service"], shown["run"]["rejected"]) == ("s3", 1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--delimiter", ";"], "--delimiter is given without --format"),
        (["--format", "csv"], "give --table NAME"),
        (["--format", "csv", "--table", "t", "--no-header"], "csv without a header needs columns"),
        (["--format", "csv", "--table", "t", "--columns", "a:money"], "it must be one of"),
        (["--format", "json", "--table", "t", "--quote", "'"], "quote is for csv"),
    ],
)
def test_what_does_not_go_together_is_said(options: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tablekeep.cli.command import run

    assert run(["import-set", SOURCE, "--to", ROOT, *options]) == 2
    assert told in capsys.readouterr().err
