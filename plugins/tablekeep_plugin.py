"""The one file of this folder that Airflow's plugin scan runs. Every task process runs it too: nothing heavy at the top."""

from airflow.plugins_manager import AirflowPlugin


class TablekeepPlugin(AirflowPlugin):
    """Makes Tablekeep visible in `airflow plugins`; its operators are imported from the package `tablekeep`."""

    name = "tablekeep"
