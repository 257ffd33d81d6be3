-- Undo 0002_rules.sql; the tables stay.
DROP TRIGGER statement_immutable ON statements_statement;
DROP TRIGGER statement_file_immutable ON statements_statementfile;
DROP TRIGGER statement_period_stays ON statements_period;
DROP TRIGGER statement_period_immutable ON statements_period;
DROP TRIGGER statement_without_gap ON statements_statement;
DROP FUNCTION statement_next_number();
