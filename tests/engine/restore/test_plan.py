"""Plans: they change nothing, say what will be, and are carried out only as they were shown."""

import time
from typing import Any

import pytest

from tablekeep.engine.backups.location import Shelf
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore.plan import RestorePlan, plan_restore, predict
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.table import restore_table
from tablekeep.engine.restore.words import plan_lines, plan_markdown
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

SHELF = Shelf(BUCKET, "backups", "123456789012", "us-east-1", "dynamodb", "orders")
COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress()}


@pytest.fixture
def aws(local_aws: Any) -> Any:
    """Forty orders, of which three have expired, with expiry, a stream and a tag."""
    make_bucket(local_aws)
    now = int(time.time())
    times = [now - 10, now - 86400, now - 1, now + 9999, 17]  # the last by more than five years: never deleted
    items = [item | ({"expires": {"N": str(times[n])}} if n < 5 else {}) for n, item in enumerate(orders())]
    stream = {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    make_table(local_aws, "orders", items, StreamSpecification=stream, Tags=[{"Key": "team", "Value": "shop"}])
    local_aws.client("dynamodb").update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    return local_aws


class Counting(NoProgress):
    """Remembers the phases."""

    def __init__(self) -> None:
        self.phases: list[str] = []

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        self.phases.append(name)


def plan(to_table: str = "again", backup: str | None = None, **more: Any) -> RestorePlan:
    return plan_restore(
        RestoreRequest(to_table, backup, **more), clients=clients(), prices=load_prices(), **COMMON
    ).plan


def apply(to_table: str, backup: str, plan_hash: str, run: str = "t", **more: Any) -> Any:
    request = RestoreRequest(to_table, backup, **more)
    return restore_table(request, clients=clients(), actor="t", run=run, plan_hash=plan_hash, **COMMON)


def test_a_plan_says_everything_and_changes_nothing(aws: Any) -> None:
    backup = export("orders").backup
    store = open_backup(clients(), backup).store
    before = {info.key: info.etag for info in store.list("")}
    made = plan(backup=backup)
    assert {info.key: info.etag for info in store.list("")} == before
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]
    assert (made.items, made.exact, made.content) == (40, True, str(open_backup(clients(), backup).manifest.content))
    assert (made.ttl_attribute, made.ttl_expired, made.ttl_on) == ("expires", 3, False)
    assert made.settings == ("tags", "stream")
    assert [one["name"] for one in made.not_restored] == ["expiry of items (TTL)"]
    assert made.verified is None
    assert made.seconds is None
    assert RestorePlan.from_dict(made.as_dict()) == made
    text = "\n".join(f"{name}: {line}" for name, line in plan_lines(made))
    for part in (
        backup,
        "again",
        "123456789012",
        "3 items have expired",
        "never verified",
        made.hash,
        "update-time-to-live",
    ):
        assert part in text
    assert "| plan |" in plan_markdown(made)


def test_only_the_plan_that_was_shown_is_carried_out(aws: Any) -> None:
    backup, other = export("orders").backup, export("orders").backup
    shown = plan(backup=backup)
    assert plan(backup=backup).hash == shown.hash, "two looks give one plan"
    changes: list[dict[str, Any]] = [
        {"to_table": "other"}, {"backup": other}, {"max_wcu": 5.0}, {"ttl": True}, {"skip_settings": ("tags",)},
        {"where": ("price exists",)}, {"key_prefix": "pk=c"},
    ]  # fmt: skip
    hashes = {plan(**{"to_table": "again", "backup": backup} | change).hash for change in changes}
    assert len(hashes | {shown.hash}) == len(changes) + 1
    for change in changes:
        with pytest.raises(BadInputError, match="another one than was approved"):
            apply(**{"to_table": "again", "backup": backup, "plan_hash": shown.hash} | change)
    with pytest.raises(BadInputError, match="another one"):
        apply("again", backup, shown.hash[:8])
    assert aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]
    told = Counting()
    done = restore_table(
        RestoreRequest("again", backup),
        clients=clients(),
        clock=SystemClock(),
        progress=told,
        actor="t",
        run="t",
        plan_hash=shown.hash,
    )
    assert done.plan == shown.hash
    assert "count" not in told.phases, "what has expired is counted for the plan, not once more for the restore"


def test_expiry_comes_last_and_only_when_asked(aws: Any) -> None:
    backup = export("orders").backup
    for name, ttl in (("without", False), ("with-expiry", True)):
        report = restore_table(RestoreRequest(name, backup, ttl=ttl), clients=clients(), actor="t", run=name, **COMMON)
        assert report.proved
        described = aws.client("dynamodb").describe_time_to_live(TableName=name)["TimeToLiveDescription"]
        assert (described["TimeToLiveStatus"] == "ENABLED") == ttl
        assert not report.settings_differ
    assert "expired: 3 items" in " ".join(": ".join(line) for line in plan_lines(plan("new-one", backup, ttl=True)))


