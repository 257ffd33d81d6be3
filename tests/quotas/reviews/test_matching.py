"""The matching keeps its promises for any call."""

from hypothesis import given, settings
from hypothesis import strategies as st

from quotas.reviews.matching import Candidate, Matching, Wish, matching

SECTORS = ("health", "finance", "education")
PEOPLE = st.integers(min_value=1, max_value=8)


@st.composite
def calls(draw: st.DrawFn) -> tuple[list[Wish], list[Candidate]]:
    people = draw(st.integers(min_value=0, max_value=8))
    candidates = [
        Candidate(
            reviewer=number,
            sectors=frozenset(draw(st.sets(st.sampled_from(SECTORS)))),
            product_groups=frozenset(),
            load=draw(st.integers(0, 4)),
            limit=draw(st.integers(1, 8)),
        )
        for number in range(1, people + 1)
    ]
    wishes = [
        Wish(
            application=number,
            sector=draw(st.sampled_from(SECTORS)),
            product_group="assistant",
            missing=draw(st.integers(1, 3)),
            barred=frozenset(draw(st.sets(PEOPLE))),
        )
        for number in range(1, draw(st.integers(0, 12)) + 1)
    ]
    return wishes, candidates


@given(calls())
@settings(max_examples=300, deadline=None)
def test_nobody_is_asked_who_is_barred_or_full_and_nothing_is_left_that_could_be_done(
    call: tuple[list[Wish], list[Candidate]],
) -> None:
    wishes, candidates = call
    found = matching(wishes, candidates)
    load = {one.reviewer: one.load for one in candidates}
    for match in found.matches:
        load[match.reviewer] += 1
    for wish in wishes:
        mine = [one.reviewer for one in found.matches if one.application == wish.application]
        assert len(mine) == len(set(mine))
        assert not set(mine) & set(wish.barred)
        assert len(mine) + found.unmet.get(wish.application, 0) == wish.missing
        if found.unmet.get(wish.application):
            free = [
                one
                for one in candidates
                if load[one.reviewer] < one.limit and one.reviewer not in {*wish.barred, *mine}
            ]
            assert not free
    assert all(load[one.reviewer] <= max(one.limit, one.load) for one in candidates)


@given(calls())
@settings(max_examples=100, deadline=None)
def test_the_order_in_which_things_are_given_changes_nothing(call: tuple[list[Wish], list[Candidate]]) -> None:
    wishes, candidates = call
    one, other = matching(wishes, candidates), matching(wishes[::-1], candidates[::-1])

    def said(found: Matching) -> object:
        return sorted((match.application, match.reviewer, match.points) for match in found.matches), found.unmet

    assert said(one) == said(other)


def test_equals_share_the_work_evenly() -> None:
    people = [Candidate(number, frozenset(), frozenset(), 0, 100) for number in range(1, 5)]
    wishes = [Wish(number, "health", "assistant", 2, frozenset()) for number in range(1, 11)]
    loads = [0, 0, 0, 0]
    for match in matching(wishes, people).matches:
        loads[match.reviewer - 1] += 1
    assert loads == [5, 5, 5, 5]


def test_the_one_who_knows_all_is_not_drowned() -> None:
    people = [
        Candidate(1, frozenset({"health"}), frozenset({"assistant"}), 0, 100),
        *(Candidate(number, frozenset(), frozenset(), 0, 100) for number in range(2, 5)),
    ]
    wishes = [Wish(number, "health", "assistant", 1, frozenset()) for number in range(1, 13)]
    loads = [0] * 4
    for match in matching(wishes, people).matches:
        loads[match.reviewer - 1] += 1
    assert loads[0] == 4  # the even share is 3
    assert max(loads[1:]) - min(loads[1:]) <= 1
