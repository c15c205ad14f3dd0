"""Airflow operators: one module a verb, one operator a step, each a few lines over the engine.

They touch what the engine's functions touch, with the credentials of Airflow connections, and return small JSON documents.
"""
