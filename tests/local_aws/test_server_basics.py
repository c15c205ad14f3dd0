"""The stand-in serves several services from one address and forgets everything at a reset."""

from local_aws.server import LocalAws


def test_reset_forgets_tables_and_buckets(local_aws: LocalAws) -> None:
    local_aws.client("s3").create_bucket(Bucket="some-bucket")
    local_aws.client("dynamodb").create_table(
        TableName="some-table",
        KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    local_aws.reset()
    assert local_aws.client("s3").list_buckets()["Buckets"] == []
    assert local_aws.client("dynamodb").list_tables()["TableNames"] == []


def test_the_account_is_the_documented_example(local_aws: LocalAws) -> None:
    assert local_aws.client("sts").get_caller_identity()["Account"] == "123456789012"
