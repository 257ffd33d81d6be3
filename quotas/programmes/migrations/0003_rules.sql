-- What CHECKs and UNIQUE indexes (models.py) do not say about tariffs, questions and criteria. A broken rule is raised
-- under a constraint's name; proposals_broken and proposals_refuse come from quotas/proposals/migrations/0002_rules.sql.

-- A tariff is what two people decided, and says what their proposal says. The tariff of a day that has begun stands:
-- awards of the day were made at it.
CREATE FUNCTION programmes_tariff_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM proposals_proposal p
                    WHERE p.id = NEW.proposal_id AND p.kind = 'tariff' AND p.state = 'carried_out'
                      AND p.facts ->> 'gpu_type' = NEW.gpu_type
                      AND p.facts ->> 'vnd_per_gpu_hour' = NEW.vnd_per_gpu_hour::text
                      AND p.facts ->> 'valid_from' = to_char(NEW.valid_from, 'YYYY-MM-DD')) THEN
        PERFORM proposals_broken('tariff_two_people', 'a tariff is made by its carried-out proposal');
    END IF;
    IF NEW.valid_from <= NEW.decided_on AND EXISTS (SELECT FROM programmes_tariff t
                    WHERE t.gpu_type = NEW.gpu_type AND t.valid_from <= NEW.decided_on) THEN
        PERFORM proposals_broken('tariff_day_has_begun', 'today has a tariff already');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER programmes_tariff_check BEFORE INSERT ON programmes_tariff
    FOR EACH ROW EXECUTE FUNCTION programmes_tariff_check();

CREATE TRIGGER programmes_tariff_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes_tariff
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('a tariff never changes, a new one begins on a later day');

CREATE TRIGGER programmes_questionset_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON programmes_questionset
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('applications keep the version they were written for');

-- Criteria stand from the first score on: scores given by other criteria could not be compared.
CREATE FUNCTION programmes_criterion_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    criterion programmes_criterion := coalesce(NEW, OLD);
BEGIN
    IF EXISTS (SELECT FROM programmes_call c
                WHERE c.id = criterion.call_id AND c.criteria_fixed_at IS NOT NULL) THEN
        PERFORM proposals_broken('criteria_fixed', 'the first score was given');
    END IF;
    RETURN criterion;
END $$;

CREATE TRIGGER programmes_criterion_check BEFORE INSERT OR UPDATE OR DELETE ON programmes_criterion
    FOR EACH ROW EXECUTE FUNCTION programmes_criterion_check();

CREATE FUNCTION programmes_call_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.criteria_fixed_at IS NOT NULL AND NEW.criteria_fixed_at IS DISTINCT FROM OLD.criteria_fixed_at THEN
        PERFORM proposals_broken('criteria_fixed', 'the first score was given');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER programmes_call_check BEFORE UPDATE ON programmes_call
    FOR EACH ROW EXECUTE FUNCTION programmes_call_check();

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON programmes_tariff, programmes_questionset FROM saola_app;
    END IF;
END $$;
