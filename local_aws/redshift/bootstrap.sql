-- What Redshift has and PostgreSQL has not, in a schema of its own at the end of the search path.
CREATE SCHEMA redshift_local;

CREATE DOMAIN redshift_local.varbyte AS bytea;

CREATE FUNCTION redshift_local.getdate() RETURNS timestamp STABLE LANGUAGE sql
    AS $$ SELECT date_trunc('second', statement_timestamp() AT TIME ZONE 'UTC') $$;

-- SUPER is a type of its own, stored as text: a document is U+0001 and its JSON, anything else is a plain string. So a
-- literal or a VARCHAR that nobody has parsed stays a string, as it does in Redshift ("Loading semistructured data").
CREATE TYPE redshift_local.super;
CREATE FUNCTION redshift_local.super_in(cstring) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE internal AS 'textin';
CREATE FUNCTION redshift_local.super_out(redshift_local.super) RETURNS cstring IMMUTABLE STRICT LANGUAGE internal AS 'textout';
CREATE TYPE redshift_local.super (
    INPUT = redshift_local.super_in, OUTPUT = redshift_local.super_out, LIKE = text, CATEGORY = 'U', COLLATABLE = false);
CREATE CAST (text AS redshift_local.super) WITHOUT FUNCTION AS ASSIGNMENT;
CREATE CAST (varchar AS redshift_local.super) WITHOUT FUNCTION AS ASSIGNMENT;

CREATE FUNCTION redshift_local.super_stored(redshift_local.super) RETURNS text IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT textin(redshift_local.super_out($1)) $$;
CREATE FUNCTION redshift_local.super_of(text) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT (chr(1) || $1)::redshift_local.super $$;
CREATE FUNCTION redshift_local.super_json(redshift_local.super) RETURNS text IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT CASE WHEN left(s, 1) = chr(1) THEN substr(s, 2) ELSE to_json(s)::text END
    FROM redshift_local.super_stored($1) AS s $$;
