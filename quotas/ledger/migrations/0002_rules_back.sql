-- Undo 0002_rules.sql. Possible only while nothing refers to it; the tables stay.
DROP TRIGGER ledger_transfer_apply ON ledger_transfer;
DROP TRIGGER ledger_transfer_append_only ON ledger_transfer;
DROP TRIGGER ledger_account_permanent ON ledger_account;
DROP TRIGGER ledger_account_totals_by_transfer ON ledger_account;
DROP TRIGGER ledger_account_begins_empty ON ledger_account;
DROP TRIGGER ledger_account_may_overdraw ON ledger_account;
DROP FUNCTION ledger_import(uuid, timestamptz, text);
DROP FUNCTION ledger_book(jsonb, timestamptz, text);
DROP FUNCTION ledger_entries_book(ledger_entry[], timestamptz, text);
DROP FUNCTION ledger_lock(bigint[]);
DROP FUNCTION ledger_apply();
DROP FUNCTION ledger_refuse();
DROP FUNCTION ledger_refuse_by_hand();
DROP FUNCTION ledger_broken(text, uuid);
DROP TABLE ledger_staging;
DROP TYPE ledger_entry;