def test_the_newest_verified_set_is_taken_and_a_wrong_one_is_told(aws: Any) -> None:
    first, second = export("orders").backup, export("orders").backup
    with pytest.raises(BadInputError, match="no backup of orders is verified"):
        plan(shelf=SHELF)
    check: dict[str, Any] = {"clients": clients(), "actor": "t", "run": "t", "level": "full", **COMMON}
    verify_backup(backup=first, **check)
    assert plan(shelf=SHELF).backup == first
    opened = open_backup(clients(), second)
    part = opened.manifest.location.key(opened.manifest.parts[0].name)
    content = opened.store.get(part)
    opened.store.put(part, content[:-1] + b"?")
    verify_backup(backup=second, **check)
    opened.store.put(part, content)
    assert plan(shelf=SHELF).backup == first
    assert any("WRONG" in note for note in plan(backup=second).notes)


def test_time_is_told_from_what_was_measured(aws: Any) -> None:
    backup = export("orders").backup
    assert plan(backup=backup, max_wcu=4.0).seconds == 10.0, "forty units at four a second"
    restore_table(RestoreRequest("first", backup), clients=clients(), actor="t", run="t", **COMMON)
    later = plan(backup=backup)
    assert later.seconds
    assert later.seconds_from.startswith("the restore of 2")
    assert predict({"find": 1.0, "load": 2.0, "proof": 1.0}, 10, 100) == 31.0


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"to_table": "prod-orders", "patterns_refused": ["prod-*"]}, "refuses names like prod-"),
        ({"accounts": ["999999999999"]}, "of account 123456789012"),
        ({"max_usd": 0.000001}, "it would cost"),
        ({"to_table": "orders"}, "exists"),
        ({"to_table": "no"}, "3 to 255"),
        ({"max_wcu": float("nan")}, "write budget"),
        ({"mode": "overwrite"}, "no mode overwrite"),
        ({"mode": "overwrite-listed-keys", "to_table": "orders"}, "needs the keys"),
        ({"mode": "empty", "to_table": "orders"}, "not empty"),
        ({"mode": "missing-only", "to_table": "nowhere"}, "no such table"),
        ({"mode": "missing-only", "to_table": "other-key"}, "its key is"),
        ({"mode": "missing-only", "to_table": "orders", "ttl": True}, "new table only"),
        ({"skip_settings": ("everything",)}, "no group of settings"),
        ({"keys": ()}, "there is none"),
        ({"where": ("prices > 1",)}, "no item of the backup has the attribute prices. near it: price"),
        ({"where": ("zzz exists",)}, "`tablekeep show` lists them"),
    ],
)
def test_what_may_not_be_is_refused_before_anything_is_made(aws: Any, more: dict[str, Any], why: str) -> None:
    make_table(aws, "other-key", [], sort_key=False)
    backup = export("orders").backup
    tables = aws.client("dynamodb").list_tables()["TableNames"]
    request = RestoreRequest(**{"to_table": "again", "backup": backup} | more)
    for look in (
        lambda: plan_restore(request, clients=clients(), prices=load_prices(), **COMMON),
        lambda: restore_table(request, clients=clients(), actor="t", run="t", **COMMON),
    ):
        with pytest.raises(BadInputError, match=why):
            look()
    assert aws.client("dynamodb").list_tables()["TableNames"] == tables


def test_somebody_who_writes_meanwhile_is_found_and_named_by_key_hash(
    aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.restore import table as module

    backup, real = export("orders").backup, module.prove_restore

    def meddle(*given: Any, **more: Any) -> Any:
        database = aws.client("dynamodb")
        database.put_item(TableName="again", Item={"pk": {"S": "intruder"}, "sk": {"N": "1"}})
        database.delete_item(TableName="again", Key={"pk": {"S": "customer-1"}, "sk": {"N": "1"}})
        return real(*given, **more)

    monkeypatch.setattr(module, "prove_restore", meddle)
    with pytest.raises(IntegrityError, match="1 missing in the table, 1 not in the backup") as caught:
        restore_table(RestoreRequest("again", backup), clients=clients(), actor="t", run="t", **COMMON)
    report = caught.value.report  # type: ignore[attr-defined]
    assert sorted(one["state"] for one in report.differing) == ["missing in the table", "not in the backup"]
    assert "intruder" not in str(report.as_dict())
    assert not report.proved
