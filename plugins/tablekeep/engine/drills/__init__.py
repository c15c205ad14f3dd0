"""A rehearsed restore: a scratch table from a backup, a proof, a report with RTO and RPO, and nothing left behind."""
