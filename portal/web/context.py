from dataclasses import dataclass
from functools import cached_property

from django.http import HttpRequest

from portal.people.models import Organisation, Project
from portal.people.rules import Person, is_in_an_organisation
from portal.people.selectors import organisations_of, projects_visible
from portal.web.registry import PlacedLink, navigation


@dataclass(frozen=True)
class Branch:
    organisation: Organisation
    projects: list[Project]


class Shell:
    """What stands around every page. Asked of the database only where the base template is rendered."""

    def __init__(self, person: Person, path: str) -> None:
        self.person = person
        self.path = path

    @cached_property
    def _links(self) -> list[PlacedLink]:
        return navigation.place(self.person, self.path)

    def work(self) -> list[PlacedLink]:
        return [link for link in self._links if link.section == "work"]

    def centre(self) -> list[PlacedLink]:
        return [link for link in self._links if link.section == "centre"]

    def tree(self) -> list[Branch]:
        """The person's organisations, each with the projects that the person works in or manages."""
        if not is_in_an_organisation(self.person):
            return []
        organisations = list(organisations_of(self.person))
        projects = list(projects_visible(self.person).filter(is_active=True, organisation__in=organisations))
        return [
            Branch(organisation, [project for project in projects if project.organisation_id == organisation.pk])
            for organisation in organisations
        ]


def shell(request: HttpRequest) -> dict[str, object]:
    return {"shell": Shell(request.user, request.path)} if hasattr(request, "user") else {}
