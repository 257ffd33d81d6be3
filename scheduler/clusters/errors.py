"""Why the row of a cluster is not changed; `str(error)` is a sentence for a person."""

from django.utils.translation import gettext as _


class ClusterRefusal(Exception):
    """Nothing was written. `field` names the form field that the sentence belongs beside."""

    field = ""


class NameTaken(ClusterRefusal):
    field = "name"

    def __str__(self) -> str:
        return _("There is a cluster of this name already, or its name cannot be used in an address.")


class StillInUse(ClusterRefusal):
    def __init__(self, *, jobs: int, gpu_hours: str) -> None:
        super().__init__(jobs, gpu_hours)
        self.jobs = jobs
        self.gpu_hours = gpu_hours

    def __str__(self) -> str:
        return _(
            "%(jobs)d jobs are there and allocations have %(hours)s GPU-hours left. Let the jobs end and move the "
            "balances first: without its worker nothing there would be charged."
        ) % {"jobs": self.jobs, "hours": self.gpu_hours}


class NodeNotOut(ClusterRefusal):
    def __str__(self) -> str:
        return _("The node works again by now, or is out for another reason than the one that you saw. Look again.")
