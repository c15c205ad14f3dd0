"""What a restore counts itself, and the order in which it does things: harm that the proof alone would not see, or see too late."""

import gzip
from pathlib import Path
from typing import Any

import boto3
import pytest

from tablekeep.engine.backups.catalog import list_backups
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TablekeepError
from tablekeep.engine.prices import load_prices
from tablekeep.engine.progress import NoProgress
from tablekeep.engine.restore import file as file_module
from tablekeep.engine.restore import steps
from tablekeep.engine.restore import table as table_module
from tablekeep.engine.restore.file import restore_to_file
from tablekeep.engine.restore.plan import plan_restore
from tablekeep.engine.restore.request import RestoreRequest
from tablekeep.engine.restore.source import SetSource
from tablekeep.engine.restore.table import restore_table
from tests.tables import BUCKET, clients, export, make_bucket, make_table, orders

COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress()}


@pytest.fixture
def backup(local_aws: Any) -> str:
    """Forty orders, of a table on which items expire."""
    make_bucket(local_aws)
    make_table(local_aws, "orders", orders())
    local_aws.client("dynamodb").update_time_to_live(
        TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
    )
    return export("orders").backup


def restore(backup: str, **more: Any) -> Any:
    return restore_table(RestoreRequest("again", backup, **more), clients=clients(), actor="t", run="t", **COMMON)


def test_another_plan_than_was_shown_is_not_carried_out(backup: str) -> None:
    def apply(plan_hash: str, **more: Any) -> Any:
        request = RestoreRequest("again", backup, **more)
        return restore_table(request, clients=clients(), actor="t", run="t", plan_hash=plan_hash, **COMMON)

    given: dict[str, Any] = {"clients": clients(), "prices": load_prices(), **COMMON}
    shown = plan_restore(RestoreRequest("again", backup), **given).plan.hash
    for wrong, more in ((shown, {"ttl": True}), (shown[:15], {})):
        with pytest.raises(BadInputError, match="another one than was approved"):
            apply(wrong, **more)
    assert apply(shown[:16]).proved


def test_a_restore_that_read_less_than_was_planned_says_so(backup: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = SetSource.items

    def losing(self: SetSource, unit: str) -> Any:
        for page in real(self, unit):
            yield page[1:]

    monkeypatch.setattr(SetSource, "items", losing)
    with pytest.raises(IntegrityError, match="was planned"):
        restore(backup)


def test_expiry_is_switched_on_after_the_proof(backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = table_module.prove_restore

    def state() -> str:
        found = local_aws.client("dynamodb").describe_time_to_live(TableName="again")["TimeToLiveDescription"]
        return str(found["TimeToLiveStatus"])

    def prove(*given: Any, **more: Any) -> Any:
        assert state() == "DISABLED", "items that have expired could vanish before they are counted"
        return real(*given, **more)

    monkeypatch.setattr(table_module, "prove_restore", prove)
    assert restore(backup, ttl=True).proved
    assert state() == "ENABLED"


def test_a_table_that_could_not_be_proved_is_not_made_to_look_finished(
    backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = table_module.prove_restore

    def meddle(*given: Any, **more: Any) -> Any:
        local_aws.client("dynamodb").put_item(TableName="again", Item={"pk": {"S": "x"}, "sk": {"N": "1"}})
        return real(*given, **more)

    monkeypatch.setattr(table_module, "prove_restore", meddle)
    with pytest.raises(IntegrityError):
        restore(backup, ttl=True)
    found = local_aws.client("dynamodb").describe_time_to_live(TableName="again")["TimeToLiveDescription"]
    assert found["TimeToLiveStatus"] == "DISABLED"


def test_a_file_that_holds_something_else_than_was_written_does_not_appear(
    backup: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = file_module._packed

    class Losing(gzip.GzipFile):
        """A disk that forgets the end."""

        def write(self, data: Any) -> int:
            super().write(data[: data.rindex(b'{"Item"')])
            return len(data)

    def packed(raw: Any, file: Path, mode: str) -> Any:
        return Losing(fileobj=raw, mode="wb") if mode == "wb" else real(raw, file, mode)

    monkeypatch.setattr(file_module, "_packed", packed)
    with pytest.raises(IntegrityError, match="holds something else"):
        restore_to_file(RestoreRequest("to-file", backup), tmp_path / "x.gz", clients=clients(), progress=NoProgress())
    assert list(tmp_path.iterdir()) == []


def test_an_item_over_a_listed_key_is_kept_before_it_is_overwritten(
    backup: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_given: Any) -> Any:
        raise IntegrityError("keeping what stands there", "the bucket refuses")

    monkeypatch.setattr(steps, "keep_present", refuse)
    clients().client("dynamodb").put_item(
        TableName="orders", Item={"pk": {"S": "customer-1"}, "sk": {"N": "1"}, "mine": {"BOOL": True}}
    )
    with pytest.raises(IntegrityError, match="the bucket refuses"):
        restore_table(
            RestoreRequest("orders", backup, mode="overwrite-listed-keys", keys=('{"pk": "customer-1", "sk": 1}',)),
            clients=clients(), actor="t", run="t", **COMMON,
        )  # fmt: skip
    kept = clients().client("dynamodb").get_item(TableName="orders", Key={"pk": {"S": "customer-1"}, "sk": {"N": "1"}})
    assert "mine" in kept["Item"], "nothing was put while nothing was kept"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"mode": "overwrite-listed-keys"}, "needs the keys"),
        ({"mode": "missing-only", "ttl": True}, "new table only"),
    ],
)
def test_modes_that_contradict_themselves_are_refused(backup: str, more: dict[str, Any], why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        restore_table(RestoreRequest("orders", backup, **more), clients=clients(), actor="t", run="t", **COMMON)


@pytest.mark.parametrize("fault", ["none", "a damaged part", "a table that differs", "an index that is refused"])
def test_a_restore_deletes_nothing_whatever_happens(
    backup: str, local_aws: Any, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    opened = open_backup(clients(), backup)
    session, called = boto3.session.Session(region_name="us-east-1"), list[str]()
    for service in ("dynamodb", "s3"):
        session.events.register(f"before-call.{service}", lambda model, **_: called.append(model.name))
    if fault == "a damaged part":
        opened.store.put(opened.manifest.location.key(opened.manifest.parts[0].name), b"?")
    if fault == "a table that differs":
        monkeypatch.setattr(
            table_module, "prove_restore", lambda *given, **more: IntegrityError("proving", "it differs")
        )
    if fault == "an index that is refused":
        monkeypatch.setattr(steps, "add_indexes", refused)
    try:
        restore_table(RestoreRequest("again", backup), clients=SessionClients(session), actor="t", run="t", **COMMON)
        failed = False
    except TablekeepError:
        failed = True
    assert failed == (fault != "none")
    assert "CreateTable" in called
    assert not [name for name in called if name.startswith("Delete")]
    assert "again" in local_aws.client("dynamodb").list_tables()["TableNames"], "what was done so far stays"


def refused(*_given: Any, **_more: Any) -> Any:
    raise PermanentError("adding an index", "AccessDeniedException")


def test_a_folder_without_a_manifest_is_no_backup(backup: str, local_aws: Any) -> None:
    opened = open_backup(clients(), backup)
    opened.store.delete(opened.manifest.location.manifest_key)
    assert list(opened.store.list(opened.manifest.location.prefix)), "its parts are there"
    with pytest.raises(BadInputError, match="there is no manifest, so there is no backup"):
        restore(backup)
    assert list_backups(opened.store, BUCKET, "backups").backups == []
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == ["orders"]
