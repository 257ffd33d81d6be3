-- What CHECKs and UNIQUE indexes (models.py, 0001_initial) do not say about reviews and decisions. A broken rule is
-- raised under a constraint's name; proposals_* come from quotas/proposals/migrations/0002_rules.sql.

-- One part a person in an application, for ever. The unique index makes two who write at once wait for each other.
CREATE FUNCTION reviews_take_part(application bigint, who bigint, what text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    known text;
BEGIN
    INSERT INTO reviews_part (application_id, person_id, part) VALUES (application, who, what)
        ON CONFLICT (application_id, person_id) DO NOTHING;
    SELECT p.part INTO known FROM reviews_part p WHERE p.application_id = application AND p.person_id = who;
    IF known <> what THEN
        PERFORM proposals_broken('part_one_a_person', 'this person is already the ' || known);
    END IF;
END $$;

CREATE FUNCTION reviews_applicant_part() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_take_part(NEW.id, NEW.applicant_id, 'applicant');
    RETURN NULL;
END $$;

CREATE TRIGGER reviews_applicant_part AFTER INSERT OR UPDATE OF applicant_id ON applications_application
    FOR EACH ROW EXECUTE FUNCTION reviews_applicant_part();

CREATE FUNCTION reviews_approver_part() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    application bigint;
BEGIN
    SELECT d.application_id INTO application FROM reviews_decision d WHERE d.proposal_id = NEW.proposal_id;
    IF application IS NOT NULL THEN
        PERFORM reviews_take_part(application, NEW.approver_id, 'approver');
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER reviews_approver_part AFTER INSERT ON proposals_approval
    FOR EACH ROW EXECUTE FUNCTION reviews_approver_part();

CREATE TRIGGER reviews_part_permanent BEFORE UPDATE OR DELETE OR TRUNCATE ON reviews_part
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('a part that was played stays');

-- Reviews: nobody with an interest, nothing submitted that is not whole, nothing changed after it was submitted.
CREATE FUNCTION reviews_assignment_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    application applications_application;
BEGIN
    SELECT * INTO application FROM applications_application WHERE id = NEW.application_id;
    IF TG_OP = 'UPDATE' AND (OLD.application_id, OLD.reviewer_id) IS DISTINCT FROM
                            (NEW.application_id, NEW.reviewer_id) THEN
        PERFORM proposals_broken('review_immutable', 'a review keeps its application and its reviewer');
    END IF;
    IF NEW.state <> 'ended' AND (TG_OP = 'INSERT' OR OLD.state <> NEW.state)
       AND proposals_has_conflict(NEW.reviewer_id, application.organisation_id) THEN
        PERFORM proposals_broken('review_conflict_of_interest', 'the reviewer is bound to the organisation');
    END IF;
    IF NEW.state = 'submitted' AND EXISTS (
            SELECT FROM programmes_criterion c WHERE c.call_id = application.call_id AND NOT EXISTS (
                SELECT FROM reviews_score s WHERE s.assignment_id = NEW.id AND s.criterion_id = c.id
                                              AND s.value IS NOT NULL AND btrim(s.reason) <> '')) THEN
        PERFORM proposals_broken('review_whole', 'a criterion has no score or no reason');
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state = 'submitted' AND NEW.state = 'submitted'
       AND (OLD.comment, OLD.score_basis_points) IS DISTINCT FROM (NEW.comment, NEW.score_basis_points) THEN
        PERFORM proposals_broken('review_submitted_stays', 'the review was submitted');
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM reviews_take_part(NEW.application_id, NEW.reviewer_id, 'reviewer');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER reviews_assignment_check BEFORE INSERT OR UPDATE ON reviews_assignment
    FOR EACH ROW EXECUTE FUNCTION reviews_assignment_check();

CREATE FUNCTION reviews_score_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    score reviews_score := coalesce(NEW, OLD);
    review reviews_assignment;
    criterion programmes_criterion;
BEGIN
    SELECT * INTO review FROM reviews_assignment WHERE id = score.assignment_id FOR NO KEY UPDATE;
    IF review.state <> 'accepted' THEN
        PERFORM proposals_broken('score_while_reviewing', 'the review is not open');
    END IF;
    SELECT * INTO criterion FROM programmes_criterion WHERE id = score.criterion_id;
    IF score.value > criterion.max_score OR criterion.call_id IS DISTINCT FROM
       (SELECT a.call_id FROM applications_application a WHERE a.id = review.application_id) THEN
        PERFORM proposals_broken('score_of_its_criterion', 'not a score of this criterion');
    END IF;
    RETURN score;
END $$;

CREATE TRIGGER reviews_score_check BEFORE INSERT OR UPDATE OR DELETE ON reviews_score
    FOR EACH ROW EXECUTE FUNCTION reviews_score_check();

-- An interest that arises later ends the review at once, whoever wrote it down and however.
CREATE FUNCTION reviews_end_for_conflict(who bigint, bound_to bigint, at timestamptz) RETURNS void
LANGUAGE sql AS $$
    UPDATE reviews_assignment r SET state = 'ended', "end" = 'conflict', ended_at = at
      FROM applications_application a
     WHERE a.id = r.application_id AND r.reviewer_id = who AND r.state <> 'ended' AND a.organisation_id = bound_to
$$;

CREATE FUNCTION reviews_membership_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_end_for_conflict(NEW.user_id, NEW.organisation_id, NEW.created_at);
    RETURN NULL;
END $$;

CREATE TRIGGER reviews_membership_conflict AFTER INSERT OR UPDATE ON people_membership
    FOR EACH ROW EXECUTE FUNCTION reviews_membership_conflict();

CREATE FUNCTION reviews_project_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_end_for_conflict(
        NEW.user_id, (SELECT p.organisation_id FROM people_project p WHERE p.id = NEW.project_id), NEW.created_at);
    RETURN NULL;
END $$;

CREATE TRIGGER reviews_project_conflict AFTER INSERT OR UPDATE ON people_projectmembership
    FOR EACH ROW EXECUTE FUNCTION reviews_project_conflict();

CREATE FUNCTION reviews_declared_conflict() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM reviews_end_for_conflict(NEW.person_id, NEW.organisation_id, NEW.declared_at);
    RETURN NULL;
END $$;

CREATE TRIGGER reviews_declared_conflict AFTER INSERT OR UPDATE ON proposals_conflict
    FOR EACH ROW EXECUTE FUNCTION reviews_declared_conflict();

-- Decisions: what an amount of GPU-seconds is worth at a moment, and how many people it takes.
CREATE FUNCTION reviews_award_vnd(gpu text, gpu_seconds bigint, at timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT coalesce((
        SELECT (t.vnd_per_gpu_hour::numeric * gpu_seconds + 1800)::bigint / 3600 FROM programmes_tariff t
         WHERE t.gpu_type = gpu AND t.valid_from <= (at AT TIME ZONE '{zone}')::date
         ORDER BY t.valid_from DESC LIMIT 1), 0)
$$;

-- An award is as its proposal says, is confirmed only when that was carried out by as many people as it takes (the
-- rules of proposals), and two approve what is worth more than the programme's limit on that day.
CREATE FUNCTION reviews_decision_check() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    proposal proposals_proposal;
    application applications_application;
    limit_vnd bigint;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.application_id, OLD.proposal_id, OLD.outcome, OLD.awarded_gpu_seconds, OLD.amount_vnd,
                             OLD.cluster) IS DISTINCT FROM
       (NEW.application_id, NEW.proposal_id, NEW.outcome, NEW.awarded_gpu_seconds, NEW.amount_vnd, NEW.cluster) THEN
        PERFORM proposals_broken('decision_immutable', 'what was proposed never changes');
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.state <> 'proposed' AND OLD.state <> NEW.state THEN
        PERFORM proposals_broken('decision_immutable', 'it is closed');
    END IF;
    SELECT * INTO proposal FROM proposals_proposal WHERE id = NEW.proposal_id;
    SELECT * INTO application FROM applications_application WHERE id = NEW.application_id;
    IF proposal.kind <> 'award' OR proposal.organisation_id IS DISTINCT FROM application.organisation_id
       OR proposal.proposed_by_id IS NULL
       OR proposal.facts ->> 'application' IS DISTINCT FROM NEW.application_id::text
       OR proposal.facts ->> 'outcome' IS DISTINCT FROM NEW.outcome
       OR proposal.facts ->> 'gpu_seconds' IS DISTINCT FROM NEW.awarded_gpu_seconds::text
       OR proposal.facts ->> 'cluster' IS DISTINCT FROM NEW.cluster THEN
        PERFORM proposals_broken('decision_as_proposed', 'the proposal says something else');
    END IF;
    IF proposal.state <> (CASE NEW.state WHEN 'proposed' THEN 'waiting' WHEN 'confirmed' THEN 'carried_out'
                                         ELSE 'sent_back' END) THEN
        PERFORM proposals_broken('decision_two_people', 'its proposal is ' || proposal.state);
    END IF;
    IF TG_OP = 'INSERT' OR OLD.state <> NEW.state AND NEW.state = 'confirmed' THEN
        SELECT p.three_person_above_vnd INTO limit_vnd FROM programmes_programme p WHERE p.id = application.programme_id;
        IF proposal.approvals_needed < 2 AND limit_vnd < reviews_award_vnd(
                application.gpu_type, NEW.awarded_gpu_seconds, coalesce(proposal.closed_at, proposal.proposed_at)) THEN
            PERFORM proposals_broken('decision_three_people', 'two people approve an award of this size');
        END IF;
    END IF;
    IF TG_OP = 'INSERT' THEN
        PERFORM reviews_take_part(NEW.application_id, proposal.proposed_by_id, 'proposer');
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER reviews_decision_check BEFORE INSERT OR UPDATE ON reviews_decision
    FOR EACH ROW EXECUTE FUNCTION reviews_decision_check();

CREATE TRIGGER reviews_decision_permanent BEFORE DELETE OR TRUNCATE ON reviews_decision
    FOR EACH STATEMENT EXECUTE FUNCTION proposals_refuse('a decision stays');

DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'saola_app') THEN
        REVOKE UPDATE, DELETE, TRUNCATE ON reviews_part FROM saola_app;
        REVOKE DELETE, TRUNCATE ON reviews_decision, reviews_assignment FROM saola_app;
    END IF;
END $$;
