"""Jobs: presets, script, preflight, submission, job pages."""
