"""A backup set becomes a new table, proved by content hash; and two sides, tables or backups, are compared."""
