-- A key of a program that has rules of its own names it; '' is an operator's. The
-- caller seals the secret of such a key together with the name, so that a program
-- of before, which would take it for an operator's, cannot open it.
ALTER TABLE operator_keys ADD COLUMN function TEXT NOT NULL DEFAULT '';
