"""`python -m local_aws`: the stand-in alone. Prints the variables to export and runs until Ctrl-C or SIGTERM."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from local_aws.environment import REGION
from local_aws.server import LocalAws


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local_aws", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; other than the default only in a container"
    )
    parser.add_argument("--postgres", metavar="DSN", help="database for the Redshift Data API's SQL")
    parser.add_argument("--region", default=REGION)
    parser.add_argument("--log", type=Path, metavar="FILE", help="write each request to this file")
    parser.add_argument("--json", action="store_true", help="print the variables as one line of JSON")
    chosen = parser.parse_args(arguments)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = LocalAws(
        port=chosen.port, host=chosen.host, postgres=chosen.postgres, log=chosen.log, region=chosen.region
    )
    try:
        server.start()
    except (OSError, SystemExit) as error:  # werkzeug ends the process itself when the port is taken
        print(f"cannot listen on {chosen.host}:{chosen.port}: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        print(json.dumps(server.environment()))
    else:
        for name, value in server.environment().items():
            print(f"export {name}={value}")
    sys.stdout.flush()
    ended.wait()
    server.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
