"""Operators' page of rules: what one person may have at once, shares of slices, who may use which reservation."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.http import HttpResponse
from django.test import Client
from django.urls import reverse

from portal.clock import now
from portal.people.models import Project, ProjectMembership, User
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster, GpuSlice, Partition, QosRule, Reservation
from scheduler.clusters.qos_rules import SANDBOX_LIMITS, PersonLimits, person_limits
from scheduler.jobs.models import Job
from scheduler.settlement.models import Record
from tests.counting import QUERIES_MOST, queries_of
from tests.quotas import makers

pytestmark = pytest.mark.django_db
CPU = {"hours": "12", "jobs": "2", "queued": "6", "cpus": "16"}
SLICE = {"gpu_type": "h100_1g.10gb", "parent": "h100", "share": "1/7"}


@pytest.fixture
def cluster(db: None) -> Cluster:
    made = Cluster.objects.create(name="local", title="Cụm Hà Nội", created_at=now())
    for name, gpu_type in (("h100", "h100"), ("mig", "h100_1g.10gb"), ("cpu", "")):
        Partition.objects.create(
            cluster=made, name=name, gpu_type=gpu_type, nodes=2, gpus_per_node=8 if gpu_type else 0, read_at=now()
        )
    return made


@pytest.fixture
def window(client_of: Any, operator: User, cluster: Cluster) -> Client:
    client: Client = client_of(operator)
    client.cookies["django_language"] = "en"
    return client


def page(window: Client) -> str:
    return " ".join(window.get(reverse("accounts:rules", args=["local"])).content.decode().split())


def keep(window: Client, kind: str, given: dict[str, str]) -> HttpResponse:
    return window.post(reverse("accounts:rule_edit", args=["local", kind]), given)


def add(window: Client, given: dict[str, str]) -> HttpResponse:
    return window.post(reverse("accounts:slice_add", args=["local"]), given)


def test_data_preparation_is_offered_changed_and_taken_away_and_the_page_says_who(
    window: Client, cluster: Cluster, operator: User
) -> None:
    assert "Offered to nobody." in page(window)

    assert keep(window, "cpu", CPU).status_code == 302
    assert person_limits(cluster)["cpu"] == PersonLimits(time_limit_s=12 * 3_600, jobs=2, queued=6, cpus=16)
    assert keep(window, "cpu", CPU | {"hours": "0.5"}).status_code == 302
    shown = page(window)
    assert "Offered to nobody." not in shown
    assert "a job at most 0.50 h, 2 running, 6 running and waiting, 16 CPUs" in shown
    assert str(operator) in shown

    window.post(reverse("accounts:rule_drop", args=["local", "cpu"]))
    assert "cpu" not in person_limits(cluster)
    assert "dropped" in page(window)
    events = QosRule.pgh_event_model.objects.order_by("pgh_id")  # type: ignore[attr-defined]
    assert [(row.pgh_label, row.time_limit_s, row.pgh_context["user"]) for row in events] == [
        ("created", 43_200, operator.pk),
        ("changed", 1_800, operator.pk),
        ("deleted", 1_800, operator.pk),
    ]


def test_a_sandbox_has_the_portals_default_until_the_cluster_says_otherwise(window: Client, cluster: Cluster) -> None:
    assert "the portal's default" in page(window).replace("&#x27;", "'")
    form = window.get(reverse("accounts:rule_edit", args=["local", "sandbox"])).context["form"]
    assert (form["hours"].value(), form["gpus"].value()) == (4, SANDBOX_LIMITS.gpus)

    keep(window, "sandbox", {"hours": "2", "jobs": "1", "queued": "2", "gpus": "2"})
    assert person_limits(cluster)["sandbox"] == PersonLimits(time_limit_s=7_200, jobs=1, queued=2, gpus=2)
    window.post(reverse("accounts:rule_drop", args=["local", "sandbox"]))
    assert person_limits(cluster)["sandbox"] == SANDBOX_LIMITS


@pytest.mark.parametrize(
    ("field", "value"),
    [("hours", "0"), ("hours", "x"), ("hours", "99999"), ("jobs", "0"), ("queued", "1"), ("cpus", ""), ("cpus", "-1")],
)
def test_numbers_that_make_no_rule_are_refused_beside_their_field(window: Client, field: str, value: str) -> None:
    answer = keep(window, "cpu", CPU | {field: value})
    assert answer.status_code == 422
    assert field in answer.context["form"].errors
    assert not QosRule.objects.exists()


def test_without_a_partition_for_it_there_is_nothing_to_offer(window: Client) -> None:
    Partition.objects.filter(name="cpu").delete()
    answer = keep(window, "cpu", CPU)
    assert answer.status_code == 422
    assert "no partition without GPUs" in answer.content.decode()
    assert window.get(reverse("accounts:rule_edit", args=["local", "other"])).status_code == 404


def test_a_slice_is_made_known_for_good(window: Client, operator: User) -> None:
    assert "Share unknown" in page(window)

    assert add(window, SLICE).status_code == 302

    row = GpuSlice.objects.get()
    assert (row.gpu_type, row.parent, row.parts, row.whole) == ("h100_1g.10gb", "h100", 1, 7)
    shown = page(window)
    assert "1/7 of an H100" in shown
    assert "Share unknown" not in shown
    [event] = GpuSlice.pgh_event_model.objects.all()  # type: ignore[attr-defined]
    assert (event.pgh_label, event.pgh_context["user"]) == ("created", operator.pk)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"share": "7/7"}, "share"),
        ({"share": "0/7"}, "share"),
        ({"share": "1:7"}, "share"),
        ({"parent": "a100"}, "parent"),
        ({"gpu_type": "h100"}, "parent"),
        ({"gpu_type": "nothing"}, "gpu_type"),
    ],
)
def test_what_is_no_slice_is_refused_beside_its_field(window: Client, changed: dict[str, str], field: str) -> None:
    answer = add(window, SLICE | changed)
    assert answer.status_code == 422
    assert field in answer.context["slice_form"].errors
    assert not GpuSlice.objects.exists()


def forget(window: Client, gpu_type: str = SLICE["gpu_type"]) -> HttpResponse:
    return window.post(reverse("accounts:slice_forget", args=["local", gpu_type]), follow=True)


def test_a_mistyped_share_is_forgotten_and_made_known_anew(window: Client, operator: User) -> None:
    add(window, SLICE | {"share": "2/7"})
    assert "Forget that h100_1g.10gb is 2/7 of a GPU?" in page(window)
    assert "The share is forgotten." in forget(window).content.decode()
    assert "Share unknown" in page(window)
    assert forget(window).status_code == 404
    add(window, SLICE)
    assert "1/7 of an H100" in page(window)
    events = GpuSlice.pgh_event_model.objects.order_by("pgh_id")  # type: ignore[attr-defined]
    assert [(row.pgh_label, row.parts, row.pgh_context["user"]) for row in events] == [
        ("created", 2, operator.pk),
        ("deleted", 2, operator.pk),
        ("created", 1, operator.pk),
    ]


@pytest.mark.parametrize("of", ["record", "job"])
def test_a_share_that_jobs_have_used_is_never_forgotten(
    window: Client, cluster: Cluster, project: Project, programme: Programme, researcher: User, of: str
) -> None:
    add(window, SLICE)
    if of == "record":
        Record.objects.create(
            cluster=cluster, job_id_raw=7, submit_at=now(), charge=uuid4(), job_id="7", account="a", user="u",
            gpu_type=SLICE["gpu_type"], gpus=1, elapsed_s=60, gpu_seconds=60, read_at=now(),
        )  # fmt: skip
    else:
        Job.objects.create(
            cluster=cluster, project=project, allocation=makers.award(project, programme), person=researcher,
            unix_account="u", name="n", gpu_type=SLICE["gpu_type"], gpus_per_node=1, nodes=1, time_limit_s=60,
            created_at=now(), updated_at=now(),
        )  # fmt: skip
    assert "Jobs have used h100_1g.10gb" in forget(window).content.decode()
    assert GpuSlice.objects.count() == 1
    assert "1/7 of an H100" in page(window)


def test_a_type_that_somebody_has_gpu_hours_of_becomes_no_slice(
    window: Client, cluster: Cluster, project: Project, programme: Programme
) -> None:
    allocation = makers.award(project, programme)
    Allocation.objects.filter(pk=allocation.pk).update(gpu_type="h100_1g.10gb")
    answer = add(window, SLICE)
    assert answer.status_code == 422
    assert "There are allocations of h100_1g.10gb" in answer.content.decode()


@pytest.fixture
def programme(db: None) -> Programme:
    return makers.programme()


@pytest.fixture
def reserved(cluster: Cluster, project: Project, researcher: User) -> list[Reservation]:
    def made(name: str, *, accounts: list[str], users: list[str], is_maintenance: bool = False) -> Reservation:
        return Reservation.objects.create(
            cluster=cluster, name=name, accounts=accounts, users=users, is_maintenance=is_maintenance,
            starts_at=now(), ends_at=now() + timedelta(hours=3), nodes=1, gpus=8, read_at=now(),
        )  # fmt: skip

    ours = f"sl-{project.slug}"
    return [
        made("khoa-hoc", accounts=[ours, "physics"], users=[]),
        made("thi", accounts=[ours], users=[str(researcher.unix_account), "stranger"]),
        made("khach", accounts=[], users=["stranger"]),
        made("khac", accounts=["sl-khac"], users=[]),
        made("bao-tri", accounts=[], users=["root"], is_maintenance=True),
    ]


def test_the_centre_sees_who_may_use_which_reservation(
    window: Client, reserved: list[Reservation], project: Project, researcher: User
) -> None:
    shown = page(window)
    for name in ("khoa-hoc", "thi", "khach", "khac", "bao-tri", "physics", "sl-khac", project.title):
        assert name in shown
    assert f"of them only: {researcher} ({researcher.unix_account}), stranger" in " ".join(shown.split())
    assert "Upkeep of the cluster" in shown


def test_a_project_sees_those_that_its_jobs_may_run_in(
    reserved: list[Reservation], project: Project, researcher: User, outsider: User, client_of: Any
) -> None:
    assert ProjectMembership.objects.filter(project=project, user=researcher).exists()
    client = client_of(researcher)
    client.cookies["django_language"] = "en"
    url = reverse("clusters:project_reservations", args=[project.slug])
    shown = " ".join(client.get(url).content.decode().split())
    assert "khoa-hoc" in shown
    assert "For all members." in shown
    assert f"Only for: {researcher}" in shown
    for name in ("khach", "khac<", "bao-tri", "stranger"):
        assert name not in shown
    assert client_of(outsider).get(url).status_code == 404


def test_the_page_costs_the_same_however_much_there_is(window: Client, reserved: list[Reservation]) -> None:
    url = reverse("accounts:rules", args=["local"])
    few = queries_of(window, url)
    keep(window, "cpu", CPU)
    for number in range(9):
        Reservation.objects.create(
            cluster=reserved[0].cluster, name=f"r{number}", users=["stranger"], accounts=[f"sl-p{number}"],
            starts_at=now(), ends_at=now() + timedelta(hours=3), read_at=now(),
        )  # fmt: skip
    assert queries_of(window, url) <= few + 1 <= QUERIES_MOST  # whoever changed a rule is looked up
