"""RDS's control plane: which operation is ours, which is moto's."""

import threading
from collections.abc import Callable, Iterable
from typing import Any

from local_aws.dynamodb.tables import scope
from local_aws.rds.clusters import Clusters
from local_aws.rds.instances import Instances
from local_aws.rds.protocol import action, answer, parse, refusal
from local_aws.rds.servers import Server, Servers
from local_aws.rds.snapshots import Snapshots
from local_aws.rds.state import Document, Handler, State
from local_aws.responses import ServiceError

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class RdsControl:
    """Answers requests to RDS. One at a time: what it does with files takes a moment, and its rules read what it changes."""

    def __init__(self, switches: Any) -> None:
        self._state, self._servers, self._lock = State(), Servers(), threading.Lock()
        instances = Instances(self._state, self._servers, switches)
        parts = [
            instances,
            Clusters(self._state, self._servers, switches, instances),
            Snapshots("instance", self._state, self._servers, switches),
            Snapshots("cluster", self._state, self._servers, switches),
        ]
        self._operations: dict[str, Handler] = {name: one for part in parts for name, one in part.operations.items()}
        self._operations |= {
            "AddTagsToResource": self._add_tags,
            "RemoveTagsFromResource": self._remove_tags,
            "ListTagsForResource": self._list_tags,
        }

    def is_mine(self, environ: dict[str, Any]) -> bool:
        return action(environ) is not None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any], moto: Wsgi) -> Iterable[bytes]:
        operation = str(action(environ))
        handler = self._operations.get(operation)
        if handler is None:
            return moto(environ, start_response)
        try:
            with self._lock:
                result = handler(parse(operation, environ), *scope(environ))
        except _NotOurs:
            return moto(environ, start_response)
        except ServiceError as error:
            return refusal(error)(start_response)
        return answer(operation, result)(start_response)

    def _tagged(self, body: Document) -> Any:
        """:raises _NotOurs: for a resource that moto knows."""
        found = self._state.by_arn(body["ResourceName"])
        if found is None:
            raise _NotOurs
        return found

    def _add_tags(self, body: Document, account: str, region: str) -> Document:
        self._tagged(body).tags.update({one["Key"]: one["Value"] for one in body["Tags"]})
        return {}

    def _remove_tags(self, body: Document, account: str, region: str) -> Document:
        for key in body["TagKeys"]:
            self._tagged(body).tags.pop(key, None)
        return {}

    def _list_tags(self, body: Document, account: str, region: str) -> Document:
        return {"TagList": self._tagged(body).tag_list()}

    def server(self, name: str, region: str = "us-east-1") -> Server:
        """The server of an instance or a cluster, for tests that must look or damage behind the API's back."""
        found = next(
            (
                one
                for kind in ("instance", "cluster")
                for one in self._state.every(kind, region=region)
                if one.id == name
            ),
            None,
        )
        if found is None or found.server is None:
            raise KeyError(name)
        server: Server = found.server
        return server

    def reset(self) -> None:
        """Forgets everything and stops every server."""
        with self._lock:
            for kind in ("instance", "cluster"):
                for one in self._state.every(kind):
                    one.close()
            self._state.clear()
            self._servers.clear()

    def close(self) -> None:
        """The same, and nothing stays on the disk."""
        self.reset()
        self._servers.close()


class _NotOurs(Exception):
    """The resource is one of moto's."""
