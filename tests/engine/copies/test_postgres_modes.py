"""What PostgreSQL alone has around a copy: views, foreign keys, triggers, grants, names, limits, faults. Real server, sets in memory."""

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tablekeep.engine.clock import SystemClock
from tablekeep.engine.copies.convert import Converter
from tablekeep.engine.copies.copy import CopyReport, copy_set
from tablekeep.engine.copies.document import MappingDocument
from tablekeep.engine.copies.modes import Mode, parse_mode
from tablekeep.engine.copies.postgres import PostgresTarget
from tablekeep.engine.errors import BadInputError, IntegrityError, PermanentError, TransientError
from tablekeep.engine.progress import NoProgress
from tests.sets import AS_OF, make_set
from tests.tables import orders

COMMON: dict[str, Any] = {"clock": SystemClock(), "progress": NoProgress(), "actor": "test", "run": "test"}
RENAME = Mode("replace", swap="rename")


@pytest.fixture
def dsn(postgres: Any) -> Iterator[str]:
    yield postgres.create_database("copies_modes")
    postgres.drop_database("copies_modes")


@pytest.fixture
def sql(dsn: str) -> Iterator[Callable[..., list[tuple[Any, ...]]]]:
    with psycopg.connect(dsn, autocommit=True) as connection:

        def run(text: str, values: Any = None) -> list[tuple[Any, ...]]:
            cursor = connection.execute(text, values)
            return list(cursor.fetchall()) if cursor.description else []

        yield run


@pytest.fixture
def load(dsn: str) -> Callable[..., CopyReport]:
    """`load(items, mode, minute=1)`."""

    def run(
        items: list[dict[str, Any]],
        mode: str | Mode = "replace",
        *,
        minute: int = 0,
        table: str = "public.orders",
        **more: Any,
    ) -> CopyReport:
        rules = MappingDocument.model_validate(more.pop("rules", {}))
        opened = make_set(items, as_of=AS_OF.replace(minute=minute), **more.pop("made", {}))
        chosen = parse_mode(mode) if isinstance(mode, str) else mode
        return copy_set(opened, target=PostgresTarget(dsn, table), mode=chosen, mapping=rules, **(COMMON | more))

    return run


def staging(sql: Any) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = sql("SELECT relname FROM pg_class WHERE relname LIKE 'tablekeep_staging%'")
    return found


# replace, row by row


def test_replace_leaves_the_table_and_all_that_is_its(load: Any, sql: Any) -> None:
    load(orders(10))
    (oid,) = sql("SELECT 'public.orders'::regclass::oid")
    sql("CREATE VIEW public.paid AS SELECT pk FROM public.orders WHERE paid")
    sql("CREATE INDEX by_paid ON public.orders (paid)")
    sql("CREATE TABLE public.log (n int)")
    sql(
        "CREATE FUNCTION public.noted() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO public.log VALUES (1); RETURN NULL; END'"
    )
    sql("CREATE TRIGGER noted AFTER INSERT ON public.orders FOR EACH STATEMENT EXECUTE FUNCTION public.noted()")
    sql("ALTER TABLE public.orders ADD COLUMN mine text DEFAULT 'default'")
    report = load(orders(12), minute=1)
    assert (report.rows, report.inserted, report.deleted) == (12, 12, 10)
    assert [oid] == sql("SELECT 'public.orders'::regclass::oid")
    assert sql("SELECT count(*) FROM public.paid") == [(6,)]
    assert sql("SELECT count(*), min(mine) FROM public.orders") == [(12, "default")]
    assert sql("SELECT count(*) FROM public.log") == [(1,)]
    assert sql("SELECT count(*) FROM pg_indexes WHERE tablename = 'orders'") == [(2,)]


