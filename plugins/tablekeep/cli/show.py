"""`tablekeep show BACKUP`"""

import argparse
from typing import Any

from tablekeep.cli.command import DONE, Context, Outcome
from tablekeep.cli.output import print_pairs, print_table, size_text
from tablekeep.engine.backups.catalog import verifications
from tablekeep.engine.backups.sets import open_backup
from tablekeep.engine.clock import utc_text
from tablekeep.engine.dynamodb.settings import TableSettings

HELP = "show what a backup holds: times, columns, parts, settings, whether it was verified; never item contents"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("backup", metavar="BACKUP", help="the manifest's URI, from `tablekeep list`")


def run(args: argparse.Namespace, context: Context) -> Outcome:
    opened = open_backup(context.clients, args.backup, incremental=True)
    manifest, table = opened.manifest, opened.document("table")
    record = verifications(opened.store, manifest.location.shelf).get(manifest.backup_id)
    document = {
        "backup": manifest.uri,
        "service": manifest.location.shelf.service,
        "table": manifest.table,
        "key": [{"name": name, "type": kind} for name, kind in manifest.key],
        "engine": manifest.engine,
        "as_of": utc_text(manifest.as_of),
        "consistent": {"from": utc_text(manifest.consistent[0]), "to": utc_text(manifest.consistent[1])},
        "window": manifest.window.as_json() if manifest.window else None,
        "parents": [one.as_json() for one in manifest.parents],
        "items": manifest.items,
        "bytes": manifest.stored_bytes,
        "raw_bytes": manifest.raw_bytes,
        "content_hash": str(manifest.content),
        "schema": manifest.layout.schema,
        "columns": [
            column.as_json()
            | {"nulls": manifest.columns[column.column].nulls, "misfits": manifest.columns[column.column].misfits}
            for column in manifest.layout.columns
        ],
        "rows_with_rest": manifest.rest_rows,
        "segments": len(manifest.segments),
        "parts": [part.as_json() for part in manifest.parts],
        "settings_known": sorted(name for name, one in table.get("answers", {}).items() if "answer" in one),
        "settings_refused": TableSettings.refused_in(table),
        "signature": "UNSIGNED",
        "sha256": manifest.seal,
        "run": manifest.run,
        "verified": {"at": record["at"], "level": record["result"]["level"], "ok": record["result"]["ok"]}
        if record
        else None,
    }
    return Outcome(DONE, document)


def tell(outcome: Outcome) -> None:
    document = outcome.document
    proof = document["verified"]
    refused = ", ".join(f"{name} ({code})" for name, code in document["settings_refused"].items())
    print_pairs(
        [
            ("backup", document["backup"]),
            ("table", f"{document['table']['name']}  {document['table']['arn']}"),
            ("key", ", ".join(f"{one['name']} ({one['type']})" for one in document["key"])),
            ("as of", f"{document['as_of']}, engine {document['engine']}"),
            *_read_until(document["run"].get("position")),
            ("consistent", f"{document['consistent']['from']} to {document['consistent']['to']}"),
            *(
                [("changes", f"from {document['window']['from']} to {document['window']['to']}")]
                if document["window"]
                else []
            ),
            *(("made of" if not document["window"] else "follows", one["backup_id"]) for one in document["parents"]),
            (
                "items" if not document["window"] else "keys",
                f"{document['items']:,}, {size_text(document['bytes'])} in {len(document['parts'])} parts",
            ),
            ("content hash", document["content_hash"]),
            (
                "verified",
                f"{proof['level']} at {proof['at']}: {'ok' if proof['ok'] else 'FAILED'}" if proof else "never",
            ),
            ("signature", document["signature"]),
            ("not known", refused or "nothing was refused"),
            *(("changed", one) for one in document["run"].get("settings_changed", ())),
            ("restore it", _how_to_restore(document)),
        ]
    )
    rows = [
        [
            one["column"],
            one["attribute"] if one["attribute"] != one["column"] else "",
            one["type"],
            _kind(one),
            f"{one['nulls']:,}",
            f"{one['misfits']:,}",
        ]
        for one in document["columns"]
    ]
    print_table(["column", "attribute", "type", "kind", "nulls", "in _rest"], rows, right=(4, 5))


def _read_until(position: dict[str, Any] | None) -> list[tuple[str, object]]:
    """Of a SQL table with increments."""
    if position is None:
        return []
    column, since, to = position["column"], position["since"], position["to"]
    told = f"{column} read to below {to}" if since is None else f"{column} from {since} to below {to}"
    return [("rows", told)]


def _how_to_restore(document: dict[str, Any]) -> str:
    if document["window"]:
        return f"tablekeep merge ROOT --table {document['table']['name']}, then restore what that makes"
    if document["service"] != "dynamodb":
        return f"tablekeep copy {document['backup']} --to DATABASE --into TABLE"
    return f"tablekeep restore {document['backup']} --to-table NEW-NAME"


def _kind(column: dict[str, object]) -> str:
    if column.get("number") == "decimal":
        return f"decimal(38,{column['scale']})"
    return str(column.get("number") or column.get("logical") or "")
