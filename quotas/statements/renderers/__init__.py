"""A statement's content as tables, and these as a page, PDF, XLSX and CSV: all from the same rows."""
