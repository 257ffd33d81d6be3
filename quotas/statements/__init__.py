"""Monthly statements: what was booked, by organisation; closed periods, numbered documents, their verification."""
