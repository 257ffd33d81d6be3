-- Undo 0002_rules.sql; the tables stay.
DROP TRIGGER proposals_approval_check ON proposals_approval;
DROP TRIGGER proposals_approval_append_only ON proposals_approval;
DROP TRIGGER proposals_proposal_check ON proposals_proposal;
DROP TRIGGER proposals_proposal_permanent ON proposals_proposal;
ALTER TABLE proposals_approval DROP CONSTRAINT approval_of_its_proposer;
DROP FUNCTION proposals_approval_check();
DROP FUNCTION proposals_proposal_check();
DROP FUNCTION proposals_has_conflict(bigint, bigint);
DROP FUNCTION proposals_refuse();
DROP FUNCTION proposals_broken(text, text);
