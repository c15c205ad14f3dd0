"""Where an instance takes connections: an address of the loopback of its own with the port that was asked for, before the server's.

A restored instance can be slow at first: RDS says `available` while blocks still come from S3 when they are first read.
"""

import socket
import sys
import threading
import time
from collections.abc import Callable

ADDRESSES = 250
PIECE = 1 << 16
LATE_SECONDS = 0.1


class Endpoint:
    """Hands connections on to a server on 127.0.0.1.

    :param port: that is wanted; any free one when None.
    :param target: gives the server's port: another one after it was started anew.
    :param late: so many answers come late, by `LATE_SECONDS` each.
    """

    def __init__(self, port: int | None, target: Callable[[], int], late: int = 0) -> None:
        self._target, self._late = target, late
        self._listener = _listen(port)
        self.address, self.port = self._listener.getsockname()[:2]
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, name="rds-endpoint", daemon=True).start()

    def close(self) -> None:
        """Takes no connection any more, and ends those that are there."""
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for one in list(self._open):
            _end(one)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                if self._listener.fileno() < 0:
                    return
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self._target()), timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._open.add(one)
            for source, sink, answers in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pump, args=[source, sink, answers], daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, answers: bool) -> None:
        try:
            while piece := source.recv(PIECE):
                if answers and self._late > 0:
                    self._late -= 1
                    time.sleep(LATE_SECONDS)
                sink.sendall(piece)
        except OSError:
            pass
        finally:
            for one in (source, sink):
                _end(one)
                self._open.discard(one)


def _end(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    one.close()


def _listen(port: int | None) -> socket.socket:
    """On 127.0.0.1, or on the next address of the loopback whose port is free. macOS has one address: there the port gives way."""
    numbers = range(1, ADDRESSES) if port and sys.platform == "linux" else range(1, 2)
    for number in numbers:
        try:
            return socket.create_server((f"127.0.0.{number}", port or 0))
        except OSError:
            continue
    return socket.create_server(("127.0.0.1", 0))
