"""Where AWS clients come from: one place for sessions, Regions, endpoints, retries and time limits."""

import threading
from dataclasses import dataclass
from typing import Any, Protocol

import boto3
import botocore.config
import botocore.exceptions

from tablekeep.engine.errors import BadInputError, PermanentError, TablekeepError, ThrottledError, TransientError


class Clients(Protocol):
    """Gives boto3 clients. One object stands for one account and one default Region."""

    @property
    def region(self) -> str:
        """The default Region, such as `us-east-1`."""
        ...

    def client(self, service: str, region: str | None = None) -> Any:
        """A boto3 client, safe to share between threads and cached per (service, region).

        :param service: boto3's name (`dynamodb`, `s3`, `redshift-data`, `sts`).
        """
        ...

    def account(self) -> str:
        """The twelve digits of the account that the credentials belong to (STS GetCallerIdentity)."""
        ...


RETRIES = {"mode": "standard", "total_max_attempts": 8}


@dataclass(frozen=True)
class ClientSource:
    """How to make the same clients again, in another process: nothing secret, boto3 finds the credentials there too."""

    region: str
    profile: str | None
    endpoints: dict[str, str]


class SessionClients:
    """Clients of one boto3 session: credentials, Region and endpoints as boto3 finds them
    (`AWS_ENDPOINT_URL`, `AWS_ENDPOINT_URL_DYNAMODB`, profiles).

    :raises BadInputError: when no Region is given or configured, or the profile does not exist.
    """

    def __init__(
        self,
        session: boto3.session.Session | None = None,
        *,
        region: str | None = None,
        profile: str | None = None,
        endpoints: dict[str, str] | None = None,
    ) -> None:
        try:
            self._session = session or boto3.session.Session(profile_name=profile)
        except botocore.exceptions.ProfileNotFound as error:
            raise BadInputError(
                "reading the AWS configuration", str(error), "name a profile of your AWS configuration"
            ) from None
        chosen = region or self._session.region_name
        if not chosen:
            raise BadInputError(
                "choosing the AWS Region",
                "none is given or configured",
                "give --region, or set AWS_REGION or a profile's region",
            )
        self._region = chosen
        self._profile, self._foreign = profile, session is not None
        self._endpoints = endpoints or {}
        self._lock = threading.Lock()
        self._cache: dict[tuple[str, str], Any] = {}
        self._account: str | None = None

    @property
    def region(self) -> str:
        return self._region

    @property
    def source(self) -> ClientSource | None:
        """How to make them again; None for those of a session that was given."""
        return None if self._foreign else ClientSource(self._region, self._profile, self._endpoints)

    @staticmethod
    def of(source: ClientSource) -> "SessionClients":
        """The clients again."""
        return SessionClients(region=source.region, profile=source.profile, endpoints=source.endpoints)

    @property
    def session(self) -> boto3.session.Session:
        """The boto3 session itself, for the wire client, which needs a botocore session with a parser of its own."""
        return self._session

    def client(self, service: str, region: str | None = None) -> Any:
        where = region or self._region
        with self._lock:  # creating clients is not thread-safe in boto3; using them is
            if (service, where) not in self._cache:
                config = botocore.config.Config(
                    retries=RETRIES,
                    connect_timeout=10,
                    read_timeout=70,
                    max_pool_connections=32,
                    user_agent_extra="tablekeep",
                )
                self._cache[service, where] = self._session.client(
                    service, region_name=where, config=config, endpoint_url=self._endpoints.get(service)
                )
            return self._cache[service, where]

    def account(self) -> str:
        if self._account is None:
            with translated("asking STS which account this is"):
                self._account = str(self.client("sts").get_caller_identity()["Account"])
        return self._account


THROTTLING = {
    "ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded", "Throttling",
    "SlowDown", "TooManyRequestsException", "LimitExceededException", "RequestThrottled", "ActiveStatementsExceededException",
    "ActiveSessionsExceededException", "ActiveWaitingRequestsExceededException",
}  # fmt: skip
DENIED = {"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AllAccessDisabled"}
EXPIRED = {
    "ExpiredToken",
    "ExpiredTokenException",
    "RequestExpired",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
}


def error_code(error: botocore.exceptions.ClientError) -> str:
    """The service's own code, such as `ResourceNotFoundException`."""
    return str(error.response.get("Error", {}).get("Code", "Unknown"))


def translate(error: Exception, what: str) -> TablekeepError:
    """The engine's error for what botocore raised; `what` says which action failed for which thing."""
    if isinstance(error, TablekeepError):
        return error
    if isinstance(error, botocore.exceptions.ClientError):
        code = error_code(error)
        message = str(error.response.get("Error", {}).get("Message", "")).strip() or "no message"
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) or 0)
        why = f"{error.operation_name} answered {code}: {message}"
        if code in THROTTLING:
            return ThrottledError(what, why, "try again later, or with a smaller budget")
        if code in DENIED or status == 403:
            return PermanentError(what, why, f"allow the action of {error.operation_name} to the role that runs this")
        if code in EXPIRED:
            return PermanentError(what, why, "renew the credentials and run it again")
        if status >= 500:
            return TransientError(what, why, "try again; the service had a fault")
        return PermanentError(what, why)
    if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
        return BadInputError(what, "no AWS credentials were found", "configure a profile, a role or AWS_ACCESS_KEY_ID")
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return TransientError(
            what, f"the connection failed ({type(error).__name__}: {error})", "check the endpoint and the network"
        )
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return BadInputError(what, f"the request is not valid: {error}")
    if isinstance(error, botocore.exceptions.BotoCoreError):
        return PermanentError(what, f"{type(error).__name__}: {error}")
    return PermanentError(what, f"{type(error).__name__}: {error}")


class translated:
    """`with translated("reading table orders"):` turns botocore's errors into the engine's, and lets others pass."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, botocore.exceptions.BotoCoreError | botocore.exceptions.ClientError):
            raise translate(error, self._what) from error
