"""The DynamoDB service: reading and writing items at wire speed, and reading, building and deleting tables.

In: a table's name and a session. Out: pages of raw item JSON, written items, and the settings needed to build a table again.

Guarantees: no item is parsed into Python objects on the way through; every segment is read to its end, or an error is raised;
no unprocessed item is dropped; every retry is bounded by a limit without progress; no error message carries item contents;
no table is deleted that this run did not create.
"""
