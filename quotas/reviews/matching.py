"""Which reviewer gets which application: pure, so that the same call always gives the same answer.

Applications are taken in order, those with the fewest possible reviewers first. Each takes, of the reviewers who may
and have room, the one who knows most about it; among equals the one with the least to do; then the lowest number.
Nobody gets more than one review above the share that would be even, as long as somebody else can do it: expertise
outranks load only inside that bound.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass


@dataclass(frozen=True)
class Wish:
    """An application that needs `missing` more reviewers. `barred`: who cannot be one, for whatever reason."""

    application: int
    sector: str
    product_group: str
    missing: int
    barred: Set[int]


@dataclass(frozen=True)
class Candidate:
    """A reviewer, with the open reviews already there and at most."""

    reviewer: int
    sectors: Set[str]
    product_groups: Set[str]
    load: int
    limit: int


@dataclass(frozen=True)
class Match:
    """Who gets what and why: 2 points for the sector, 1 for the product group, and the load before this one."""

    application: int
    reviewer: int
    points: int
    is_sector: bool
    is_product_group: bool
    load_before: int
    choices: int  # how many could have


@dataclass(frozen=True)
class Matching:
    matches: list[Match]
    unmet: dict[int, int]  # application → how many reviewers it still lacks


def points_of(wish: Wish, one: Candidate) -> int:
    return 2 * (wish.sector in one.sectors) + (wish.product_group in one.product_groups)


def matching(wishes: Sequence[Wish], candidates: Sequence[Candidate]) -> Matching:
    load = {one.reviewer: one.load for one in candidates}
    even = _even_share(wishes, candidates)
    matches: list[Match] = []
    unmet: dict[int, int] = {}
    taken: dict[int, set[int]] = {wish.application: set(wish.barred) for wish in wishes}
    in_order = sorted(wishes, key=lambda wish: (_possible(wish, candidates), wish.application))
    # One reviewer for each application, then the second: nobody is without any while another has all.
    for turn in range(max((wish.missing for wish in wishes), default=0)):
        for wish in in_order:
            if turn >= wish.missing:
                continue
            match = _best(wish, candidates, load, taken[wish.application], even)
            if match is None:
                unmet[wish.application] = unmet.get(wish.application, 0) + 1
                continue
            matches.append(match)
            load[match.reviewer] += 1
            taken[wish.application].add(match.reviewer)
    return Matching(matches, unmet)


def _best(
    wish: Wish, candidates: Sequence[Candidate], load: Mapping[int, int], barred: Set[int], even: int
) -> Match | None:
    able = [one for one in candidates if one.reviewer not in barred and load[one.reviewer] < one.limit]
    if not able:
        return None
    # Above the even share somebody is asked only when everybody able is.
    chosen = min(
        able,
        key=lambda one: (
            load[one.reviewer] >= even,
            -points_of(wish, one),
            load[one.reviewer],
            one.reviewer,
        ),
    )
    return Match(
        application=wish.application,
        reviewer=chosen.reviewer,
        points=points_of(wish, chosen),
        is_sector=wish.sector in chosen.sectors,
        is_product_group=wish.product_group in chosen.product_groups,
        load_before=load[chosen.reviewer],
        choices=len(able),
    )


def _even_share(wishes: Sequence[Wish], candidates: Sequence[Candidate]) -> int:
    """How many reviews each has when all are spread evenly, rounded up, and one more for the sake of expertise."""
    whole = sum(one.load for one in candidates) + sum(wish.missing for wish in wishes)
    return -(-whole // max(len(candidates), 1)) + 1


def _possible(wish: Wish, candidates: Sequence[Candidate]) -> int:
    return sum(one.reviewer not in wish.barred for one in candidates)
