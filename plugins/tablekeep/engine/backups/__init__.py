"""The backup set on S3: where it lies, how it is stored, sealed, listed, read and verified.

What enters: encoded items, settings, facts of a run. What leaves: a set with exactly one manifest, or none.
Guarantees: without a manifest there is no backup; a manifest is written once, last, and names only parts that were read back.
Touches S3 alone. The format is specified in docs/backup-format.md.
"""
