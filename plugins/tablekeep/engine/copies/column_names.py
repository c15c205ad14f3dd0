"""Names of columns: what was written, and what is made of attributes' names, which no database's rules bind."""

import hashlib
from dataclasses import dataclass, field

from tablekeep.engine.copies.dialects import RULES, Dialect
from tablekeep.engine.copies.mapping import STAMP
from tablekeep.engine.copies.names import check_identifier
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.items.layout import REST, fold


@dataclass
class ColumnNames:
    """Names that a table has already; makes of a derived name one that it can have."""

    dialect: Dialect
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def _fold(self, name: str) -> str:
        return fold(name) if RULES[self.dialect].folds else name

    def given(self, name: str) -> str:
        """A name that somebody has written.

        :raises BadInputError: for one that the database cannot take, or that is taken.
        """
        check_identifier(name, self.dialect, "the column")
        if self._fold(name) in self.taken or fold(name) in RULES[self.dialect].taken | {REST, STAMP}:
            raise BadInputError(
                f"naming the column {name!r}",
                "the name is taken: by another column, or by one that every table has",
                "give it another name in the mapping",
            )
        self.taken.add(self._fold(name))
        return name

    def derived(self, name: str) -> str:
        """The name, or one like it: `name~2` where it is taken, its beginning and a hash where the database cannot take it."""
        rules = RULES[self.dialect]
        found, number = self._possible(name), 2
        while self._fold(found) in self.taken or fold(found) in rules.taken | {REST, STAMP}:
            found, number = self._possible(f"{name}~{number}"), number + 1
        self.taken.add(self._fold(found))
        if found != name:
            self.notes.append(f"{shown(name)} has the column {found!r}")
        return found

    def _possible(self, name: str) -> str:
        rules = RULES[self.dialect]
        possible = name.replace("\0", "")
        if rules.characters:
            possible = "".join(one if one <= "\uffff" else "_" for one in possible).rstrip(" ")
        if possible == name and rules.size(name) <= rules.limit:
            return name
        mark = "~" + hashlib.sha256(name.encode()).hexdigest()[:8]
        while rules.size(possible) > rules.limit - len(mark):
            possible = possible[:-1]
        return possible + mark


def shown(name: str) -> str:
    """A name as it stands in a message."""
    return repr(name if len(name) <= 100 else f"{name[:100]}…")
