"""CSV, JSON lines or Parquet that another program wrote under a prefix of S3 → a backup set like any other, of service `s3`.

In: files, what their columns are (declared, or derived from a sample), a key. Out: a published set, or nothing. A row that is not what it
should be stops the import, or is told by file and line and counted, as is asked for; none is dropped silently.
"""
