"""Data sets of the catalogue in a job: which may be chosen, what stands in the way, what the script gets.

What the person says is which ones, by their numbers. Name, path and version come from the catalogue's row.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.people.models import Project, User
from scheduler.clusters.models import Cluster
from scheduler.datasets.models import DataSet
from scheduler.datasets.selectors import let_in, permitted_to
from scheduler.jobs.models import DataSetUse, Job
from scheduler.jobs.preflight import Fix, Problem
from scheduler.jobs.presets.values import word

MOST = 20
FIELD = "data_sets"


@dataclass(frozen=True)
class Chosen:
    """Those that a job gets, and what is wrong with the others."""

    data_sets: tuple[DataSet, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def lines(self) -> list[str]:
        """Of the script's block. A path of the catalogue has nothing in it that a shell reads; quoted all the same."""
        return [f"export {one.variable}={word(one.path)}" for one in self.data_sets]

    @property
    def paths(self) -> list[str]:
        return [one.path for one in self.data_sets]


NONE = Chosen()


def data_sets_choose(
    numbers: Sequence[int], *, person: User, project: Project | None, cluster: Cluster | None
) -> Chosen:
    """Looks every number up in the catalogue, as it stands now. Without a project and a cluster nothing is chosen."""
    wanted = list(dict.fromkeys(numbers))
    if not wanted or project is None or cluster is None:
        return NONE
    if len(wanted) > MOST:
        many = _("A job takes at most %(most)d data sets.")
        return Chosen(problems=(Problem("many", FIELD, many, (("most", MOST),)),))
    rows = permitted_to(project).filter(pk__in=wanted).select_related("cluster")
    known = {one.pk: one for one in rows}
    entered = let_in(known.values(), person.unix_account or "")
    found, problems = [], []
    for number in wanted:
        wrong = _problem(known.get(number), number in entered, cluster)
        if wrong is None:
            found.append(known[number])
        else:
            text, figures = wrong
            out = Fix("data_set", str(number), gettext("Leave it out"))
            problems.append(Problem("data_set", FIELD, text, tuple(figures.items()), (out,)))
    return Chosen(tuple(found), tuple(problems))


def _problem(known: DataSet | None, is_in: bool, cluster: Cluster) -> tuple[str | Promise, dict[str, object]] | None:
    if known is None:
        # Nothing is said of one that this project was never told of, not even its name.
        return _("This project may not use one of the data sets that were chosen."), {}
    figures: dict[str, object] = {"name": known.name}
    if known.state != DataSet.State.OPEN:
        return _("“%(name)s” is withdrawn: %(reason)s"), figures | {"reason": known.withdrawn_reason}
    if known.cluster_id != cluster.pk:
        places = {"there": known.cluster.title, "here": cluster.title}
        return _("“%(name)s” lies on %(there)s, and this allocation is on %(here)s."), figures | places
    if not is_in:
        wait = _("The cluster is still letting you in to “%(name)s”: that takes a minute or two. Try again then.")
        return wait, figures
    return None


def data_sets_write(job: Job, chosen: Chosen) -> None:
    """What the job used, in the caller's transaction."""
    uses = [DataSetUse(job=job, data_set=one, version=one.version, path=one.path) for one in chosen.data_sets]
    DataSetUse.objects.bulk_create(uses)


def data_sets_used(job: Job) -> list[DataSetUse]:
    return list(DataSetUse.objects.filter(job=job).select_related("data_set"))
