"""The centre's own presets: versions that operators write, and which of them is offered."""
