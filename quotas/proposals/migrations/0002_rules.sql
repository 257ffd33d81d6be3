-- What CHECKs and UNIQUE indexes (models.py, 0001_initial) do not say about proposals. A broken rule is raised under a
-- constraint's name, as a CHECK would be: that name is what the application turns into a typed error.

CREATE FUNCTION proposals_broken(rule text, said text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%: %', rule, said USING ERRCODE = 'check_violation', CONSTRAINT = rule;
END $$;

-- Refuses for everybody, the owner of the tables included. Other apps hang their own append-only tables on it.
CREATE FUNCTION proposals_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME, TABLE = TG_TABLE_NAME;
END $$;

-- An approval cannot name another proposer than its proposal does, and so not slip past approval_another_person.
ALTER TABLE proposals_approval ADD CONSTRAINT approval_of_its_proposer
    FOREIGN KEY (proposal_id, proposed_by_id) REFERENCES proposals_proposal (id, proposed_by_id);

-- Whether a person is bound to an organisation: rules.organisations_in_conflict, for the triggers below.
CREATE FUNCTION proposals_has_conflict(person bigint, organisation bigint) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM people_membership m WHERE m.user_id = person AND m.organisation_id = organisation)
        OR EXISTS (SELECT FROM people_projectmembership m JOIN people_project p ON p.id = m.project_id
                    WHERE m.user_id = person AND p.organisation_id = organisation)
        OR EXISTS (SELECT FROM proposals_conflict c WHERE c.person_id = person AND c.organisation_id = organisation)
$$;

CREATE FUNCTION proposals_approval_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    proposal proposals_proposal;
BEGIN
    -- One approval of a proposal at a time: the one who comes second sees what the first made of it.
    SELECT * INTO proposal FROM proposals_proposal WHERE id = NEW.proposal_id FOR NO KEY UPDATE;
    IF proposal.state IS DISTINCT FROM 'waiting' THEN
        PERFORM proposals_broken('approval_while_waiting', 'the proposal is closed');
    END IF;
    -- The foreign key above lets a NULL pass.
    IF NEW.proposed_by_id IS DISTINCT FROM proposal.proposed_by_id THEN
        PERFORM proposals_broken('approval_of_its_proposer', 'the proposal has another proposer');
    END IF;
    IF proposals_has_conflict(NEW.approver_id, proposal.organisation_id) THEN
        PERFORM proposals_broken('approval_conflict_of_interest', 'the approver is bound to the organisation');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER proposals_approval_check BEFORE INSERT ON proposals_approval
    FOR EACH ROW EXECUTE FUNCTION proposals_approval_check();

CREATE TRIGGER proposals_approval_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON proposals_approval
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('an approval stays as it was given');

-- A proposal begins waiting, says the same for ever, and is closed once: carried out only with enough approvals, and
-- with nobody among its proposer and approvers who is bound to the organisation.
CREATE FUNCTION proposals_proposal_check() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'waiting' THEN
            PERFORM proposals_broken('proposal_approvals', 'a proposal begins waiting');
        END IF;
        RETURN NEW;
    END IF;
    IF (OLD.id, OLD.kind, OLD.facts, OLD.organisation_id, OLD.reason, OLD.approvals_needed, OLD.proposed_by_id,
        OLD.proposed_by_process, OLD.proposed_at)
       IS DISTINCT FROM
       (NEW.id, NEW.kind, NEW.facts, NEW.organisation_id, NEW.reason, NEW.approvals_needed, NEW.proposed_by_id,
        NEW.proposed_by_process, NEW.proposed_at) THEN
        PERFORM proposals_broken('proposal_immutable', 'what a proposal says never changes');
    END IF;
    IF OLD.state <> 'waiting' THEN
        PERFORM proposals_broken('proposal_closed', 'it is closed');
    END IF;
    IF NEW.state = 'carried_out' THEN
        IF (SELECT count(*) FROM proposals_approval WHERE proposal_id = NEW.id) < NEW.approvals_needed THEN
            PERFORM proposals_broken('proposal_approvals', 'not enough approvals');
        END IF;
        IF proposals_has_conflict(NEW.proposed_by_id, NEW.organisation_id)
           OR EXISTS (SELECT FROM proposals_approval a WHERE a.proposal_id = NEW.id
                         AND proposals_has_conflict(a.approver_id, NEW.organisation_id)) THEN
            PERFORM proposals_broken('proposal_conflict_of_interest', 'a decider is bound to the organisation');
        END IF;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER proposals_proposal_check BEFORE INSERT OR UPDATE ON proposals_proposal
    FOR EACH ROW EXECUTE FUNCTION proposals_proposal_check();

CREATE TRIGGER proposals_proposal_permanent BEFORE DELETE OR TRUNCATE ON proposals_proposal
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('a proposal stays, carried out or sent back');

-- The processes' roles lack the rights too. A database without that role (a developer's own) has only its owner, whom
-- the triggers stop as well.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON proposals_approval, proposals_proposal FROM saola_app;
        GRANT UPDATE (state, closed_at, sent_back_by_id, sent_back_reason) ON proposals_proposal TO saola_app;
    END IF;
END $$;
