class PlanChanged(Exception):
    """The plan is another one than the person saw when they asked to apply it."""
