"""Gives no DAG to Airflow: raises one import error that lists everything that is wrong with the pipeline files."""

from tablekeep.dag_factory import raise_problems

raise_problems(__file__)
