"""The instance or cluster that a command of `tablekeep rds` is about: a pipeline's, or one that is named with its records."""

import argparse
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tablekeep.cli.command import Context
from tablekeep.cli.connections import DATABASES, add_connection_option, database_of, pipeline_clients
from tablekeep.engine.clients import SessionClients
from tablekeep.engine.config.kinds.rds_instance import Placed, RdsInstancePipeline
from tablekeep.engine.config.load import find_folder, find_pipeline, load_folder
from tablekeep.engine.connections import PREFIX_VARIABLE, postgres_conninfo, resolve_connection
from tablekeep.engine.errors import BadInputError
from tablekeep.engine.rds.instances.contents import Login, Reading
from tablekeep.engine.rds.instances.request import Placement
from tablekeep.engine.rds.instances.service import PollingWait


@dataclass(frozen=True)
class Subject:
    """:ivar clients: of the source's account and Region.

    :ivar reading: how to look into it, None when nobody said; its connection is looked for when it is called, as most commands do
        without the database. It raises BadInputError when the connection is nowhere.
    """

    database: str
    records: str
    clients: SessionClients
    pipeline: RdsInstancePipeline | None
    reading: Callable[[], Reading | None]

    @property
    def max_usd(self) -> float | None:
        return self.pipeline.limits.max_usd if self.pipeline and self.pipeline.limits else None


def add_subject(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "name", metavar="PIPELINE", help="the pipeline's name; with --records an instance's or cluster's"
    )
    parser.add_argument("--records", metavar="S3-URI", help="the root of the records: an instance without a pipeline")
    parser.add_argument(
        "--pipelines",
        metavar="DIR",
        help="the folder of pipeline files (default: $TABLEKEEP_PIPELINES, include/pipelines)",
    )
    add_connection_option(parser)


def add_login(parser: argparse.ArgumentParser) -> None:
    """For commands that look into the database."""
    parser.add_argument(
        "--login",
        metavar="ADDRESS",
        help=f"with --records, how to look into the database (its host is not used): {DATABASES}",
    )
    parser.add_argument(
        "--marker", metavar="TABLE", help="with --login: schema.table in which a row is left before a snapshot"
    )


def find_subject(args: argparse.Namespace, context: Context) -> Subject:
    """:raises BadInputError: when there is no such pipeline, or its connection to AWS is nowhere."""
    login, marker = getattr(args, "login", None), getattr(args, "marker", None)
    if args.records:
        return Subject(args.name, args.records, context.clients, None, lambda: _given(login, marker, args, context))
    if login or marker:
        raise BadInputError("reading --login", "a pipeline says itself how to look into its database", "leave it out")
    folder = Path(args.pipelines) if args.pipelines else find_folder()
    pipeline = find_pipeline(load_folder(folder, only=args.name), args.name, RdsInstancePipeline)
    clients = pipeline_clients(context, args, pipeline.aws_conn_id, pipeline.region)
    return Subject(pipeline.database, pipeline.records, clients, pipeline, lambda: _configured(pipeline, args, context))


def _configured(pipeline: RdsInstancePipeline, args: argparse.Namespace, context: Context) -> Reading | None:
    if not pipeline.contents:
        return None
    look = pipeline.contents
    secrets = context.clients if os.environ.get(PREFIX_VARIABLE) else None
    given = postgres_conninfo(resolve_connection(look.conn_id, given=args.connection, clients=secrets))
    return Reading(Login.of(given), tuple(look.databases), look.marker, tuple(look.exclude))


def _given(login: str | None, marker: str | None, args: argparse.Namespace, context: Context) -> Reading | None:
    if not login:
        return None
    found = database_of(login, context, args.connection)
    if found is None or found[0] != "postgres":
        raise BadInputError("reading --login", "it is no address of PostgreSQL", "for example --login conn:shop_pg")
    return Reading(Login.of(found[1]), marker=marker)


def target_of(subject: Subject, args: argparse.Namespace, context: Context, section: Any) -> SessionClients:
    """Clients of the account and Region in which a new instance is made: --to-region, else the section's of the pipeline, else the
    source's."""
    conn_id = section.aws_conn_id if section else None
    region = args.to_region or (section.region if section else None) or subject.clients.region
    if subject.pipeline is None:
        return SessionClients(region=region, profile=args.profile)
    # --region is the source's
    elsewhere = argparse.Namespace(**{**vars(args), "region": None})
    return pipeline_clients(context, elsewhere, conn_id or subject.pipeline.aws_conn_id, region)


def add_placement(parser: argparse.ArgumentParser) -> None:
    """What a new instance is given otherwise than the source has it."""
    parser.add_argument(
        "--to-region",
        metavar="REGION",
        help="make it there, from the snapshots that lie there (default: the pipeline's, else here)",
    )
    parser.add_argument("--class", dest="instance_class", metavar="CLASS", help="its class (default: the source's)")
    parser.add_argument(
        "--parameter-group", metavar="NAME", help="needed in another Region, unless it is the default one"
    )
    parser.add_argument("--option-group", metavar="NAME", help="needed in another Region, unless it is the default one")
    parser.add_argument("--subnet-group", metavar="NAME", help="needed in another Region, unless it is the default one")
    parser.add_argument(
        "--security-group", action="append", metavar="ID", help="needed in another Region; may be repeated"
    )


def placement_of(args: argparse.Namespace, section: Placed | None) -> Placement:
    """Options first, then what the pipeline says."""
    groups = args.security_group or (section.security_groups if section else None)

    def chosen(name: str) -> str | None:
        given: str | None = getattr(args, name) or (getattr(section, name) if section else None)
        return given

    return Placement(
        chosen("instance_class"),
        chosen("parameter_group"),
        chosen("option_group"),
        chosen("subnet_group"),
        tuple(groups) if groups else None,
    )


def polling(context: Context, clients: SessionClients) -> PollingWait:
    """Waits in this process."""
    return PollingWait(clients, context.clock, context.progress)
