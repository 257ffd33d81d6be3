"""Who: users, organisations, memberships, projects; roles as rules."""
