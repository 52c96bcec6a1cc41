-- The rows of identities, as package identity describes them. Times named
-- *_until are by the database's clock; all others are by the brokers'.

CREATE TABLE broker (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    id     text NOT NULL DEFAULT gen_random_uuid()::text
);
COMMENT ON TABLE broker IS 'one row: the uuid of this installation, which stands in everything it makes elsewhere';
INSERT INTO broker DEFAULT VALUES;

CREATE TABLE canary (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    sealed bytea NOT NULL
);
COMMENT ON TABLE canary IS 'one row: a known text under the sealing keyset, so that a wrong keyset is found before it is used';

CREATE TABLE instance (
    row             text PRIMARY KEY,
    guid            text NOT NULL,
    plan            text NOT NULL,
    environment     text NOT NULL,
    org             text NOT NULL,
    space           text NOT NULL,
    org_name        text NOT NULL,
    space_name      text NOT NULL,
    instance_name   text NOT NULL,
    parameters      bytea NOT NULL,
    ceiling         text[],
    rotation_period interval NOT NULL DEFAULT '0',
    connection_base text NOT NULL,
    updates         integer NOT NULL DEFAULT 0,
    update_by       timestamptz,
    created_at      timestamptz NOT NULL,
    removing_at     timestamptz
);
-- A guid may be used again once its instance is being removed.
CREATE UNIQUE INDEX instance_guid ON instance (guid) WHERE removing_at IS NULL;
CREATE INDEX instance_history ON instance (guid, created_at DESC);
CREATE INDEX instance_of_space ON instance (space, plan) WHERE removing_at IS NULL;

CREATE TABLE connection (
    airflow     text NOT NULL,
    id          text NOT NULL,
    space       text NOT NULL,
    holder      text NOT NULL DEFAULT '',
    identity    text,
    quiet_until timestamptz,
    debt_since  timestamptz,
    released_at timestamptz,
    PRIMARY KEY (airflow, id)
);
CREATE INDEX connection_debts ON connection (debt_since) WHERE debt_since IS NOT NULL;

CREATE TABLE identity (
    id             text PRIMARY KEY,
    kind           text NOT NULL,
    instance       text NOT NULL REFERENCES instance,
    environment    text NOT NULL,
    holder         text NOT NULL,
    asked          text[],
    granted        text[] NOT NULL,
    token_lifetime interval NOT NULL,
    issuer         text NOT NULL,
    token_url      text NOT NULL,
    jwks_url       text NOT NULL,
    zone_id        text NOT NULL,
    generation     integer NOT NULL,
    secret         bytea,
    airflow        text,
    connection     text,
    description    text NOT NULL,
    client_phase       text NOT NULL,
    client_quiet_until timestamptz,
    connection_phase   text NOT NULL,
    lane           smallint NOT NULL,
    due_at         timestamptz,
    attempt        integer NOT NULL DEFAULT 0,
    lease_until    timestamptz NOT NULL,
    lease_epoch    bigint NOT NULL,
    wish_version   bigint NOT NULL,
    last_error     text NOT NULL DEFAULT '',
    request_id     text NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz,
    ended_at       timestamptz,
    clean_at       timestamptz,
    FOREIGN KEY (airflow, connection) REFERENCES connection (airflow, id)
);
COMMENT ON COLUMN identity.secret IS 'sealed, with the id as associated data; null once nothing is left of the identity';
-- The row is the queue: this index is its head.
CREATE INDEX identity_due ON identity (lane, due_at) WHERE due_at IS NOT NULL;
CREATE INDEX identity_of_instance ON identity (instance);
CREATE INDEX identity_of_connection ON identity (airflow, connection);

CREATE TABLE binding (
    row             text PRIMARY KEY,
    guid            text NOT NULL,
    instance        text NOT NULL REFERENCES instance,
    airflow_identity text REFERENCES identity,
    airflow_ready    boolean NOT NULL DEFAULT false,
    airflow_done     boolean NOT NULL DEFAULT false,
    client_identity  text REFERENCES identity,
    client_ready     boolean NOT NULL DEFAULT false,
    client_done      boolean NOT NULL DEFAULT false,
    app             text NOT NULL,
    parameters      bytea NOT NULL,
    finish_by       timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    async_at        timestamptz,
    succeeded_at    timestamptz,
    failed_at       timestamptz,
    failure_code    text NOT NULL DEFAULT '',
    failure_message text NOT NULL DEFAULT '',
    unbound_at      timestamptz,
    removed_at      timestamptz,
    CHECK (airflow_identity IS NOT NULL OR client_identity IS NOT NULL)
);
CREATE UNIQUE INDEX binding_guid ON binding (guid) WHERE removed_at IS NULL;
CREATE INDEX binding_history ON binding (guid, created_at DESC);
CREATE INDEX binding_of_airflow_identity ON binding (airflow_identity);
CREATE INDEX binding_of_client_identity ON binding (client_identity);
CREATE INDEX binding_of_instance ON binding (instance, removed_at);
-- Tombstones by age, for the purge.
CREATE INDEX binding_tombstone ON binding (removed_at) WHERE removed_at IS NOT NULL;
CREATE INDEX identity_tombstone ON identity (clean_at) WHERE clean_at IS NOT NULL;
CREATE INDEX connection_tombstone ON connection (released_at) WHERE identity IS NULL;
CREATE INDEX instance_tombstone ON instance (removing_at) WHERE removing_at IS NOT NULL;
