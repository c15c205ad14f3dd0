"""Takes from Airflow's constraints the versions of what our lock pins, so that a test can compare them without the network.

`python tools/constraints.py PATH-OF-CONSTRAINTS…` writes requirements/constraints.json; its source is named in it.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "requirements" / "constraints.json"


def pins(text: str) -> dict[str, str]:
    """Name (normalised) → version of each `name==version` line."""
    found = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;]+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def main() -> None:
    """Writes the file."""
    ours = pins((ROOT / "requirements" / "lock.txt").read_text())
    theirs: dict[str, str] = {}
    for name in sys.argv[1:]:
        theirs |= pins(Path(name).read_text())
    if not theirs:
        sys.exit("constraints: name the constraints files of the Airflow release")
    shared = {name: theirs[name] for name in sorted(ours) if name in theirs}
    document = {
        "source": f"Airflow's published constraints for apache-airflow {ours['apache-airflow']}, Python 3.12",
        "versions": shared,
    }
    OUT.write_text(json.dumps(document, indent=1) + "\n")
    print(f"{OUT.relative_to(ROOT)}: {len(shared)} of {len(ours)} pins stand in the constraints")


if __name__ == "__main__":
    main()
