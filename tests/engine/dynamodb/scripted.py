"""A loopback HTTP server that answers DynamoDB's protocol from a script, and a clock that the test owns."""

import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3

from tablekeep.engine.clients import SessionClients
from tablekeep.engine.dynamodb.wire import WireClient


class TestClock:
    """Time passes only by sleeping. Safe to share between threads."""

    __test__ = False

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seconds = 0.0
        self.slept: list[float] = []
        self.tokens = 0

    def now(self) -> datetime:
        return datetime(2026, 11, 23, tzinfo=UTC) + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        with self._lock:
            return self._seconds

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        with self._lock:
            self._seconds += seconds
            self.slept.append(seconds)

    def token(self, byte_count: int = 4) -> str:
        """The middle, always: 0x80…"""
        with self._lock:
            self.tokens += 1
        return "80" + "00" * (byte_count - 1)


class Notes:
    """A progress that remembers."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.items = self.bytes = 0
        self._lock = threading.Lock()

    def phase(self, name: str, total: int | None = None, unit: str = "items") -> None:
        return None

    def advance(self, count: int, byte_count: int = 0) -> None:
        with self._lock:
            self.items += count
            self.bytes += byte_count

    def note(self, text: str) -> None:
        self.notes.append(text)


@dataclass
class Call:
    """One request: the operation's name, the body as it came, the headers, method and target of its first line."""

    operation: str
    body: bytes
    headers: dict[str, str]
    first: str = ""

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.body)  # type: ignore[no-any-return]


@dataclass
class Reply:
    """One answer. `checksum` right, wrong or None for no header; `cut` sends fewer bytes than announced and hangs up."""

    body: bytes | dict[str, Any] = b"{}"
    status: int = 200
    checksum: str | None = "right"
    cut: int = 0
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def error(code: str, message: str = "no", status: int = 400, **more: Any) -> Reply:
    """An answer as the service words its errors."""
    return Reply({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message, **more}, status)


Script = Callable[[Call], Reply]


class Server:
    """Runs a script; remembers the calls in the order in which they came."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                call = Call(
                    self.headers["X-Amz-Target"].partition(".")[2], body, dict(self.headers.items()), self.requestline
                )
                with outer._lock:
                    outer.calls.append(call)
                reply = outer.script(call)
                content = reply.content
                self.send_response(reply.status)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(content)))
                if reply.checksum is not None:
                    crc = zlib.crc32(content) ^ (1 if reply.checksum == "wrong" else 0)
                    self.send_header("x-amz-crc32", str(crc))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content[: len(content) - reply.cut])
                if reply.cut:
                    self.close_connection = True

            def log_message(self, format: str, *args: Any) -> None:
                return None

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def operations(self, name: str) -> list[Call]:
        return [call for call in self.calls if call.operation == name]

    def clients(self, *services: str) -> SessionClients:
        """Clients of DynamoDB, and of further services, that are answered here."""
        session = boto3.session.Session("AKIDEXAMPLE", "secret", region_name="eu-west-1")
        return SessionClients(session, endpoints=dict.fromkeys(("dynamodb", *services), self.url))

    def wire(self) -> WireClient:
        return WireClient(self.clients())


@contextmanager
def serving(script: Script) -> Iterator[Server]:
    server = Server(script)
    try:
        yield server
    finally:
        server.stop()


class Table:
    """A scan's answers: pages of items by segment. `disturb` may answer a call instead."""

    def __init__(
        self, pages: dict[int, list[list[dict[str, Any]]]], table_id: str = "id-1", units: float = 128.0
    ) -> None:
        self.pages, self.table_id, self.units = pages, table_id, units
        self.disturb: Callable[[Call, int, int], Reply | None] = lambda call, segment, page: None
        self.asked: list[tuple[int, int]] = []

    def __call__(self, call: Call) -> Reply:
        if call.operation == "DescribeTable":
            return Reply({"Table": {"TableName": "t", "TableId": self.table_id}})
        request = call.json
        segment = request.get("Segment", 0)
        start = request.get("ExclusiveStartKey")
        page = int(start["pk"]["S"].rpartition("-")[2]) if start else 0
        self.asked.append((segment, page))
        other = self.disturb(call, segment, page)
        if other is not None:
            return other
        return Reply(self.answer(segment, page))

    def answer(self, segment: int, page: int) -> dict[str, Any]:
        items = self.pages[segment][page]
        answer: dict[str, Any] = {
            "Items": items,
            "Count": len(items),
            "ScannedCount": len(items),
            "ConsumedCapacity": {"TableName": "t", "CapacityUnits": self.units},
        }
        if page + 1 < len(self.pages[segment]):
            answer["LastEvaluatedKey"] = {"pk": {"S": f"{segment}-{page + 1}"}}
        return answer


def pages_of(segments: int, pages: int, items: int) -> dict[int, list[list[dict[str, Any]]]]:
    """`segments` × `pages` × `items` items with keys `segment/page/n`."""
    return {s: [[{"pk": {"S": f"{s}/{p}/{n}"}} for n in range(items)] for p in range(pages)] for s in range(segments)}
