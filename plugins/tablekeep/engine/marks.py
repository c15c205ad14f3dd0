"""Tags by which what a run of ours made is known as its own."""

RUN_TAG = "tablekeep:run"
"""On a table, an instance or a cluster: the run that made it. Nothing of ours changes or deletes one without it."""
