"""A programme's rules as values: who may apply at which state share, how much, how many, what is clawed back.

They are data: stored with the programme, and inside the proposal that changes them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from quotas.programmes.models import Programme


@dataclass(frozen=True)
class Terms:
    """shares: the state's part by organisation kind, in basis points; a kind that is not there may not apply.

    None is no limit. three_person_above_vnd: above it two people approve beside the proposer. clawback_basis_points of
    what is unspent on clawback_on go back to the programme.
    """

    shares: Mapping[str, int] = field(default_factory=dict)
    largest_award_gpu_hours: int | None = None
    largest_award_vnd: int | None = None
    open_vouchers_limit: int | None = None
    three_person_above_vnd: int | None = None
    clawback_on: date | None = None
    clawback_basis_points: int = 0

    @property
    def limits(self) -> dict[str, Any]:
        """All but the shares, by the names of the programme's own fields."""
        return {name: value for name, value in asdict(self).items() if name != "shares"}

    def as_facts(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self) | {"clawback_on": self.clawback_on.isoformat() if self.clawback_on else None}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> "Terms":
        clawback_on = facts["clawback_on"]
        return cls(**{**facts, "clawback_on": date.fromisoformat(clawback_on) if clawback_on else None})


def terms_of(programme: Programme) -> Terms:
    """The programme's rules as they stand; one query for the shares."""
    return Terms(
        shares={row.organisation_kind: row.share_basis_points for row in programme.shares.all()},
        **{name: getattr(programme, name) for name in Terms().limits},
    )


def share_of(programme: Programme, organisation_kind: str) -> int | None:
    """The state's part for a kind of organisation, in basis points; None: that kind may not apply."""
    return terms_of(programme).shares.get(organisation_kind)


def approvals_needed(programme: Programme, amount_vnd: int) -> int:
    """How many people beside the proposer decide on an amount of the programme's money."""
    limit = programme.three_person_above_vnd
    return 2 if limit is not None and amount_vnd > limit else 1
