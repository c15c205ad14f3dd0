"""One item and many: wire JSON in; canonical form, content hash, census, Parquet schema and Arrow rows out, and back.

Guarantees: decode(encode(item)) is the canonical item for every item the service can hold; a number is text from the
wire to the file and back and never a float. Imports nothing of the engine but its errors; touches no service, no disk.
"""
