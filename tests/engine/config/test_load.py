"""Folders of pipeline files: what is right becomes pipelines, what is wrong becomes problems with line, field, rule, example."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tablekeep.engine.config.base import Pipeline
from tablekeep.engine.config.kinds import kinds
from tablekeep.engine.config.kinds.dynamodb import DynamoDBPipeline
from tablekeep.engine.config.load import Loaded, find_folder, find_pipeline, load_folder, slug
from tablekeep.engine.config.model import NOT_BUILT
from tablekeep.engine.config.schema import schema_text
from tablekeep.engine.errors import BadInputError

GOOD = 'version: 1\ntable: orders\nbackup: {to: "s3://acme-backups/dynamodb"}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "include" / "pipelines"
    made.mkdir(parents=True)
    (tmp_path / "include" / "environments").mkdir()
    return made


def write(folder: Path, **files: str) -> Loaded:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_folder(folder, environment="")


def said(loaded: Loaded) -> str:
    return "\n".join(str(problem) for problem in loaded.problems)


def test_the_least_that_is_a_pipeline(folder: Path) -> None:
    (one,) = write(folder, orders=GOOD).pipelines
    assert (one.name, one.table, one.owner, one.enabled, one.aws_conn_id) == (
        "orders",
        "orders",
        "tablekeep",
        True,
        "aws_default",
    )
    assert (one.backup.schedule, one.backup.timezone, one.backup.engine) == (None, "UTC", "scan")
    assert (one.copies, one.drill, one.verify) == ([], None, None)


def test_everything_that_a_pipeline_may_say(folder: Path) -> None:
    text = """
version: 1
kind: dynamodb
name: shop.orders-eu
owner: shop-team
enabled: false
table: Shop_Orders
region: eu-west-1
aws_conn_id: aws_shop
pool: dynamodb
backup: {schedule: "0 2 * * *", timezone: Europe/Berlin, engine: scan, read_budget: 25%, segments: 8, to: "s3://acme-backups/dynamodb",
  encryption: alias/backups, bucket_owner: "123456789012"}
verify: {schedule: "0 5 * * 6", level: checksum}
copies:
  - {name: analytics, to: postgres, conn_id: analytics_pg, table: public.orders, mode: replace}
  - {name: dwh, to: redshift, cluster: dwh, db_user: loader, database: prod, table: 'public."Orders"',
     iam_role: "arn:aws:iam::123456789012:role/copy", region: eu-central-1, aws_conn_id: aws_dwh}
