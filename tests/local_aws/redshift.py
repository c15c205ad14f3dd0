"""A caller of the Redshift Data API."""

from typing import Any

from local_aws.server import LocalAws

WHERE = {"WorkgroupName": "dwh", "Database": "dev"}
ROLE = "arn:aws:iam::123456789012:role/copy"


class Redshift:
    """Runs a statement to its end and fails when the statement does."""

    def __init__(self, aws: LocalAws) -> None:
        self.client = aws.client("redshift-data")

    def run(self, sql: str, **arguments: Any) -> dict[str, Any]:
        answer = self.client.execute_statement(Sql=sql, WaitTimeSeconds=30, **WHERE, **arguments)
        return dict(self.client.describe_statement(Id=answer["Id"]))

    def __call__(self, sql: str, **arguments: Any) -> dict[str, Any]:
        answer = self.run(sql, **arguments)
        assert answer["Status"] == "FINISHED", answer.get("Error")
        return answer

    def error(self, sql: str, **arguments: Any) -> str:
        answer = self.run(sql, **arguments)
        assert answer["Status"] == "FAILED", "it was accepted"
        return str(answer["Error"])

    def rows(self, sql: str, **arguments: Any) -> list[list[Any]]:
        records = self.client.get_statement_result(Id=self(sql, **arguments)["Id"])["Records"]
        return [[None if "isNull" in field else next(iter(field.values())) for field in row] for row in records]

    def batch(self, *sqls: str, **arguments: Any) -> dict[str, Any]:
        answer = self.client.batch_execute_statement(Sqls=list(sqls), WaitTimeSeconds=30, **WHERE, **arguments)
        return dict(self.client.describe_statement(Id=answer["Id"]))
