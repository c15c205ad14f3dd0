"""Redshift's SQL as tokens."""

import re
from dataclasses import dataclass
from typing import NamedTuple


class SqlError(Exception):
    """What Redshift would answer to a statement, without its leading `ERROR: `."""


class Token(NamedTuple):
    kind: str  # space, string, quoted, word, number, parameter, symbol
    text: str

    @property
    def word(self) -> str:
        """The word in lower case, "" for other tokens."""
        return self.text.lower() if self.kind == "word" else ""


# Backslashes escape inside of string literals, as in Redshift (PostgreSQL before 9.1).
PATTERN = re.compile(
    r"""
    (?P<space>\s+|--[^\n]*|/\*.*?\*/)
  | (?P<string>[eE]?'(?:[^'\\]|''|\\.)*')
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<cast>::)
  | (?P<parameter>:[A-Za-z_][A-Za-z0-9_]*)
  | (?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_$\u0080-\U0010ffff]*)
  | (?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)
  | (?P<symbol>.)
    """,
    re.VERBOSE | re.DOTALL,
)
MAX_IDENTIFIER_BYTES = 127  # Redshift; PostgreSQL, on which this runs, keeps 63


def tokenize(sql: str) -> list[Token]:
    """Every character of the text is in one token.

    :raises SqlError: for an unterminated literal.
    """
    tokens = []
    for match in PATTERN.finditer(sql):
        kind = match.lastgroup or "symbol"
        text = match.group()
        if kind == "symbol" and text in "'\"":
            raise SqlError(f"unterminated quoted string at or near {sql[match.start() : match.start() + 20]!r}")
        tokens.append(Token("symbol" if kind == "cast" else kind, text))
    return tokens


def statements(tokens: list[Token]) -> list[list[Token]]:
    """The statements between semicolons that hold more than space and comments."""
    found: list[list[Token]] = [[]]
    for token in tokens:
        if token == Token("symbol", ";"):
            found.append([])
        else:
            found[-1].append(token)
    return [one for one in found if any(t.kind != "space" for t in one)]


def join(tokens: list[Token]) -> str:
    return "".join(token.text for token in tokens)


def literal(text: str) -> str:
    """A string literal that means the same whatever backslashes mean."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"E'{escaped}'" if "\\" in text else f"'{escaped}'"


def value_of(token: Token) -> str:
    """The text that a string literal stands for."""
    body = token.text[token.text.index("'") + 1 : -1].replace("''", "'")
    return re.sub(r"\\(.)", r"\1", body)


def folded(token: Token) -> str:
    """An identifier as Redshift stores it: ASCII letters in lower case, quoted ones too (unless
    `enable_case_sensitive_identifier` is set, which is not supported here).

    :raises SqlError: when it is too long.
    """
    name = token.text[1:-1].replace('""', '"') if token.kind == "quoted" else token.text
    name = "".join(c.lower() if c.isascii() else c for c in name)
    size = len(name.encode())
    if size > MAX_IDENTIFIER_BYTES:
        raise SqlError(f'identifier "{name}" is too long: {size} bytes, at most {MAX_IDENTIFIER_BYTES}')
    if size > 63:
        raise SqlError(f'identifier "{name}" is longer than the 63 bytes of the PostgreSQL behind this stand-in')
    return name


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Reader:
    """Walks over the tokens of a statement that are not space."""

    tokens: list[Token]
    position: int = 0

    @classmethod
    def over(cls, tokens: list[Token]) -> "Reader":
        return cls([t for t in tokens if t.kind != "space"])

    @property
    def next(self) -> Token:
        return self.tokens[self.position] if self.position < len(self.tokens) else Token("end", "")

    @property
    def ended(self) -> bool:
        return self.position >= len(self.tokens)

    def take(self) -> Token:
        token = self.next
        self.position += 1
        return token

    def skip(self, *words: str) -> bool:
        """Step over these words (or symbols) if they come next, all of them."""
        ahead = self.tokens[self.position : self.position + len(words)]
        if len(ahead) == len(words) and all((t.word or t.text) == w for t, w in zip(ahead, words, strict=True)):
            self.position += len(words)
            return True
        return False

    def expect(self, *words: str) -> None:
        if not self.skip(*words):
            raise self.error()

    def error(self) -> SqlError:
        if self.ended:
            return SqlError("syntax error at end of input")
        return SqlError(f'syntax error at or near "{self.next.text}"')

    def name(self) -> str:
        """One identifier, folded."""
        if self.next.kind not in {"word", "quoted"}:
            raise self.error()
        return folded(self.take())

    def path(self) -> tuple[str, ...]:
        """A possibly qualified name: ("orders",) or ("sales", "orders")."""
        parts = self.path_of_column()
        if len(parts) > 2:
            raise SqlError("cross-database references are not supported by this stand-in")
        return parts

    def path_of_column(self) -> tuple[str, ...]:
        """A column, possibly with its table and schema before it."""
        parts = [self.name()]
        while self.skip("."):
            parts.append(self.name())
        return tuple(parts)

    def group(self) -> list[Token]:
        """What stands between the parentheses that come next."""
        self.expect("(")
        inside: list[Token] = []
        depth = 1
        while True:
            if self.ended:
                raise self.error()
            token = self.take()
            depth += (token.text == "(") - (token.text == ")")
            if not depth:
                return inside
            inside.append(token)

    def string(self) -> str:
        if self.next.kind != "string":
            raise self.error()
        return value_of(self.take())


def split_commas(tokens: list[Token]) -> list[list[Token]]:
    """The parts between commas outside of parentheses."""
    parts: list[list[Token]] = [[]]
    depth = 0
    for token in tokens:
        depth += (token.text == "(") - (token.text == ")")
        if token.text == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(token)
    return parts


def path_text(path: tuple[str, ...]) -> str:
    return ".".join(map(quoted, path))
