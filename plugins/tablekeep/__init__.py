"""Tablekeep: DynamoDB backups on Apache Airflow, with the restore proved."""

__version__ = "0.1.0"
