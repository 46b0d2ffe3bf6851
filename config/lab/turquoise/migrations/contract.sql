-- The old structure goes. There is no way back from here but a backup.
ALTER TABLE people DROP COLUMN phone;
