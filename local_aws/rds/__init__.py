"""RDS: instances and clusters that are real PostgreSQL servers, snapshots that are copies of their data directories.

`service.RdsControl` answers the API; what it does not know itself (parameter groups, subnet groups, option groups, events) moto answers.
The rules are those of the API's documentation; where a code or a default is not confirmed the code says so.
"""
