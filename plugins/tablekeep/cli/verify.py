"""`tablekeep verify BACKUP`"""

import argparse

from tablekeep.cli.command import DONE, FAILED, UNVERIFIED, Context, Outcome
from tablekeep.cli.output import print_pairs, size_text
from tablekeep.cli.times import duration
from tablekeep.engine.backups.verify import verify_backup
from tablekeep.engine.errors import BadInputError

HELP = "verify a backup: list (names and sizes), checksum (the store's checksums), full (every item; the default)"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")
    parser.add_argument(
        "--level",
        choices=["list", "checksum", "full"],
        default="full",
        help="only `full` proves it; the others exit with 3",
    )
    parser.add_argument(
        "--subset",
        metavar="N/T",
        help="read the N-th of T equal groups of parts only; T alone: the group after the one read last; exit code 3",
    )
    parser.add_argument(
        "--max-duration",
        metavar="TIME",
        help="begin no further part after so long, for example 30m; the next run goes on there; exit code 3",
    )


def _share(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    number, slash, groups = text.rpartition("/")
    try:
        return (int(number) if slash else 0), int(groups)
    except ValueError:
        raise BadInputError(f"reading --subset {text!r}", "it is no share", "for example 3/7, or 7") from None


def run(args: argparse.Namespace, context: Context) -> Outcome:
    if (args.subset or args.max_duration) and args.level != "full":
        raise BadInputError("reading --subset", "parts are read whole", "leave --level out")
    longest = duration(args.max_duration, "--max-duration", "30m")
    report = verify_backup(
        clients=context.clients, clock=context.clock, progress=context.progress, backup=args.backup, level=args.level, actor=context.actor,
        run=context.run, share=_share(args.subset), max_seconds=longest.total_seconds() if longest else None,
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
        *(
            [("read", f"{document['parts_read']} parts of {document['parts']}")]
            if document["level"] == "sample"
            else []
        ),
        ("took", f"{document['seconds']:.1f} s"),
    ]
    lines += [("problem", one) for one in document["problems"]]
    lines += [("orphan", f"{one} (not named by the manifest; never read)") for one in document["orphans"]]
    print_pairs(lines)
