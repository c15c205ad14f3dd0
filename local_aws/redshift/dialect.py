"""Redshift's SQL in PostgreSQL's terms: tables with Redshift's types, functions of other names, identifiers folded."""

from dataclasses import dataclass, field
from itertools import pairwise

from local_aws.redshift.tokens import (
    Reader,
    SqlError,
    Token,
    folded,
    join,
    literal,
    path_text,
    quoted,
    split_commas,
    statements,
    tokenize,
)
from local_aws.redshift.types import ColumnType, read_type

# Redshift refuses these words of PostgreSQL; seen in a statement they are a loader's mistake.
UNSUPPORTED = (("on", "conflict"), ("returning",), ("unlogged",), ("distinct", "on"), ("lateral",), ("skip", "locked"))
UNSUPPORTED_STARTS = (("create", "index"), ("create", "unique"), ("create", "extension"), ("create", "sequence"))
RENAMED = {"nvl": "coalesce", "len": "length", "listagg": "string_agg"}
SYSDATE = "(transaction_timestamp() AT TIME ZONE 'UTC')"


@dataclass
class Statement:
    """One statement, ready to run.

    :param kind: `sql`, `copy`, `truncate` (commits), `append` (not inside of a transaction).
    :param sql: PostgreSQL statements, in order; of them the first gives the result.
    :param source: the statement's tokens, with parameters filled in.
    :param unless_exists: run nothing when this table exists.
    """

    kind: str
    source: list[Token]
    sql: list[str] = field(default_factory=list)
    unless_exists: tuple[str, ...] | None = None


def translate(sql: str, parameters: dict[str, str] | None = None) -> Statement:
    """A statement as PostgreSQL takes it.

    :param parameters: values for `:name`; Redshift binds them as untyped literals.
    :raises SqlError: for what Redshift refuses.
    """
    found = statements(fill(tokenize(sql), parameters or {}))
    if len(found) != 1:
        raise SqlError("cannot insert multiple commands into a prepared statement" if found else "empty statement")
    tokens = found[0]
    reader = Reader.over(tokens)
    words = [t.word for t in reader.tokens]
    for refused in UNSUPPORTED:
        for at in range(len(words)):
            if tuple(words[at : at + len(refused)]) == refused:
                raise SqlError(f'syntax error at or near "{reader.tokens[at].text}"')
    if tuple(words[:2]) in UNSUPPORTED_STARTS:
        raise SqlError(f"{' '.join(words[:2]).upper()} is not supported")
    if words[0] == "copy":
        return Statement("copy", tokens)
    if words[0] == "truncate":
        return Statement("truncate", tokens, [render(tokens)])
    if words[0] == "create" and "table" in words[1:4]:
        return create_table(tokens)
    if words[:2] == ["alter", "table"]:
        return alter_table(tokens)
    return Statement("sql", tokens, [render(tokens)])


def fill(tokens: list[Token], parameters: dict[str, str]) -> list[Token]:
    """Named parameters as literals. The texts of the errors are UNCONFIRMED."""
    used = {t.text[1:] for t in tokens if t.kind == "parameter"}
    if missing := sorted(used - set(parameters)):
        raise SqlError(f"Cannot find parameter: {missing[0]}")
    if unused := sorted(set(parameters) - used):
        raise SqlError(f"Parameters list contains unused parameters. Unused parameters: [{', '.join(unused)}]")
    return [Token("string", literal(parameters[t.text[1:]])) if t.kind == "parameter" else t for t in tokens]


