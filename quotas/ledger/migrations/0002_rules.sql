-- The ledger's rules: everything that a CHECK and two UNIQUE indexes (models.py, 0001_initial) do not say.
--
-- Read in this order:
--   1. ledger_apply     what an inserted transfer must obey, and how it moves the totals (the trigger)
--   2. ledger_refuse    what can never be done to the two tables (triggers)
--   3. ledger_book      the one way in for a batch: lock, insert, answer; ledger_import is the same for many rows
--   4. who may do what
--
-- Try it in psql on a new database, in a transaction that you roll back:
--
--   INSERT INTO ledger_account (unit, kind, owner, may_overdraw, debits_pending, debits_posted, credits_pending,
--                               credits_posted)
--        VALUES ('gpu:h100', 'source', 'demo', true, 0, 0, 0, 0), ('gpu:h100', 'pool', 'demo', false, 0, 0, 0, 0)
--     RETURNING id;                                        -- say 1 and 2
--   SELECT ledger_book('[{"id": "5a01a000-0000-4000-8000-000000000001", "kind": "direct", "debit_id": 1,
--                         "credit_id": 2, "amount": 3600, "batch": "5a01a000-0000-4000-8000-000000000001",
--                         "reason": "budget", "event_at": "2026-01-01T00:00:00Z"}]',
--                      '2026-01-01T00:00:00Z', 'psql');    -- 1 is new; the same once more: 0 are
--   SELECT * FROM ledger_account;                          -- 3600 debited from the source, credited to the pool
--   UPDATE ledger_transfer SET amount = 1;                 -- ERROR: UPDATE on ledger_transfer is refused


-- A transfer rewrites its accounts' rows. Room in their pages keeps the new versions there and the indexes as they are.
ALTER TABLE ledger_account SET (fillfactor = 50);


-- 1. What a transfer does ------------------------------------------------------------------------------------------

-- A broken rule is raised under a constraint's name, as a CHECK would be, because that name is what the application
-- turns into a typed error. It answers a number only so that it can stand in an expression.
CREATE FUNCTION ledger_broken(rule text, transfer_id uuid) RETURNS bigint LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'transfer % breaks %', transfer_id, rule
        USING ERRCODE = 'check_violation', CONSTRAINT = rule, TABLE = 'ledger_transfer';
END $$;

-- Fires once per INSERT statement with all its rows, and is one statement itself: rules and totals share look-ups.
--   freed    what a post or void takes away from pending: the whole hold.
--   pending  a hold adds its amount; a post and a void free it.
--   posted   a direct and a post add their amount.
-- One UPDATE per account and batch: the CHECK on the balance sees the batch as a whole. The look-ups of the accounts
-- and of the hold stand for foreign keys: nothing that is referred to can ever go away. The rules on a single row
-- stand here and not in CHECKs because PostgreSQL reads a CHECK anew from its text for every statement, which cost as
-- much as the insert itself.
CREATE FUNCTION ledger_apply() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE ledger_account account
       SET debits_pending  = account.debits_pending  + moved.debits_pending,
           debits_posted   = account.debits_posted   + moved.debits_posted,
           credits_pending = account.credits_pending + moved.credits_pending,
           credits_posted  = account.credits_posted  + moved.credits_posted
      FROM (
        SELECT side.account_id,
               sum(side.debits_pending)::bigint  AS debits_pending,
               sum(side.debits_posted)::bigint   AS debits_posted,
               sum(side.credits_pending)::bigint AS credits_pending,
               sum(side.credits_posted)::bigint  AS credits_posted
          FROM inserted n
          LEFT JOIN ledger_account debit  ON debit.id = n.debit_id
          LEFT JOIN ledger_account credit ON credit.id = n.credit_id
          LEFT JOIN ledger_transfer hold  ON hold.id = n.resolves_id,
          LATERAL (SELECT CASE
              WHEN n.amount < 0 OR n.amount = 0 AND n.kind <> 'post' THEN ledger_broken('ledger_transfer_amount', n.id)
              WHEN n.debit_id = n.credit_id                   THEN ledger_broken('ledger_transfer_two_accounts', n.id)
              WHEN debit.id IS NULL OR credit.id IS NULL      THEN ledger_broken('ledger_transfer_account', n.id)
              WHEN debit.unit <> credit.unit                  THEN ledger_broken('ledger_transfer_unit', n.id)
              WHEN n.expires_at IS NOT NULL AND n.kind <> 'hold'
                                                              THEN ledger_broken('ledger_transfer_expires', n.id)
              WHEN n.resolves_id IS NULL AND n.kind IN ('direct', 'hold')     THEN 0
              WHEN n.resolves_id IS NULL OR n.kind NOT IN ('post', 'void')
                                                              THEN ledger_broken('ledger_transfer_kind', n.id)
              WHEN hold.id IS NULL OR hold.kind <> 'hold'     THEN ledger_broken('ledger_transfer_hold', n.id)
              WHEN n.debit_id <> hold.debit_id OR n.credit_id <> hold.credit_id
                                                              THEN ledger_broken('ledger_transfer_same_accounts', n.id)
              WHEN n.kind = 'post' AND n.amount > hold.amount
                  THEN ledger_broken('ledger_transfer_post_within_hold', n.id)
              WHEN n.kind = 'void' AND n.amount <> hold.amount
                  THEN ledger_broken('ledger_transfer_void_whole_hold', n.id)
              ELSE hold.amount END AS freed) rule,
          LATERAL (SELECT CASE WHEN n.kind = 'hold' THEN n.amount ELSE 0 END - rule.freed AS pending,
                          CASE WHEN n.kind IN ('direct', 'post') THEN n.amount ELSE 0 END AS posted) change,
          LATERAL (VALUES
              (n.debit_id,  change.pending, change.posted, 0, 0),
              (n.credit_id, 0, 0, change.pending, change.posted)
          ) side (account_id, debits_pending, debits_posted, credits_pending, credits_posted)
         GROUP BY side.account_id
      ) moved
     WHERE account.id = moved.account_id;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_transfer_apply AFTER INSERT ON ledger_transfer
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION ledger_apply();


