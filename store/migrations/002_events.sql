-- An event is the exact bytes of its leaf and is never changed. The other
-- columns are copies for queries.

CREATE TABLE event (
    id         uuid PRIMARY KEY,
    leaf       bytea NOT NULL,
    at         timestamptz NOT NULL,
    action     text NOT NULL,
    decision   text NOT NULL,
    outcome    text NOT NULL,
    actor      text NOT NULL,
    request_id text NOT NULL,
    instance   text NOT NULL,
    binding    text NOT NULL,
    identity   text NOT NULL
);
CREATE INDEX event_at ON event (at);
CREATE INDEX event_of_instance ON event (instance, at) WHERE instance <> '';
CREATE INDEX event_of_binding ON event (binding, at) WHERE binding <> '';
CREATE INDEX event_of_identity ON event (identity, at) WHERE identity <> '';

-- What no transparency log has sealed yet. A cursor over ids would miss a
-- transaction that commits late, so this is a set that is written with the event.
CREATE TABLE pending (
    event uuid PRIMARY KEY REFERENCES event
);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are never changed or deleted';
END
$$;
CREATE TRIGGER event_is_final BEFORE UPDATE OR DELETE ON event
    FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER events_are_kept BEFORE TRUNCATE ON event
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
