"""The command line: the same engine without Airflow, because a disaster may take Airflow too. One module a verb."""
