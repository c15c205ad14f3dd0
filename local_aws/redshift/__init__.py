"""The Redshift Data API, running SQL on PostgreSQL under Redshift's rules.

`service` is the API, `executions` what it remembers, `runner` carries statements out, `tokens`, `dialect`, `rendering`,
`tables` and `merge` turn Redshift's SQL into PostgreSQL's, `types` are its column types, `documents` and `bootstrap.sql`
SUPER, `copy` reads COPY statements, `parquet` loads files under the rules of columnar COPY.

PostgreSQL is not Redshift: it has no distribution, no leader node, other planner and other functions. What is enforced
here is what a loader can get wrong. Types that PostgreSQL does not have live in comments on the columns.
"""
