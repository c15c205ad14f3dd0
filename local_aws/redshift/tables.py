"""CREATE TABLE and ALTER TABLE: Redshift's types, attributes and keys in PostgreSQL's terms."""

from dataclasses import dataclass, field

from local_aws.redshift.rendering import Statement, render, render_solid
from local_aws.redshift.tokens import Reader, SqlError, Token, folded, path_text, quoted, split_commas
from local_aws.redshift.types import NO_KEYS, ColumnType, read_type


@dataclass
class Definitions:
    """What the parentheses of CREATE TABLE hold.

    :ivar lines: for PostgreSQL; a column's starts with its quoted name. :ivar required: columns that are NOT NULL by a
        primary key. :ivar keys: distribution and sort keys.
    """

    columns: list[tuple[str, ColumnType]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    required: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)

    def check_keys(self) -> None:
        """:raises SqlError: for a key that is no column, or of a type that cannot be one."""
        kinds = dict(self.columns)
        if any(line.startswith("LIKE") for line in self.lines):
            return  # keys of a table made like another are that one's
        for key in self.keys:
            if key not in kinds:
                raise SqlError(f'column "{key}" specified as distkey/sortkey is not in the table')  # text UNCONFIRMED
            if kinds[key].kind in NO_KEYS:
                raise SqlError(
                    f'column "{key}" of type {kinds[key]} cannot be a distkey or sortkey'
                )  # text UNCONFIRMED


def create_table(tokens: list[Token]) -> Statement:
    reader = Reader.over(tokens)
    reader.expect("create")
    reader.skip("local")
    temporary = reader.skip("temp") or reader.skip("temporary")
    reader.expect("table")
    guarded = reader.skip("if", "not", "exists")
    path = reader.path()
    head = f"CREATE {'TEMPORARY ' if temporary else ''}TABLE {path_text(path)}"
    begin = reader.position
    inside = reader.group() if reader.next.text == "(" else []
    found = Definitions()
    rest = table_attributes(reader, found.keys)
    if rest:
        names = "(" + ", ".join(quoted(folded(t)) for t in inside if t.text != ",") + ") " if inside else ""
        return Statement("sql", tokens, [f"{head} {names}{render_solid(rest)}"], path if guarded else None)
    if not inside:
        reader.position = begin
        raise reader.error()
    for part in split_commas(inside):
        definition(Reader(part), found)
    found.check_keys()
    lines = [
        line + (" NOT NULL" if name in found.required and " NOT NULL" not in line else "")
        for name, line in ((d.split('"')[1] if d.startswith('"') else "", d) for d in found.lines)
    ]
    sql = [f"{head} ({', '.join(lines)})"]
    sql += [comment_on(path, name, kind) for name, kind in found.columns]
    return Statement("sql", tokens, sql, path if guarded else None)


def comment_on(path: tuple[str, ...], column: str, kind: ColumnType) -> str:
    return f"COMMENT ON COLUMN {path_text(path)}.{quoted(column)} IS 'redshift:{kind}'"


def definition(reader: Reader, found: Definitions) -> None:
    """One element of a table's definition: a column, LIKE, or a constraint.

    Primary keys, unique and foreign keys are information only in Redshift: they are dropped here too, so that a load
    that runs twice shows its double rows. The columns of a primary key are NOT NULL.
    """
    if reader.skip("like"):
        like = f"LIKE {path_text(reader.path())} INCLUDING COMMENTS INCLUDING CONSTRAINTS"
        if reader.skip("including", "defaults"):
            like += " INCLUDING DEFAULTS"
        found.lines.append(like)
        return
    if reader.skip("constraint"):
        reader.name()
    if reader.skip("primary", "key"):
        found.required |= set(names_in(reader))
        return
    if (reader.next.word, reader.tokens[min(reader.position + 1, len(reader.tokens) - 1)].text) == ("unique", "("):
        return
    if reader.skip("foreign", "key"):
        return
    name = reader.name()
    kind = read_type(reader)
    found.columns.append((name, kind))
    attributes = column_attributes(reader, name, found.keys)
    found.lines.append(f"{quoted(name)} {kind.postgres}{kind.check(name)}{attributes}")


