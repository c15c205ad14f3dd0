"""The servers that only a distribution gives are real, keep what they are given exactly, and listen on the loopback only."""

from decimal import Decimal

import psutil
import pymysql
import pytest
import redis

from tests.servers import TestServer


def test_mariadb_keeps_text_bytes_and_digits(mariadb: TestServer) -> None:
    values = ("naïve 👩‍👩‍👧‍👦\u2028'\"\\", b"\x00\xff\x1a", Decimal("12345678901234567890123456789012345.678"))
    connection = pymysql.connect(
        host="127.0.0.1", port=mariadb.port, user="root", password=mariadb.password, charset="utf8mb4", autocommit=True
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("CREATE DATABASE tests CHARACTER SET utf8mb4")
        cursor.execute("CREATE TABLE tests.one (t text, b blob, d decimal(38, 3))")
        cursor.execute("INSERT INTO tests.one VALUES (%s, %s, %s)", values)
        cursor.execute("SELECT t, b, d, version() FROM tests.one")
        *found, version = cursor.fetchone()
    assert tuple(found) == values
    assert "MariaDB" in version


def test_redis_keeps_bytes(redis_server: TestServer) -> None:
    with redis.Redis(host="127.0.0.1", port=redis_server.port, password=redis_server.password) as client:
        client.set("key", b"\x00\xff\r\n")
        assert client.get("key") == b"\x00\xff\r\n"
    with (
        redis.Redis(host="127.0.0.1", port=redis_server.port) as stranger,
        pytest.raises(redis.exceptions.AuthenticationError),
    ):
        stranger.get("key")


@pytest.mark.parametrize("name", ["mariadb", "redis_server"])
def test_it_listens_on_the_loopback_only(name: str, request: pytest.FixtureRequest) -> None:
    server: TestServer = request.getfixturevalue(name)
    listening = [
        one.laddr for one in psutil.Process(server.pid).net_connections("tcp") if one.status == psutil.CONN_LISTEN
    ]
    assert [(one.ip, one.port) for one in listening] == [("127.0.0.1", server.port)]
