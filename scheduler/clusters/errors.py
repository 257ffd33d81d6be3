"""Why the row of a cluster is not changed; `str(error)` is a sentence for a person."""

from enum import Enum, auto

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


class ShareFixed(ClusterRefusal):
    """A slice's share never changes: give the slice another name in Slurm."""

    field = "share"

    def __init__(self, gpu_type: str, share: str, parent: str) -> None:
        super().__init__(gpu_type, share, parent)
        self.words = {"type": gpu_type, "share": share, "parent": parent}

    def __str__(self) -> str:
        return _("%(type)s is %(share)s of %(parent)s, and stays so.") % self.words


class ShareUsed(ClusterRefusal):
    """Jobs have used the slice."""

    def __init__(self, gpu_type: str) -> None:
        super().__init__(gpu_type)
        self.gpu_type = gpu_type

    def __str__(self) -> str:
        return _("Jobs have used %(type)s: its share stays, because what was charged is compared with it.") % {
            "type": self.gpu_type
        }


class SliceRefused(ClusterRefusal):
    class Why(Enum):
        NOT_LESS = auto()
        PARENT_IS_A_SLICE = auto()
        HAS_SLICES = auto()
        HAS_ALLOCATIONS = auto()

    def __init__(self, why: Why, gpu_type: str = "") -> None:
        super().__init__(why, gpu_type)
        self.why = why
        self.gpu_type = gpu_type
        self.field = {self.Why.NOT_LESS: "share", self.Why.PARENT_IS_A_SLICE: "parent"}.get(why, "gpu_type")

    def __str__(self) -> str:
        texts = {
            self.Why.NOT_LESS: _("A slice is less than the whole GPU, such as 1/7."),
            self.Why.PARENT_IS_A_SLICE: _("%(type)s is itself a slice, or the same: name a whole GPU."),
            self.Why.HAS_SLICES: _("%(type)s is a whole GPU that has slices."),
            self.Why.HAS_ALLOCATIONS: _("There are allocations of %(type)s: nobody could use them any more."),
        }
        return texts[self.why] % {"type": self.gpu_type}


class NoCpuPartition(ClusterRefusal):
    def __str__(self) -> str:
        return _("The cluster has no partition without GPUs: make one in Slurm first.")


class NodeNotIn(ClusterRefusal):
    def __str__(self) -> str:
        return _("The cluster shows no such node in service: it is out already, or is called otherwise by now.")
