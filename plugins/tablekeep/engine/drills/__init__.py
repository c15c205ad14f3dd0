"""A schedule → a backup restored to a scratch table, a proof, a report, and nothing left behind."""
