"""SQL text → statements with named parameters, without knowing what they mean.

A parameter is `:name`, in all dialects; it is bound, never put into the text. What stands in quotes, in comments and in dollar
quotes is left alone, and so are `::type` and `:=`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from tablekeep.engine.errors import BadInputError

Dialect = Literal["postgres", "mysql", "redshift"]
_QUOTED = r"'(?:[^']|'')*'"
_ESCAPED = r"'(?:[^'\\]|\\.|'')*'"
_NAME = r'"(?:[^"]|"")*"'
_DOLLARS = r"\$(?P<tag>[A-Za-z_][A-Za-z0-9_]*)?\$.*?\$(?(tag)(?P=tag))\$"
_PARAMETER = r":(?P<parameter>[A-Za-z_][A-Za-z0-9_]*)(?!\w)"
_WORD = r"[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*"
_PIECES: dict[Dialect, str] = {
    "postgres": rf"[eE]{_ESCAPED}|{_QUOTED}|{_NAME}|{_DOLLARS}|--[^\n]*|(?P<comment>/\*)",
    "redshift": rf"{_ESCAPED}|{_NAME}|{_DOLLARS}|--[^\n]*|(?P<comment>/\*)",
    "mysql": rf'{_ESCAPED}|"(?:[^"\\]|\\.|"")*"|`(?:[^`]|``)*`|--(?=\s|\Z)[^\n]*|\#[^\n]*|/\*.*?\*/|(?P<comment>(?!))',
}
"""What is taken whole. PostgreSQL: "SQL Syntax, Lexical Structure"; MySQL: "Literal Values", "Comments"; `comment` may nest."""
_SCANNERS = {
    dialect: re.compile(
        rf"(?P<whole>{pieces})|(?P<cast>::|:=)|{_PARAMETER}|(?P<word>{_WORD})|(?P<end>;)|(?P<open>['\"`]|\$[A-Za-z_0-9]*\$)|.",
        re.DOTALL,
    )
    for dialect, pieces in _PIECES.items()
}
_BRACKETS = re.compile(r"/\*|\*/")
_BODY = ("PROCEDURE", "FUNCTION", "TRIGGER", "EVENT", "PACKAGE")
_TRANSACTION = {"BEGIN", "COMMIT", "ROLLBACK", "END", "ABORT", "START", "DELIMITER"}
_COMMITS: dict[Dialect, frozenset[str]] = {
    "postgres": frozenset(),
    "redshift": frozenset({"TRUNCATE"}),
    "mysql": frozenset({
        "ALTER", "ANALYZE", "CACHE", "CHANGE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "INSTALL", "LOAD", "LOCK", "OPTIMIZE",
        "RENAME", "REPAIR", "RESET", "REVOKE", "STOP", "TRUNCATE", "UNINSTALL", "UNLOCK", "XA",
    }),
}  # fmt: skip
"""MySQL: "Statements That Cause an Implicit Commit"; Redshift: TRUNCATE "commits the transaction in which it is run"."""


@dataclass(frozen=True)
class Statement:
    """One statement.

    :ivar line: where it begins, from 1. :ivar pieces: text, and between them parameters. :ivar words: its first four, in capitals.
    """

    line: int
    pieces: tuple[tuple[Literal["text", "parameter"], str], ...]
    words: tuple[str, ...]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Their names, in order, as often as they stand there."""
        return tuple(text for kind, text in self.pieces if kind == "parameter")

    def text(self, place: Callable[[str], str], plain: Callable[[str], str] = str) -> str:
        """The statement as a driver takes it. :param place: what stands for a parameter. :param plain: how text is written."""
        return "".join(place(text) if kind == "parameter" else plain(text) for kind, text in self.pieces)

    @property
    def does(self) -> str:
        """`INSERT`, `CREATE TABLE`: what may be told of it."""
        return " ".join(self.words[: 2 if self.words[0] in ("CREATE", "DROP", "ALTER") else 1])


