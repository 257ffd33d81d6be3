"""Keeping the catalogue, and what each person sees of it."""

import pytest
from django.urls import reverse

from portal.audit.selectors import Filters, event_page
from portal.outbox.models import Message
from scheduler.datasets.asking import groups_application_ask
from scheduler.datasets.errors import Invalid, PlanChanged, WrongState
from scheduler.datasets.models import DataSet, Permit, StoredGroups
from scheduler.datasets.names import group_name
from scheduler.datasets.selectors import catalogue, data_sets_visible, permitted_to, usable_on
from scheduler.datasets.services import data_set_change, data_set_offer, data_set_withdraw
from scheduler.datasets.services.groups import groups_cycle
from scheduler.datasets.sizes import size_input, size_parse
from scheduler.datasets.tasks import groups_apply_asked
from tests.counting import QUERIES_MOST, queries_of
from tests.scheduler.datasets import makers

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("text", "size"),
    [("4096", 4096), ("1.5 TB", 3 * 2**39), ("120GB", 120 * 2**30), ("2,5 kb", 2560), ("7 MiB", 7 * 2**20), ("0", 0)],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert size_parse(text) == size
    assert size_parse(size_input(size)) == size


@pytest.mark.parametrize("text", ["", "-1", "1e9", "1.5.5 GB", "٣ GB", "1 EB", "9999999 PB", "GB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError):  # noqa: PT011
        size_parse(text)


def test_a_groups_name_fits_whatever_the_short_name_is(settings):
    settings.DATA_GROUP_PREFIX = "saola-1a2b3c4d-d-"
    assert group_name("van-ban-mau") == "saola-1a2b3c4d-d-van-ban-mau"
    long = [group_name("a-very-long-short-name-indeed"), group_name("a-very-long-short-name-at-all")]
    assert len({*long}) == 2
    assert all(len(name) <= 32 and not name.endswith("-") and "--" not in name for name in long)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            ("path", path)
            for path in ("data", "/", "/data/", "/data/../etc", "/a//b", "/a b", "/a:b", "/a,b", "/-x", "/á")
        ],
        *[("name", ""), ("name", "a\nb"), ("version", ""), ("licence_name", "$(x)")],
        *[("size_bytes", -1), ("file_count", 2**61), ("licence_url", "javascript:alert(1)"), ("audience", "all")],
    ],
)
def test_what_no_data_set_may_be_is_refused_beside_its_field(cluster, field, value):
    with pytest.raises(Invalid) as refused:
        makers.draft(cluster, **{field: value})
    assert refused.value.field == field
    assert not DataSet.objects.exists()


def test_a_short_name_is_given_once_and_never_changes(cluster):
    made = makers.draft(cluster)
    for slug in ("bao-2025", "new", "clusters", "Bao", "a_b"):
        with pytest.raises(Invalid):
            makers.draft(cluster, slug)
    changed = data_set_change(data_set=made, described=makers.described(name="Khác", version="2"), actor="test")
    assert (changed.slug, changed.unix_group, changed.version) == (made.slug, "sd-bao-2025", "2")


def test_states_follow_each_other(cluster):
    made = makers.draft(cluster)
    with pytest.raises(WrongState):
        data_set_withdraw(data_set=made, reason="x", actor="test")
    data_set_offer(data_set=made, actor="test")
    with pytest.raises(WrongState):
        data_set_offer(data_set=made, actor="test")
    with pytest.raises(Invalid):
        data_set_withdraw(data_set=made, reason=" \n", actor="test")
    assert data_set_withdraw(data_set=made, reason="Sai giấy phép", actor="test").state == "withdrawn"
    again = data_set_offer(data_set=made, actor="test")
    assert (again.state, again.withdrawn_reason) == ("open", "")


def test_everybody_sees_what_they_may_use_and_the_centre_sees_all(
    cluster,
    researcher,
    organisation_manager,
    organisation_member,
    other_researcher,
    nobody,
    auditor,
    project,
    organisation,
):
    makers.offered(cluster, "chung", name="Chung")
    makers.offered(cluster, "du-an", name="Dự án", **makers.named(projects=[project]))
    makers.offered(cluster, "to-chuc", name="Tổ chức", **makers.named(organisations=[organisation]))
    makers.draft(cluster, "nhap", name="Nháp")

    def seen(person):
        return set(catalogue(person).values_list("slug", flat=True))

    assert seen(researcher) == seen(organisation_manager) == {"chung", "du-an", "to-chuc"}
    assert seen(organisation_member) == {"chung", "to-chuc"}
    assert seen(other_researcher) == seen(nobody) == {"chung"}
    assert seen(auditor) == {"chung", "du-an", "to-chuc", "nhap"}
    assert set(catalogue(researcher, query="dự du-an").values_list("slug", flat=True)) == {"du-an"}


