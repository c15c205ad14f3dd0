"""The embedded stand-in for AWS: moto's server with stricter DynamoDB and S3, a Redshift Data API that runs SQL, and RDS instances that
are PostgreSQL servers.

It is for trying and testing Tablekeep on one machine. It is not AWS: it knows no permissions, no billing and no
eventual consistency, and where a rule of the service could not be confirmed the code that stands for it says so.
No part of it is deployed.

- `server.LocalAws`: the server, in this process; `python -m local_aws` runs it alone.
- `postgres.EmbeddedPostgres`: a real PostgreSQL from a wheel.
- `environment.child_environment`: an environment for child processes that cannot reach AWS.
- `datasets`: real and generated items to load.
- `fixtures`: the pytest fixtures `local_aws` and `postgres`.
"""
