"""Links on tasks."""

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator


class DrillReportLink(BaseOperatorLink):
    """The drill's page, in the console of S3."""

    name = "Drill report"
    XCOM = "report_link"

    def get_link(self, operator: "BaseOperator", *, ti_key: Any) -> str:
        """What the task has left in XCom; empty while it has not."""
        from airflow.sdk.execution_time.xcom import XCom

        found = XCom.get_value(ti_key=ti_key, key=self.XCOM)
        return str(found or "")


def console_link(uri: str, region: str) -> str:
    """Where the console of S3 shows an object, for `s3://bucket/key`."""
    from urllib.parse import quote

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return f"https://{region}.console.aws.amazon.com/s3/object/{bucket}?prefix={quote(key)}"
