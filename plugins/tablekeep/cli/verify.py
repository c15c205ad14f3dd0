"""`tablekeep verify BACKUP`"""

import argparse

from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs, size_text
from tablekeep.engine.backups.verify import verify_backup

HELP = "verify a backup: list (names and sizes), checksum (the store's checksums), full (every item; the default)"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")
    parser.add_argument(
        "--level",
        choices=["list", "checksum", "full"],
        default="full",
        help="only `full` proves it; the others exit with 3",
    )


def run(args: argparse.Namespace, context: Context) -> Outcome:
    report = verify_backup(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=args.backup, level=args.level, actor=context.actor,
        run=context.run,
    )  # fmt: skip
    if not report.ok:
        return Outcome(FAILED, report.as_dict())
    return Outcome(DONE if report.level == "full" else UNVERIFIED, report.as_dict())


def tell(outcome: Outcome) -> None:
    document = outcome.document
    lines: list[tuple[str, object]] = [
        ("backup", document["backup"]),
        (
            "result",
            ("ok" if document["ok"] else f"{len(document['problems'])} PROBLEMS") + f" at level {document['level']}",
        ),
        ("items", f"{document['items']:,} in {document['parts']} parts, {size_text(document['bytes'])}"),
        ("took", f"{document['seconds']:.1f} s"),
    ]
    lines += [("problem", one) for one in document["problems"]]
    lines += [("orphan", f"{one} (not named by the manifest; never read)") for one in document["orphans"]]
    print_pairs(lines)
