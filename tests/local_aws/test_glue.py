"""Glue's Data Catalog: what the copies to Athena rely on beyond moto."""

from typing import Any

import pytest

from local_aws.server import LocalAws
from tests.local_aws.support import refused


@pytest.fixture
def glue(local_aws: LocalAws) -> Any:
    client = local_aws.client("glue")
    client.create_database(DatabaseInput={"Name": "analytics"})
    client.create_table(DatabaseName="analytics", TableInput={"Name": "Orders"})
    return client


def test_an_update_on_an_older_version_changes_nothing(glue: Any) -> None:
    """API reference of UpdateTable, VersionId."""
    where = {"DatabaseName": "analytics"}
    version = glue.get_table(**where, Name="orders")["Table"]["VersionId"]
    update = glue.update_table
    update(**where, TableInput={"Name": "orders", "Description": "first"}, VersionId=version)
    late = {**where, "TableInput": {"Name": "orders", "Description": "second"}, "VersionId": version}
    assert refused(update, **late)[:2] == ("ConcurrentModificationException", 400)
    assert glue.get_table(**where, Name="orders")["Table"]["Description"] == "first"
    update(**where, TableInput={"Name": "orders", "Description": "without a version"})


def test_names_are_folded(glue: Any) -> None:
    """API reference of TableInput, Name."""
    assert glue.get_table(DatabaseName="ANALYTICS", Name="ORDERS")["Table"]["Name"] == "orders"


def test_another_accounts_catalog_is_refused(glue: Any) -> None:
    where = {"CatalogId": "999999999999", "DatabaseName": "analytics", "Name": "orders"}
    assert refused(glue.get_table, **where)[0] == "AccessDeniedException"
