"""`make demo`: PostgreSQL, the stand-in for AWS and Airflow on this machine, one night of the pipelines, and its proof.

Starts processes and writes below one directory (`.demo` of the checkout); nothing else is touched, nothing leaves the machine.
"""
