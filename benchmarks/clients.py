"""What is measured: each client as a program of its own, and a frame that reports its CPU seconds, wall seconds and peak memory.

The programs find the server at `AWS_ENDPOINT_URL_DYNAMODB`, S3 at `S3`, and the number of items in `ITEMS`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Client:
    """One way to read the table `orders`.

    :ivar plain: on items without sets. :ivar peer: installed in the benchmark's own environment (peers.txt).
    """

    name: str
    program: str
    plain: bool = False
    peer: bool = False


TABLEKEEP = """
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.clock import SystemClock
from tablekeep.engine.export.table import export_table
from tablekeep.engine.progress import NoProgress
import os

if __name__ == "__main__":
    clients = SessionClients(region="us-east-1")
    report = export_table(clients=clients, clock=SystemClock(), progress=NoProgress(), table="orders", to="s3://bench/backups",
        segments=int(os.environ.get("SEGMENTS", "1")), workers=int(os.environ.get("WORKERS", "1")), actor="bench", run="bench")
    assert report.items == int(os.environ["ITEMS"]), report
"""
BOTO3 = Client(
    "boto3 client, scan only",
    """
import boto3
client = boto3.client("dynamodb", region_name="us-east-1")
key = {}
while True:
    page = client.scan(TableName="orders", **key)
    if "LastEvaluatedKey" not in page:
        break
    key = {"ExclusiveStartKey": page["LastEvaluatedKey"]}
""",
)
OURS = Client("tablekeep export, one worker", TABLEKEEP)
TWO = Client(
    "tablekeep export, two workers", 'import os\nos.environ |= {"WORKERS": "2", "SEGMENTS": "2"}\n' + TABLEKEEP
)
CLIENTS = (
    BOTO3,
    OURS,
    TWO,
    Client(
        "Airflow DynamoDBToS3Operator (JSON, no sets)",
        """
import os
os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = "aws://"
from airflow.providers.amazon.aws.transfers.dynamodb_to_s3 import DynamoDBToS3Operator
DynamoDBToS3Operator(
    task_id="t", dynamodb_table_name="orders", s3_bucket_name="bench", s3_key_prefix="airflow/", file_size=64_000_000
).execute({})
""",
        plain=True,
    ),
    Client(
        "awswrangler read_items + to_parquet (no sets)",
        """
import awswrangler
frame = awswrangler.dynamodb.read_items("orders", allow_full_scan=True, as_dataframe=True)
frame["lines"] = frame["lines"].astype(str)  # its Parquet cannot hold lists of maps with Decimal
frame["address"] = frame["address"].astype(str)
frame.to_parquet("/dev/null")
""",
        plain=True,
        peer=True,
    ),
    Client(
        "dynamodump backup (JSON files)",
        """
import os, sys, tempfile
from urllib.parse import urlsplit
from dynamodump.dynamodump import main
at = urlsplit(os.environ["AWS_ENDPOINT_URL_DYNAMODB"])
with tempfile.TemporaryDirectory() as folder:
    sys.argv = ["dynamodump", "-m", "backup", "-r", "us-east-1", "-s", "orders", "--host", at.hostname, "--port", str(at.port),
        "--accessKey", "bench", "--secretKey", "bench", "--dumpPath", folder, "--skipThroughputUpdate", "--log", "ERROR"]
    main()
""",
        peer=True,
    ),
)

FRAME = """
import json, os, resource, time
began = time.monotonic()
{program}
if __name__ == "__main__":
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
    print(json.dumps({{
        "cpu": own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, "wall": time.monotonic() - began,
        "peak_mb": peak / 1024, "largest_child_mb": children.ru_maxrss / 1024,
    }}))
"""
