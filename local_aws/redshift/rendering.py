"""Statements on their way to PostgreSQL: identifiers folded, functions renamed."""

from dataclasses import dataclass, field
from itertools import pairwise

from local_aws.redshift.tokens import Token, folded, join, quoted

RENAMED = {"nvl": "coalesce", "len": "length", "listagg": "string_agg"}
RENAMED |= {"json_serialize": "redshift_local.json_serialize"}  # PostgreSQL 17 has a syntax of this name
SYSDATE = "(transaction_timestamp() AT TIME ZONE 'UTC')"


@dataclass
class Statement:
    """One statement, ready to run.

    :param kind: `sql`, `copy`, `truncate` (commits), `append` (not inside of a transaction), `merge`.
    :param sql: PostgreSQL statements, in order; of them the first gives the result.
    :param source: the statement's tokens, with parameters filled in.
    :param unless_exists: run nothing when this table exists. :param tables: target and source of `merge` and `append`.
    :param options: of `append`: `ignoreextra` or `filltarget`.
    """

    kind: str
    source: list[Token]
    sql: list[str] = field(default_factory=list)
    unless_exists: tuple[str, ...] | None = None
    tables: tuple[tuple[str, ...], ...] = ()
    options: str = ""


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


def render_solid(tokens: list[Token]) -> str:
    spaced: list[Token] = []
    for token in tokens:
        spaced += [token, Token("space", " ")]
    return render(spaced[:-1])
