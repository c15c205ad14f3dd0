"""A backup set and a mapping → rows in PostgreSQL and Redshift.

Enters: a set whose parts are checked as they are read, and a target. Leaves: one table with the set's items, one row an
item, and a line in the ledger beside it. Guarantees: the old table stays until the new one has the manifest's number of
rows and the expected nulls in every column; a table that is not ours is never replaced; nothing of an item is dropped.

Athena is another matter: no row is moved, a table of Glue's catalog is pointed at the set (`athena.py`, `glue.py`).
"""
