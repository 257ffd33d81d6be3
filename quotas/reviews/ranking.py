"""A call's applications by what their reviewers found, and how far down the budget reaches.

Equal means are a tie: the same rank, and one step of the budget, for there is no reason to pay one and not the other.
The mean is of the reviews' weighted scores (10,000 is the highest), to two decimals of a percent; the spread is between
the highest and the lowest. What was decided already has left the budget and takes nothing more of it.
"""

from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models import Q

from portal.people.models import User
from quotas.applications.models import Application
from quotas.programmes.models import Call
from quotas.programmes.selectors import PoolBalance, pool_balances
from quotas.proposals.rules import organisations_in_conflict
from quotas.reviews.models import Assignment

Review = Assignment.State

# What is ranked, each with what it and all that is better need of their GPU type's budget. A window's peers are counted
# together, so a tie is one step. `lines`: the last place of each GPU type that its free budget pays, what that takes,
# and whether it is the last of all.
_PLACES = """
    WITH found AS (
        SELECT r.application_id, count(*) AS reviews, round(avg(r.score_basis_points))::int AS mean,
               max(r.score_basis_points) - min(r.score_basis_points) AS spread
          FROM reviews_assignment r JOIN applications_application a ON a.id = r.application_id
         WHERE a.call_id = %(call)s AND r.state = 'submitted'
         GROUP BY r.application_id),
    wanting AS (
        SELECT a.id, a.gpu_type, coalesce(f.reviews, 0) AS reviews, f.mean, f.spread,
               CASE WHEN a.state IN ('awarded', 'refused') THEN 0
                    ELSE coalesce(d.awarded_gpu_seconds, a.gpu_hours::bigint * 3600) END AS wanted
          FROM applications_application a
          LEFT JOIN found f ON f.application_id = a.id
          LEFT JOIN reviews_decision d ON d.application_id = a.id AND d.state <> 'sent_back'
         WHERE a.call_id = %(call)s AND a.state IN ('submitted', 'proposed', 'awarded', 'refused')),
    places AS (
        SELECT *, rank() OVER (ORDER BY mean DESC NULLS LAST) AS place,
               -- ordered by its own partition: the order of the rank, so that PostgreSQL sorts once for both
               count(*) OVER (PARTITION BY mean ORDER BY mean DESC NULLS LAST
                              ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS ties,
               sum(wanted) OVER (PARTITION BY gpu_type ORDER BY mean DESC NULLS LAST)::bigint AS needed
          FROM wanting)
"""
_PAGE = (
    _PLACES  # noqa: S608  constant texts; what varies is a parameter
    + """
    , lines AS (
        SELECT gpu_type, max(place) FILTER (WHERE needed <= free) AS rank,
               coalesce(max(needed) FILTER (WHERE needed <= free), 0) AS needed, bool_and(needed <= free) AS is_all
          FROM places JOIN unnest(%(types)s::text[], %(free)s::bigint[]) AS pool (gpu_type, free) USING (gpu_type)
         WHERE mean IS NOT NULL GROUP BY gpu_type)
    SELECT id, gpu_type, reviews, mean, spread, wanted, CASE WHEN mean IS NOT NULL THEN place END,
           CASE WHEN mean IS NOT NULL THEN ties ELSE 1 END, needed, (SELECT count(*) FROM places),
           (SELECT json_object_agg(gpu_type, json_build_array(rank, needed, is_all)) FROM lines)
      FROM places ORDER BY mean DESC NULLS LAST, id LIMIT %(limit)s OFFSET %(offset)s
"""
)


@dataclass(frozen=True)
class Ranked:
    """A place in the ranking. `needed_gpu_seconds`: of this and all better ones of its GPU type. `is_hidden`: who looks
    is bound to it, or is still to review it, and sees no scores."""

    application: Application
    rank: int | None
    ties: int
    reviews: int
    mean_basis_points: int | None
    spread_basis_points: int | None
    wanted_gpu_seconds: int
    needed_gpu_seconds: int
    is_affordable: bool
    is_hidden: bool

    @property
    def mean_percent(self) -> float | None:
        return None if self.mean_basis_points is None else self.mean_basis_points / 100

    @property
    def spread_percent(self) -> float | None:
        return None if self.spread_basis_points is None else self.spread_basis_points / 100


@dataclass(frozen=True)
class BudgetLine:
    """How far the free budget of a GPU type reaches: down to `rank` (None: not even the first), for `needed`."""

    pool: PoolBalance
    rank: int | None
    needed_gpu_seconds: int
    is_all: bool

    @property
    def left_gpu_seconds(self) -> int:
        return self.pool.free_gpu_seconds - self.needed_gpu_seconds


@dataclass(frozen=True)
class Ranking:
    rows: list[Ranked]
    count: int
    lines: list[BudgetLine]


def ranking_of(person: User, call: Call, *, offset: int = 0, limit: int = 50) -> Ranking:
    """A page of the ranking, in as many queries whatever its length. Whether the person may see the call at all is
    decided by the selector that fetched it.
    """
    pools = {row.pool.gpu_type: row for row in pool_balances(call.programme)}
    with connection.cursor() as cursor:
        free = [row.free_gpu_seconds for row in pools.values()]
        given: dict[str, Any] = {"call": call.pk, "limit": limit, "offset": offset, "types": list(pools), "free": free}
        cursor.execute(_PAGE, given)
        found = cursor.fetchall()
    reach = (found[0][-1] if found else None) or {}
    waits = Assignment.objects.filter(reviewer=person, state__in=[Review.ASSIGNED, Review.ACCEPTED])
    applications = (
        Application.objects.select_related("organisation")
        .defer("purpose", "state_reason")
        .annotate(
            is_hidden=Q(organisation__in=organisations_in_conflict(person)) | Q(pk__in=waits.values("application"))
        )
        .in_bulk([row[0] for row in found])
    )
    rows = []
    for pk, gpu_type, reviews, mean, spread, wanted, rank, ties, needed, *_more in found:
        application = applications[pk]
        is_hidden: bool = application.is_hidden
        rows.append(
            Ranked(
                application=application,
                rank=None if is_hidden else rank,
                ties=1 if is_hidden else ties,
                reviews=reviews,
                mean_basis_points=None if is_hidden else mean,
                spread_basis_points=None if is_hidden else spread,
                wanted_gpu_seconds=wanted,
                needed_gpu_seconds=needed,
                is_affordable=gpu_type in pools and needed <= pools[gpu_type].free_gpu_seconds,
                is_hidden=is_hidden,
            )
        )
    return Ranking(rows=rows, count=found[0][-2] if found else 0, lines=_lines(pools, reach))


def _lines(pools: dict[str, PoolBalance], reach: dict[str, list[Any]]) -> list[BudgetLine]:
    lines = []
    for gpu_type, pool in pools.items():
        rank, needed, is_all = reach.get(gpu_type, (None, 0, False))
        lines.append(BudgetLine(pool, rank, needed, is_all=is_all))
    return lines
