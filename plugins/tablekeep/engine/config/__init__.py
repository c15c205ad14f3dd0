"""Pipeline files → validated pipelines, and everything that is wrong with them, all at once.

Enters: a folder of YAML files, `defaults.yaml` in it or below, and the environment's values. Leaves: `Pipeline` objects and,
for each bad file, its problems with line, field, rule and example. Guarantees: nothing is ignored (an unknown key is a
problem), no file spoils another, no service is called.
"""
