-- What v1 works with: one phone for each person, in a column.
CREATE TABLE people (
  id integer PRIMARY KEY AUTOINCREMENT,
  name text NOT NULL,
  phone text
);
-- How far the migration is (one row), and up to which person a backfill has come.
CREATE TABLE migration (
  stage text NOT NULL,
  filled_to bigint NOT NULL
);
INSERT INTO migration VALUES ('start', 0);
