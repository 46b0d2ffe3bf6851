-- The way back from expand. Nobody reads this table at that stage.
DROP TABLE phones;
