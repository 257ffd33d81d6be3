"""Findings for whom they concern. What takes a person returns only what that person may see."""

from dataclasses import dataclass

from django.db.models import Q, QuerySet
from django.shortcuts import get_object_or_404

from monitoring.watching.models import CancelRule, Finding
from portal.people.models import ProjectMembership, User
from portal.people.rules import Person, reads_everything
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster
from scheduler.clusters.upkeep import is_out
from scheduler.jobs.models import Job


def _findings() -> QuerySet[Finding]:
    related = ("job__project", "job__person", "cluster", "acknowledged_by")
    return Finding.objects.select_related(*related).defer("job__script", "job__filled", "job__chosen")


def findings_visible(person: Person) -> QuerySet[Finding]:
    """All of them, for those who read everything."""
    return _findings() if reads_everything(person) else _findings().none()


def finding_list(person: Person, *, kind: str = "", state: str = "") -> QuerySet[Finding]:
    """The newest first; open ones unless `state` says otherwise. Unknown words find nothing."""
    found = findings_visible(person)
    if kind:
        found = found.filter(kind=kind)
    return found.filter(state=state) if state else found.exclude(state=Finding.State.CLOSED)


def finding_get(person: Person, pk: int) -> Finding:
    """Raises Http404."""
    return get_object_or_404(findings_visible(person), pk=pk)


def findings_of_job(job: Job) -> QuerySet[Finding]:
    """Open ones, of a job that the person was found to see."""
    return _findings().filter(job=job).exclude(state=Finding.State.CLOSED)


def findings_mine(person: User) -> QuerySet[Finding]:
    """Open ones of the person's own jobs, and of those in projects that he or she leads."""
    led = ProjectMembership.objects.filter(user=person, role=ProjectMembership.Role.PI).values("project")
    of = Q(job__person=person) | Q(job__project__in=led)
    return _findings().filter(of).exclude(state=Finding.State.CLOSED)


def node_in_service(finding: Finding) -> bool:
    """As the worker last saw it."""
    if not finding.node or not hasattr(finding.cluster, "snapshot"):
        return False
    return any(row["name"] == finding.node and not is_out(row["state"]) for row in finding.cluster.snapshot.nodes)


@dataclass(frozen=True, slots=True)
class RuleRow:
    """`cancels` None: no rule of its own."""

    of: Cluster | Programme
    kind: str
    slug: str
    cancels: bool | None
    rule: CancelRule | None


def cancel_rules() -> list[RuleRow]:
    rules = list(CancelRule.objects.select_related("set_by"))
    of_cluster = {rule.cluster_id: rule for rule in rules if rule.cluster_id}
    of_programme = {rule.programme_id: rule for rule in rules if rule.programme_id}
    found = [_rule_row(one, "cluster", one.name, of_cluster.get(one.pk)) for one in Cluster.objects.order_by("title")]
    programmes = Programme.objects.order_by("name")
    return [*found, *(_rule_row(one, "programme", one.slug, of_programme.get(one.pk)) for one in programmes)]


def _rule_row(of: Cluster | Programme, kind: str, slug: str, rule: CancelRule | None) -> RuleRow:
    return RuleRow(of, kind, slug, rule.cancels if rule else None, rule)
