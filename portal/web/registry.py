"""Pages composed of fragments by URL name, so that the shell imports no other app. Apps fill these in
AppConfig.ready():

    from portal.web.registry import home_cards, job_cards, navigation, organisation_cards, project_cards

    home_cards.register("jobs:card", order=20)                          # /jobs/card/            loaded by htmx
    organisation_cards.register("reports:organisation_card", order=10)  # reversed with the organisation's slug
    project_cards.register("allocations:project_card", order=10)        # reversed with the project's slug
    job_cards.register("gpus:job", order=20)                            # reversed with the job's id
    navigation.register("jobs:list", label=_("Jobs"), icon="terminal", order=20, show=is_in_a_project)

A fragment is an ordinary view that renders a `<section class="card">` without the base template. It answers 204 where
it has nothing to say to that person, and its place on the page disappears. A URL name that does not exist is left out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from django.urls import NoReverseMatch, reverse
from django.utils.functional import Promise

from portal.people.rules import Person

Show = Callable[[Person], bool]


def always(person: Person) -> bool:
    return True


@dataclass(frozen=True)
class Card:
    url_name: str
    order: int
    wide: bool  # takes the whole row
    show: Show


@dataclass(frozen=True)
class PlacedCard:
    url: str
    wide: bool


@dataclass
class Cards:
    """The fragments of one kind of page."""

    cards: dict[str, Card] = field(default_factory=dict)

    def register(self, url_name: str, *, order: int = 100, wide: bool = False, show: Show = always) -> None:
        self.cards[url_name] = Card(url_name, order, wide, show)

    def place(self, person: Person, *args: object) -> list[PlacedCard]:
        """Those that this person gets, in order; `args` go into their addresses."""
        placed = []
        shows = _asked_once(person)
        for card in sorted(self.cards.values(), key=lambda card: (card.order, card.url_name)):
            url = _reverse(card.url_name, *args)
            if url and shows(card.show):
                placed.append(PlacedCard(url, card.wide))
        return placed


@dataclass(frozen=True)
class Link:
    url_name: str
    label: str | Promise
    icon: str
    order: int
    section: str
    show: Show


@dataclass(frozen=True)
class PlacedLink:
    url: str
    label: str | Promise
    icon: str
    section: str
    current: bool


@dataclass
class Navigation:
    """The left side. Sections: "work" (a person's own things) and "centre" (for those who run it)."""

    links: dict[str, Link] = field(default_factory=dict)

    def register(
        self,
        url_name: str,
        *,
        label: str | Promise,
        icon: str,
        order: int = 100,
        section: str = "work",
        show: Show = always,
    ) -> None:
        self.links[url_name] = Link(url_name, label, icon, order, section, show)

    def place(self, person: Person, path: str) -> list[PlacedLink]:
        """Those that this person gets; the one whose address is the longest prefix of `path` is marked as current."""
        found = []
        shows = _asked_once(person)
        for link in sorted(self.links.values(), key=lambda link: (link.order, link.url_name)):
            url = _reverse(link.url_name)
            if url and shows(link.show):
                found.append((link, url))
        inside = [url for _link, url in found if path == url or (url != "/" and path.startswith(url))]
        current = max(inside, key=len, default="")
        return [PlacedLink(url, link.label, link.icon, link.section, url == current) for link, url in found]


def _asked_once(person: Person) -> Callable[[Show], bool]:
    """Many places share one rule, and each rule asks the database: once for all of them."""
    known: dict[Show, bool] = {}

    def shows(rule: Show) -> bool:
        if rule not in known:
            known[rule] = rule(person)
        return known[rule]

    return shows


def _reverse(url_name: str, *args: object) -> str:
    try:
        return reverse(url_name, args=args)
    except NoReverseMatch:
        return ""


home_cards = Cards()
organisation_cards = Cards()
project_cards = Cards()
job_cards = Cards()
job_notes = Cards()  # above everything on a job's page
job_list_cards = Cards()  # above the list of jobs
navigation = Navigation()
