class CanaryFailed(Exception):
    """The main job did not come through. The text is one line that says which step waited for what."""
