"""The stand-in's HTTP server: moto's application behind our extensions, with connections that stay open."""

import io
import json
import logging
import threading
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.config
from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, DechunkedInput, make_server

from local_aws.application import Application
from local_aws.environment import REGION, aws_variables
from local_aws.rds.servers import Server

logger = logging.getLogger("local_aws")


class Handler(MotoRequestHandler):
    """HTTP/1.1 with connections that stay open (werkzeug closes them after each answer, which costs a client a new
    connection a request): the body is read before the application runs, and every answer carries its length."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    timeout = 120  # seconds until an idle connection is closed

    def run_wsgi(self) -> None:
        environ = self.environ = self.make_environ()
        source = environ["wsgi.input"]
        if isinstance(source, DechunkedInput):
            body = source.read()
            environ.pop("HTTP_TRANSFER_ENCODING", None)
            environ["CONTENT_LENGTH"] = str(len(body))
        else:
            body = source.read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(body)
        environ["local_aws.body"] = body
        answered: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[..., Any]:
            answered[:] = [status, headers]
            return lambda data: None

        answer: Iterable[bytes] = ()
        try:
            answer = self.server.app(environ, start_response)
            content = b"".join(answer)
        except Exception:
            # moto's own programming errors surface here; the client sees a failure that it may retry
            logger.exception("%s %s failed", self.command, self.path)
            answered[:] = ["500 Internal Server Error", [("Content-Type", "text/plain")]]
            content = b"the stand-in failed; its log says why\n"
        finally:
            if hasattr(answer, "close"):
                answer.close()
        self._reply(answered[0], answered[1], content)

    def _reply(self, status: str, headers: list[tuple[str, str]], content: bytes) -> None:
        code, _, reason = status.partition(" ")
        head = self.command == "HEAD"
        names = {name.lower() for name, _ in headers}
        self.send_response_only(int(code), reason)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding"} and (head or name.lower() != "content-length"):
                self.send_header(name, value)
        if "date" not in names:
            self.send_header("Date", self.date_time_string())
        if "server" not in names:
            self.send_header("Server", "local-aws")
        if not head and int(code) not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if not head:
            self.wfile.write(content)
        self.wfile.flush()
        logger.debug("%s %s %s", self.command, self.path, code)

    def handle_expect_100(self) -> bool:
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def handle_one_request(self) -> None:
        BaseHTTPRequestHandler.handle_one_request(self)

    def log(self, type: str, message: str, *args: Any) -> None:
        logger.debug(message, *args)


class LocalAws:
    """The stand-in for AWS in this process.

    State is in this process's memory and shared by all instances in it (moto's backends are global):
    start one a process.

    :param port: 0 takes a free one. :param host: 127.0.0.1, but in a container, whose network is its own.
    :param postgres: DSN of the database in which the Redshift Data API runs its SQL; without it that API answers
        every statement with an error that says so.
    :param log: file that gets the server's log; None writes warnings to this process's logging only.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        host: str = "127.0.0.1",
        postgres: str | None = None,
        log: Path | None = None,
        region: str = REGION,
    ) -> None:
        self.region = region
        self._host = host
        self._port = port
        self._log = log
        self._application = Application(postgres)
        self._server: BaseWSGIServer | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> "LocalAws":
        """Start serving in a thread of its own; takes about half a second, most of it moto's import.

        :raises OSError: when the port is taken.
        """
        if self._log is not None:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            handler = logging.FileHandler(self._log)
            handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
            logger.addHandler(handler)
            logger.setLevel(logging.DEBUG)
            logger.propagate = False
        self._server = make_server(self._host, self._port, self._application, threaded=True, request_handler=Handler)
        self._server.daemon_threads = True  # type: ignore[attr-defined]
        # connections may stay open, so do not wait for their threads
        self._server.block_on_close = False  # type: ignore[attr-defined]
        self._server.log = lambda type, message, *args: logger.debug(message, *args)  # type: ignore[method-assign]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="local-aws", daemon=True)
        self._thread.start()
        return self

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("start the server first")
        return int(self._server.server_address[1])

    @property
    def endpoint(self) -> str:
        """Such as `http://127.0.0.1:41235`; what AWS_ENDPOINT_URL takes."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The variables to export, without anything else."""
        return aws_variables(self.endpoint, region=self.region)

    def client(self, service: str, region: str | None = None, **config: Any) -> Any:
        """A boto3 client on this server, whatever AWS configuration surrounds the process.

        :param config: options of botocore's Config, such as `retries`.
        """
        return boto3.session.Session().client(
            service,
            region_name=region or self.region,
            endpoint_url=self.endpoint,
            aws_access_key_id="dummy",
            aws_secret_access_key="dummy",
            config=botocore.config.Config(ignore_configured_endpoint_urls=True, max_pool_connections=32, **config),
        )

    def rds_server(self, name: str, region: str | None = None) -> Server:
        """The PostgreSQL of an RDS instance or cluster, for tests that must damage something."""
        return self._application.rds.server(name, region or self.region)

    def use_postgres(self, dsn: str | None) -> None:
        """Give the Redshift Data API another database."""
        self._application.redshift.use_postgres(dsn)

    def reset(self) -> None:
        """Forget everything: tables, buckets, statements, switches, and the tables of the Redshift database."""
        self._application.reset()

    def stop(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
            self._application.close()
            if self._thread is not None:
                self._thread.join(5)

    def __enter__(self) -> "LocalAws":
        return self if self._server else self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def switch(endpoint: str, what: str, settings: dict[str, Any]) -> dict[str, Any]:
    """Set a switch of a running stand-in, also one in another process.

    :param what: `s3` (`ignore_if_none_match`), `dynamodb` (`unprocessed_every`, `throttle_every`) or `rds` (`polls`, `lazy_answers`);
        see `application.Switches`.
    :return: all switches as they now are.
    """
    import http.client

    address = urlsplit(endpoint)
    connection = http.client.HTTPConnection(address.hostname or "127.0.0.1", address.port, timeout=30)
    try:
        connection.request("POST", f"/local-aws/{what}", json.dumps(settings), {"Content-Type": "application/json"})
        response = connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise ValueError(body.decode(errors="replace"))
        answer: dict[str, Any] = json.loads(body)
        return answer
    finally:
        connection.close()
