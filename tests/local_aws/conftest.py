"""The fixtures of the stand-in, unless the suite's own conftest has listed them already."""

from local_aws.fixtures import local_aws, local_aws_server, local_redshift, postgres

__all__ = ["local_aws", "local_aws_server", "local_redshift", "postgres"]
