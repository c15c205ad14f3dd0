"""MERGE under Redshift's rules, which are narrower than PostgreSQL's.

Source of the rules: Redshift Database Developer Guide, "MERGE". What needs the catalog (that the source is a table) is
looked at by the runner. That one source row may match several rows of the target is left as PostgreSQL has it: the guide
both forbids it and shows it.
"""

from local_aws.redshift.rendering import Statement, render
from local_aws.redshift.tokens import Reader, SqlError, Token, folded


def merge(tokens: list[Token]) -> Statement:
    """:raises SqlError: for what Redshift's MERGE does not take."""
    reader = Reader.over(tokens)
    reader.expect("merge", "into")
    target = reader.path()
    reader.expect("using")  # the target takes no alias
    if reader.next.text == "(":
        raise SqlError("MERGE source must be a table: a subquery is not supported")  # text UNCONFIRMED
    source = reader.path()
    if source == target:
        raise SqlError("MERGE source and target cannot be the same table")  # text UNCONFIRMED
    named = {target[-1], source[-1]}
    if reader.skip("as") or reader.next.word != "on":
        named = {target[-1], reader.name()}
    check_whole_columns(reader.tokens[reader.position :], named)
    reader.expect("on")
    condition(reader)
    if reader.skip("remove", "duplicates"):
        raise SqlError("this stand-in does not know MERGE … REMOVE DUPLICATES")
    reader.expect("when", "matched", "then")
    if not reader.skip("delete"):
        reader.expect("update", "set")
        cases = 0  # the WHEN of a CASE is not the next clause's
        while not (reader.ended or (reader.next.word == "when" and not cases)):
            word = reader.take().word
            cases += (word == "case") - (word == "end")
    # both clauses, in this order, each once, neither with a condition of its own
    reader.expect("when", "not", "matched", "then", "insert")
    if reader.next.text == "(":
        reader.group()
    reader.expect("values")
    reader.group()
    if not reader.ended:
        raise reader.error()
    return Statement("merge", tokens, [render(tokens)], tables=(target, source))


def condition(reader: Reader) -> None:
    """Equal predicates between columns, joined by AND."""
    depth = 0
    while reader.skip("("):
        depth += 1
    while True:
        reader.path_of_column()
        if not reader.skip("="):
            raise SqlError("MERGE matches by equality of columns only")  # text UNCONFIRMED
        reader.path_of_column()
        while depth and reader.skip(")"):
            depth -= 1
        if not reader.skip("and"):
            break
        while reader.skip("("):
            depth += 1
    if depth:
        raise reader.error()


def check_whole_columns(tokens: list[Token], named: set[str]) -> None:
    """No part of a SUPER column: neither `source.doc[0]` nor `source.doc.field`."""
    for at, token in enumerate(tokens):
        whole = token.text != "["
        if token.kind in {"word", "quoted"} and folded(token) in named:
            whole = [t.text for t in tokens[at + 1 : at + 4 : 2]] != [".", "."]
        if not whole:
            raise SqlError("Partial reference of SUPER column is not supported in MERGE statement.")
