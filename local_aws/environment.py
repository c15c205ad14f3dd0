"""Environments for child processes that cannot reach AWS and see nothing of the user's own configuration."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

#: Documented example account of AWS; moto uses the same.
ACCOUNT = "123456789012"
REGION = "us-east-1"

# What a program needs of its surroundings and nothing that steers AWS, Airflow, Python or pip.
ALLOWED = (
    *("PATH", "LANG", "LC_ALL", "LC_CTYPE", "LANGUAGE", "TZ", "TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR"),
    *("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "__CF_USER_TEXT_ENCODING",  # macOS looks up its text encoding by it; harmless elsewhere
)


def aws_variables(endpoint: str | None, *, region: str = REGION) -> dict[str, str]:
    """What to export so that boto3 and the AWS CLI talk to `endpoint` with dummy credentials and to nothing else.

    :param endpoint: such as `http://127.0.0.1:5000`. None gives an address on which nothing can listen
        (port 9, discard), so that a forgotten endpoint is a refused connection, never a call to AWS.
    """
    return {
        "AWS_ENDPOINT_URL": endpoint or "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "dummy",
        "AWS_SECRET_ACCESS_KEY": "dummy",
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1,localhost,::1",
        "no_proxy": "127.0.0.1,localhost,::1",
    }


def child_environment(
    home: Path, endpoint: str | None, extra: Mapping[str, str] | None = None, *, region: str = REGION
) -> dict[str, str]:
    """The whole environment of a child process.

    It is an allow-list: profiles, ignored endpoints, web identity, `AIRFLOW_*`, `PYTHON*` and proxies of the
    surroundings do not pass. Creates `home` with empty AWS configuration files and a `tmp` directory.

    :param home: becomes HOME, so that `~/.aws`, `~/.pgpass` and `~/airflow` of the user are out of sight.
    :param endpoint: of the stand-in; None makes every AWS call fail at once (see `aws_variables`).
    :param extra: added last, over everything.
    """
    home = home.resolve()
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    configuration, credentials = home / "aws-config", home / "aws-credentials"
    for empty in (configuration, credentials):
        empty.write_text("")
    environment = {name: os.environ[name] for name in ALLOWED if name in os.environ}
    # The scripts of this very Python come first: `airflow` and `tablekeep` are those of our environment.
    scripts = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([scripts, environment.get("PATH", os.defpath)])
    environment.setdefault("LANG", "C.UTF-8")
    environment |= {
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": str(configuration),
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }
    return environment | aws_variables(endpoint, region=region) | dict(extra or {})
