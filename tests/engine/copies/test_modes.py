"""The modes of copies: one conformance suite for all targets. A target is skipped for a mode that it does not have."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from tablekeep.engine.backups.manifest import Manifest
from tablekeep.engine.backups.records import write_record
from tablekeep.engine.backups.s3 import S3Store
from tablekeep.engine.backups.sets import BackupSet
from tablekeep.engine.backups.store import MemoryStore, Store
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.copy import CopyReport, copy_set
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import DATA_PIPELINE, Mode, parse_mode
from tablekeep.engine.copies.newest import copy_newest
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.engine.copies.conftest import Place, document, open_place
from tests.sets import AS_OF, SHELF, delete, make_set, put
from tests.tables import clients, make_bucket

DAY = timedelta(days=1)
Item = dict[str, Any]
COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "test", "run": "test"}


def item(number: int, **more: Any) -> Item:
    values = {name: value if isinstance(value, dict) else {"S": value} for name, value in more.items()}
    return {"pk": {"S": f"p{number}"}, "sk": {"N": str(number)}, "v": {"S": "old"}} | values


@pytest.fixture(params=["postgres", "redshift", "mysql"])
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """Each kind of target, empty."""
    with open_place(request.param, request) as place:
        yield place


@pytest.fixture
def store(place: Place, request: pytest.FixtureRequest) -> Store:
    """Where the sets lie: Redshift reads staged files beside them."""
    if place.kind != "redshift":
        return MemoryStore()
    make_bucket(request.getfixturevalue("local_aws"), SHELF.bucket)
    return S3Store(clients(), SHELF.bucket)


@pytest.fixture
def load(place: Place, store: Store) -> Callable[..., CopyReport]:
    """`load(items, "upsert", day=1)`: makes a set of a day and copies it."""

    def run(
        items: list[Item] | BackupSet,
        mode: str | Mode = "replace",
        *,
        day: float = 0,
        changes: Any = False,
        rules: Item | None = None,
        **more: Any,
    ) -> CopyReport:
        chosen = parse_mode(mode) if isinstance(mode, str) else mode
        target = place.target(more.pop("table", "public.orders"))
        if chosen.name not in target.modes:
            pytest.skip(f"{place.kind} has no {chosen.name}")
        if not isinstance(items, BackupSet):
            items = make_set(items, as_of=AS_OF + day * DAY, changes=changes, store=store, **more.pop("made", {}))
        document = MappingDocument.model_validate(rules or {})
        return copy_set(items, target=target, mode=chosen, mapping=document, **COMMON, **more)

    return run


def rows(place: Place, columns: str = "pk, sk, v", table: str = "public.orders") -> list[tuple[Any, ...]]:
    return sorted(place.query(f"SELECT {columns} FROM {table}"), key=str)


def verified(store: Store, opened: BackupSet) -> Manifest:
    """Leaves the record of a verification that found the set whole."""
    result = {"ok": True, "level": "full", "problems": []}
    write_record(
        store, SHELF, "verify", result, backup_id=opened.manifest.backup_id, actor="test", run="test", clock=SystemClock()
    )  # fmt: skip
    return opened.manifest


def test_the_names_of_data_pipeline_reach_the_modes() -> None:
    assert {name: str(parse_mode(name)) for name in DATA_PIPELINE} == {
        "TRUNCATE": "replace", "OVERWRITE_EXISTING": "upsert (keep_absent)", "KEEP_EXISTING": "upsert (keep_absent, keep_existing)", "APPEND": "append",
    }  # fmt: skip
    for bad in (
        {"name": "merge"},
        {"name": "replace", "keep_absent": True},
        {"name": "upsert", "swap": "rename"},
        {"name": "replace", "swap": "x"},
    ):
        with pytest.raises(BadInputError):
            parse_mode(**bad)


# append


def test_append_adds_each_set_once(place: Place, store: Store, load: Any) -> None:
    first = make_set([item(1), item(2)], store=store)
    assert (load(first, "append").rows, load(first, "append").status) == (2, "unchanged")
    second = load([item(1, v="new"), item(3)], "append", day=1)
    assert (second.rows, second.inserted) == (4, 2)
    assert load(first, "append").status == "unchanged"
    assert place.query("SELECT count(*), count(DISTINCT _backup_id) FROM public.orders") == [(4, 2)]
    of_first = f"SELECT pk, v FROM public.orders WHERE _backup_id = '{first.manifest.backup_id}' ORDER BY pk"
    assert place.query(of_first) == [("p1", "old"), ("p2", "old")]


def test_append_after_a_failure_adds_nothing_twice(
    place: Place, store: Store, load: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load([item(1)], "append")
    second = make_set([item(number) for number in range(50)], as_of=AS_OF + DAY, store=store, rows=10)
    real = Converter.batches

    def dies(self: Converter, *arguments: Any) -> Any:
        for number, one in enumerate(real(self, *arguments)):
            if number == 3:
                raise TransientError("reading", "the network is gone")
            yield one

    with monkeypatch.context() as patch:
        patch.setattr(Converter, "batches", dies)
        with pytest.raises(TransientError):
            load(second, "append")
    assert place.query("SELECT count(*) FROM public.orders") == [(1,)]
    assert load(second, "append").rows == 51
    assert load(second, "append").status == "unchanged"
    assert place.query("SELECT count(*) FROM public.orders") == [(51,)]


def test_a_table_that_is_appended_to_is_not_mixed_with_others(place: Place, load: Any) -> None:
    load([item(1)], "append")
    for mode in ("replace", "upsert"):
        if mode in place.target("public.orders").modes:
            with pytest.raises(BadInputError, match="filled by the mode 'append'"):
                load([item(2)], mode, day=1)
    load([item(1)], "replace", table="public.other")
    with pytest.raises(BadInputError, match="each key is there once"):
        load([item(2)], "append", table="public.other", day=1)


# upsert


def test_upsert_writes_what_differs_and_deletes_what_is_gone(place: Place, load: Any) -> None:
    load([item(number) for number in range(10)], "upsert")
    report = load([item(number, v="new" if number == 3 else "old") for number in range(2, 12)], "upsert", day=1)
    updated = 8 if place.kind == "mysql" else 1  # it writes every row anew
    assert (report.rows, report.inserted, report.updated, report.deleted) == (10, 2, updated, 2)
    assert rows(place, "sk, v") == sorted(((n, "new" if n == 3 else "old") for n in range(2, 12)), key=str)


def test_upsert_may_keep_what_is_gone_and_what_exists(place: Place, load: Any) -> None:
    load([item(1), item(2)], "upsert")
    report = load([item(2, v="new"), item(3)], "OVERWRITE_EXISTING", day=1)
    assert (report.inserted, report.updated, report.deleted) == (1, 1, 0)
    assert rows(place, "sk, v") == [(1, "old"), (2, "new"), (3, "old")]
    report = load([item(2, v="newer"), item(4, v="newest")], "KEEP_EXISTING", day=2)
    assert (report.inserted, report.updated, report.deleted) == (1, 0, 0)
    assert rows(place, "sk, v") == [(1, "old"), (2, "new"), (3, "old"), (4, "newest")]


def test_upsert_tells_null_from_value_and_absent_from_rest(place: Place, load: Any) -> None:
    load([item(1), item(2, w="x")], "upsert")
    without = {name: value for name, value in item(1).items() if name != "v"}
    null = load([without, item(2) | {"w": {"NULL": True}}], "upsert", day=1)
    assert rows(place, "sk, v, w") == [(1, None, None), (2, "old", None)]
    absent = load([without, item(2)], "upsert", day=2)  # NULL is not absent: `_rest` tells
    if place.kind != "mysql":
        assert (null.updated, absent.updated) == (2, 1)


def test_a_key_that_is_in_the_set_twice_is_refused_by_every_mode(place: Place, load: Any) -> None:
    twice = [item(1), item(1, v="other")]
    for number, mode in enumerate(("replace", "upsert", "append")):
        table = f"public.t{number}"
        load([item(1), item(2)], mode, table=table)
        with pytest.raises((IntegrityError, PermanentError), match="twice"):
            load(twice, mode, table=table, day=1)
        assert place.query(f"SELECT count(*) FROM {table}") == [(2,)]


# incremental


def window(start: float, end: float) -> tuple[datetime, datetime]:
    return AS_OF + start * DAY, AS_OF + end * DAY


def test_changes_are_put_and_deleted_in_their_order(place: Place, load: Any) -> None:
    load([item(number) for number in range(4)], "incremental")
    first = load(
        [put(item(1, v="new"), old=item(1)), put(item(9)), delete(item(2)), delete(item(77))], "incremental", day=1, changes=window(-1, 1)
    )  # fmt: skip
    assert (first.rows, first.inserted, first.updated, first.deleted) == (4, 1, 1, 1)
    assert rows(place, "sk, v") == [(0, "old"), (1, "new"), (3, "old"), (9, "old")]
    second = load([put(item(2, v="back")), delete(item(9))], "incremental", day=2, changes=window(1, 2))
    assert second.rows == 4
    assert rows(place, "sk, v") == [(0, "old"), (1, "new"), (2, "back"), (3, "old")]


def test_a_gap_an_older_set_and_a_repeated_one(place: Place, store: Store, load: Any) -> None:
    with pytest.raises(BadInputError, match="changes only"):
        load([put(item(1))], "incremental", changes=True)
    load([item(1)], "incremental")
    with pytest.raises(BadInputError, match="nothing holds the changes from"):
        load([put(item(2))], "incremental", day=2, changes=window(1, 2))
    one = make_set([put(item(2))], as_of=AS_OF + DAY, changes=window(-0.1, 1), store=store)
    assert load(one, "incremental").rows == 2
    assert load(one, "incremental").status == "unchanged"
    older = load([delete(item(2))], "incremental", day=0.5, changes=window(-0.5, 0.5))
    assert older.status == "skipped"
    assert rows(place, "sk") == [(1,), (2,)]
    with pytest.raises(BadInputError, match="made anew"):
        load([put(item(3))], "incremental", day=2, changes=window(1, 2), made={"table_id": "another"})


def shelf_in_s3(place: Place, local_aws: Any) -> tuple[Store, Callable[[], CopyReport]]:
    """Where sets of `SHELF` lie, and what copies the newest of them."""
    target = place.target("public.orders")
    if place.kind != "redshift":
        local_aws.reset()
    make_bucket(local_aws, SHELF.bucket)

    def newest() -> CopyReport:
        return copy_newest(clients=clients(), shelf=SHELF, target=target, mode=Mode("incremental"), **COMMON)

    return S3Store(clients(), SHELF.bucket), newest


def test_the_newest_state_is_reached_over_all_sets_in_between(place: Place, local_aws: Any) -> None:
    store, newest = shelf_in_s3(place, local_aws)
    with pytest.raises(PermanentError, match="is verified"):
        newest()
    full = make_set([item(1), item(2)], store=store)
    one = make_set([put(item(3))], as_of=AS_OF + DAY, changes=window(-0.1, 1), store=store)
    two = make_set([delete(item(1)), put(item(3, v="new"))], as_of=AS_OF + 2 * DAY, changes=window(1, 2), store=store)
    make_set(
        [delete(item(2))], as_of=AS_OF + 9 * DAY, changes=window(2, 9), store=store
    )  # nobody has verified this one
    for opened in (full, one, two):
        verified(store, opened)
    report = newest()
    assert (report.sets, report.rows, report.backup) == (3, 2, two.manifest.uri)
    assert rows(place, "sk, v") == [(2, "old"), (3, "new")]
    assert newest().status == "unchanged"
    # a gap: only a newer full set closes it
    verified(store, make_set([put(item(8))], as_of=AS_OF + 5 * DAY, changes=window(4, 5), store=store))
    with pytest.raises(PermanentError, match="changes are missing"):
        newest()
    assert rows(place, "sk, v") == [(2, "old"), (3, "new")]
    verified(store, make_set([item(5)], as_of=AS_OF + 6 * DAY, store=store))
    report = newest()
    assert (report.deleted, report.inserted) == (2, 1)
    assert rows(place, "sk") == [(5,)]
    # the table was deleted and made anew: its first full set begins a new line
    verified(store, make_set([item(7)], as_of=AS_OF + 8 * DAY, store=store, table_id="another"))
    assert newest().rows == 1
    assert rows(place, "sk") == [(7,)]


def test_changes_that_end_before_the_full_set_does_set_no_item_back(place: Place, local_aws: Any) -> None:
    """A full set may show an item up to a minute after its nominal time: changes that end earlier wait for the next ones."""
    store, newest = shelf_in_s3(place, local_aws)
    verified(store, make_set([item(1, v="after 40 s")], store=store))
    newest()
    half = AS_OF + timedelta(seconds=30)
    verified(store, make_set([put(item(1, v="before"))], as_of=half, changes=(AS_OF - DAY, half), store=store))
    assert newest().status == "unchanged"
    assert rows(place, "sk, v") == [(1, "after 40 s")]
    later = make_set([put(item(1, v="later"))], as_of=AS_OF + DAY, changes=(half, AS_OF + DAY), store=store)
    verified(store, later)
    assert newest().sets == 2
    assert rows(place, "sk, v") == [(1, "later")]


# what all modes have


@pytest.mark.parametrize("mode", ["replace", "append", "upsert", "OVERWRITE_EXISTING", "KEEP_EXISTING", "incremental"])
def test_the_table_is_what_a_model_of_it_says(place: Place, store: Store, load: Any, mode: str) -> None:
    """Many sets one after the other beside a dictionary: keys that come, go and change, columns that come and widen, members of sets."""
    import random

    dice, model = random.Random(mode), dict[int, Any]()
    target = place.target("public.orders")
    children = target.child_tables
    rules: Item = {"columns": [{"from": "tags", "sets": "table"}], "unmapped": "columns"} if children else {}
    appended = list[Any]()
    for day in range(6):
        state = {}
        for number in dice.sample(range(20), dice.randrange(1, 15)):
            one = item(
                number, v=dice.choice("abc"), tags={"SS": sorted(dice.sample(["x", "y", "z"], dice.randrange(1, 3)))}
            )
            if day > 2:
                one["n"] = {"N": dice.choice(["1", "2"]) if day < 4 else "1.25"}
            state[number] = one
        wrote = dice.sample(sorted(state), len(state))
        if mode == "incremental" and day:
            gone = dice.sample(range(20), 3)
            lines = [put(state[number]) for number in wrote if number not in gone] + [
                delete(item(number)) for number in gone
            ]
            load(lines, mode, day=day, changes=window(day - 1 - 0.01, day), rules=rules)
            model = {n: one for n, one in (model | {n: state[n] for n in wrote}).items() if n not in gone}
        else:
            load([state[number] for number in wrote], mode, day=day, rules=rules)
            model = {
                "replace": state, "upsert": state, "incremental": state, "append": {}, "OVERWRITE_EXISTING": model | state, "KEEP_EXISTING": state | model
            }[mode]  # fmt: skip
        appended += state.values()
        expected = appended if mode == "append" else list(model.values())
        n = f", CAST(n AS {'char(40)' if place.kind == 'mysql' else 'varchar(40)'})" if day > 2 else ""
        found = rows(place, f"pk, sk, v{n}")
        wanted = [
            (one["pk"]["S"], int(one["sk"]["N"]), one["v"]["S"], *([one.get("n", {}).get("N")] if day > 2 else [])) for one in expected
        ]  # fmt: skip
        assert sorted(map(_number_text, found), key=str) == sorted(wanted, key=str), day
        if children:
            members = [(one["pk"]["S"], int(one["sk"]["N"]), tag) for one in expected for tag in one["tags"]["SS"]]
            assert rows(place, "pk, sk, value", "public.orders__tags") == sorted(members, key=str), day


def _number_text(row: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(row) < 4 or row[3] is None:
        return row
    text = str(row[3])
    return (*row[:3], text.rstrip("0").rstrip(".") if "." in text else text)


@pytest.mark.parametrize("mode", ["replace", "append", "upsert", "incremental"])
@pytest.mark.parametrize("lie", ["a row is lost", "a cell is lost", "a key is another"])
def test_what_changes_on_the_way_is_noticed_before_the_swap(
    place: Place, load: Any, monkeypatch: pytest.MonkeyPatch, mode: str, lie: str
) -> None:
    load([item(number) for number in range(20)], mode)
    before = rows(place)
    real = Converter.batches

    def lying(self: Converter, *arguments: Any) -> Any:
        for converted in real(self, *arguments):
            arrays = list(converted.arrays)
            if lie == "a row is lost":
                arrays = [array.slice(1) for array in arrays]
            elif lie == "a cell is lost":
                arrays[2] = pa.array([None, *arrays[2].to_pylist()[1:]], arrays[2].type)
            else:
                arrays[0] = pa.array(["somebody else", *arrays[0].to_pylist()[1:]], arrays[0].type)
            yield replace(converted, arrays=arrays)

    monkeypatch.setattr(Converter, "batches", lying)
    reason = {"a row is lost": "19", "a cell is lost": "nulls", "a key is another": "its keys are not those"}[lie]
    with pytest.raises(IntegrityError, match=reason):
        load([item(number, v="new") for number in range(20)], mode, day=1)
    assert rows(place) == before


@pytest.mark.parametrize("mode", ["upsert", "append", "incremental"])
def test_columns_that_people_added_stay(place: Place, load: Any, mode: str) -> None:
    load([item(1)], mode)
    place.query("ALTER TABLE public.orders ADD COLUMN note varchar(20)")
    place.query("UPDATE public.orders SET note = 'mine'")
    more = [item(1), item(2, extra="x")]
    if place.kind == "mysql" and mode != "append":  # rows are written anew, so it would be lost
        with pytest.raises(BadInputError, match="columns that the mapping does not know: note"):
            load(more, mode, day=1)
        assert rows(place, "sk, note") == [(1, "mine")]
        return
    load(more, mode, day=1)
    found = rows(place, "sk, note, extra")
    assert (1, "mine", None) in found
    assert (2, None, "x") in found


def test_another_mapping_loads_the_same_set_again(place: Place, store: Store, load: Any) -> None:
    opened = make_set([item(1, a={"M": {"b": {"S": "x"}}})], store=store)
    assert load(opened).status == "copied"
    assert load(opened).status == "unchanged"
    report = load(opened, rules={"columns": [{"from": "a.b", "name": "b"}]})
    assert (report.status, report.reason) == (
        "copied",
        "the table holds this backup, but by another mapping: it was loaded again",
    )
    assert load(opened, rules={"columns": [{"from": "a.b", "name": "b"}]}).status == "unchanged"
    assert rows(place, "sk, b") == [(1, "x")]


def test_members_of_sets_are_a_table_beside_it(place: Place, store: Store, load: Any) -> None:
    if not place.target("public.orders").child_tables:
        pytest.skip("no tables of sets")
    rules = {"columns": [{"from": "tags", "sets": "table"}, {"from": "v"}]}
    place.query("CREATE TABLE public.orders__tags (precious int)")
    with pytest.raises(BadInputError, match=r"orders__tags.* others made"):
        load([item(1, tags={"SS": ["a"]})], rules=rules)
    place.query("DROP TABLE public.orders__tags")
    mixed = [
        item(1, tags={"SS": ["a", "b"]}),
        item(2, tags={"NULL": True}),
        item(3),
        item(4, tags={"S": "odd"}),
        item(5, tags={"L": [{"S": "l"}]}),
    ]
    report = load(mixed, rules=rules)
    assert report.kept == {"tags": 1}
    assert rows(place, "pk, sk, value", "public.orders__tags") == [("p1", 1, "a"), ("p1", 1, "b"), ("p5", 5, "l")]
    rest = {row[0]: document(place, row[1]) for row in rows(place, "sk, _rest") if row[1]}
    assert rest == {2: {"tags": {"NULL": True}}, 4: {"tags": {"S": "odd"}}, 5: {"tags": {"L": [{"S": "l"}]}}}
    load([item(1, tags={"SS": ["c"]})], rules=rules, day=1)
    assert rows(place, "pk, value", "public.orders__tags") == [("p1", "c")]
