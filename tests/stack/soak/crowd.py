"""Twenty people of four projects on the running stack's own database, each with a session of their own.

Made once a stack, through the services. Their unix accounts are those that the play makes for test stacks beside the
demo's; what they may use is more than any run needs.
"""

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException
from threading import Lock
from time import monotonic, sleep
from typing import NamedTuple
from uuid import UUID, uuid4

from django.conf import settings
from django.db import connection, connections
from django.test import Client
from pytest_django.plugin import DjangoDbBlocker

from portal.people.models import Project, User
from portal.settings import env
from quotas.allocations.models import Allocation
from quotas.programmes.models import Programme
from tests import factories
from tests.quotas import makers
from tests.scheduler.jobs.real import researchers
from tests.stack.browsing import Fields, Visitor
from tests.stack.soak.wishes import Wish

PEOPLE, DEMO_ACCOUNTS = 20, 4
GPU_TYPES = ("h100", "h100", "h100", "h200")  # of each project
GPU_HOURS = 1_000_000
SLUG = "soak"
AGAIN_S, ANSWER_WITHIN_S = 0.5, 120
NEW = "/jobs/new/"
NO_ANSWER = (0, 500, 502, 503, 504)


@contextmanager
def stack_database(blocker: DjangoDbBlocker) -> Iterator[None]:
    """The models on the running stack's own database, in all threads."""
    of_tests = connection.settings_dict["NAME"]
    connections.close_all()
    connection.settings_dict["NAME"] = env.db("DATABASE_URL")["NAME"]
    try:
        with blocker.unblock():
            yield
    finally:
        connections.close_all()
        connection.settings_dict["NAME"] = of_tests


def slug(number: int) -> str:
    return f"{SLUG}-{number}"


def projects() -> list[Project]:
    """Made on the first call."""
    names = [slug(number) for number in range(len(GPU_TYPES))]
    if not Programme.objects.filter(slug=SLUG).exists():
        types = {f"{name}_hours": len(names) * GPU_HOURS for name in set(GPU_TYPES)}
        programme = makers.programme(SLUG, **types)
        houses = [factories.organisation(f"Soak {number}", f"{SLUG}-house-{number}") for number in range(2)]
        for number, gpu_type in enumerate(GPU_TYPES):
            project = factories.project(f"Soak {number}", slug(number), of=houses[number % 2])
            makers.award(project, programme, gpu_seconds=GPU_HOURS * makers.HOUR, gpu_type=gpu_type)
    return list(Project.objects.filter(slug__in=names).order_by("slug"))


def people() -> list[User]:
    """Made on the first call."""
    unix_accounts = researchers()[DEMO_ACCOUNTS : DEMO_ACCOUNTS + PEOPLE]
    assert len(unix_accounts) == PEOPLE, "this stack is older than its checkout: make stack STACK=.stack-test"
    places = projects()
    for number, unix_account in enumerate(unix_accounts):
        email = f"{SLUG}-{number}@soak.example"
        if not User.objects.filter(email=email).exists():
            person = factories.person(email, f"Soak {number}", unix_account=unix_account, language="en")
            factories.project_member(person, places[number % len(places)])
    return list(User.objects.filter(unix_account__in=unix_accounts).order_by("unix_account"))


class Answer(NamedTuple):
    status: int
    location: str
    page: str


@dataclass
class Member:
    """A person at work: the form filled in again and again, and what is asked of its jobs. One request at a time."""

    user: User
    allocation: Allocation
    visitor: Visitor
    fields: dict[str, str]
    lock: Lock = field(default_factory=Lock)

    def send(self, wish: Wish) -> UUID:
        """The same form until the portal says that it took it, however often it had to be sent. The job's key."""
        form = self.fields | {
            "key": str(uuid4()),
            "allocation": str(self.allocation.pk),
            "name": wish.name,
            "gpus_per_node": "1",
            "nodes": "1",
            "time_limit": "2m",
            "script": wish.script,
            "array": wish.array,
        }
        deadline = monotonic() + ANSWER_WITHIN_S
        while True:
            answer = self.ask(NEW, form)
            if answer.status == 302 and answer.location.startswith("/jobs/"):
                return UUID(answer.location.split("/")[2])
            assert answer.status in NO_ANSWER, f"{wish.name}: {answer}"
            assert monotonic() < deadline, f"{wish.name}: nobody answered"
            sleep(AGAIN_S)

    def ask(self, path: str, form: dict[str, str]) -> Answer:
        with self.lock:
            try:
                status, page = self.visitor.post(path, form)
            except (OSError, HTTPException):
                return Answer(0, "", "")
            return Answer(status, self.visitor.location, page[:1000])


@contextmanager
def crowd(url: str) -> Iterator[list[Member]]:
    """Everybody, logged in, with the form open."""
    allocations = {row.project_id: row for row in Allocation.objects.filter(project__in=projects())}
    with ExitStack() as leaving:
        members = []
        for person in people():
            session = Client()
            session.force_login(person, backend=settings.AUTHENTICATION_BACKENDS[0])
            visitor = leaving.enter_context(closing(Visitor(url, keep_alive=True)))
            visitor.cookies["sessionid"] = session.cookies["sessionid"].value
            allocation = allocations[person.project_memberships.get().project_id]
            members.append(Member(person, allocation, visitor, _form(visitor)))
        yield members


def _form(visitor: Visitor) -> dict[str, str]:
    """As it opens, for a plain script; each request brings the session's own token."""
    status, page = visitor.get(NEW)
    assert status == 200, page[:1000]
    shown = Fields(page, NEW).values.items()
    return {name: text.replace("\n", "\r\n") for name, text in shown if name not in ("csrfmiddlewaretoken", "preset")}
