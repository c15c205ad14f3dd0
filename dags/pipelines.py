"""Airflow DAGs of all pipeline files. Never raises: a bad file becomes a red DAG of its own (see pipeline_errors.py)."""

from tablekeep.dag_factory import dags_for

globals().update(dags_for(__file__))