def column_attributes(reader: Reader, name: str, keys: list[str]) -> str:  # noqa: C901  one branch an attribute
    """What PostgreSQL gets of a column's attributes; the column joins `keys` when it is a distribution or sort key."""
    kept = ""
    while not reader.ended:
        if reader.skip("not", "null"):
            kept += " NOT NULL"
        elif reader.skip("primary", "key"):
            kept += "" if " NOT NULL" in kept else " NOT NULL"
        elif reader.skip("null") or reader.skip("unique"):
            pass
        elif reader.skip("distkey") or reader.skip("sortkey"):
            keys.append(name)
        elif reader.skip("encode"):
            reader.take()
        elif reader.skip("collate"):
            if reader.take().word not in {"case_sensitive", "cs"}:
                raise SqlError("case-insensitive columns are not supported by this stand-in")
        elif reader.skip("references"):
            reader.path()
            if reader.next.text == "(":
                reader.group()
        elif reader.skip("identity"):
            kept += identity(reader, "ALWAYS")
        elif reader.skip("generated", "by", "default", "as", "identity"):
            kept += identity(reader, "BY DEFAULT")
        elif reader.skip("default"):
            kept += f" DEFAULT {default_value(reader)}"
        else:
            raise reader.error()
    return kept


def identity(reader: Reader, when: str) -> str:
    seed, step = (int("".join(t.text for t in part)) for part in split_commas(reader.group()))
    return f" GENERATED {when} AS IDENTITY (START WITH {seed} INCREMENT BY {step} MINVALUE {min(seed, 1)})"


ATTRIBUTE_STARTS = {"not", "null", "primary", "unique", "distkey", "sortkey", "encode", "references", "collate"}


def default_value(reader: Reader) -> str:
    taken: list[Token] = []
    while not reader.ended and not (taken and reader.next.word in ATTRIBUTE_STARTS):
        taken.append(reader.take())
        if reader.next.text == "(":
            taken += [Token("symbol", "("), *reader.group(), Token("symbol", ")")]
    return render_solid(taken)


def table_attributes(reader: Reader, keys: list[str]) -> list[Token]:
    """Steps over distribution and sort attributes.

    :param keys: gets the columns that they name.
    :return: what follows them, which can only be `AS query`.
    """
    while not reader.ended:
        if reader.next.word == "as":
            return reader.tokens[reader.position :]
        if reader.skip("diststyle") or reader.skip("backup"):
            reader.take()
        elif reader.skip("distkey"):
            keys += names_in(reader)
        elif reader.skip("encode", "auto") or reader.skip("sortkey", "auto"):
            pass
        elif reader.skip("compound", "sortkey") or reader.skip("interleaved", "sortkey") or reader.skip("sortkey"):
            keys += names_in(reader)
        else:
            raise reader.error()
    return []


def names_in(reader: Reader) -> list[str]:
    return [folded(t) for t in reader.group() if t.text != ","]


def alter_table(tokens: list[Token]) -> Statement:
    reader = Reader.over(tokens)
    reader.expect("alter", "table")
    path = reader.path()
    if reader.skip("append", "from"):
        source = reader.path()
        option = next((o for o in ("ignoreextra", "filltarget") if reader.skip(o)), "")
        if not reader.ended:
            raise reader.error()
        return Statement("append", tokens, tables=(path, source), options=option)
    if reader.skip("add", "column") or (
        reader.next.word == "add" and not adds_constraint(reader) and reader.skip("add")
    ):
        name = reader.name()
        kind = read_type(reader)
        added = f"{quoted(name)} {kind.postgres}{kind.check(name)}{column_attributes(reader, name, [])}"
        return Statement(
            "sql", tokens, [f"ALTER TABLE {path_text(path)} ADD COLUMN {added}", comment_on(path, name, kind)]
        )
    if adds_constraint(reader):
        return Statement("sql", tokens, ["SELECT"])  # keys are information only
    if reader.skip("alter", "diststyle") or reader.skip("alter", "distkey") or reader.skip("alter", "sortkey"):
        return Statement("sql", tokens, ["SELECT"])
    return Statement("sql", tokens, [render(tokens)])


def adds_constraint(reader: Reader) -> bool:
    ahead = reader.tokens[reader.position : reader.position + 2]
    return (
        len(ahead) == 2 and ahead[0].word == "add" and ahead[1].word in {"primary", "unique", "foreign", "constraint"}
    )
