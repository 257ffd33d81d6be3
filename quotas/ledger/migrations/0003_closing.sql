-- Closing: nothing is booked before `until` any more. One row in ledger_closing, and one lock.
--
-- Who books takes the lock shared, who closes takes it alone. So whoever closes first waits for every batch that is
-- under way, and each later batch sees the row. The shared lock is always the first lock of a transaction in the
-- ledger, before any account's: one who closes may lock accounts too, and nobody waits in a circle.
--
-- The lock is PostgreSQL's own (advisory), held in memory until the transaction ends. A row lock (FOR SHARE on the one
-- row) would write to that row with every batch.

CREATE FUNCTION ledger_booking_begin() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    -- A snapshot from before the lock would not show what was closed while we waited for it.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'the ledger books in READ COMMITTED only' USING ERRCODE = 'invalid_transaction_state';
    END IF;
    PERFORM pg_advisory_xact_lock_shared(23047, 1);
END $$;

-- For the rows themselves, whatever inserted them; a replay of what is stored inserts none and is answered as ever.
CREATE FUNCTION ledger_refuse_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM ledger_booking_begin();
    PERFORM ledger_broken('ledger_transfer_open_period', n.id)
       FROM ledger_closing closing JOIN inserted n ON n.booked_at < closing.until;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_transfer_open_period AFTER INSERT ON ledger_transfer
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse_closed();

-- The three ways in of 0002_rules.sql, each with the lock before the accounts' locks.

CREATE OR REPLACE FUNCTION ledger_lock(account_ids bigint[]) RETURNS SETOF ledger_account
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$
    SELECT ledger_booking_begin();
    SELECT * FROM ledger_account WHERE id = ANY (account_ids) ORDER BY id FOR UPDATE
    $$;

CREATE OR REPLACE FUNCTION ledger_book(given jsonb, booked_at timestamptz, actor text)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    PERFORM ledger_booking_begin();
    RETURN ledger_entries_book(ARRAY(SELECT e FROM jsonb_populate_recordset(NULL::ledger_entry, given) e),
                               booked_at, actor);
END $$;

CREATE OR REPLACE FUNCTION ledger_import(import_id uuid, booked_at timestamptz, actor text)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
#variable_conflict use_column
DECLARE
    entries ledger_entry[];
BEGIN
    PERFORM ledger_booking_begin();
    WITH staged AS (DELETE FROM ledger_staging WHERE import_id = ledger_import.import_id RETURNING *)
    SELECT coalesce(array_agg(ROW(id, kind, debit_id, credit_id, amount, resolves_id, batch, reason, event_at,
                                  expires_at)::ledger_entry), '{}')
      INTO entries FROM staged;
    RETURN ledger_entries_book(entries, booked_at, actor);
END $$;

-- Closing, in two calls of one transaction: after the first nobody else books, and the one who closes may still book
-- what belongs at the end of the period; after the second nobody may.

CREATE FUNCTION ledger_booking_stop() RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(23047, 1)
$$;

CREATE FUNCTION ledger_close(until timestamptz, closed_at timestamptz, actor text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
#variable_conflict use_variable
BEGIN
    PERFORM ledger_booking_stop();
    INSERT INTO ledger_closing AS closing (id, until, closed_at, actor) VALUES (1, until, closed_at, actor)
        ON CONFLICT (id) DO UPDATE SET until = excluded.until, closed_at = excluded.closed_at, actor = excluded.actor;
END $$;

-- What is closed stays closed, for the owner of the table too.
CREATE TRIGGER ledger_closing_stays BEFORE DELETE OR TRUNCATE ON ledger_closing
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('what is closed stays closed');
CREATE TRIGGER ledger_closing_forward BEFORE UPDATE ON ledger_closing
    FOR EACH ROW WHEN (NEW.until < OLD.until) EXECUTE FUNCTION ledger_refuse('what is closed stays closed');

REVOKE ALL ON FUNCTION ledger_booking_begin(), ledger_booking_stop(), ledger_close(timestamptz, timestamptz, text)
    FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE ALL ON ledger_closing FROM saola_app;
        GRANT SELECT ON ledger_closing TO saola_app;
        GRANT EXECUTE ON FUNCTION ledger_booking_stop(), ledger_close(timestamptz, timestamptz, text) TO saola_app;
    END IF;
END $$;