-- Scalars become SUPER's; dates and times do not ("Limitations": cannot cast type date to super).
CREATE FUNCTION redshift_local.super_scalar(smallint) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (smallint AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(smallint) AS ASSIGNMENT;
CREATE FUNCTION redshift_local.super_scalar(integer) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (integer AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(integer) AS ASSIGNMENT;
CREATE FUNCTION redshift_local.super_scalar(bigint) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (bigint AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(bigint) AS ASSIGNMENT;
CREATE FUNCTION redshift_local.super_scalar(numeric) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (numeric AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(numeric) AS ASSIGNMENT;
CREATE FUNCTION redshift_local.super_scalar(double precision) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (double precision AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(double precision) AS ASSIGNMENT;
CREATE FUNCTION redshift_local.super_scalar(boolean) RETURNS redshift_local.super IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_of($1::text) $$;
CREATE CAST (boolean AS redshift_local.super) WITH FUNCTION redshift_local.super_scalar(boolean) AS ASSIGNMENT;
-- "Cast from non-scalar values (object and array) to string returns NULL" ("Limitations").
CREATE FUNCTION redshift_local.super_varchar(redshift_local.super) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT CASE WHEN left(j, 1) IN ('{', '[') THEN NULL ELSE j::jsonb #>> '{}' END
    FROM redshift_local.super_json($1) AS j $$;
CREATE CAST (redshift_local.super AS varchar) WITH FUNCTION redshift_local.super_varchar(redshift_local.super);
CREATE FUNCTION redshift_local.super_equal(redshift_local.super, redshift_local.super) RETURNS boolean IMMUTABLE STRICT
    LANGUAGE sql AS $$ SELECT redshift_local.super_json($1) = redshift_local.super_json($2) $$;
CREATE OPERATOR redshift_local.= (
    LEFTARG = redshift_local.super, RIGHTARG = redshift_local.super, FUNCTION = redshift_local.super_equal);

-- What a column takes: at most 16 MB, and no plain string beyond 65,535 bytes ("Limitations"). The strings inside of a
-- document were looked at when it was parsed or loaded.
CREATE FUNCTION redshift_local.super_fits(redshift_local.super) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$
    SELECT octet_length(s) <= CASE WHEN left(s, 1) = chr(1) THEN 16777216 ELSE 65535 END
    FROM redshift_local.super_stored($1) AS s $$;

-- Patterns stand in dollar quotes: this database's connections read backslashes in other literals as escapes.

-- A number of a document. Redshift's SUPER holds integers, decimals of up to 38 digits (DECIMAL_PRECISION) and doubles; that
-- JSON_PARSE takes a decimal wherever one fits, and a double, which loses digits, beyond it, is UNCONFIRMED. With
-- `redshift_local.super_doubles` set on the database each number that is no BIGINT becomes a double: the other reading.
CREATE FUNCTION redshift_local.super_number(number text) RETURNS text STABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    plain text := ltrim(split_part(ltrim(number, '-'), '.', 1), '0');
    scale integer := length(split_part(number, '.', 2));
    whole boolean := scale = 0 AND length(plain) <= 19 AND abs(number::numeric) < 9223372036854775808;
BEGIN
    IF number !~ '[eE]' AND length(plain) + scale <= 38 AND scale <= 37
       AND (whole OR coalesce(current_setting('redshift_local.super_doubles', true), '') <> 'on') THEN
        RETURN number;
    END IF;
    RETURN number::double precision::text;
END $$;
CREATE FUNCTION redshift_local.super_token(token text) RETURNS text STABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    IF left(token, 1) = '"' THEN
        IF octet_length(token) > 65537 AND octet_length(token::json #>> '{}') > 65535 THEN
            RAISE EXCEPTION 'String value exceeds the max size of 65535 bytes in JSON_PARSE';  -- text UNCONFIRMED
        ELSIF token ~ $re$(^|[^\\])(\\\\)*\\u0000$re$ THEN
            RAISE EXCEPTION 'Invalid JSON: U+0000 in a string';  -- that it is refused is UNCONFIRMED
        END IF;
    ELSIF token ~ '^[-0-9]' THEN
        RETURN redshift_local.super_number(token);
    END IF;
    RETURN token;
END $$;
-- Sources: "JSON_PARSE", "SUPER configurations" (attributes named twice are refused, strings of 65,535 bytes),
-- "Limitations" (1,000 levels), "Loading semistructured data" (documents of 4 MB; said of COPY, taken for both).
CREATE FUNCTION redshift_local.super_parse(document text) RETURNS redshift_local.super STABLE STRICT LANGUAGE plpgsql AS $$
DECLARE
    deepest integer;
    parsed text;
BEGIN
    IF octet_length(document) > 4194304 THEN
        RAISE EXCEPTION 'JSON document exceeds the max size of 4194304 bytes';
    ELSIF NOT document IS JSON THEN
        RAISE EXCEPTION 'Invalid JSON';
    ELSIF NOT document IS JSON WITH UNIQUE KEYS THEN
        RAISE EXCEPTION 'Duplicate attribute names in the same object of the JSON document';
    END IF;
    SELECT max(depth), string_agg(redshift_local.super_token(token), '' ORDER BY n) INTO deepest, parsed
    FROM (SELECT piece[1] AS token, n,
                 sum(CASE WHEN piece[1] IN ('{', '[') THEN 1 WHEN piece[1] IN ('}', ']') THEN -1 ELSE 0 END)
                     OVER (ORDER BY n) AS depth
          FROM regexp_matches(document, $re$("(?:[^"\\]|\\.)*"|[][{}:,]|[^][{}:,"[:space:]]+)$re$, 'g')
               WITH ORDINALITY AS t(piece, n)) AS tokens;
    IF deepest > 1000 THEN
        RAISE EXCEPTION 'JSON document exceeds the max nesting depth of 1000';
    END IF;
    RETURN redshift_local.super_of(parsed);
END $$;
CREATE FUNCTION redshift_local.json_parse(document text) RETURNS redshift_local.super STABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(document) > 65535 THEN  -- the argument is a VARCHAR, or a VARBYTE: that one may be longer
        RAISE EXCEPTION 'value too long for type character varying(65535)';
    END IF;
    RETURN redshift_local.super_parse(document);
END $$;
CREATE FUNCTION redshift_local.json_parse(bytea) RETURNS redshift_local.super STABLE STRICT LANGUAGE sql
    AS $$ SELECT redshift_local.super_parse(convert_from($1, 'UTF8')) $$;
CREATE FUNCTION redshift_local.json_serialize(redshift_local.super) RETURNS varchar IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    IF octet_length(redshift_local.super_json($1)) > 65535 THEN  -- text UNCONFIRMED
        RAISE EXCEPTION 'JSON_SERIALIZE: the result exceeds the max VARCHAR size of 65535 bytes';
    END IF;
    RETURN redshift_local.super_json($1);
END $$;
CREATE FUNCTION redshift_local.json_serialize_to_varbyte(redshift_local.super) RETURNS bytea IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT convert_to(redshift_local.super_json($1), 'UTF8') $$;
CREATE FUNCTION redshift_local.json_typeof(redshift_local.super) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT json_typeof(redshift_local.super_json($1)::json) $$;
CREATE FUNCTION redshift_local.is_valid_json(text) RETURNS boolean IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT $1 IS JSON $$;
CREATE FUNCTION redshift_local.to_varbyte(text, text) RETURNS bytea IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT CASE lower($2) WHEN 'hex' THEN decode($1, 'hex') WHEN 'base64' THEN decode($1, 'base64')
                 ELSE convert_to($1, 'UTF8') END $$;
CREATE FUNCTION redshift_local.from_varbyte(bytea, text) RETURNS text IMMUTABLE STRICT LANGUAGE sql
    AS $$ SELECT CASE lower($2) WHEN 'hex' THEN encode($1, 'hex') WHEN 'base64' THEN encode($1, 'base64')
                 ELSE convert_from($1, 'UTF8') END $$;
CREATE FUNCTION redshift_local.to_hex(bytea) RETURNS varchar IMMUTABLE STRICT LANGUAGE sql AS $$ SELECT encode($1, 'hex') $$;
-- In base 16 alone; more than 63 bits are refused as Redshift refuses them ("STRTOL function").
CREATE FUNCTION redshift_local.strtol(text, integer) RETURNS bigint IMMUTABLE STRICT LANGUAGE plpgsql AS $$
BEGIN
    IF $2 <> 16 OR $1 !~ '^[0-9a-fA-F]{1,16}$' OR (length($1) = 16 AND $1 > '7') THEN
        RAISE EXCEPTION 'The input % is not valid to be converted to base %', $1, $2;
    END IF;
    RETURN ('x' || lpad($1, 16, '0'))::bit(64)::bigint;
END $$;
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
CREATE VIEW redshift_local.svv_relation_privileges AS
    SELECT n.nspname::varchar AS namespace_name, c.relname::varchar AS relation_name, a.privilege_type::varchar,
           a.grantee AS identity_id, coalesce(r.rolname, 'public')::varchar AS identity_name,
           (CASE WHEN a.grantee = 0 THEN 'public' ELSE 'user' END)::varchar AS identity_type, a.is_grantable AS admin_option
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a
    LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE a.grantee <> c.relowner AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE', 'REFERENCES');
