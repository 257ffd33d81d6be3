"""What Slurm's reasons mean and what can be done about them, in plain words. Pure; the language is the active one.

The words are those of `enum job_state_reason` as squeue prints them, of Slurm 22.05 to 25.11 (the list with its source:
tests/scheduler/jobs/slurm_reasons.txt). Here a QOS is an allocation, an association a project's account and members.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

Text = str | Promise

_BY_ITSELF = _("Nothing to do: it starts by itself.")
_TELL = _("Tell the centre's operators; there is nothing that you can do about it.")
_OTHERS_END = _("It starts by itself when other jobs end. A smaller job or a shorter time limit may start sooner.")
_SMALLER = _("Cancel it and submit it again within the limit.")
_LOG = _("Look at the end of its log, and submit it again once the cause is mended.")
_RELEASE = _("Release it once it may run, or cancel it.")

_BUDGET = _(
    "The allocation does not cover it yet: Slurm reserves the whole time limit of every running job and starts this "
    "one when enough comes back."
)
_BUDGET_DO = _("Wait for running jobs to end, submit it with a shorter time limit, or use another allocation.")
_SHUT = _("The allocation takes no new jobs at the moment: it is suspended, has ended or is used up.")
_SHUT_DO = _("Ask the manager of your organisation; the allocation's page says what happened to it.")
_CLOSED = _("The partition is closed at the moment.")
_OPENS = _("It starts by itself when the operators open the partition again.")
_POWER = _("The centre limits the power that may be drawn at the moment.")
_BUFFER = _("It waits for the burst buffer that it asked for.")
_LAUNCH = _("It could not be started on its node and was put on hold.")
_NODE_BROKEN = _("The operators see to it: a node is most likely broken. You may cancel it.")

_WORDS: dict[str, tuple[Text, Text]] = {
    # the usual ones
    "None": (_("Slurm has not looked at it yet."), _BY_ITSELF),
    "Resources": (_("It is next in line and waits for GPUs to become free."), _OTHERS_END),
    "Priority": (_("Jobs with a higher priority are in front of it."), _OTHERS_END),
    "Dependency": (_("It waits for another job that it depends on."), _BY_ITSELF),
    "DependencyNeverSatisfied": (
        _("The job that it depends on ended otherwise than required, so it can never start."),
        _("Cancel it, and submit it again after the other job has succeeded."),
    ),
    "BeginTime": (
        _("It has been told to start at a later time (after a requeue, a few minutes later)."),
        _BY_ITSELF,
    ),
    "JobHeldUser": (
        _("It was put on hold by its owner. It starts only after it is released."),
        _RELEASE,
    ),
    "JobHeldAdmin": (
        _("It was put on hold by the centre: it has no hold on the balance at the moment."),
        _("It goes on by itself when the balance reaches again; otherwise ask the operators."),
    ),
    "JobArrayTaskLimit": (_("As many tasks of its array run as may run at once."), _BY_ITSELF),
    "Reservation": (_("It waits for its reservation to begin."), _BY_ITSELF),
    "Licenses": (_("It waits for a licence."), _OTHERS_END),
    "Cleaning": (_("Its previous run is still being cleaned up."), _BY_ITSELF),
    "Prolog": (_("Its nodes are being prepared."), _BY_ITSELF),
    "SchedDefer": (_("Slurm looks at it in its next round, not at once."), _BY_ITSELF),
    "FedJobLock": (_("Another cluster of the federation is deciding about it."), _BY_ITSELF),
    # partitions and nodes
    "PartitionDown": (_CLOSED, _OPENS),
    "PartitionInactive": (_CLOSED, _OPENS),
    "PartitionTimeLimit": (_("Its time limit is longer than the partition allows."), _SMALLER),
    "PartitionNodeLimit": (_("It asks for more nodes than the partition has."), _SMALLER),
    "PartitionConfig": (_("What it asks for breaks a rule of the partition."), _SMALLER),
    "ReqNodeNotAvail": (
        _("A node that it needs is out of service or reserved."),
        _("It starts by itself when the node is back. For long, ask the operators."),
    ),
    "NodeDown": (
        _("A node that it needs has failed."),
        _("It starts by itself on another node or when that one is back."),
    ),
    "FrontEndDown": (_("The machine that starts such jobs is out of service."), _TELL),
    "BadConstraints": (_("No node has what it asks for."), _SMALLER),
    "Constraints": (_("No node has what it asks for at the moment."), _OTHERS_END),
    "MaxMemPerLimit": (_("It asks for more memory for each CPU or node than is allowed."), _SMALLER),
    "PowerNotAvail": (_POWER, _BY_ITSELF),
    "PowerReserved": (_POWER, _BY_ITSELF),
    "MaxPoweredUpNodes": (_("As many nodes are switched on as may be at once."), _OTHERS_END),
    "MpiPortsBusy": (_("The network ports for MPI are all in use on its nodes."), _OTHERS_END),
    "NvidiaImexChannels": (
        _("The channels between GPUs of several nodes (IMEX) are all in use by other jobs."),
        _OTHERS_END,
    ),
    "BlockMaxError": (_("Too many of the machine's blocks have failed."), _TELL),
    "BlockFreeAction": (_("The machine's block is being freed."), _BY_ITSELF),
    "BurstBufferResources": (_BUFFER, _BY_ITSELF),
    "BurstBufferStageIn": (_("Its data is being copied to the burst buffer."), _BY_ITSELF),
    "BurstBufferOperation": (_("Copying its data with the burst buffer failed."), _TELL),
    "ReservationDeleted": (_("The reservation that it was to run in no longer exists."), _SMALLER),
    "ReservationInvalid": (_("It may not run in the reservation that it names."), _SMALLER),
    # account and allocation
    "InvalidAccount": (
        _("Slurm does not know its account any more."),
        _("Cancel it and choose another allocation; if yours is open, tell the operators."),
    ),
    "InvalidQOS": (
        _("Slurm does not know its allocation's QOS any more."),
        _("Cancel it and choose another allocation; if yours is open, tell the operators."),
    ),
    "AccountNotAllowed": (_("Its account may not use this partition."), _SMALLER),
    "QOSNotAllowed": (_("Its allocation may not be used in this partition."), _SMALLER),
    "AccountingPolicy": (_("It breaks a limit of its account or allocation."), _SMALLER),
    "QOSUsageThreshold": (_("Too much was used lately to start more in this QOS."), _OTHERS_END),
    "AssociationJobLimit": (_("As many jobs of the project run as may run at once."), _OTHERS_END),
    "AssociationResourceLimit": (_("The project uses as much as it may at once."), _OTHERS_END),
    "AssociationTimeLimit": (_("The project's time is used up."), _SHUT_DO),
    "QOSJobLimit": (_SHUT, _SHUT_DO),
    "QOSResourceLimit": (_("The allocation's jobs use as much as they may at once."), _OTHERS_END),
    "QOSTimeLimit": (_BUDGET, _BUDGET_DO),
    "QOSGrpJobsLimit": (_SHUT, _SHUT_DO),
    "QOSGrpSubmitJobsLimit": (_SHUT, _SHUT_DO),
    "AssocGrpJobsLimit": (_("As many jobs of the project run as may run at once."), _OTHERS_END),
    "AssocGrpSubmitJobsLimit": (_("As many jobs of the project wait and run as may at once."), _OTHERS_END),
    "AssocMaxJobsLimit": (_("As many of your jobs run as may run at once, or your membership has ended."), _OTHERS_END),
    "AssocMaxSubmitJobLimit": (_("As many of your jobs wait and run as may at once."), _OTHERS_END),
    "QOSMaxJobsPerUserLimit": (_("As many of your jobs run as may run at once."), _OTHERS_END),
    "QOSMaxSubmitJobPerUserLimit": (_("As many of your jobs wait and run as may at once."), _OTHERS_END),
    "MaxJobsPerAccount": (_("As many jobs of the project run as may run at once."), _OTHERS_END),
    "MaxSubmitJobsPerAccount": (_("As many jobs of the project wait and run as may at once."), _OTHERS_END),
    "QOSGrpWallLimit": (_("The running time that all jobs of the allocation share is used up."), _SHUT_DO),
    "AssocGrpWallLimit": (_("The running time that all jobs of the project share is used up."), _SHUT_DO),
    "QOSMaxWallDurationPerJobLimit": (_("Its time limit is longer than the allocation allows."), _SMALLER),
    "AssocMaxWallDurationPerJobLimit": (_("Its time limit is longer than the project may have."), _SMALLER),
    # what went wrong
    "SystemFailure": (_("Slurm itself failed while it handled the job."), _TELL),
    "JobLaunchFailure": (_("It could not be started on its node."), _TELL),
    "JobHoldMaxRequeue": (
        _("It failed to start too often and was put on hold."),
        _NODE_BROKEN,
    ),
    "NonZeroExitCode": (_("Its program ended with an error."), _LOG),
    "RaisedSignal": (_("Its program was ended by a signal."), _LOG),
    "OutOfMemory": (
        _("It used more memory than it was given."),
        _("Use more GPUs or nodes (memory comes with them), or smaller batches."),
    ),
    "TimeLimit": (
        _("It reached its time limit."),
        _("Give it a longer limit, or let it save its state and continue in another job."),
    ),
    "InactiveLimit": (_("It did nothing for too long."), _LOG),
    "DeadLine": (
        _("It could not have ended before its deadline."),
        _("Submit it again with a later deadline or a shorter time limit."),
    ),
    # What Slurm writes in words instead
    "launch failed requeued held": (_LAUNCH, _NODE_BROKEN),
    "launch failure limit exceeded requeued held": (_LAUNCH, _NODE_BROKEN),
    "user env retrieval failed requeued held": (
        _("Your login settings could not be read on its node, and it was put on hold."),
        _("See whether your ~/.profile waits for something or fails; then ask for it to be released."),
    ),
    "job requeued in held state": (_("It was put back into the queue and on hold."), _RELEASE),
    "job requeued in special exit state": (
        _("It ended with a code that asks for attention, and was put back on hold."),
        _("Look at the end of its log, then release or cancel it."),
    ),
    "Nodes required for job are DOWN": (
        _("The nodes that it needs are out of service, or kept for jobs of a higher priority."),
        _OTHERS_END,
    ),
    "Job is at or exceeds": (_BUDGET, _BUDGET_DO),
}
# Slurm up to 23.11 has no word for these two and prints their number.
_NUMBERS = {"43": "QOSGrpJobsLimit", "60": "AssocGrpJobsLimit"}

_RESOURCES: dict[str, Text] = {
    "cpu": pgettext_lazy("of a limit", "CPUs"),
    "mem": pgettext_lazy("of a limit", "memory"),
    "memory": pgettext_lazy("of a limit", "memory"),
    "node": pgettext_lazy("of a limit", "nodes"),
    "gres": pgettext_lazy("of a limit", "GPUs"),
    "energy": pgettext_lazy("of a limit", "energy"),
    "license": pgettext_lazy("of a limit", "licences"),
    "bb": pgettext_lazy("of a limit", "burst buffer"),
    "billing": pgettext_lazy("of a limit", "billed GPU-time"),
    "unknown": pgettext_lazy("of a limit", "a resource that Slurm does not name"),
}
_BUDGETED = ("gres", "billing")
_WHOSE: dict[str, Text] = {
    "QOS": _("the allocation"),
    "Assoc": _("the project"),
    "User": _("one person"),
    "Account": _("the project"),
}
_LIMIT = re.compile(
    r"(?P<scope>QOS|Assoc)?(?P<bound>Grp|Max|Min)(?P<resource>CPU|Cpu|Memory|Mem|Node|GRES|Energy|License|BB|Billing|Unknown)"
    r"(?P<time>Minutes|RunMinutes|RunMins)?(?:Per(?P<each>Job|Node|User|Account))?(?:NotSatisfied)?(?:Limit)?"
)
_LIMITS: Mapping[str, tuple[Text, Text]] = {
    "together": (
        _("The limit on %(resource)s is reached: what runs for %(whose)s uses all that it may use at once."),
        _OTHERS_END,
    ),
    "time used": (
        _("The limit on %(resource)s over time is reached: %(whose)s has used or reserved all of it."),
        _BUDGET_DO,
    ),
    "time ahead": (
        _("The limit on %(resource)s is reached: what runs for %(whose)s may still run for as long as is allowed."),
        _("It starts when running jobs come nearer to their end; a shorter time limit may start sooner."),
    ),
    "one job": (_("It asks for more than one job of %(whose)s may have: %(resource)s."), _SMALLER),
    "one node": (_("It asks for more on one node than a job of %(whose)s may have: %(resource)s."), _SMALLER),
    "one job's time": (
        _("Its size times its time limit is more than one job of %(whose)s may have: %(resource)s."),
        _("Cancel it and submit it again smaller or with a shorter time limit."),
    ),
    "too little": (
        _("It asks for less than a job of %(whose)s must: %(resource)s."),
        _("Cancel it and submit it again with at least that much."),
    ),
}


@dataclass(frozen=True)
class Meaning:
    text: str
    todo: str


def meaning_of(word: str) -> Meaning | None:
    """None for a word that is not known here. squeue may add details after a comma or in brackets."""
    plain = word.split(",")[0].split(" (")[0].strip()
    plain = _NUMBERS.get(plain, plain)
    known = _WORDS.get(plain) or next(
        (_WORDS[start] for start in _WORDS if " " in start and plain.startswith(start)), None
    )
    if known is not None:
        return Meaning(str(known[0]), str(known[1]))
    limit = _LIMIT.fullmatch(plain)
    return _limit_meaning(limit) if limit else None


def _limit_meaning(limit: "re.Match[str]") -> Meaning:
    bound, time, each = limit["bound"], limit["time"] or "", limit["each"] or ""
    resource = limit["resource"].lower()
    if bound == "Grp" and time == "Minutes" and resource in _BUDGETED:
        return Meaning(str(_BUDGET), str(_BUDGET_DO))
    if bound == "Min":
        kind = "too little"
    elif time in ("RunMinutes", "RunMins"):
        kind = "time ahead"
    elif time:
        kind = "time used" if bound == "Grp" else "one job's time"
    else:
        kind = {"Job": "one job", "Node": "one node"}.get(each, "together")
    text, todo = _LIMITS[kind]
    whose = _WHOSE.get(each) or _WHOSE[limit["scope"] or "QOS"]
    return Meaning(str(text) % {"resource": _RESOURCES[resource], "whose": whose}, str(todo))


def unknown_text() -> str:
    return gettext("Slurm lets it wait for a reason that this page does not know yet; its own word stands below.")
