"""The form on which a job is described: what is typed, what it begins with, what is kept of it."""
