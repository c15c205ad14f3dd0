"""What does the work, without Airflow.

The packages follow the data: `items` (one item) → `dynamodb` and `backups` (the service, the backup set) →
`export`, `restore`, `copies` → `drills`. Clock, randomness, progress and clients are arguments everywhere.
"""
