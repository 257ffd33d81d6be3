"""What is not so for every job: slices apart, the CPU partition, a sandbox's limits, reservations. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.utils.formats import date_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.clock import centre_zone
from scheduler.clusters.qos_rules import PersonLimits
from scheduler.jobs.durations import MINUTE_S, duration_text
from scheduler.jobs.problems import Fix, Problem, Shape, problem, time_fix


@dataclass(frozen=True)
class Window:
    """A reservation that the person may use."""

    name: str
    partition: str  # "": any
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class Special:
    """Limits of a person, and reservations."""

    cpu: PersonLimits | None = None  # on the CPU partition
    sandbox: PersonLimits | None = None  # None: the allocation is no sandbox
    windows: tuple[Window, ...] = ()
    asked_window: str = ""  # the reservation that the job asks for
    moment: datetime | None = None

    def person(self, *, is_cpu: bool) -> PersonLimits | None:
        return self.cpu if is_cpu else self.sandbox


NOTHING_SPECIAL = Special()


def special_problems(special: Special, *, shape: Shape, partition: str, cpus: int | None) -> Iterator[Problem]:
    """`cpus` of each node of the partition, where it is for preparing data; None where it has GPUs."""
    limits = special.person(is_cpu=cpus is not None)
    if limits is not None:
        yield from _cpu_problems(limits, shape, cpus) if cpus is not None else _sandbox_problems(limits, shape)
    if special.asked_window:
        yield from _window_problems(special, shape, partition)


def _cpu_problems(limits: PersonLimits, shape: Shape, cpus: int) -> Iterator[Problem]:
    nodes = max(shape.nodes, 1)
    most = min(limits.cpus // nodes, cpus or limits.cpus)
    if shape.cpus_per_node > most:
        yield problem(
            "cpus",
            "cpus_per_node",
            _("One job has at most %(most)d CPUs on each node for preparing data; you ask for %(asked)d."),
            [Fix("cpus_per_node", str(most), str(_("Take %(n)d CPUs") % {"n": most}))]
            if most
            else [Fix("nodes", "1", str(_("Take 1 node")))],
            most=most,
            asked=shape.cpus_per_node,
        )
    yield from _time_problems(limits, shape, _("A job that prepares data runs for at most %(longest)s."))


def _sandbox_problems(limits: PersonLimits, shape: Shape) -> Iterator[Problem]:
    if shape.gpus > limits.gpus:
        yield problem(
            "sandbox_gpus",
            "gpus_per_node",
            _("In a sandbox one person has at most %(most)d GPUs at once; you ask for %(asked)d."),
            [Fix("gpus_per_node", str(limits.gpus), str(_("Take %(n)d GPUs per node") % {"n": limits.gpus}))]
            if shape.nodes == 1
            else [Fix("nodes", "1", str(_("Take 1 node")))],
            most=limits.gpus,
            asked=shape.gpus,
        )
    yield from _time_problems(limits, shape, _("In a sandbox a job runs for at most %(longest)s."))


def _time_problems(limits: PersonLimits, shape: Shape, text: str | Promise) -> Iterator[Problem]:
    if shape.time_limit_s > limits.time_limit_s:
        longest_s = limits.time_limit_s // MINUTE_S * MINUTE_S
        yield problem("person_time", "time_limit", text, [time_fix(longest_s)], longest=duration_text(longest_s))


def _window_problems(special: Special, shape: Shape, partition: str) -> Iterator[Problem]:
    none = Fix("reservation", "", str(_("Run without a reservation")))
    window = next((one for one in special.windows if one.name == special.asked_window), None)
    if window is None:
        text = _("There is no reservation “%(name)s” for you and this project now.")
        yield problem("reservation", "reservation", text, [none], name=special.asked_window[:40])
        return
    if window.partition and window.partition != partition:
        text = _("The reservation %(name)s is of partition %(partition)s.")
        fixes = [Fix("partition", window.partition, str(_("Take partition %(p)s") % {"p": window.partition})), none]
        yield problem("reservation", "reservation", text, fixes, name=window.name, partition=window.partition)
    moment = max(special.moment or window.starts_at, window.starts_at)
    left_s = int((window.ends_at - moment).total_seconds()) // MINUTE_S * MINUTE_S
    if shape.time_limit_s > left_s:
        # Slurm starts nothing in a reservation that would still run at its end.
        ends = date_format(window.ends_at.astimezone(centre_zone()), "DATETIME_FORMAT")
        text = _("The reservation %(name)s ends at %(ends)s: a job in it must be over by then.")
        fixes = [time_fix(left_s), none] if left_s >= MINUTE_S else [none]
        yield problem("reservation_time", "time_limit", text, fixes, name=window.name, ends=ends)
