"""A DynamoDB that replays prepared Scan pages at memory speed and takes every batch of writes, so that what is measured is the client.

`python benchmarks/replay.py ITEMS` prints its port and serves one table, `orders`, until it is ended. Every page is 1 MB
of items of about 600 bytes with 11 to 14 attributes: S, N, BOOL, SS, a map of three, a list of one to five maps, sparse ones.
"""

import argparse
import asyncio
import json
import random
import zlib
from typing import Any

PAGE_BYTES = 1_000_000
ARN = "arn:aws:dynamodb:us-east-1:123456789012:table/orders"
WORDS = (
    "blue",
    "small",
    "lamp",
    "oak",
    "chair",
    "quiet",
    "north",
    "grün",
    "desk",
    "paper",
    "glass",
    "wool",
    "river",
    "stone",
)


def order(number: int, chance: random.Random, plain: bool) -> dict[str, Any]:
    """One item as wire JSON.

    :param plain: without sets, on which Airflow's operator crashes.
    """
    text = lambda count: " ".join(chance.choice(WORDS) for _ in range(count))  # noqa: E731
    item: dict[str, Any] = {
        "customer": {"S": f"customer-{number % 9973:05d}"},
        "order_no": {"N": str(number)},
        "placed": {
            "S": f"2026-{chance.randint(1, 12):02d}-{chance.randint(1, 28):02d}T{chance.randint(0, 23):02d}:14:05.123Z"
        },
        "status": {"S": chance.choice(("placed", "paid", "shipped", "returned"))},
        "total": {"N": f"{chance.randint(1, 99999)}.{chance.randint(1, 9)}{chance.randint(1, 9)}"},
        "gift": {"BOOL": chance.random() < 0.1},
        "comment": {"S": text(chance.randint(4, 14))},
        "version": {"N": str(chance.randint(1, 30))},
        "address": {
            "M": {"street": {"S": text(2)}, "city": {"S": text(1)}, "zip": {"S": f"{chance.randint(10000, 99999)}"}}
        },
        "lines": {
            "L": [
                {
                    "M": {
                        "sku": {"S": f"sku-{chance.randint(1, 99999):05d}"},
                        "quantity": {"N": str(chance.randint(1, 9))},
                    }
                }
                for _ in range(chance.randint(1, 5))
            ]
        },
    }
    if not plain:
        item["tags"] = {"SS": sorted({text(1) for _ in range(chance.randint(1, 3))})}
    else:
        item["tags"] = {"S": text(2)}
    for name, share in (("coupon", 0.5), ("carrier", 0.6), ("weight", 0.4)):
        if chance.random() < share:
            item[name] = {"N": str(chance.randint(1, 9000))} if name == "weight" else {"S": text(1)}
    return item


def large(number: int, chance: random.Random, plain: bool) -> dict[str, Any]:
    """One item of about 390 KB."""
    return order(number, chance, plain) | {"body": {"S": chance.choice(WORDS)[:1] * 390_000}}


def make_pages(count: int, plain: bool, item: Any = order, seed: int = 7) -> list[tuple[int, bytes]]:
    """Pages of 1 MB: how many items, and the text of the list of them."""
    chance = random.Random(seed)
    groups: list[list[bytes]] = [[]]
    size = 0
    for number in range(count):
        text = json.dumps(item(number, chance, plain), separators=(",", ":"), ensure_ascii=False).encode()
        if size + len(text) > PAGE_BYTES:
            groups.append([])
            size = 0
        groups[-1].append(text)
        size += len(text)
    return [(len(group), b"[" + b",".join(group) + b"]") for group in groups]


def scan_answer(page: tuple[int, bytes], following: int | None) -> bytes:
    """The body of one answer.

    :param following: the number of the segment's next page; None at its end.
    """
    count, items = page
    after = b',"LastEvaluatedKey":{"customer":{"S":"page"},"order_no":{"N":"%d"}}' % following if following else b""
    capacity = b'"ConsumedCapacity":{"TableName":"orders","CapacityUnits":128.5}'
    return b'{"Count":%d,"Items":%b%b,"ScannedCount":%d,%b}' % (count, items, after, count, capacity)