def test_readers_see_the_old_rows_until_the_new_ones_are_there(
    load: Any, sql: Any, dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tablekeep.engine.copies.postgres import PostgresSession

    load(orders(10))
    seen: list[Any] = []
    real = PostgresSession._add_to_ledger

    def look(self: Any, *arguments: Any) -> Any:
        with psycopg.connect(dsn, autocommit=True) as other:
            other.execute("SET lock_timeout = '2s'")
            seen.append(other.execute("SELECT count(*) FROM public.orders").fetchone())
            with pytest.raises(psycopg.errors.LockNotAvailable):
                other.execute("DELETE FROM public.orders")
        return real(self, *arguments)

    monkeypatch.setattr(PostgresSession, "_add_to_ledger", look)
    assert load(orders(12), minute=1).rows == 12
    assert seen == [(10,)]
    assert sql("SELECT count(*) FROM public.orders") == [(12,)]


@pytest.mark.parametrize("mode", ["replace", "upsert", "OVERWRITE_EXISTING"])
def test_a_trigger_that_keeps_rows_out_is_noticed(load: Any, sql: Any, mode: str) -> None:
    load(orders(10))
    sql(
        "CREATE FUNCTION public.keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.sk = 11 THEN RETURN NULL; END IF; RETURN NEW; END'"
    )
    sql("CREATE TRIGGER keep BEFORE INSERT ON public.orders FOR EACH ROW EXECUTE FUNCTION public.keep()")
    with pytest.raises(IntegrityError, match="1 of 12 are not as they were sent"):
        load(orders(12), mode, minute=1)
    assert sql("SELECT count(*) FROM public.orders") == [(10,)]


def test_rows_of_others_are_not_deleted_with_ours(load: Any, sql: Any) -> None:
    load(orders(4))
    sql(
        "CREATE TABLE public.notes (pk text, sk bigint, FOREIGN KEY (pk, sk) REFERENCES public.orders ON DELETE CASCADE)"
    )
    sql("INSERT INTO public.notes SELECT pk, sk FROM public.orders")
    for mode in ("replace", "upsert", RENAME):
        with pytest.raises(BadInputError, match=r"foreign key notes_pk_sk_fkey of notes"):
            load(orders(2), mode, minute=1)
    assert sql("SELECT count(*) FROM public.notes") == [(4,)]
    assert load(orders(2), "OVERWRITE_EXISTING", minute=2).rows == 4
    sql("ALTER TABLE public.notes DROP CONSTRAINT notes_pk_sk_fkey, ADD FOREIGN KEY (pk, sk) REFERENCES public.orders")
    with pytest.raises(PermanentError, match="foreign key notes_pk_sk_fkey refuses"):
        load(orders(2), "upsert", minute=3)
    assert sql("SELECT count(*) FROM public.orders") == [(4,)]


def test_a_constraint_of_people_that_the_backup_breaks(load: Any, sql: Any) -> None:
    load(orders(4))
    sql("DELETE FROM public.orders WHERE sk > 1")
    sql("CREATE UNIQUE INDEX once ON public.orders (paid)")
    with pytest.raises(PermanentError, match="the constraint once of the table lets no value be there twice"):
        load(orders(5), minute=1)
    assert sql("SELECT count(*) FROM public.orders") == [(2,)]


def test_an_adopted_table_gets_what_it_lacks_and_keeps_the_rest(load: Any, sql: Any) -> None:
    sql("CREATE TABLE public.orders (precious int, sk text, pk text)")
    sql("INSERT INTO public.orders VALUES (1, 'x', 'y')")
    with pytest.raises(BadInputError, match="column 'sk' is text, and the mapping's is bigint"):
        load(orders(4), "upsert", adopt=True)
    assert load(orders(4), adopt=True).rows == 4
    assert sql("SELECT count(precious), count(sk), min(pg_typeof(sk)::text) FROM public.orders") == [(0, 4, "bigint")]
    twice = [*orders(3), orders(3)[0]]
    with pytest.raises(IntegrityError, match="a key is in the backup twice"):
        load(twice, minute=1)  # the table has no key of its own
    assert load(orders(4), "upsert", minute=2).status == "copied"


# replace by renaming


def test_renaming_takes_over_what_the_old_table_has(load: Any, sql: Any) -> None:
    load(orders(10))
    sql("CREATE ROLE analyst")
    try:
        sql("GRANT SELECT ON public.orders TO analyst WITH GRANT OPTION")
        sql("GRANT UPDATE (paid) ON public.orders TO PUBLIC")
        sql("COMMENT ON TABLE public.orders IS 'ask Ana, 100% hers'")
        sql("COMMENT ON COLUMN public.orders.paid IS 'whether'")
        sql("CREATE INDEX by_paid ON public.orders (paid, (sk + 1) DESC) WHERE paid")
        sql("COMMENT ON INDEX public.by_paid IS 'fast'")
        sql('CREATE UNIQUE INDEX "By USING" ON public.orders USING btree (sk) INCLUDE (pk)')
        sql(
            "ALTER TABLE public.orders ADD COLUMN mine int DEFAULT 7, ADD CONSTRAINT positive CHECK (sk >= 0), ADD CONSTRAINT u UNIQUE (sk, pk)"
        )
        sql("CREATE TABLE public.kinds (paid boolean PRIMARY KEY)")
        sql("INSERT INTO public.kinds VALUES (true), (false)")
        sql("ALTER TABLE public.orders ADD CONSTRAINT known FOREIGN KEY (paid) REFERENCES public.kinds")
        sql("ALTER TABLE public.orders SET (fillfactor = 90)")
        described = (
            "SELECT pg_get_indexdef(indexrelid), obj_description(indexrelid, 'pg_class') FROM pg_index WHERE indrelid = 'public.orders'::regclass "
            "UNION ALL SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'public.orders'::regclass "
            "UNION ALL SELECT relacl::text, reloptions::text || relpersistence::text FROM pg_class WHERE oid = 'public.orders'::regclass "
            "UNION ALL SELECT attname, attacl::text || coalesce(col_description(attrelid, attnum), '') FROM pg_attribute "
            "WHERE attrelid = 'public.orders'::regclass AND attnum > 0 ORDER BY 1, 2"
        )
        before, (oid,) = sql(described), sql("SELECT 'public.orders'::regclass::oid")
        report = load([*orders(12), {"pk": {"S": "x"}, "sk": {"N": "99"}, "new": {"S": "y"}}], RENAME, minute=1)
        assert report.rows == 13
        assert [oid] != sql("SELECT 'public.orders'::regclass::oid")
        after = sql(described)
        assert [one for one in after if one[0] != "new"] == before
        assert len(after) == len(before) + 1
        assert sql("SELECT obj_description('public.orders'::regclass)") == [("ask Ana, 100% hers",)]
        assert sql("SELECT min(mine), max(new) FROM public.orders") == [(7, "y")]
        assert load(orders(3), RENAME, minute=2).rows == 3  # the ledger knows it by its new number
        assert not staging(sql)
    finally:
        sql("DROP OWNED BY analyst")
        sql("DROP ROLE analyst")


@pytest.mark.parametrize(
    ("made", "named"),
    [
        ("CREATE VIEW public.v AS SELECT pk FROM public.orders", "the view v"),
        ("CREATE RULE r AS ON DELETE TO public.orders DO ALSO SELECT 1", "the rule r"),
        ("ALTER TABLE public.orders ENABLE ROW LEVEL SECURITY", "row security"),
        ("CREATE PUBLICATION p FOR TABLE public.orders", "the publication p"),
    ],
)
def test_what_renaming_cannot_take_over_refuses_it(load: Any, sql: Any, made: str, named: str) -> None:
    load(orders(4))
    sql(made)
    with pytest.raises(BadInputError, match=f"cannot be taken over: {named}"):
        load(orders(2), RENAME, minute=1)
    assert sql("SELECT count(*) FROM public.orders") == [(4,)]
    assert not staging(sql)


def test_the_first_copy_and_a_renamed_one_are_logged(load: Any, sql: Any) -> None:
    persistence = "SELECT relpersistence::text FROM pg_class WHERE relname = 'orders'"
    load(orders(4))
    assert sql(persistence) == [("p",)]
    load(orders(4), RENAME, minute=1)
    assert sql(persistence) == [("p",)]


# names, limits, values (F-33, 3c 7)


def test_identifiers_of_every_length(load: Any, sql: Any) -> None:
    names = [
        "a" * 62,
        "a" * 63,
        "a" * 64,
        "a" * 127,
        "ä" * 31,
        "ä" * 32,
        "select",
        "Select",
        "order by",
        'quo"te',
        "x;--",
        "%s",
        "{}",
        "\U0001f600",
        "ctid",
        "oid",
        "user",
        "_REST",
    ]
    load([{"pk": {"S": "a"}, "sk": {"N": "1"}} | {name: {"S": name[-9:]} for name in names}])
    found = dict(sql("SELECT key, value FROM public.orders o, to_jsonb(o) j, jsonb_each_text(j)"))
    assert sorted(value for value in found.values() if value not in ("a", "1") and value is not None) == sorted(
        name[-9:] for name in names
    )
    assert {"a" * 62, "a" * 63, "Select", 'quo"te', "select~2", "x;--", "%s", "{}", "oid", "ctid~2"} <= set(found)
    assert all(len(name.encode()) <= 63 for name in found)


@pytest.mark.parametrize(
    ("name", "fits"),
    [("t" * 63, True), ("t" * 64, False), ('"select"', True), ('"Orders of ""Ana"""', True), ("t" * 58, True)],
)
def test_tables_of_every_name(load: Any, sql: Any, name: str, fits: bool) -> None:
    if not fits:
        with pytest.raises(BadInputError, match="64 bytes"):
            load(orders(2), table=f"public.{name}")
        return
    assert load(orders(2), table=f"public.{name}").rows == 2
    assert load(orders(3), table=f"public.{name}", minute=1).rows == 3
    assert sql(f"SELECT count(*) FROM public.{name}") == [(3,)]


def test_a_table_of_sets_whose_name_is_too_long_is_refused_before_anything_is_written(load: Any, sql: Any) -> None:
    rules = {"columns": [{"from": "tags", "sets": "table"}]}
    with pytest.raises(BadInputError, match=r"naming the table 't+__tags'"):
        load(orders(2), table="public." + "t" * 59, rules=rules)
    assert not sql("SELECT 1 FROM pg_class WHERE relname LIKE 'ttt%'")


def test_1599_columns_and_too_many(load: Any, sql: Any) -> None:
    def wide(count: int) -> list[dict[str, Any]]:
        inside = {f"n{number}": {"BOOL": True} for number in range(count)}
        return [{"pk": {"S": "a"}, "sk": {"N": "1"}, "m": {"M": inside}}]

    assert load(wide(1597), rules={"nested": "columns"}).rows == 1
    assert sql("SELECT count(*) FROM pg_attribute WHERE attrelid = 'public.orders'::regclass AND attnum > 0") == [
        (1600,)
    ]
    assert sql("SELECT m_n0, m_n1596, _rest FROM public.orders") == [(True, True, None)]
    with pytest.raises(BadInputError, match="1,600 at most"):
        load(wide(1598), rules={"nested": "columns"}, table="public.other")


def test_a_row_that_is_too_large_for_a_page_is_told_in_words(load: Any, sql: Any) -> None:
    inside = {f"n{number}": {"N": str(2**62)} for number in range(1500)}
    with pytest.raises(BadInputError, match="a limit of PostgreSQL"):
        load([{"pk": {"S": "a"}, "sk": {"N": "1"}, "m": {"M": inside}}], rules={"nested": "columns"})
    assert not staging(sql)


def test_numbers_of_38_digits_and_of_both_ends(load: Any, sql: Any) -> None:
    numbers = [
        "9" * 38,
        "-" + "9" * 38,
        "9.9999999999999999999999999999999999999E+125",
        "1E-130",
        "-1E-130",
        "0",
        "12345678901234567890.123456789012345678",
    ]
    load(
        [
            {"pk": {"S": "a"}, "sk": {"N": number}, "all": {"NS": numbers}, "doc": {"L": [{"N": number}]}}
            for number in numbers
        ]
    )
    for number in numbers:
        assert sql(
            "SELECT sk = %s::numeric, doc->>0 = trim_scale(%s::numeric)::text FROM public.orders WHERE sk = %s::numeric",
            [number] * 3,
        ) == [(True, True)]
    assert sql('SELECT DISTINCT jsonb_array_length("all") FROM public.orders') == [(7,)]
    assert load(list(reversed([{"pk": {"S": "a"}, "sk": {"N": number}} for number in numbers])), minute=1).rows == 7


def test_text_of_every_kind_and_the_one_that_cannot_be(load: Any, sql: Any) -> None:
    texts = [
        "",
        " ",
        "\U0001f600" * 100,
        "a\\b",
        "\t\n\r",
        "\\N",
        "\\.",
        "'",
        '"',
        "\x01\x7f\u2028",
        "e\u0301",
        "\u00e9",
        "x" * 390_000,
    ]
    load(
        [
            {
                "pk": {"S": f"k{number}{text[:99]}"},
                "sk": {"N": "1"},
                "t": {"S": text},
                "m": {"M": {text[:99]: {"S": text[:999]}}},
            }
            for number, text in enumerate(texts)
        ]
    )
    assert sorted(one for (one,) in sql("SELECT t FROM public.orders")) == sorted(texts)
    assert sorted(one for (one,) in sql("SELECT jsonb_object_keys(m) FROM public.orders")) == sorted(
        text[:99] for text in texts
    )
    for bad in (
        {"t": {"S": "a\0"}},
        {"m": {"M": {"a\0": {"S": ""}}}},
        {"other": {"NULL": True}, "m": {"L": [{"S": "\\\0"}]}},
    ):
        with pytest.raises(BadInputError, match=r"U\+0000"):
            load([{"pk": {"S": "a"}, "sk": {"N": "1"}} | bad], minute=1)
    with pytest.raises(BadInputError, match="cannot hold every key"):
        load([{"pk": {"S": "a\0"}, "sk": {"N": "1"}}], minute=1)
    # the escape of a backslash before u0000 is no U+0000
    assert load([{"pk": {"S": "a"}, "sk": {"N": "1"}, "m": {"M": {"a": {"S": "\\u0000"}}}}], minute=2).rows == 1
    assert sql("SELECT m->>'a' FROM public.orders") == [("\\u0000",)]


def test_keys_of_bytes_and_of_times(load: Any, sql: Any) -> None:
    items = [{"pk": {"B": "AAE="}, "sk": {"S": f"2026-11-23T02:00:00.{number}Z"}} for number in (1, 25, 999999)]
    rules = {"columns": [{"from": "sk", "type": "timestamptz"}]}
    made = {"key": (("pk", "B"), ("sk", "S"))}
    assert load(items, rules=rules, made=made).rows == 3
    assert load(items[1:], "upsert", rules=rules, made=made, minute=1).rows == 2
    for kind in ("date", "uuid"):
        values = (
            ["2026-11-23", "0001-01-01"]
            if kind == "date"
            else ["A0EEBC99-9c0b-4ef8-bb6d-6bb9bd380a11", "00000000-0000-0000-0000-000000000000"]
        )
        more = [{"pk": {"S": value}} for value in values]
        assert (
            load(
                more,
                rules={"columns": [{"from": "pk", "type": kind}]},
                made={"key": (("pk", "S"),)},
                table=f"public.k{kind}",
            ).rows
            == 2
        )


# faults (F-32)


def slowly(monkeypatch: pytest.MonkeyPatch, between: Callable[[], None]) -> None:
    """Runs something when the first rows have been converted."""
    real = Converter.batches

    def batches(self: Converter, *arguments: Any) -> Any:
        for number, one in enumerate(real(self, *arguments)):
            yield one
            if number == 0:
                between()

    monkeypatch.setattr(Converter, "batches", batches)


def test_a_connection_that_is_lost_in_copy_leaves_the_old_table(
    load: Any, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(orders(10))

    def cut() -> None:
        sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'tablekeep'")
        time.sleep(0.3)

    with monkeypatch.context() as patch:
        slowly(patch, cut)
        with pytest.raises(TransientError, match="the connection or the server failed"):
            load(orders(12), minute=1, made={"rows": 3})
    assert sql("SELECT count(*) FROM public.orders") == [(10,)]
    assert sql("SELECT count(*) FROM tablekeep_loads") == [(1,)]
    assert not staging(sql)
    assert load(orders(12), minute=1).rows == 12


def test_a_statement_timeout_of_the_server_does_not_end_a_load(
    load: Any, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql("ALTER DATABASE copies_modes SET statement_timeout = '200ms'")
    sql("ALTER DATABASE copies_modes SET idle_in_transaction_session_timeout = '200ms'")
    slowly(monkeypatch, lambda: time.sleep(1))
    assert load(orders(10), made={"rows": 3}).rows == 10


def test_a_cancelled_statement_is_transient(load: Any, sql: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    load(orders(10))
    slowly(
        monkeypatch,
        lambda: sql("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'tablekeep'"),
    )
    with pytest.raises(TransientError, match="QueryCanceled"):
        load(orders(12), minute=1, made={"rows": 3})
    assert sql("SELECT count(*) FROM public.orders") == [(10,)]
    assert not staging(sql)


def test_a_deadlock_is_transient_and_leaves_the_old_table(load: Any, sql: Any, dsn: str) -> None:
    sql("ALTER DATABASE copies_modes SET deadlock_timeout = '2s'")
    load(orders(10))
    with psycopg.connect(dsn) as other:
        other.execute("SET deadlock_timeout = '1h'")  # ours finds it
        other.execute("LOCK TABLE public.orders IN ROW EXCLUSIVE MODE")

        def wait_for_ours() -> None:
            waiting = "SELECT 1 FROM pg_locks WHERE relation = 'public.orders'::regclass AND NOT granted"
            while not sql(waiting):
                time.sleep(0.05)
            # the copy has read the ledger: it waits for us now, and we for it
            other.execute("LOCK TABLE public.tablekeep_loads IN ACCESS EXCLUSIVE MODE")

        waits = threading.Thread(target=wait_for_ours)
        waits.start()
        with pytest.raises(TransientError, match="DeadlockDetected"):
            load(orders(12), minute=1)
        waits.join()
        other.rollback()
    sql("ALTER DATABASE copies_modes RESET deadlock_timeout")
    assert sql("SELECT count(*) FROM public.orders") == [(10,)]
    assert load(orders(12), minute=1).rows == 12


def test_a_type_that_overflows_is_a_misfit_and_not_an_error_of_the_server(load: Any, sql: Any) -> None:
    items = [{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "99999"}}]
    with pytest.raises(BadInputError, match="'n': 1 outside of smallint"):
        load(items, rules={"columns": [{"from": "n", "type": "smallint"}], "unmapped": "drop"})
    assert not sql("SELECT 1 FROM pg_class WHERE relname = 'orders'")


def test_a_value_that_the_server_refuses_is_named_by_its_column_alone(load: Any, sql: Any) -> None:
    load([{"pk": {"S": "a"}, "sk": {"N": "1"}, "n": {"N": "5"}}])
    sql("ALTER TABLE public.orders ADD CONSTRAINT small CHECK (n < 10)")
    with pytest.raises(PermanentError, match=r"CheckViolation 23514, column small") as caught:
        load([{"pk": {"S": "secret-key"}, "sk": {"N": "1"}, "n": {"N": "77777"}}], minute=1)
    assert "77777" not in str(caught.value)
    assert "secret" not in str(caught.value)
