"""A new table in the place of an old one, in PostgreSQL: for tables so large that moving their rows would take too long.

The new table is logged from the beginning and gets what the old one has: columns, defaults, checks, comments, indexes, constraints, grants,
owner, storage parameters. What cannot be taken over (views, triggers, policies, rules, publications, foreign keys of others) refuses the
copy before anything was changed: the rows of such a table can be replaced inside of it.
"""

from collections.abc import Callable
from typing import Any

from tablekeep.engine.copies.names import TableName, quoted
from tablekeep.engine.errors import BadInputError, PermanentError

Run = Callable[..., Any]


def check_can_rename(run: Run, oid: int, what: str) -> None:
    """That nothing hangs on the table that would be lost.

    :raises BadInputError: else, with its names.
    """
    found = [row[0] for row in run(_HANGS_ON, {"oid": oid}).fetchall()]
    if found:
        named = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise BadInputError(
            what,
            f"these belong to the old table and cannot be taken over: {named}",
            "leave swap: rename out, so that the rows are replaced inside of the table",
        )


def take_over(run: Run, oid: int, new: TableName) -> list[str]:
    """Gives the new table, which is filled, the old one's indexes, constraints, grants, comment, owner and parameters.

    :returns: statements that give indexes and constraints their names, to be run when the old table is gone.
    """
    later = list[str]()
    for number, (constraint, name, definition, comment) in enumerate(run(_INDEXES, {"oid": oid}).fetchall()):
        if definition is None:
            raise PermanentError(
                f"copying the index {name}", "PostgreSQL describes it in an unknown way", "leave swap: rename out"
            )
        made = f"{new.table}_{number}"
        if constraint:
            run(f"ALTER TABLE {new.sql} ADD CONSTRAINT {quoted(made)} {definition}")
        else:
            # the head is the same but for the names: CREATE [UNIQUE] INDEX … ON … USING
            unique, rest = definition.split("|", 1)
            run(f"CREATE {unique}INDEX {quoted(made)} ON {new.sql} USING {rest}")
        if comment is not None:
            run(f"COMMENT ON INDEX {new.beside(made).sql} IS {comment}")
        later.append(f"ALTER INDEX {new.beside(made).sql} RENAME TO {quoted(name)}")
    for name, definition in run(_FOREIGN, {"oid": oid}).fetchall():
        run(f"ALTER TABLE {new.sql} ADD CONSTRAINT {quoted(name)} {definition}")
    for (statement,) in run(_OTHERS, {"oid": oid, "new": new.sql}).fetchall():
        run(statement)
    return later


_HANGS_ON = """
SELECT 'the view ' || v.oid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
  JOIN pg_class v ON v.oid = r.ev_class
  WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = %(oid)s AND v.oid <> %(oid)s
UNION SELECT 'the foreign key ' || conname || ' of ' || conrelid::regclass::text FROM pg_constraint
  WHERE contype = 'f' AND confrelid = %(oid)s
UNION SELECT 'the trigger ' || tgname FROM pg_trigger WHERE tgrelid = %(oid)s AND NOT tgisinternal
UNION SELECT 'the policy ' || polname FROM pg_policy WHERE polrelid = %(oid)s
UNION SELECT 'row security' FROM pg_class WHERE oid = %(oid)s AND relrowsecurity
UNION SELECT 'the rule ' || rulename FROM pg_rewrite WHERE ev_class = %(oid)s
UNION SELECT 'the publication ' || pubname FROM pg_publication_rel p JOIN pg_publication o ON o.oid = p.prpubid WHERE prrelid = %(oid)s
ORDER BY 1"""

_INDEXES = """
SELECT c.oid IS NOT NULL, i.relname,
       CASE WHEN c.oid IS NOT NULL THEN pg_get_constraintdef(c.oid)
            WHEN starts_with(pg_get_indexdef(i.oid), h.head)
            THEN CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END || '|' || substr(pg_get_indexdef(i.oid), length(h.head) + 1) END,
       quote_literal(obj_description(i.oid, 'pg_class'))
  FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class t ON t.oid = x.indrelid
  JOIN pg_namespace n ON n.oid = t.relnamespace
  LEFT JOIN pg_constraint c ON c.conindid = i.oid AND c.conrelid = t.oid AND c.contype IN ('p', 'u', 'x')
  CROSS JOIN LATERAL (SELECT format('CREATE %%sINDEX %%I ON %%I.%%I USING ', CASE WHEN x.indisunique THEN 'UNIQUE ' ELSE '' END,
                                    i.relname, n.nspname, t.relname) AS head) h
  WHERE x.indrelid = %(oid)s ORDER BY c.contype IS DISTINCT FROM 'p', i.relname"""

_FOREIGN = (
    "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND conrelid = %(oid)s ORDER BY 1"
)

_OTHERS = """
SELECT format('COMMENT ON TABLE %%s IS %%L', %(new)s::text, obj_description(c.oid, 'pg_class'))
  FROM pg_class c WHERE c.oid = %(oid)s AND obj_description(c.oid, 'pg_class') IS NOT NULL
UNION ALL SELECT format('ALTER TABLE %%s SET (%%s)', %(new)s::text, array_to_string(c.reloptions, ', '))
  FROM pg_class c WHERE c.oid = %(oid)s AND c.reloptions IS NOT NULL
UNION ALL SELECT format('GRANT %%s ON %%s TO %%s%%s', a.privilege_type, %(new)s::text,
              CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END,
              CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)
  FROM pg_class c, aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE c.oid = %(oid)s AND a.grantee <> c.relowner AND (a.grantee = 0 OR r.rolname IS NOT NULL)
UNION ALL SELECT format('GRANT %%s (%%I) ON %%s TO %%s', a.privilege_type, t.attname, %(new)s::text,
              CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(r.rolname) END)
  FROM pg_attribute t, aclexplode(t.attacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
  WHERE t.attrelid = %(oid)s AND t.attnum > 0 AND NOT t.attisdropped AND (a.grantee = 0 OR r.rolname IS NOT NULL)
UNION ALL SELECT format('ALTER TABLE %%s OWNER TO %%I', %(new)s::text, r.rolname)
  FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner WHERE c.oid = %(oid)s AND r.rolname <> current_user"""
