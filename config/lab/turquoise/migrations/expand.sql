-- The new structure beside the old one: any number of phones for each person.
-- v1 knows nothing of it and goes on deleting people, hence the cascade: without it v1 would fail on them.
CREATE TABLE phones (
  person bigint NOT NULL REFERENCES people (id) ON DELETE CASCADE,
  position integer NOT NULL,
  number text NOT NULL,
  PRIMARY KEY (person, position)
);
