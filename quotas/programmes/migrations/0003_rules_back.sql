-- Undo 0003_rules.sql; the tables stay.
DROP TRIGGER programmes_tariff_check ON programmes_tariff;
DROP TRIGGER programmes_tariff_append_only ON programmes_tariff;
DROP TRIGGER programmes_questionset_append_only ON programmes_questionset;
DROP TRIGGER programmes_criterion_check ON programmes_criterion;
DROP TRIGGER programmes_call_check ON programmes_call;
DROP FUNCTION programmes_tariff_check();
DROP FUNCTION programmes_criterion_check();
DROP FUNCTION programmes_call_check();
