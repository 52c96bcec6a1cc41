-- Rotation: when secrets are replaced, and what is known of the second one.

ALTER TABLE identity
    ADD COLUMN candidate            bytea,
    ADD COLUMN old                  bytea,
    ADD COLUMN period               interval NOT NULL DEFAULT '4 hours',
    ADD COLUMN soak                 interval NOT NULL DEFAULT '2 hours',
    ADD COLUMN overlap_phase        text NOT NULL DEFAULT 'single',
    ADD COLUMN published_generation integer NOT NULL DEFAULT 0,
    ADD COLUMN published_at         timestamptz,
    ADD COLUMN rotate_at            timestamptz,
    ADD COLUMN retire_at            timestamptz,
    ADD COLUMN rotate_above         integer NOT NULL DEFAULT 0,
    ADD COLUMN urgent               boolean NOT NULL DEFAULT false,
    ADD COLUMN seen_epoch           bigint NOT NULL DEFAULT 0,
    ADD COLUMN held_at              timestamptz,
    ADD COLUMN held_generation      integer NOT NULL DEFAULT 0,
    ADD COLUMN restored             boolean NOT NULL DEFAULT false,
    ADD COLUMN revoked_at           timestamptz,
    ADD COLUMN forgotten_at         timestamptz;
COMMENT ON COLUMN identity.candidate IS 'sealed: the next secret, until it is published';
COMMENT ON COLUMN identity.old IS 'sealed: the former secret, until it is proven to be refused';

-- What nobody waits for has the last lane now; rotation comes before it.
UPDATE identity SET lane = 2 WHERE lane = 1;
-- What was whole before is looked at once, and begins to rotate.
UPDATE identity SET due_at = now(), lane = 1
WHERE kind = 'airflow' AND ended_at IS NULL AND connection_phase = 'present' AND due_at IS NULL;

-- Each environment has queues of its own.
DROP INDEX identity_due;
CREATE INDEX identity_due ON identity (environment, lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX identity_standing ON identity (environment, id) WHERE ended_at IS NULL;
CREATE INDEX identity_asked ON identity (environment) WHERE rotate_above > 0;
CREATE INDEX identity_held ON identity (environment) WHERE held_at IS NOT NULL;

CREATE TABLE pause (
    kind  text NOT NULL CHECK (kind IN ('environment', 'plan', 'instance')),
    key   text NOT NULL,
    until timestamptz,
    since timestamptz NOT NULL,
    PRIMARY KEY (kind, key)
);
COMMENT ON TABLE pause IS 'freezes: no rotation starts and no old secret goes';

CREATE TABLE hold (
    environment text PRIMARY KEY,
    since       timestamptz NOT NULL
);
COMMENT ON TABLE hold IS 'environments in which nothing is done unasked until a restore is accepted';

CREATE TABLE sweep (
    environment   text PRIMARY KEY,
    due_at        timestamptz NOT NULL,
    probe_all     boolean NOT NULL DEFAULT false,
    probed_all_at timestamptz
);
COMMENT ON TABLE sweep IS 'one row for each environment: when its remotes are next compared with the rows';
