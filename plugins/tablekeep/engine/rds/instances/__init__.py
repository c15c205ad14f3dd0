"""Snapshots of RDS instances and clusters → copies, and new instances that are set as the source is.

Enters: an instance or a cluster, and where records of it lie. Leaves: snapshots with a record of what was in them, restored instances.
Guarantees: nothing that this run did not make is changed or deleted; every setting for which a restore has a default is given, and
compared afterwards.
"""