drill: {schedule: "0 6 * * 0", objectives: {rto: 2h, rpo: 26h}, max_wcu: 500, aws_conn_id: aws_drill, region: eu-west-2}
restore: {patterns_refused: ["prod-*"], max_wcu: 100.5}
"""
    loaded = write(folder, whatever=text)
    assert said(loaded) == ""
    (one,) = loaded.pipelines
    assert one.backup.read_budget == "25%"
    assert one.drill is not None
    assert one.drill.objectives.rpo == timedelta(hours=26)
    assert [copy.to for copy in one.copies] == ["postgres", "redshift"]
    assert one.restore.patterns_refused == ["prod-*"]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("bakup: {}", "orders.yaml:4: bakup: this key is not known; did you mean backup? (known here: aws_conn_id,"),
        ("version: 2", "version: this Tablekeep reads version 1 only"),
        ("version: true", "version: this Tablekeep reads version 1 only"),
        ("kind: csv", "dynamodb"),
        ("kind: dynamo", "(for example kind: dynamodb)"),
        ("kind: [dynamodb]", "kind: it must be "),
        ("name: Orders", "name: it must have 1 to 80 of a-z"),
        ("name: a__b", "name: it must have 1 to 80"),
        ("name: " + "a" * 81, "name: it must have 1 to 80"),
        ("table: x", "table: a table's name has 3 to 255"),
        ("table: 123456", "table: it must be text; put it in quotes"),
        ("region: Frankfurt", "region: it must be a Region's code (for example region: us-east-1)"),
        ("enabled: yes", "enabled: it must be true or false"),
        ("copies: {}", "copies: it must be a list"),
        ("drill: 5", "drill: it must be a mapping"),
        ("drill: {objectives: {rto: 2}}", "drill.objectives.rto: it must be text"),
        (
            "drill: {objectives: {rto: 2 hours}}",
            "drill.objectives.rto: it must be a number above 0 followed by s, m, h or d (for example rto: 2h)",
        ),
        ("drill: {objectives: {rto: 0h}}", "above 0"),
        ("drill: {max_wcu: 0}", "drill.max_wcu: "),
        ('drill: {backup_role: "arn:aws:iam::123456789012:role/a"}', "backup_role goes with path: backup"),
        ("drill: {max_rcu: 0}", "drill.max_rcu: "),
        ("drill: {path: bulk-put}", "drill.path: "),
        ("drill: {restore_testing_plan: weekly}", "it must be a restore-testing plan's ARN"),
        ("drill: {validate_within: 2h}", "validate_within goes with restore_testing_plan"),
        (
            'drill: {path: pitr, restore_testing_plan: "arn:aws:backup:us-east-1:123456789012:restore-testing-plan:weekly"}',
            "restore_testing_plan restores nothing",
        ),
        ("verify: {level: half}", "verify.level: it must be list, checksum or full"),
        (
            "copies: [{to: postgres, table: a.b, name: x}]",
            "copies[0].conn_id: this key is required (for example conn_id: analytics_pg)",
        ),
        ("copies: [{name: x}]", "copies[0]: this key is required"),
        ("copies: [{name: x, to: oracle}]", "it must be postgres, mysql, redshift or athena"),
        ("copies: [{name: x, to: athena, table: t}]", "copies[0].database: this key is required"),
        (
            "copies: [{name: x, to: athena, database: d, table: a.b}]",
            "copies[0].table: it must be a name that Athena takes",
        ),
        (
            "copies: [{name: x, to: athena, database: d, table: a, mode: replace}]",
            "copies[0].mode: this key is not known",
        ),
        ("copies: [{name: x, to: postgres, conn_id: a, table: a.b.c}]", "copies[0].table: it must be schema.table"),
        (
            "copies: [{name: x, to: postgres, conn_id: a, table: a, workgroup: b}]",
            "copies[0].workgroup: this key is not known",
        ),
        (
            "copies: [{name: x, to: redshift, database: d, table: a, iam_role: r, workgroup: abc}]",
            "copies[0].iam_role: it must be a role's ARN",
        ),
        (
            "copies: [{name: x, to: redshift, database: d, table: a, iam_role: 'arn:aws:iam::123456789012:role/x'}]",
            "copies[0]: give either workgroup or cluster",
        ),
        (
            "copies: [{name: x, to: postgres, conn_id: a, table: a}, {name: x, to: postgres, conn_id: a, table: b}]",
            "two copies have the name x",
        ),
        ("restore: {patterns_refused: prod-*}", "restore.patterns_refused: it must be a list"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(folder: Path, line: str, expected: str) -> None:
    key = line.split(":")[0]
    base = "".join(one + "\n" for one in GOOD.splitlines() if not one.startswith(f"{key}:"))
    loaded = write(folder, orders=base + line + "\n")
    assert expected in said(loaded)
    assert not loaded.pipelines
    assert all(problem.line for problem in loaded.problems)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("schedule: '0 2 * *'", "backup.schedule: it must be a cron expression of five fields"),
        ("schedule: '* * * * * *'", "five fields"),
        ("schedule: '0 0 30 2 *'", "never comes due"),
        ("schedule: 02:00", "backup.schedule: it must be a cron"),
        (
            "timezone: Mars/Phobos",
            "backup.timezone: it must be a name of the time zone database (for example timezone: Europe/Berlin)",
        ),
        ("timezone: ../../etc/passwd", "backup.timezone: it must be a name"),
        ("read_budget: 0", "backup.read_budget: it must be more than 0"),
        ("read_budget: 101%", "at most 100%"),
        ("read_budget: lots", 'for example read_budget: "25%"'),
        ("segments: 0", "backup.segments: "),
        ("segments: 1.5", "backup.segments: it must be a whole number"),
        ("segments: '4'", "backup.segments: it must be a whole number"),
        ("bucket_owner: 123456789012", "backup.bucket_owner: it must be text"),
        ("mode: {full_every: 7}", "backup.mode.full_every: it must be text"),
        ("mode: {merge: true}", "backup.mode.full_every: this key is required (for example full_every: 7d)"),
        ("to: acme-backups", "backup.to: it does not begin with s3://"),
        ("to: s3://Acme", "3 to 63 lower-case"),
        ("encryption: ''", "backup.encryption: it must not be empty"),
    ],
)
def test_values_of_the_backup(folder: Path, line: str, expected: str) -> None:
    to = "" if line.startswith("to:") else "  to: s3://acme-backups/dynamodb\n"
    loaded = write(folder, orders=f"version: 1\ntable: orders\nbackup:\n{to}  {line}\n")
    assert expected in said(loaded)
    assert loaded.problems[0].line == (4 if line.startswith("to:") else 5)


@pytest.mark.parametrize("engine", ["scan", "auto"])
def test_increments_need_the_services_own_export(folder: Path, engine: str) -> None:
    text = 'version: 1\ntable: orders\nbackup:\n  to: "s3://acme-backups/x"\n  mode: {full_every: 7d}\n'
    assert "mode needs the engine pitr" in said(write(folder, orders=f"{text}  engine: {engine}\n"))
    assert not write(folder, orders=f"{text}  engine: pitr\n").problems


@pytest.mark.parametrize("key", sorted(NOT_BUILT))
def test_a_key_that_is_not_built_is_refused(folder: Path, key: str) -> None:
    section, _, inner = key.rpartition(".")
    text = GOOD
    if section == "backup":
        text = f'version: 1\ntable: orders\nbackup:\n  to: "s3://acme-backups/x"\n  {inner}: {{a: 1}}\n'
    elif section:
        text += f"{section}: {{{inner}: [ana]}}\n"
    else:
        text += f"{key}: {{a: 1}}\n"
    loaded = write(folder, orders=text)
    assert [problem.field for problem in loaded.problems] == [key]
    assert "not built yet" in said(loaded)


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("mode: upsert, keep_absent: true", ""), ("mode: TRUNCATE, swap: rename", ""), ("mode: KEEP_EXISTING", ""), ("mode: incremental", ""),
        ("mode: replace, keep_absent: true", "copies[0]: keep_absent goes with upsert only"),
        ("mode: append, swap: rename", "copies[0]: swap is rows, or with replace rename"), ("mode: merge", "copies[0].mode: it must be"),
        ("mapping: {columns: [{from: 'a..b'}]}", "copies[0].mapping.columns[0].from: it must be names"),
        ("mapping: {misfits: {to: reject, most: 3}, drift: rest}", ""),
    ],
)  # fmt: skip
def test_modes_and_mappings_of_copies(folder: Path, more: str, why: str) -> None:
    loaded = write(folder, orders=GOOD + f"copies:\n  - {{name: x, to: postgres, conn_id: a, table: t, {more}}}\n")
    assert why in said(loaded)
    assert bool(loaded.problems) == bool(why)


def test_all_problems_of_all_files_at_once_and_the_good_ones_load(folder: Path) -> None:
    loaded = write(folder, orders=GOOD, bad="version: 1\ntable: x\nowner: 5\nbackup: {}\n", worse="a: [\n")
    assert [pipeline.name for pipeline in loaded.pipelines] == ["orders"]
    assert [bad.name for bad in loaded.bad] == ["bad", "worse"]
    assert [(str(problem.file), problem.line, problem.field) for problem in loaded.problems if problem.field] == [
        ("pipelines/bad.yaml", 3, "owner"),
        ("pipelines/bad.yaml", 2, "table"),
        ("pipelines/bad.yaml", 4, "backup.to"),
    ]


def test_defaults_of_each_folder_are_laid_under_its_files(folder: Path) -> None:
    (folder / "defaults.yaml").write_text("version: 1\nowner: top\nbackup: {to: 's3://acme-backups/x', segments: 2}\n")
    (folder / "shop").mkdir()
    (folder / "shop" / "defaults.yaml").write_text("owner: shop\n")
    (folder / "shop" / "orders.yaml").write_text("table: orders\nbackup: {segments: 4}\n")
    loaded = write(folder, flights="table: flights\n")
    by_name = {pipeline.name: pipeline for pipeline in loaded.pipelines}
    assert (by_name["orders"].owner, by_name["orders"].backup.segments, by_name["orders"].backup.to) == (
        "shop",
        4,
        "s3://acme-backups/x",
    )
    assert (by_name["flights"].owner, by_name["flights"].backup.segments) == ("top", 2)


def test_a_problem_that_came_from_defaults_names_their_line(folder: Path) -> None:
    (folder / "defaults.yaml").write_text("version: 1\nbackup:\n  to: nowhere\n")
    loaded = write(folder, orders="table: orders\n")
    assert "pipelines/defaults.yaml:3: backup.to:" in said(loaded)


def test_defaults_cannot_name_a_table_and_bad_ones_spoil_only_what_lies_below(folder: Path) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "defaults.yaml").write_text("table: orders\n")
    (folder / "shop" / "orders.yaml").write_text(GOOD)
    loaded = write(folder, flights=GOOD)
    assert [pipeline.name for pipeline in loaded.pipelines] == ["flights"]
    assert "pipelines/shop/defaults.yaml:1: table: this belongs to one pipeline" in said(loaded)


def test_values_of_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("bucket", "s3://from-the-process/x")
    environments = folder.parent / "environments"
    (environments / "dev.yaml").write_text("bucket: s3://dev-backups\nsegments: 3\non_call: true\n")
    (folder / "orders.yaml").write_text(
        "version: 1\ntable: orders\nowner: 'team $${x} ${on_call}'\nenabled: ${on_call}\nbackup: {to: '${bucket}/x', segments: '${segments}'}\n"
    )
    (one,) = load_folder(folder, environment="dev").pipelines
    assert (one.backup.to, one.backup.segments, one.enabled, one.owner) == (
        "s3://dev-backups/x",
        3,
        True,
        "team ${x} true",
    )
    monkeypatch.setenv("TABLEKEEP_ENV", "dev")
    assert load_folder(folder).pipelines == (one,)


@pytest.mark.parametrize(
    ("environment", "value", "expected"),
    [
        ("", "${bucket}", "backup.to: ${bucket} needs an environment, and TABLEKEEP_ENV is not set"),
        ("dev", "${missing}", "${missing} is not in environments/dev.yaml (there: bucket)"),
        ("dev", "s3://${bucket", "after ${ must come a name and }"),
        ("dev", "s3://${a b}/x", "after ${ must come a name and }"),
        ("stage", "${bucket}", "there is no environment stage (there: bad, dev, worse)"),
        ("../dev", "${bucket}", "is no name of an environment"),
        ("bad", "${bucket}", "environments/bad.yaml:1: a value must be text"),
        ("worse", "${bucket}", "no valid YAML"),
    ],
)
def test_values_that_are_not_there(folder: Path, environment: str, value: str, expected: str) -> None:
    environments = folder.parent / "environments"
    (environments / "dev.yaml").write_text("bucket: s3://dev-backups\n")
    (environments / "bad.yaml").write_text("bucket: [1]\n")
    (environments / "worse.yaml").write_text("bucket: [1\n")
    (folder / "orders.yaml").write_text(f"version: 1\ntable: orders\nbackup: {{to: '{value}'}}\n")
    (folder / "plain.yaml").write_text(GOOD)
    loaded = load_folder(folder, environment=environment)
    assert expected.replace("environments/bad.yaml:1: a", "bad.yaml:1: bucket: a") in said(loaded)
    assert [pipeline.name for pipeline in loaded.pipelines] == ["plain"]  # needs no value, so nothing is wrong with it


def test_tables_give_a_pipeline_each(folder: Path) -> None:
    text = "version: 1\ntables: [Orders, order_lines]\nbackup: {to: 's3://acme-backups/{table}'}\ncopies:\n  - {name: pg, to: postgres, conn_id: pg, table: 'public.{table}'}\n"
    loaded = write(folder, shop=text, named=text.replace("tables:", "name: eu.{table}\ntables:"))
    assert sorted((one.name, one.table, one.backup.to, one.copies[0].table) for one in loaded.pipelines) == [
        ("eu.order-lines", "order_lines", "s3://acme-backups/order_lines", "public.order_lines"),
        ("eu.orders", "Orders", "s3://acme-backups/Orders", "public.Orders"),
        ("shop-order-lines", "order_lines", "s3://acme-backups/order_lines", "public.order_lines"),
        ("shop-orders", "Orders", "s3://acme-backups/Orders", "public.Orders"),
    ]


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("tables: orders", "tables: it must be a list"),
        ("tables: []", "with at least one"),
        ("tables: [orders, orders]", "a name is there twice"),
        ("tables: [orders]\ntable: orders", "give either table or tables"),
        ("name: one\ntables: [orders, flights]", "with tables it must hold {table}"),
        ("tables: [orders, 'a b']", "table: a table's name has 3 to 255"),
    ],
)
def test_bad_tables(folder: Path, lines: str, expected: str) -> None:
    loaded = write(folder, shop=f"version: 1\n{lines}\nbackup: {{to: 's3://acme-backups/x'}}\n")
    assert expected in said(loaded)
    assert len(loaded.pipelines) <= 1


def test_of_two_files_with_one_name_the_one_that_is_called_so_keeps_it(folder: Path) -> None:
    loaded = write(folder, a=f"name: orders\n{GOOD}", orders=GOOD, z=f"name: orders\n{GOOD}")
    assert loaded.sources["orders"].name == "orders.yaml"
    assert [(bad.name, str(bad.file)) for bad in loaded.bad] == [("a", "pipelines/a.yaml"), ("z", "pipelines/z.yaml")]
    assert "the name orders is that of pipelines/orders.yaml already" in said(loaded)


def test_one_pipeline_is_loaded_without_reading_the_others(folder: Path) -> None:
    write(folder, orders=GOOD, other=f"name: flights\n{GOOD}")
    (folder / "bad.yaml").write_text("[")
    only = load_folder(folder, environment="", only="orders")
    assert [pipeline.name for pipeline in only.pipelines] == ["orders"]
    assert not only.bad
    elsewhere = load_folder(folder, environment="", only="flights")  # its file has another name: all are read
    assert "flights" in [pipeline.name for pipeline in elsewhere.pipelines]


def test_the_stand_in_of_a_bad_file_keeps_its_schedule(folder: Path) -> None:
    loaded = write(
        folder,
        half="version: 1\ntable: x\nbackup: {schedule: '0 3 * * *', timezone: Asia/Tokyo, to: 's3://acme-backups/x'}\n",
        torn="backup:\n  schedule: '0 4 * * *'  # at four\n  to: [\n",
        off="version: 1\nenabled: false\ntable: x\nbackup: {}\n",
        name_only="name: Night\nversion: 1\n",
    )
    found = {bad.file.stem: bad for bad in loaded.bad}
    assert (found["half"].schedule, found["half"].timezone, found["half"].enabled) == ("0 3 * * *", "Asia/Tokyo", True)
    assert found["torn"].schedule == "0 4 * * *"
    assert not found["off"].enabled
    assert found["name_only"].name == "night"


def test_finding_a_pipeline_by_name(folder: Path) -> None:
    loaded = write(folder, orders=GOOD, bad="version: 1\n")
    assert find_pipeline(loaded, "orders", DynamoDBPipeline).table == "orders"
    with pytest.raises(BadInputError, match=r"bad\.yaml:1: table: this key is required"):
        find_pipeline(loaded, "bad", Pipeline)
    with pytest.raises(BadInputError, match="no such pipeline \\(there: orders\\)"):
        find_pipeline(loaded, "flights", Pipeline)


def test_where_the_folder_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "project"
    dag_file = project / "dags" / "pipelines.py"
    home = tmp_path / "home"
    places = [project / "dags" / "pipelines", project / "include" / "pipelines", home / "include" / "pipelines"]
    environ = {"AIRFLOW_HOME": str(home)}
    with pytest.raises(BadInputError, match="TABLEKEEP_PIPELINES"):
        find_folder(dag_file, environ)
    for place in reversed(places):
        place.mkdir(parents=True)
        assert find_folder(dag_file, environ) == place
    chosen = tmp_path / "chosen"
    with pytest.raises(BadInputError, match="is no folder"):
        find_folder(dag_file, {"TABLEKEEP_PIPELINES": str(chosen)})
    chosen.mkdir()
    assert find_folder(dag_file, {"TABLEKEEP_PIPELINES": str(chosen)}) == chosen
    monkeypatch.chdir(project)
    assert find_folder(None, {}) == project / "include" / "pipelines"


@pytest.mark.parametrize(
    ("text", "name"), [("Prod_Orders", "prod-orders"), ("a__b", "a-b"), ("--", "unnamed"), ("x" * 99, "x" * 80)]
)
def test_names_made_of_any_text(text: str, name: str) -> None:
    assert slug(text) == name


def test_the_projects_own_pipelines_are_right_in_every_environment() -> None:
    project = Path(__file__).parents[3] / "include" / "pipelines"
    for environment in ("dev", "prod"):
        loaded = load_folder(project, environment=environment)
        assert said(loaded) == ""
        assert {pipeline.name for pipeline in loaded.pipelines} == {"flights", "orders"}


def test_problems_are_documents_too(folder: Path) -> None:
    loaded = write(folder, bad="version: 1\ntable: x\nbackup: {to: 's3://acme-backups/x'}\n")
    document: dict[str, Any] = loaded.problems[0].as_dict()
    assert document["line"] == 2
    assert set(document) == {"file", "line", "field", "rule", "example"}


def test_every_kind_names_itself_and_has_its_dags() -> None:
    for kind, model in kinds().items():
        assert kind in str(model.model_fields["kind"].annotation), kind
        module = Path(__file__).parents[3] / "plugins" / "tablekeep" / f"dag_{kind.replace('-', '_')}.py"
        assert module.is_file(), f"{module.name} gives the DAGs of the kind {kind}"


@pytest.fixture
def second_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kind that has only what all kinds have, a schedule and a list."""
    from typing import Annotated, ClassVar, Literal

    from pydantic import Field

    from tablekeep.engine.config import check, load
    from tablekeep.engine.config.base import Model

    class One(Model):
        by: Literal["one"]
        first: int

    class Two(Model):
        by: Literal["two"]
        second: int

    class Other(Pipeline):
        LEAD: ClassVar[str] = "run"
        TIMED: ClassVar[str] = ""
        kind: Literal["other"]
        schedule: str | None = None
        timezone: str = "UTC"
        parts: list[Annotated[One | Two, Field(discriminator="by")]] = []  # noqa: RUF012

    for module in (check, load):
        monkeypatch.setattr(module, "kinds", lambda: {"dynamodb": DynamoDBPipeline, "other": Other})


