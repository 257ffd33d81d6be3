"""What several people decide: proposals, approvals, conflicts of interest."""