def split_statements(text: str, dialect: Dialect) -> list[Statement]:
    """The statements of a text.

    :raises BadInputError: when there is none, or a quote or comment is not closed.
    """
    found: list[Statement] = []
    reading = _Reading(dialect)
    position = 0
    while position < len(text):
        match = _SCANNERS[dialect].match(text, position)
        assert match
        end = match.end()
        if match["comment"]:
            end = _comment_end(text, match.start())
        elif match["open"]:
            raise _unclosed(text, match.start(), match["open"])
        if match["end"] and not reading.in_body:
            found += reading.statement()
        else:
            reading.take(match, text[match.start() : end], text.count("\n", 0, match.start()) + 1)
        position = end
    found += reading.statement()
    if not found:
        raise BadInputError("reading the SQL", "there is no statement in it", "write at least one")
    return found


class _Reading:
    """Gathers the pieces of one statement after the other."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._clear()

    def _clear(self) -> None:
        self._pieces: list[tuple[Literal["text", "parameter"], str]] = []
        self._words: list[str] = []
        self._line = 0
        self.in_body = False

    def take(self, match: re.Match[str], text: str, line: int) -> None:
        blank = text.isspace() or text.startswith(("--", "/*", "#"))
        if not self._line and not blank:
            self._line = line
        if match["parameter"]:
            self._pieces.append(("parameter", match["parameter"]))
            return
        if match["word"]:
            self._note(text.upper())
        if self._pieces and self._pieces[-1][0] == "text":
            text = self._pieces.pop()[1] + text
        self._pieces.append(("text", text))

    def _note(self, word: str) -> None:
        """Whether a body has begun, in which semicolons end no statement."""
        before = self._words[-1:]
        self._words.append(word)
        if self._words[0] == "CREATE":
            kind = [one for one in self._words[1:] if one not in ("OR", "REPLACE", "AGGREGATE")]
            definer = kind[:1] == ["DEFINER"] and "VIEW" not in kind
            stored = self._dialect == "mysql" and word in _BODY and (definer or kind == [word])
            self.in_body = self.in_body or stored or (before == ["BEGIN"] and word == "ATOMIC")

    def statement(self) -> Iterable[Statement]:
        """What was gathered, if it is more than blanks and comments."""
        if self._line:
            # a statement may begin with a bracket: its first word is then what is in it
            yield Statement(self._line, tuple(self._pieces), tuple(self._words[:4]) or ("",))
        self._clear()


def _comment_end(text: str, start: int) -> int:
    """Comments nest, as the SQL standard has it and PostgreSQL does."""
    depth = 0
    for bracket in _BRACKETS.finditer(text, start):
        depth += 1 if bracket[0] == "/*" else -1
        if depth == 0:
            return bracket.end()
    raise _unclosed(text, start, "/*")


def _unclosed(text: str, start: int, what: str) -> BadInputError:
    line = text.count("\n", 0, start) + 1
    return BadInputError("reading the SQL", f"{what} in line {line} is not closed", "close it")


def check_statements(statements: list[Statement], dialect: Dialect, parameters: Iterable[str]) -> None:
    """That the statements are one transaction, and use just the parameters that are given.

    :raises BadInputError: else, with the line.
    """
    given = set(parameters)
    for statement in statements:
        where = f"line {statement.line}"
        unknown = sorted(set(statement.parameters) - given)
        if unknown:
            known = ", ".join(sorted(given)) or "none"
            raise BadInputError(
                "reading the SQL",
                f":{unknown[0]} in {where} is no parameter (given: {known})",
                f"give it under parameters; where no parameter is meant, write a blank after the colon of :{unknown[0]}",
            )
        first = statement.words[0]
        begins = first in _TRANSACTION or statement.words[:2] == ("SET", "AUTOCOMMIT")
        if begins and statement.words[:2] != ("ROLLBACK", "TO"):
            raise BadInputError(
                "reading the SQL",
                f"{where} begins with {first}: all statements are one transaction already",
                "leave it out",
            )
        if first in _COMMITS[dialect] and statement.words[1:2] != ("TEMPORARY",) and len(statements) > 1:
            raise BadInputError(
                "reading the SQL",
                f"{statement.does} in {where} commits by itself in {'MySQL' if dialect == 'mysql' else 'Redshift'}, so that the "
                "statements would be no one transaction",
                "make it a step of its own",
            )
    unused = sorted(given - {name for statement in statements for name in statement.parameters})
    if unused:
        raise BadInputError(
            "reading the SQL", f"no statement uses the parameter {unused[0]}", "leave it out, or write :" + unused[0]
        )
