"""Which figures of a sum may be shown: none that fewer than k organisations stand behind, nor one from which such a
figure follows by subtraction. Pure functions.

A *piece* is the smallest thing that is known of the nation: what one combination of GPU type, sector, product group and
month has, and whose organisations' it is. A *partition* divides all pieces by one of these; its *cells* are shown with
the total. Three rules:

1. A cell with fewer than k organisations is hidden (k organisations that are all there are, not k entries).
2. The hidden cells of a partition together have k organisations or more, or none is hidden: total − what is shown is
   their sum. If they have fewer, the smallest shown cell is hidden too, and so on. The sum of the hidden ones is shown
   as "the others".
3. Of two partitions: where cells of one lie wholly inside a cell of the other, what remains of that is none, or has k
   organisations or more. (All of the health sector ran in January, but for one firm in March: health − January would
   be that firm's.) Else the cells that lie inside are put to the others of their partition; where these are its
   others already, the cell that they lie in is put to the others of its own, or more to these.
4. No piece with fewer than k organisations follows from all sums together, whatever is added and subtracted: where one
   does, the smallest cell of the partition that shows most is hidden too.

The reader who is kept from knowing more may know who ran where; the amounts are what is protected.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

Key = Hashable
Shown = frozenset[Key]  # the cells of a partition that are shown one by one


@dataclass(frozen=True, slots=True)
class Piece:
    """`cells`: the key of its cell in each partition, in their order. `weight`: how much there is of it; what is hidden
    for others' sake is the smallest."""

    cells: tuple[Key, ...]
    organisations: frozenset[int]
    weight: float


def shown_cells(pieces: Sequence[Piece], k: int) -> list[Shown] | None:
    """Of each partition. None: fewer than k organisations in all, so that not even the total may be shown."""
    if len(_organisations(pieces)) < k:
        return None
    partitions = [_grouped(pieces, number) for number in range(len(pieces[0].cells))]
    shown = [_closed(cells, frozenset(cells), k) for cells in partitions]
    while (changed := _apart(partitions, shown, k) or _undetermined(pieces, partitions, shown, k)) is not None:
        shown = changed
    return shown


def _grouped(pieces: Sequence[Piece], number: int) -> dict[Key, list[Piece]]:
    found: dict[Key, list[Piece]] = {}
    for piece in pieces:
        found.setdefault(piece.cells[number], []).append(piece)
    return found


def _organisations(pieces: Sequence[Piece]) -> frozenset[int]:
    return frozenset().union(*(piece.organisations for piece in pieces))


def _closed(cells: Mapping[Key, Sequence[Piece]], wanted: Shown, k: int) -> Shown:
    """Rules 1 and 2."""
    shown = {key for key in wanted if len(_organisations(cells[key])) >= k}
    for key in sorted(shown, key=lambda key: _order(cells, key)):
        hidden = [piece for other, pieces in cells.items() if other not in shown for piece in pieces]
        if not hidden or len(_organisations(hidden)) >= k:
            break
        shown.discard(key)
    return frozenset(shown)


def _order(cells: Mapping[Key, Sequence[Piece]], key: Key) -> tuple[float, str]:
    """The smallest first."""
    return sum(piece.weight for piece in cells[key]), str(key)


def _groups(cells: Mapping[Key, Sequence[Piece]], shown: Shown) -> dict[Key | None, frozenset[Piece]]:
    """What is shown: each cell by its key, the others together by None."""
    found: dict[Key | None, frozenset[Piece]] = {key: frozenset(cells[key]) for key in shown}
    others = frozenset(piece for key, pieces in cells.items() if key not in shown for piece in pieces)
    return found | ({None: others} if others else {})


def _apart(partitions: Sequence[Mapping[Key, Sequence[Piece]]], shown: Sequence[Shown], k: int) -> list[Shown] | None:
    """Rule 3, one step of it; None where nothing is left to do. Each step hides a cell more, so it comes to an end."""
    groups = [_groups(cells, keys) for cells, keys in zip(partitions, shown, strict=True)]
    for outer, of_outer in enumerate(groups):
        for inner, of_inner in enumerate(groups):
            if outer == inner:
                continue
            for key, whole in of_outer.items():
                inside = {other: part for other, part in of_inner.items() if part <= whole}
                rest = whole.difference(*inside.values())
                if not inside or not rest or len(_organisations(list(rest))) >= k:
                    continue
                named = {other for other in inside if other is not None}
                at, less = (inner, named) if named or key is None else (outer, {key})
                less = less or {min(shown[inner], key=lambda other: _order(partitions[inner], other))}
                changed = list(shown)
                changed[at] = _closed(partitions[at], shown[at] - less, k)
                return changed
    return None


def _undetermined(
    pieces: Sequence[Piece], partitions: Sequence[Mapping[Key, Sequence[Piece]]], shown: Sequence[Shown], k: int
) -> list[Shown] | None:
    """Rule 4, one step of it."""
    sums = [
        [Fraction(piece in group) for piece in pieces]
        for cells, keys in zip(partitions, shown, strict=True)
        for group in _groups(cells, keys).values()
    ]
    if not any(len(pieces[number].organisations) < k for number in _followed(sums)):
        return None
    at = max(range(len(shown)), key=lambda number: len(shown[number]))
    less = min(shown[at], key=lambda key: _order(partitions[at], key))
    changed = list(shown)
    changed[at] = _closed(partitions[at], shown[at] - {less}, k)
    return changed


def _followed(sums: list[list[Fraction]]) -> list[int]:
    """The unknowns that the sums determine: Gauss and Jordan's elimination, exactly. In its end a row with a single
    entry is an unknown that is known."""
    rank = 0
    for column in range(len(sums[0])):
        found = next((number for number in range(rank, len(sums)) if sums[number][column]), None)
        if found is None:
            continue
        sums[rank], sums[found] = sums[found], sums[rank]
        first = sums[rank][column]
        pivot = sums[rank] = [value / first for value in sums[rank]]
        for number, row in enumerate(sums):
            factor = row[column]
            if number != rank and factor:
                sums[number] = [a - factor * b for a, b in zip(row, pivot, strict=True)]
        rank += 1
    entries = ([column for column, value in enumerate(row) if value] for row in sums)
    return [columns[0] for columns in entries if len(columns) == 1]