def test_what_is_withdrawn_leaves_the_list_and_keeps_its_page(cluster, researcher, project):
    made = makers.offered(cluster)
    data_set_withdraw(data_set=made, reason="Hết hạn", actor="test")
    assert not catalogue(researcher).exists()
    assert data_sets_visible(researcher).get() == made
    assert usable_on(project, cluster.name) == []
    assert permitted_to(project).get() == made


def test_permits_are_written_one_by_one_and_stand_in_the_history(
    cluster, operator, organisation, project, other_project
):
    made = makers.offered(cluster, **makers.named(organisations=[organisation], projects=[other_project]))
    kept = Permit.objects.get(organisation=organisation).pk
    described = makers.described(**makers.named(organisations=[organisation], projects=[project]))
    data_set_change(data_set=made, described=described, actor=operator)
    assert Permit.objects.get(organisation=organisation).pk == kept
    events, _next = event_page(operator, Filters(model="datasets.permit"))
    assert [event.label for event in events] == ["created", "deleted", "created", "created"]
    assert (events[0].actor, events[0].why) == (operator, "data_set_change")
    data_set_change(data_set=made, described=makers.described(), actor=operator)
    assert not Permit.objects.exists()


# --- pages --------------------------------------------------------------------------------------------------------


@pytest.fixture
def window(client_of, operator):
    client = client_of(operator)
    client.cookies["django_language"] = "en"
    return client


def test_an_operator_makes_one_gives_its_folder_to_the_group_and_offers_it(window, cluster, host, project):
    sent = makers.DESCRIBED | {
        "slug": "bao-2025",
        "cluster": cluster.pk,
        "size_bytes": "1.5 TB",
        "released_on": "2025-06-01",
    }
    sent |= {"audience": "named", "projects": [project.pk]}
    answer = window.post(reverse("datasets:new"), sent)
    assert answer.status_code == 302, answer.context["form"].errors
    made = DataSet.objects.get()
    assert (made.size_bytes, made.state, made.permits.get().project) == (3 * 2**39, "draft", project)
    groups_cycle(cluster.name, groups=host)
    page = window.get(reverse("datasets:data_set", args=["bao-2025"])).content.decode()
    assert "chown -R root:sd-bao-2025 /data/bao-tieng-viet/2025.1" in page
    assert "Nothing is there" in page
    edit = window.get(reverse("datasets:edit", args=["bao-2025"]))
    assert edit.context["form"]["size_bytes"].value() == "1536 GB"
    window.post(reverse("datasets:offer", args=["bao-2025"]))
    made.refresh_from_db()
    assert made.state == "open"


def test_a_page_says_how_to_use_it_and_names_nobody_else(client_of, researcher, cluster, project, other_project):
    makers.offered(cluster, **makers.named(projects=[project, other_project]))
    client = client_of(researcher)
    client.cookies["django_language"] = "en"
    page = client.get(reverse("datasets:data_set", args=["bao-2025"])).content.decode()
    assert "$SAOLA_DATA_BAO_2025" in page
    assert "/data/bao-tieng-viet/2025.1" in page
    assert project.title in page
    assert other_project.title not in page
    assert "chown" not in page


def test_the_clusters_page_shows_what_waits_and_an_operator_applies_it(
    window, operator, cluster, host, researcher, pi, second_researcher
):
    made = makers.offered(cluster)
    groups_cycle(cluster.name, groups=host)
    data_set_withdraw(data_set=made, reason="x", actor=operator)
    groups_cycle(cluster.name, groups=host)
    page = window.get(reverse("datasets:groups", args=[cluster.name])).content.decode()
    assert "3 people would lose access, above the cap of 2" in page
    stored = StoredGroups.objects.get()
    with pytest.raises(PlanChanged):
        groups_application_ask(cluster=cluster, digest="other", actor=operator)
    window.post(reverse("datasets:apply", args=[cluster.name]), {"digest": stored.digest})
    message = Message.objects.get(topic="datasets.apply")
    assert (message.payload["removals_cap"], message.queue) == (3, "cluster.local")


def test_what_was_asked_is_applied_by_the_worker(monkeypatch, operator, cluster, host, researcher):
    makers.offered(cluster)
    groups_cycle(cluster.name, groups=host)
    host.groups["sd-bao-2025"] = set()
    monkeypatch.setattr("scheduler.datasets.services.groups.unix_groups_for", lambda name: host)
    payload = {"cluster": cluster.name, "removals_cap": 0, "actor": f"user:{operator.pk}"}
    groups_apply_asked(Message(topic="datasets.apply", payload=payload))
    assert host.groups["sd-bao-2025"] == {"minh"}


def test_the_list_asks_as_often_for_fifty_as_for_five(client_of, researcher, cluster, project):
    client = client_of(researcher)
    for number in range(5):
        makers.offered(cluster, f"a-{number}", **makers.named(projects=[project]))
    few = queries_of(client, reverse("datasets:list"))
    for number in range(45):
        makers.offered(cluster, f"b-{number}")
    assert queries_of(client, reverse("datasets:list")) == few <= QUERIES_MOST
