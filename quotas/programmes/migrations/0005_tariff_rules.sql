-- A tariff of a cluster of its own: what 0003_rules.sql says, for it and for the one of all clusters.
CREATE OR REPLACE FUNCTION programmes_tariff_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM proposals_proposal p
                    WHERE p.id = NEW.proposal_id AND p.kind = 'tariff' AND p.state = 'carried_out'
                      AND p.facts ->> 'gpu_type' = NEW.gpu_type
                      AND coalesce(p.facts ->> 'cluster', '') = NEW.cluster
                      AND p.facts ->> 'vnd_per_gpu_hour' = NEW.vnd_per_gpu_hour::text
                      AND p.facts ->> 'valid_from' = to_char(NEW.valid_from, 'YYYY-MM-DD')) THEN
        PERFORM proposals_broken('tariff_two_people', 'a tariff is made by its carried-out proposal');
    END IF;
    -- A cluster without a tariff of its own has the one of all.
    IF NEW.valid_from <= NEW.decided_on AND EXISTS (SELECT FROM programmes_tariff t
                    WHERE t.gpu_type = NEW.gpu_type AND t.cluster IN ('', NEW.cluster)
                      AND t.valid_from <= NEW.decided_on) THEN
        PERFORM proposals_broken('tariff_day_has_begun', 'today has a tariff already');
    END IF;
    RETURN NEW;
END $$;
