"""The restore family on the command line: plan, part, file, keep, list; as a person on call types them."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cli import tablekeep
from tests.tables import BUCKET, ROOT, export, make_bucket, make_table, orders


@pytest.fixture
def backup(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    return export("orders", segments=3).backup


def test_what_was_planned_is_done_and_nothing_else(backup: str) -> None:
    planned = tablekeep("plan", "restore", backup, "--to-table", "again", "--json")
    assert planned.returncode == 0
    plan = json.loads(planned.stdout)
    assert plan["items"] == 40
    told = tablekeep("plan", "restore", backup, "--to-table", "again")
    for part in ("again in account 123456789012", "NEVER verified", "40, ", plan["hash"], "Nothing was changed"):
        assert part in told.stdout
    other = tablekeep("restore", backup, "--to-table", "another", "--plan", plan["hash"])
    assert other.returncode == 2
    assert "another one than was approved" in other.stderr
    unrecorded = json.loads(tablekeep("plan", "restore", backup, "--to-table", "third", "--no-record", "--json").stdout)
    assert not unrecorded["recorded"]
    assert (
        "does not take this plan" in tablekeep("plan", "restore", backup, "--to-table", "third", "--no-record").stdout
    )
    refused = tablekeep("restore", backup, "--to-table", "third", "--plan", unrecorded["hash"])
    assert refused.returncode == 2
    assert "look at it again with `tablekeep plan restore`" in refused.stderr
    done = tablekeep("restore", backup, "--to-table", "again", "--plan", plan["hash"][:16])
    assert done.returncode == 0, done.stderr
    assert "yes: content hash" in done.stdout


def test_some_items_to_a_table_and_to_a_file(backup: str, tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"pk": "customer-1", "sk": 1}\n\n{"pk": {"S": "customer-2"}, "sk": {"N": "2"}}\n')
    done = tablekeep("restore", backup, "--to-table", "two", "--keys-file", str(keys), "--json")
    assert json.loads(done.stdout)["items"] == 2
    fewer = tablekeep("restore", backup, "--to-table", "one", "--key", '{"pk": "nobody", "sk": 1}')
    assert fewer.returncode == 0
    assert "1 of the 1 listed keys are not in the backup" in fewer.stdout
    assert (
        "no item of the backup is wanted"
        in tablekeep("restore", backup, "--to-table", "none", "--where", "price < 0").stdout
    )
    file = tmp_path / "paid.json.gz"
    written = tablekeep(
        "restore", backup, "--to-file", str(file), "--where", "paid = true", "--key-prefix", "pk=customer-2", "--json"
    )
    assert written.returncode == 0, written.stderr
    lines = gzip.decompress(file.read_bytes()).splitlines()
    assert len(lines) == json.loads(written.stdout)["items"] == 3
    listed = tmp_path / "listed.json"
    listed.write_text(
        '{"pk": "x", "sk": 1}\n{"pk": "customer-1", "sk": 1}\n{"pk": "y", "sk": 1}\n{"pk": "x", "sk": 1}\n'
    )
    few = tablekeep("restore", backup, "--to-file", str(tmp_path / "few.json"), "--keys-file", str(listed))
    assert few.returncode == 0, few.stderr
    assert (
        "2 of the 3 listed keys are not in the backup, or not wanted by the rest: in the list number 1, 3" in few.stdout
    )
    told = json.loads(
        tablekeep("restore", backup, "--to-file", str(tmp_path / "f.json"), "--keys-file", str(listed), "--json").stdout
    )
    assert (told["items"], told["absent"], told["absent_keys"]) == (1, 2, [1, 3])
    assert told["selection"]["keys"]["count"] == 3
    unwanted = tablekeep("restore", backup, "--to-file", str(tmp_path / "none.json"), "--where", "price < 0")
    assert "no item of the backup is wanted" in unwanted.stdout
    back = tablekeep("restore", backup, "--to-table", "orders", "--mode", "missing-only")
    assert "0 written, 40 there already, 0 kept" in back.stdout


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ((), "either --to-table or --to-file"),
        (("--to-table", "abc", "--to-file", "x"), "either --to-table or --to-file"),
        (("--to-table", "abc", "--as-of", "2026-01-01T00:00:00Z"), "needs --table"),
        (("--to-table", "abc", "--keys-file", "/nonexistent"), "No such file"),
        (("--to-table", "abc", "--where", "x"), "NAME OPERATOR VALUE"),
        (("--to-table", "abc", "--without", "everything"), "invalid choice"),
        (("--to-table", "abc", "--max-usd", "0.0000001"), "it would cost"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(backup: str, more: tuple[str, ...], why: str) -> None:
    done = tablekeep("restore", backup, *more)
    assert done.returncode == 2
    assert why in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_tells_what_is_too_old_and_what_dynamodb_has(backup: str, local_aws: Any) -> None:
    database = local_aws.client("dynamodb")
    database.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    database.create_backup(TableName="orders", BackupName="before-the-release")
    assert tablekeep("list", ROOT, "--quiet").returncode == 0
    missed = tablekeep("list", ROOT, "--rpo", "26h")
    assert missed.returncode == 1
    assert "RPO MISSED orders: none is verified" in missed.stderr
    assert tablekeep("verify", backup).returncode == 0
    assert tablekeep("list", ROOT, "--rpo", "26h").returncode == 0
    assert tablekeep("verify", backup, "--subset", "3").returncode == 3
    assert tablekeep("list", ROOT, "--rpo", "26h").returncode == 0, "a sample does not undo the proof"
    late = tablekeep("list", ROOT, "--rpo", "1s", "--json")
    assert late.returncode == 1
    assert json.loads(late.stdout)["objectives"][0]["missed"]
    assert tablekeep("list", ROOT, "--table", "nowhere", "--rpo", "26h").returncode == 1
    assert "before" not in tablekeep("list", ROOT).stdout


def test_expire_warns_of_a_lock_that_outlasts_the_rules(local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "plugins")
    s3 = local_aws.client("s3")
    s3.create_bucket(Bucket=BUCKET, ObjectLockEnabledForBucket=True)
    lock = {"ObjectLockEnabled": "Enabled", "Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Years": 1}}}
    s3.put_object_lock_configuration(Bucket=BUCKET, ObjectLockConfiguration=lock)
    make_table(local_aws, "orders", orders(2))
    export("orders")
    rules = ("expire", ROOT, "--table", "orders", "--daily", "35", "--minimum", "1")
    told = tablekeep(*rules).stdout
    assert (
        "WARNING: backup.keep holds an ordinary backup for about 35 days (daily: 35), Object Lock keeps it for 365 days"
        in told
    )
    assert "365 days" in json.loads(tablekeep(*rules, "--json").stdout)["warning"]


def test_backups_are_kept_pinned_and_expired(backup: str) -> None:
    other = export("orders").backup
    for one in (backup, other):
        assert tablekeep("verify", one, "--quiet").returncode == 0
    rules = ("expire", ROOT, "--table", "orders", "--daily", "1", "--minimum", "1")
    looked = tablekeep(*rules)
    assert looked.returncode == 0
    assert "would be deleted" in looked.stdout
    assert "With --confirm" in looked.stdout
    assert tablekeep("pin", backup, "--why", "audit").returncode == 0
    assert "pinned" in tablekeep(*rules, "--confirm").stdout
    assert tablekeep("unpin", backup, "--why", "audit is over").returncode == 0
    assert tablekeep(*rules, "--confirm").returncode == 0
    assert [one["backup"] for one in json.loads(tablekeep("list", ROOT, "--json").stdout)["backups"]] == [other]
    stopped = tablekeep("expire", ROOT, "--table", "orders", "--daily", "1")
    assert stopped.returncode == 1
    assert "NOTHING IS DELETED: fewer than 3 verified" in stopped.stdout
    assert tablekeep("expire", ROOT, "--table", "orders").returncode == 2
    assert tablekeep("verify", other, "--subset", "2").returncode == 3
    assert tablekeep("verify", other, "--subset", "x").returncode == 2
    assert "No drill has left" in tablekeep("sweep").stdout
