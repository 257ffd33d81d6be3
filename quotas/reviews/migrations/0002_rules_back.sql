-- Undo 0002_rules.sql; the tables stay.
DROP TRIGGER reviews_applicant_part ON applications_application;
DROP TRIGGER reviews_approver_part ON proposals_approval;
DROP TRIGGER reviews_part_permanent ON reviews_part;
DROP TRIGGER reviews_assignment_check ON reviews_assignment;
DROP TRIGGER reviews_score_check ON reviews_score;
DROP TRIGGER reviews_membership_conflict ON people_membership;
DROP TRIGGER reviews_project_conflict ON people_projectmembership;
DROP TRIGGER reviews_declared_conflict ON proposals_conflict;
DROP TRIGGER reviews_decision_check ON reviews_decision;
DROP TRIGGER reviews_decision_permanent ON reviews_decision;
DROP FUNCTION reviews_applicant_part(), reviews_approver_part(), reviews_assignment_check(), reviews_score_check(),
    reviews_membership_conflict(), reviews_project_conflict(), reviews_declared_conflict(), reviews_decision_check(),
    reviews_award_vnd(text, bigint, timestamptz), reviews_end_for_conflict(bigint, bigint, timestamptz),
    reviews_take_part(bigint, bigint, text);
