-- What Redshift has and PostgreSQL has not, in a schema of its own at the end of the search path.
CREATE SCHEMA redshift_local;
COMMENT ON SCHEMA redshift_local IS 'stand-in for Redshift: everything in this database may be dropped';

CREATE DOMAIN redshift_local.super AS jsonb;
CREATE DOMAIN redshift_local.varbyte AS bytea;

CREATE FUNCTION redshift_local.getdate() RETURNS timestamp STABLE LANGUAGE sql
    AS $$ SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC') $$;
CREATE FUNCTION redshift_local.json_parse(text) RETURNS jsonb IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT $1::jsonb $$;
CREATE FUNCTION redshift_local.json_serialize(jsonb) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT $1::text $$;
CREATE FUNCTION redshift_local.is_valid_json(text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT $1 IS JSON $$;
CREATE FUNCTION redshift_local.to_varbyte(text, text) RETURNS bytea IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT CASE lower($2) WHEN 'hex' THEN decode($1, 'hex') WHEN 'base64' THEN decode($1, 'base64')
                 ELSE convert_to($1, 'UTF8') END $$;
CREATE FUNCTION redshift_local.from_varbyte(bytea, text) RETURNS text IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT CASE lower($2) WHEN 'hex' THEN encode($1, 'hex') WHEN 'base64' THEN encode($1, 'base64')
                 ELSE convert_from($1, 'UTF8') END $$;
CREATE FUNCTION redshift_local.sha2(text, integer) RETURNS text IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT encode(CASE $2 WHEN 224 THEN sha224(convert_to($1, 'UTF8')) WHEN 384 THEN sha384(convert_to($1, 'UTF8'))
                 WHEN 512 THEN sha512(convert_to($1, 'UTF8')) ELSE sha256(convert_to($1, 'UTF8')) END, 'hex') $$;
CREATE FUNCTION redshift_local.pg_last_copy_count() RETURNS bigint STABLE LANGUAGE sql
    AS $$ SELECT coalesce(nullif(current_setting('redshift_local.copy_count', true), ''), '0')::bigint $$;
CREATE FUNCTION redshift_local.pg_last_copy_id() RETURNS bigint STABLE LANGUAGE sql
    AS $$ SELECT coalesce(nullif(current_setting('redshift_local.copy_id', true), ''), '-1')::bigint $$;

CREATE TABLE redshift_local.sys_load_history (
    query_id bigint, status text, table_name text, data_source text, loaded_rows bigint, loaded_bytes bigint,
    source_file_count bigint, start_time timestamp, end_time timestamp, error_message text);
CREATE TABLE redshift_local.sys_load_error_detail (
    query_id bigint, table_id bigint, start_time timestamp, file_name text, column_name text, column_type text,
    error_code integer, error_message text);
CREATE VIEW redshift_local.stl_load_errors AS
    SELECT query_id AS query, file_name AS filename, column_name AS colname, column_type AS type,
           error_code AS err_code, error_message AS err_reason, start_time AS starttime
    FROM redshift_local.sys_load_error_detail;

-- Redshift's types are in the comments of columns; tables made by a query have none.
CREATE VIEW redshift_local.pg_table_def AS
    SELECT n.nspname AS schemaname, c.relname AS tablename, a.attname AS "column",
           coalesce(substr(col_description(a.attrelid, a.attnum), 10), format_type(a.atttypid, a.atttypmod)) AS type,
           a.attnotnull AS "notnull", a.attnum AS position
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'v')
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'redshift_local') AND n.nspname NOT LIKE 'pg\_toast%';
CREATE VIEW redshift_local.information_schema_columns AS
    SELECT current_database()::text AS table_catalog, schemaname AS table_schema, tablename AS table_name,
           "column" AS column_name, row_number() OVER (PARTITION BY schemaname, tablename ORDER BY position)::integer
           AS ordinal_position, CASE WHEN "notnull" THEN 'NO' ELSE 'YES' END AS is_nullable,
           regexp_replace(type, '\([0-9,]+\)', '') AS data_type,
           CASE WHEN type LIKE 'character%' THEN substring(type FROM '\(([0-9]+)')::integer END AS character_maximum_length,
           CASE WHEN type LIKE 'numeric%' THEN substring(type FROM '\(([0-9]+)')::integer
                WHEN type = 'smallint' THEN 16 WHEN type = 'integer' THEN 32 WHEN type = 'bigint' THEN 64 END
           AS numeric_precision,
           CASE WHEN type LIKE 'numeric%' THEN substring(type FROM ',([0-9]+)')::integer
                WHEN type IN ('smallint', 'integer', 'bigint') THEN 0 END AS numeric_scale
    FROM redshift_local.pg_table_def;
CREATE VIEW redshift_local.svv_columns AS SELECT * FROM redshift_local.information_schema_columns;
CREATE VIEW redshift_local.information_schema_tables AS
    SELECT * FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema', 'redshift_local');
CREATE VIEW redshift_local.svv_tables AS SELECT * FROM redshift_local.information_schema_tables;