-- 2. What can never be done ----------------------------------------------------------------------------------------

-- Refuses for everybody, the owner of the tables included. Statement triggers, so that even a statement that would
-- touch no row says clearly that it is not how things are done here.
CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

CREATE TRIGGER ledger_transfer_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger_transfer
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('transfers are append-only, a correction is a new transfer');

CREATE TRIGGER ledger_account_permanent BEFORE DELETE OR TRUNCATE ON ledger_account
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('accounts are permanent');

-- Depth 1 is this trigger under a statement that someone typed; ledger_apply's own UPDATE comes at depth 2.
-- (Asked here and not in a WHEN clause, which is read anew for every statement and costs more than the rest.)
CREATE FUNCTION ledger_refuse_by_hand() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() = 1 THEN
        RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER ledger_account_totals_by_transfer BEFORE UPDATE ON ledger_account FOR EACH STATEMENT
    EXECUTE FUNCTION ledger_refuse_by_hand('totals move by transfers only, and nothing else of an account changes');

CREATE TRIGGER ledger_account_begins_empty BEFORE INSERT ON ledger_account
    FOR EACH ROW WHEN (NEW.debits_pending <> 0 OR NEW.debits_posted <> 0
                       OR NEW.credits_pending <> 0 OR NEW.credits_posted <> 0)
    EXECUTE FUNCTION ledger_refuse('an account begins with zero in all four totals');

-- What funds the pools, what the centre bears, what an organisation owes. A kind never changes, so this is asked once.
CREATE TRIGGER ledger_account_may_overdraw BEFORE INSERT ON ledger_account
    FOR EACH ROW WHEN (NEW.may_overdraw AND NEW.kind NOT IN ('source', 'overrun', 'contribution'))
    EXECUTE FUNCTION ledger_refuse('only source, overrun and contribution may overdraw');


-- 3. The one way in ------------------------------------------------------------------------------------------------

-- What a caller says of one transfer. A post and a void leave their accounts out, and a void its amount: they are
-- their hold's.
CREATE TYPE ledger_entry AS (
    id uuid, kind text, debit_id bigint, credit_id bigint, amount bigint, resolves_id uuid, batch uuid,
    reason text, event_at timestamptz, expires_at timestamptz
);

-- Lock accounts, always in the order of their ids: two clients that want the same two accounts can then never wait
-- for each other. FOR UPDATE, and before anything is inserted, because a lock taken as a by-product of the totals'
-- UPDATE comes in the order of arrival and deadlocks.
CREATE FUNCTION ledger_lock(account_ids bigint[]) RETURNS SETOF ledger_account
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp
    AS $$ SELECT * FROM ledger_account WHERE id = ANY (account_ids) ORDER BY id FOR UPDATE $$;

-- Complete the entries from their holds, lock all accounts of the batch, insert. Answers how many were new: what is
-- stored already is left as it is. Each statement sees what was committed before it began (READ COMMITTED), so after
-- the locks a concurrent replay of the same entries finds the other one's rows.
CREATE FUNCTION ledger_entries_book(entries ledger_entry[], booked_at timestamptz, actor text)
    RETURNS bigint LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    entry ledger_entry;
    hold ledger_transfer;
    account_ids bigint[];
    new_count bigint;
    other_id uuid;
