-- What is closed, issued or stored is never changed, by nobody; and numbers have no gaps.
-- ledger_refuse is the ledger's (quotas/ledger/migrations/0002_rules.sql): it raises, under the trigger's name.

CREATE TRIGGER statement_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON statements_statement
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('a statement is corrected by a later one only');
CREATE TRIGGER statement_file_immutable BEFORE UPDATE OR DELETE OR TRUNCATE ON statements_statementfile
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('an issued file stays as it was issued');
CREATE TRIGGER statement_period_stays BEFORE DELETE OR TRUNCATE ON statements_period
    FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse('a closed period stays closed');
CREATE TRIGGER statement_period_immutable BEFORE UPDATE ON statements_period FOR EACH ROW
    WHEN ((OLD.month, OLD.begins_at, OLD.ends_at, OLD.closed_at, OLD.closed_by)
          IS DISTINCT FROM (NEW.month, NEW.begins_at, NEW.ends_at, NEW.closed_at, NEW.closed_by))
    EXECUTE FUNCTION ledger_refuse('a closed period stays as it is');

-- The next number of its year, or none. Whoever issues holds the row of that year (statements_year), so two that issue
-- at once come one after the other.
CREATE FUNCTION statement_next_number() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.sequence <> 1 + coalesce((SELECT max(s.sequence) FROM statements_statement s WHERE s.year = NEW.year), 0) THEN
        RAISE EXCEPTION 'statement % leaves a gap', NEW.number
            USING ERRCODE = 'check_violation', CONSTRAINT = 'statement_without_gap', TABLE = 'statements_statement';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER statement_without_gap BEFORE INSERT ON statements_statement
    FOR EACH ROW EXECUTE FUNCTION statement_next_number();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON statements_statement, statements_statementfile FROM saola_app;
        REVOKE DELETE, TRUNCATE ON statements_period, statements_year FROM saola_app;
    END IF;
END $$;