def description(count: int, name: str = "orders") -> bytes:
    """The answer to DescribeTable."""
    table = {
        "TableName": name, "TableArn": ARN.replace("orders", name),
        "TableId": "0a0b0c0d-0000-4000-8000-000000000000", "TableStatus": "ACTIVE",
        "ItemCount": count, "TableSizeBytes": 1, "CreationDateTime": 1700000000.0,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0},
        "KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}, {"AttributeName": "order_no", "KeyType": "RANGE"}],
        "AttributeDefinitions": [{"AttributeName": "customer", "AttributeType": "S"}, {"AttributeName": "order_no", "AttributeType": "N"}],
    }  # fmt: skip
    return json.dumps({"Table": table}).encode()


def response(body: bytes, status: str = "200 OK") -> bytes:
    """A whole HTTP answer, with the checksum that clients verify."""
    headers = (
        f"Content-Type: application/x-amz-json-1.0\r\nx-amz-crc32: {zlib.crc32(body)}\r\nContent-Length: {len(body)}"
    )
    return f"HTTP/1.1 {status}\r\n{headers}\r\n\r\n".encode() + body


class Replay(asyncio.Protocol):
    """One connection."""

    pages: tuple[tuple[int, bytes], ...] = ()
    rounds = 1
    described = refused = b""

    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, separator, rest = self.buffer.partition(b"\r\n\r\n")
            if not separator:
                return
            lowered = head.lower()
            at = lowered.find(b"content-length:")
            length = int(lowered[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if b"expect: 100-continue" in lowered and not rest and length:
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            self.transport.write(self.answer(head, rest[:length]))

    def answer(self, head: bytes, body: bytes) -> bytes:
        if b"DynamoDB_20120810.Scan" in head:
            request = json.loads(body)
            segments, start = request.get("TotalSegments", 1), request.get("ExclusiveStartKey")
            number = int(start["order_no"]["N"]) if start else request.get("Segment", 0)
            last = len(self.pages) * self.rounds
            if number >= last:
                return Replay.empty
            following = number + segments
            return response(scan_answer(self.pages[number % len(self.pages)], following if following < last else None))
        if b"DynamoDB_20120810.BatchWriteItem" in head:
            return Replay.taken
        if b"DynamoDB_20120810.CreateTable" in head:
            name = str(json.loads(body)["TableName"])
            Replay.created.add(name)
            return response(description(0, name).replace(b'"Table"', b'"TableDescription"', 1))
        if b"DynamoDB_20120810.DescribeTable" in head and b"DescribeTableReplica" not in head:
            name = str(json.loads(body)["TableName"])
            if name == "orders":
                return self.described
            return response(description(0, name)) if name in Replay.created else Replay.missing
        return self.refused

    created: set[str] = set()  # noqa: RUF012 - one server, one set
    taken = response(b'{"UnprocessedItems":{},"ConsumedCapacity":[{"TableName":"restored","CapacityUnits":25.0}]}')
    missing = response(
        b'{"__type":"com.amazonaws.dynamodb.v20120810#ResourceNotFoundException","message":"no"}', "400 Bad Request"
    )

    empty = response(b'{"Count":0,"Items":[],"ScannedCount":0}')


async def serve(options: argparse.Namespace) -> None:
    """Serves until the process is ended."""
    Replay.pages = tuple(make_pages(options.items, options.plain, large if options.large else order))
    Replay.rounds = options.rounds
    Replay.described = response(description(options.items * options.rounds))
    Replay.refused = response(
        b'{"__type":"com.amazonaws.dynamodb.v20120810#AccessDeniedException","message":"no"}', "400 Bad Request"
    )
    server = await asyncio.get_running_loop().create_server(Replay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("items", type=int)
    parser.add_argument("--plain", action="store_true", help="without sets")
    parser.add_argument("--large", action="store_true", help="items of 390 KB")
    parser.add_argument(
        "--rounds", type=int, default=1, help="the pages this often, for a large table in little memory"
    )
    asyncio.run(serve(parser.parse_args()))
