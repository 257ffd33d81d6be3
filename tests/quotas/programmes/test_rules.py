"""A programme's rules are data; once it has a budget, two people change them."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from portal.people.models import Organisation, User
from quotas.programmes.errors import Invalid, ProgrammeExists, RulesNeedTwoPeople
from quotas.programmes.models import Programme
from quotas.programmes.services import programme_change, programme_create, terms_propose, terms_set
from quotas.programmes.terms import Terms, approvals_needed, share_of, terms_of
from quotas.proposals.errors import CannotBeCarriedOut, SamePerson
from quotas.proposals.services import proposal_approve
from tests.quotas import makers

pytestmark = pytest.mark.django_db
FULL = Terms(
    shares={"startup": 8_000, "university": 10_000},
    largest_award_gpu_hours=50_000,
    largest_award_vnd=2_000_000_000,
    open_vouchers_limit=3,
    three_person_above_vnd=1_000_000_000,
    clawback_on=date(2027, 6, 30),
    clawback_basis_points=5_000,
)


def test_rules_are_kept_as_they_are_given() -> None:
    programme = makers.programme(terms=FULL)
    programme = Programme.objects.get(pk=programme.pk)
    assert terms_of(programme) == FULL
    assert Terms.from_facts(FULL.as_facts()) == FULL
    assert share_of(programme, Organisation.Kind.STARTUP) == 8_000
    assert share_of(programme, Organisation.Kind.SME) is None  # may not apply
    assert (approvals_needed(programme, 10**9), approvals_needed(programme, 10**9 + 1)) == (1, 2)


def test_without_a_budget_one_person_changes_them_with_one_nobody_alone() -> None:
    empty = makers.programme("empty", h100_hours=0)
    terms_set(programme=empty, terms=FULL, actor="test")
    assert terms_of(empty) == FULL
    with pytest.raises(RulesNeedTwoPeople):
        terms_set(programme=makers.programme("funded"), terms=FULL, actor="test")
    with pytest.raises(RulesNeedTwoPeople):
        terms_set(programme=makers.programme("money", h100_hours=0, vnd=1), terms=FULL, actor="test")


def test_a_proposal_changes_them(operator: User, approver: User) -> None:
    programme = makers.programme()
    proposal = terms_propose(programme=programme, terms=FULL, reason="NATIF", person=operator)
    with pytest.raises(SamePerson):
        proposal_approve(proposal=proposal, person=operator)
    makers.approved(proposal)
    assert terms_of(Programme.objects.get()) == FULL
    with pytest.raises(Invalid, match=r"."):
        terms_propose(programme=Programme.objects.get(), terms=FULL, reason="again", person=operator)


def test_who_decides_on_much_money_decides_on_what_is_much(operator: User) -> None:
    programme = makers.programme(terms=FULL)
    without = replace(FULL, three_person_above_vnd=None)
    assert terms_propose(programme=programme, terms=without, reason="x", person=operator).approvals_needed == 2


def test_of_two_proposals_from_the_same_rules_the_second_is_proposed_again(operator: User, approver: User) -> None:
    programme = makers.programme(terms=Terms())
    first, second = (
        terms_propose(programme=programme, terms=Terms(open_vouchers_limit=n), reason="x", person=operator)
        for n in (1, 2)
    )
    makers.approved(second)
    with pytest.raises(CannotBeCarriedOut):
        proposal_approve(proposal=first, person=approver)
    assert Programme.objects.get().open_vouchers_limit == 2


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"shares": {"startup": 10_001}}, "share_startup"),
        ({"shares": {"startup": -1}}, "share_startup"),
        ({"shares": {"bank": 1}}, "share_bank"),
        ({"largest_award_gpu_hours": 0}, "largest_award_gpu_hours"),
        ({"largest_award_gpu_hours": 2**31}, "largest_award_gpu_hours"),
        ({"largest_award_vnd": -5}, "largest_award_vnd"),
        ({"open_vouchers_limit": 0}, "open_vouchers_limit"),
        ({"three_person_above_vnd": -1}, "three_person_above_vnd"),
        ({"clawback_on": date(2027, 1, 1)}, "clawback_on"),
        ({"clawback_basis_points": 1}, "clawback_on"),
        ({"clawback_on": date(2027, 1, 1), "clawback_basis_points": 10_001}, "clawback_basis_points"),
        ({"clawback_on": date(2025, 1, 1), "clawback_basis_points": 1}, "clawback_on"),
    ],
    ids=str,
)
def test_what_no_programme_may_say(wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        makers.programme(terms=replace(Terms(), **wrong))
    assert refused.value.field == field
    assert not Programme.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": 'a"b'}, "name"),
        ({"slug": "tariffs"}, "slug"),
        ({"slug": "Có dấu"}, "slug"),
        ({"summary_vi": "x" * 2_001}, "summary_vi"),
        ({"ends_on": date(2025, 1, 1)}, "ends_on"),
    ],
    ids=str,
)
def test_what_no_programme_may_be_called(wrong: dict[str, Any], field: str) -> None:
    fine = {"name": "N", "slug": "n", "starts_on": date(2026, 1, 1), "ends_on": date(2026, 12, 31), "budgets": {}}
    with pytest.raises(Invalid) as refused:
        programme_create(actor="test", **{**fine, **wrong})  # type: ignore[arg-type]
    assert refused.value.field == field


def test_a_programme_is_renamed_and_prolonged_but_not_ended_in_the_past() -> None:
    programme = makers.programme()
    makers.programme("other")

    def change(**changes: Any) -> Programme:
        same = {"name": programme.name, "starts_on": programme.starts_on, "ends_on": programme.ends_on}
        return programme_change(programme=programme, summary_vi="", summary_en="", actor="test", **{**same, **changes})

    assert change(name="Tên mới", ends_on=date(2099, 6, 30)).name == "Tên mới"
    with pytest.raises(Invalid):
        change(ends_on=date(2026, 2, 1))
    with pytest.raises(ProgrammeExists):
        change(name="Programme other")