def render(tokens: list[Token]) -> str:
    """A statement with names folded and functions renamed."""
    out: list[Token] = []
    solid = [i for i, t in enumerate(tokens) if t.kind != "space"]
    following = {i: tokens[j] for i, j in pairwise(solid)}
    after_next = {i: tokens[j] for i, j in zip(solid, solid[2:], strict=False)}
    skip = 0
    for index, token in enumerate(tokens):
        if skip and token.kind != "space":
            skip -= 1
            continue
        word, ahead = token.word, following.get(index, Token("end", ""))
        if token.kind == "quoted":
            out.append(Token("quoted", quoted(folded(token))))
        elif word in RENAMED and ahead.text == "(":
            out.append(Token("word", RENAMED[word]))
        elif word == "sysdate" and ahead.text != "(":
            out.append(Token("word", SYSDATE))
        elif (
            word == "information_schema"
            and ahead.text == "."
            and after_next.get(index, ahead).word in {"columns", "tables"}
        ):
            # PostgreSQL's own would show its types
            out.append(Token("word", f"redshift_local.information_schema_{after_next[index].word}"))
            skip = 2
        else:
            if token.kind == "word":
                folded(token)
            out.append(token)
    return join(out)


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
    rest = table_attributes(reader)
    if rest:
        names = "(" + ", ".join(quoted(folded(t)) for t in inside if t.text != ",") + ") " if inside else ""
        return Statement("sql", tokens, [f"{head} {names}{render_solid(rest)}"], path if guarded else None)
    if not inside:
        reader.position = begin
        raise reader.error()
    columns: list[tuple[str, ColumnType]] = []
    definitions: list[str] = []
    required: set[str] = set()
    for part in split_commas(inside):
        definition(Reader(part), columns, definitions, required)
    lines = [
        line + (" NOT NULL" if name in required and " NOT NULL" not in line else "")
        for name, line in ((d.split('"')[1] if d.startswith('"') else "", d) for d in definitions)
    ]
    sql = [f"{head} ({', '.join(lines)})"]
    sql += [comment_on(path, name, kind) for name, kind in columns]
    return Statement("sql", tokens, sql, path if guarded else None)


def comment_on(path: tuple[str, ...], column: str, kind: ColumnType) -> str:
    return f"COMMENT ON COLUMN {path_text(path)}.{quoted(column)} IS 'redshift:{kind}'"


def definition(
    reader: Reader, columns: list[tuple[str, ColumnType]], definitions: list[str], required: set[str]
) -> None:
    """One element of a table's definition: a column, LIKE, or a constraint.

    Primary keys, unique and foreign keys are information only in Redshift: they are dropped here too, so that a load
    that runs twice shows its double rows. The columns of a primary key are NOT NULL.
    """
    if reader.skip("like"):
        like = f"LIKE {path_text(reader.path())} INCLUDING COMMENTS INCLUDING CONSTRAINTS"
        if reader.skip("including", "defaults"):
            like += " INCLUDING DEFAULTS"
        definitions.append(like)
        return
    if reader.skip("constraint"):
        reader.name()
    if reader.skip("primary", "key"):
        required |= {folded(t) for t in reader.group() if t.text != ","}
        return
    if (reader.next.word, reader.tokens[min(reader.position + 1, len(reader.tokens) - 1)].text) == ("unique", "("):
        return
    if reader.skip("foreign", "key"):
        return
    name = reader.name()
    kind = read_type(reader)
    columns.append((name, kind))
    definitions.append(f"{quoted(name)} {kind.postgres}{kind.check(name)}{column_attributes(reader)}")


def column_attributes(reader: Reader) -> str:  # noqa: C901  one branch an attribute
    kept = ""
    while not reader.ended:
        if reader.skip("not", "null"):
            kept += " NOT NULL"
        elif reader.skip("primary", "key"):
            kept += "" if " NOT NULL" in kept else " NOT NULL"
        elif reader.skip("null") or reader.skip("unique") or reader.skip("distkey") or reader.skip("sortkey"):
            pass
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


def table_attributes(reader: Reader) -> list[Token]:
    """Steps over distribution and sort attributes.

    :return: what follows them, which can only be `AS query`.
    """
    while not reader.ended:
        if reader.next.word == "as":
            return reader.tokens[reader.position :]
        if reader.skip("diststyle") or reader.skip("backup"):
            reader.take()
        elif reader.skip("distkey"):
            reader.group()
        elif reader.skip("encode", "auto") or reader.skip("sortkey", "auto"):
            pass
        elif reader.skip("compound", "sortkey") or reader.skip("interleaved", "sortkey") or reader.skip("sortkey"):
            reader.group()
        else:
            raise reader.error()
    return []


def alter_table(tokens: list[Token]) -> Statement:
    reader = Reader.over(tokens)
    reader.expect("alter", "table")
    path = reader.path()
    if reader.skip("append", "from"):
        source = path_text(reader.path())
        target = path_text(path)
        moves = [f"INSERT INTO {target} SELECT * FROM {source}", f"DELETE FROM {source}"]  # noqa: S608  quoted names
        return Statement("append", tokens, moves)
    if reader.skip("add", "column") or (
        reader.next.word == "add" and not adds_constraint(reader) and reader.skip("add")
    ):
        name = reader.name()
        kind = read_type(reader)
        added = f"{quoted(name)} {kind.postgres}{kind.check(name)}{column_attributes(reader)}"
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


def render_solid(tokens: list[Token]) -> str:
    spaced: list[Token] = []
    for token in tokens:
        spaced += [token, Token("space", " ")]
    return render(spaced[:-1])
