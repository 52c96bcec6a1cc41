-- Airflow's team that a connection belongs to, where Airflow has teams: fixed when the
-- connection is made, as its name is. Older programs know none and write none.
ALTER TABLE identity ADD COLUMN team text NOT NULL DEFAULT '';
---- create above / drop below ----
ALTER TABLE identity DROP COLUMN team;
