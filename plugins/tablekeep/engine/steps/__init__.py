"""Steps: what a team adds to its pipelines and is not Tablekeep's own work: SQL, scripts, calls of AWS, steps of EMR clusters.

Enters: a step as a pipeline file says it, and the facts of the run. Leaves: a report of counts, exit codes and names; never what
SQL read, what a service answered as content, or a secret. Guarantees: SQL is one transaction; a script leaves no process behind;
a call that the service does not know is never made; a cluster that a step has made is told to end.
"""
