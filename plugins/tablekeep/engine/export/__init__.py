"""A table, by scan, becomes a backup set: rows read = rows in parts = rows in the manifest = rows read back, or nothing."""
