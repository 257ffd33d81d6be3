-- Undo 0003_closing.sql; the table goes with the migration. The three ways in are again those of 0002_rules.sql.
DROP TRIGGER ledger_transfer_open_period ON ledger_transfer;
DROP TRIGGER ledger_closing_stays ON ledger_closing;
DROP TRIGGER ledger_closing_forward ON ledger_closing;
CREATE OR REPLACE FUNCTION ledger_lock(account_ids bigint[]) RETURNS SETOF ledger_account
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT * FROM ledger_account WHERE id = ANY (account_ids) ORDER BY id FOR UPDATE $$;
CREATE OR REPLACE FUNCTION ledger_book(given jsonb, booked_at timestamptz, actor text)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
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
    WITH staged AS (DELETE FROM ledger_staging WHERE import_id = ledger_import.import_id RETURNING *)
    SELECT coalesce(array_agg(ROW(id, kind, debit_id, credit_id, amount, resolves_id, batch, reason, event_at,
                                  expires_at)::ledger_entry), '{}')
      INTO entries FROM staged;
    RETURN ledger_entries_book(entries, booked_at, actor);
END $$;
DROP FUNCTION ledger_close(timestamptz, timestamptz, text);
DROP FUNCTION ledger_booking_stop();
DROP FUNCTION ledger_refuse_closed();
DROP FUNCTION ledger_booking_begin();