@pytest.mark.usefixtures("second_kind")
def test_each_kind_has_its_own_keys_and_problems(folder: Path) -> None:
    parts = "parts: [{by: one, first: 1}, {by: two, secnd: 2}, {by: three}]"
    loaded = write(
        folder, good="version: 1\nkind: other\n", bad=f"version: 1\nkind: other\ncopies: []\n{parts}\n", orders=GOOD
    )
    assert [(one.name, one.kind) for one in loaded.pipelines] == [("good", "other"), ("orders", "dynamodb")]
    lines = said(loaded).splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "pipelines/bad.yaml:4: parts[1].second: this key is required",
        "pipelines/bad.yaml:4: parts[1].secnd: this key is not known; did you mean second?",
        "pipelines/bad.yaml:4: parts[2]: it must be one or two",
        "pipelines/bad.yaml:3: copies: this key is not known",
    ]
    with pytest.raises(BadInputError, match="it is of the kind other, not dynamodb"):
        find_pipeline(loaded, "good", DynamoDBPipeline)


@pytest.mark.usefixtures("second_kind")
def test_defaults_of_a_folder_serve_all_its_kinds_but_hide_no_error(folder: Path) -> None:
    (folder / "defaults.yaml").write_text("version: 1\nowner: team\nbackup: {to: 's3://acme-backups/x'}\nparts: []\n")
    loaded = write(folder, orders="table: orders\n", good="kind: other\n")
    assert said(loaded) == ""
    assert [one.owner for one in loaded.pipelines] == ["team", "team"]
    (folder / "defaults.yaml").write_text("version: 1\nonwer: team\n")
    loaded = write(folder, orders=GOOD, good="kind: other\n", own="kind: other\nbackup: {}\n")
    assert {line.partition(" (")[0] for line in said(loaded).splitlines()} == {
        "pipelines/defaults.yaml:2: onwer: this key is not known; did you mean owner?",
        "pipelines/own.yaml:2: backup: this key is not known",
    }


@pytest.mark.usefixtures("second_kind")
def test_a_bad_file_stands_in_as_its_kind_does(folder: Path) -> None:
    loaded = write(folder, bad="version: 2\nkind: other\nschedule: 0 3 * * *\ntimezone: Asia/Tokyo\ntables: [a]\n")
    (bad,) = loaded.bad
    assert (bad.lead, bad.schedule, bad.timezone) == ("run", "0 3 * * *", "Asia/Tokyo")
    assert [one.field for one in bad.problems] == ["version", "tables"]


def test_the_schema_for_editors_chooses_by_kind() -> None:
    schema = json.loads(schema_text())
    assert schema["properties"]["kind"]["enum"] == list(kinds())
    for branch, kind in zip(schema["allOf"], kinds(), strict=True):
        assert branch["if"]["properties"]["kind"]["const"] == kind
        assert ("required" in branch["if"]) is (kind != "dynamodb")
        described = schema["$defs"][branch["then"]["$ref"].rpartition("/")[2]]
        assert described["additionalProperties"] is False
        assert {"owner", "kind", "name"} <= set(described["properties"])
    assert "tables" in schema["$defs"]["DynamoDBPipeline"]["properties"]