BEGIN
    FOR i IN 1 .. cardinality(entries) LOOP
        entry := entries[i];
        IF entry.resolves_id IS NOT NULL THEN
            SELECT * INTO hold FROM ledger_transfer WHERE id = entry.resolves_id;
            IF NOT FOUND THEN
                PERFORM ledger_broken('ledger_transfer_hold', entry.id);
            END IF;
            entry.debit_id := hold.debit_id;
            entry.credit_id := hold.credit_id;
            entry.amount := coalesce(entry.amount, hold.amount);
            entries[i] := entry;
        END IF;
        account_ids := account_ids || entry.debit_id || entry.credit_id;
    END LOOP;

    PERFORM FROM ledger_account WHERE id = ANY (account_ids) ORDER BY id FOR UPDATE;

    INSERT INTO ledger_transfer
        (id, kind, debit_id, credit_id, amount, resolves_id, batch, reason, event_at, booked_at, expires_at, actor)
        SELECT e.id, e.kind, e.debit_id, e.credit_id, e.amount, e.resolves_id, e.batch, e.reason, e.event_at,
               ledger_entries_book.booked_at, e.expires_at, ledger_entries_book.actor
          FROM unnest(entries) e
        ON CONFLICT (id) DO NOTHING;
    GET DIAGNOSTICS new_count = ROW_COUNT;

    -- A replay must say what is stored. When it was booked, in which batch and by whom stays as it was the first time.
    IF new_count < cardinality(entries) THEN
        SELECT t.id INTO other_id
          FROM unnest(entries) e JOIN ledger_transfer t USING (id)
         WHERE (t.kind, t.debit_id, t.credit_id, t.amount, t.resolves_id, t.reason, t.event_at, t.expires_at)
               IS DISTINCT FROM
               (e.kind, e.debit_id, e.credit_id, e.amount, e.resolves_id, e.reason, e.event_at, e.expires_at)
         LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION 'transfer % is stored with other fields', other_id
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'ledger_transfer_pkey', TABLE = 'ledger_transfer';
        END IF;
    END IF;
    RETURN new_count;
END $$;

-- The settings of the next two functions: everything here is found by its key, however large the tables are, and a
-- plan is made once a session. Left alone, the planner reads a whole table while it is small, and keeps doing so.

-- A batch of entries as a JSON array of objects with ledger_entry's fields; answers how many were new.
CREATE FUNCTION ledger_book(given jsonb, booked_at timestamptz, actor text)
    RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN ledger_entries_book(ARRAY(SELECT e FROM jsonb_populate_recordset(NULL::ledger_entry, given) e),
                               booked_at, actor);
END $$;

-- The same for many rows: they were copied into ledger_staging under an import's id, in the same transaction. Answers
-- how many were new. Unlogged: staged rows are worth nothing after a crash, their transaction is gone with them.
CREATE UNLOGGED TABLE ledger_staging (
    import_id uuid NOT NULL,
    id uuid, kind text, debit_id bigint, credit_id bigint, amount bigint, resolves_id uuid, batch uuid,
    reason text, event_at timestamptz, expires_at timestamptz
);
CREATE INDEX ledger_staging_import ON ledger_staging (import_id);

CREATE FUNCTION ledger_import(import_id uuid, booked_at timestamptz, actor text)
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


-- 4. Who may do what -----------------------------------------------------------------------------------------------

-- The processes' roles are members of saola_app, which gets rights on every new table by default privileges. Here it
-- keeps SELECT, the making of (empty) accounts, and the functions above, which run with their owner's rights.
-- A database without that role (a developer's own) has only its owner, whom the triggers stop as well.
REVOKE ALL ON FUNCTION ledger_lock(bigint[]), ledger_book(jsonb, timestamptz, text),
    ledger_import(uuid, timestamptz, text), ledger_entries_book(ledger_entry[], timestamptz, text) FROM PUBLIC;
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE ALL ON ledger_transfer, ledger_account, ledger_staging FROM saola_app;
        GRANT SELECT ON ledger_transfer TO saola_app;
        GRANT SELECT, INSERT ON ledger_account TO saola_app;
        GRANT INSERT ON ledger_staging TO saola_app;
        GRANT EXECUTE ON FUNCTION ledger_lock(bigint[]), ledger_book(jsonb, timestamptz, text),
            ledger_import(uuid, timestamptz, text) TO saola_app;
    END IF;
END $$;
