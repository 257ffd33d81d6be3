"""What is shown of the nation lets nobody work out what fewer than k organisations have."""

from fractions import Fraction
from itertools import product

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitoring.reports.nation.anonymity import Piece, Shown, shown_cells

K = 3
SIZES = (3, 3, 3)  # GPU types, sectors, months: as many cells as keep every way of combining them in sight


@st.composite
def nations(draw: st.DrawFn) -> list[Piece]:
    """Few organisations, so that most cells are near the limit, and few months in which all run."""
    cells = draw(
        st.lists(st.tuples(*(st.integers(0, size - 1) for size in SIZES)), min_size=1, max_size=9, unique=True)
    )
    return [
        Piece(
            tuple(cell),
            frozenset(draw(st.sets(st.integers(1, 9), min_size=1, max_size=6))),
            draw(st.integers(1, 100)),
        )
        for cell in cells
    ]


def organisations(pieces: list[Piece]) -> frozenset[int]:
    return frozenset().union(*(piece.organisations for piece in pieces))


def groups(pieces: list[Piece], number: int, shown: Shown) -> list[list[Piece]]:
    """The sums that a reader sees of a partition: each shown cell, and the others together."""
    named = [[piece for piece in pieces if piece.cells[number] == key] for key in shown]
    others = [piece for piece in pieces if piece.cells[number] not in shown]
    return named + ([others] if others else [])


@given(nations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_sum_has_k_organisations_behind_it(pieces: list[Piece]) -> None:
    shown = shown_cells(pieces, K)
    if shown is None:
        assert len(organisations(pieces)) < K
        return
    for number, keys in enumerate(shown):
        for group in groups(pieces, number, keys):
            assert len(organisations(group)) >= K


@given(nations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_sum_less_others_inside_it_is_of_fewer(pieces: list[Piece]) -> None:
    """Of any sum, all sums of another partition that lie inside it may be taken away: by GPU type, sector and month."""
    shown = shown_cells(pieces, K)
    if shown is None:
        return
    seen = [groups(pieces, number, keys) for number, keys in enumerate(shown)]
    for outer, inner in product(range(len(seen)), repeat=2):
        for whole in seen[outer]:
            inside = [piece for group in seen[inner] if set(group) <= set(whole) for piece in group]
            rest = [piece for piece in whole if piece not in inside]
            assert outer == inner or not inside or not rest or len(organisations(rest)) >= K


@given(nations())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_no_piece_of_fewer_follows_from_all_sums_together(pieces: list[Piece]) -> None:
    """Whatever is added and subtracted, even by who knows who ran where: linear algebra, exactly."""
    shown = shown_cells(pieces, K)
    if shown is None:
        return
    rows = [
        [Fraction(piece in group) for piece in pieces]
        for number, keys in enumerate(shown)
        for group in groups(pieces, number, keys)
    ]
    rank = rank_of(rows)
    for number, piece in enumerate(pieces):
        if len(piece.organisations) < K:
            alone = [Fraction(number == other) for other in range(len(pieces))]
            assert rank_of([*rows, alone]) > rank


def rank_of(rows: list[list[Fraction]]) -> int:
    left, rank = [list(row) for row in rows], 0
    for column in range(len(left[0])):
        pivot = next((row for row in left[rank:] if row[column]), None)
        if pivot is None:
            continue
        left.remove(pivot)
        left.insert(rank, pivot)
        for number in range(rank + 1, len(left)):
            factor = left[number][column] / pivot[column]
            left[number] = [a - factor * b for a, b in zip(left[number], pivot, strict=True)]
        rank += 1
    return rank


def piece(kind: str, sector: str, month: str, *who: int, weight: float = 1) -> Piece:
    return Piece((kind, sector, month), frozenset(who), weight)


def test_one_small_sector_takes_the_smallest_other_with_it() -> None:
    nation = [
        piece("h100", "health", "07", 1, 2, 3, 4, weight=10),
        piece("h100", "finance", "07", 5, 6, 7, weight=5),
        piece("h100", "education", "07", 8),
    ]
    assert shown_cells(nation, K) == [{"h100"}, {"health"}, {"07"}]


def test_two_small_ones_that_are_enough_together_hide_nobody_else() -> None:
    nation = [
        piece("h100", "health", "07", 1, 2, 3),
        piece("h100", "finance", "07", 5, 6),
        piece("h100", "education", "07", 8),
    ]
    assert shown_cells(nation, K) == [{"h100"}, {"health"}, {"07"}]


def test_the_same_small_organisation_in_two_sectors_is_one() -> None:
    nation = [
        piece("h100", "health", "07", 1, 2, 3),
        piece("h100", "finance", "07", 5),
        piece("h100", "education", "07", 5),
    ]
    assert shown_cells(nation, K) == [{"h100"}, frozenset(), {"07"}]


def test_a_month_that_lies_inside_a_sector_does_not_tell_the_rest_of_it() -> None:
    """Health ran in July alone with three, and one of them in August beside finance: health − July is that one."""
    nation = [
        piece("h100", "health", "07", 1, 2, 3),
        piece("h100", "health", "08", 1),
        piece("h100", "finance", "08", 4, 5, 6),
    ]
    _types, sectors, months = shown_cells(nation, K) or []
    assert {"health", "07"} - sectors - months


def test_fewer_than_k_in_all_show_nothing() -> None:
    assert shown_cells([piece("h100", "health", "07", 1, 2)], K) is None
