"""RDS: a table of PostgreSQL or MySQL → a backup set like any other: full in one consistent snapshot, or the rows that changed since.

In: a database address, a table, a root on S3. Out: a published set, or nothing. A row is an item, a column an attribute, NULL an absent
one; `table.json` has the schema as the database tells it. Nothing is written to the database.

`instances/` is about whole instances: their snapshots, copies of them, and restores.
"""
