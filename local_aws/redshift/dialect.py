"""Redshift's SQL in PostgreSQL's terms: what Redshift refuses is refused, the rest is translated."""

from local_aws.redshift.merge import merge
from local_aws.redshift.rendering import Statement, render
from local_aws.redshift.tables import alter_table, create_table
from local_aws.redshift.tokens import Reader, SqlError, Token, literal, statements, tokenize

# Redshift refuses these words of PostgreSQL; seen in a statement they are a loader's mistake.
UNSUPPORTED = (("on", "conflict"), ("returning",), ("unlogged",), ("distinct", "on"), ("lateral",), ("skip", "locked"))
UNSUPPORTED_STARTS = (("create", "index"), ("create", "unique"), ("create", "extension"), ("create", "sequence"))


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
    if words[0] == "merge":
        return merge(tokens)
    if words[0] == "with" and "merge" in words:
        raise SqlError("WITH is not supported in MERGE")  # text UNCONFIRMED
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
