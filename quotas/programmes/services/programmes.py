"""Programmes and their rules. Rules of a programme that has a budget change through a proposal: a state share is money.

Whether a person may change a programme is decided by the selector that fetched it.
"""

import re
from collections.abc import Mapping
from datetime import date, timedelta

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import SLUG_FORM, Organisation, User
from quotas.actors import Actor
from quotas.programmes.errors import Invalid, ProgrammeExists, RulesNeedTwoPeople
from quotas.programmes.models import WHOLE_BASIS_POINTS, Programme, StateShare
from quotas.programmes.selectors import is_funded
from quotas.programmes.services.budgets import VND_MOST, budget_ensure, money_fund, pool_ensure, programme_fund
from quotas.programmes.terms import Terms, terms_of
from quotas.proposals.models import Proposal
from quotas.proposals.services import proposal_make
from quotas.texts import is_plain_name, is_plain_text

TAKEN_BY_PAGES = frozenset({"calls", "new", "tariffs"})  # /programmes/… of our own
SUMMARY_LENGTH = 2_000
COUNT_MOST = 2**31 - 1


def programme_create(
    *,
    name: str,
    slug: str,
    starts_on: date,
    ends_on: date,
    budgets: Mapping[str, int],
    actor: Actor,
    budget_vnd: int = 0,
    terms: Terms | None = None,
    summary_vi: str = "",
    summary_en: str = "",
    is_sandbox: bool = False,
    imported: bool = False,
) -> Programme:
    """Makes a programme with its rules. `budgets` (GPU-seconds by GPU type) and `budget_vnd` are for set-up and tests:
    on the pages they come from proposals. `is_sandbox`: its allocations are for trying things out, with limits of their
    own on the cluster. Raises ProgrammeExists, BudgetInvalid, Invalid.
    """
    terms = terms or Terms()
    _check(name=name, summary_vi=summary_vi, summary_en=summary_en, starts_on=starts_on, ends_on=ends_on)
    if not re.fullmatch(SLUG_FORM, slug) or len(slug) > 40 or slug in TAKEN_BY_PAGES:
        raise Invalid(_("Use lower-case letters, digits and single hyphens."), field="slug")
    _check_terms(terms, starts_on, ends_on)
    with transaction.atomic(), acting(actor, "programme_create"):
        try:
            with transaction.atomic():
                programme = Programme.objects.create(
                    name=name.strip(),
                    slug=slug,
                    starts_on=starts_on,
                    ends_on=ends_on,
                    summary_vi=summary_vi.strip(),
                    summary_en=summary_en.strip(),
                    is_sandbox=is_sandbox,
                    imported=imported,
                    created_at=now(),
                    **terms.limits,
                )
        except IntegrityError as error:
            if _is_taken(name, slug):
                raise ProgrammeExists from error
            raise
        _shares_write(programme, terms)
        budget_ensure(programme=programme)
        for gpu_type, amount_gpu_seconds in budgets.items():
            programme_fund(programme=programme, gpu_type=gpu_type, amount_gpu_seconds=amount_gpu_seconds, actor=actor)
        if budget_vnd:
            money_fund(programme=programme, amount_vnd=budget_vnd, actor=actor)
    return programme


def programme_change(
    *,
    programme: Programme,
    name: str,
    summary_vi: str,
    summary_en: str,
    starts_on: date,
    ends_on: date,
    actor: Actor,
) -> Programme:
    """Changes what a programme is called and when it is valid. Raises ProgrammeExists, Invalid."""
    _check(name=name, summary_vi=summary_vi, summary_en=summary_en, starts_on=starts_on, ends_on=ends_on)
    if ends_on < programme.ends_on and ends_on < centre_date(now()):
        raise Invalid(_("A programme cannot be ended in the past."), field="ends_on")
    if programme.clawback_on is not None and not starts_on <= programme.clawback_on <= ends_on:
        raise Invalid(_("The day of the clawback would lie outside the programme."), field="ends_on")
    with transaction.atomic(), acting(actor, "programme_change"):
        try:
            with transaction.atomic():
                Programme.objects.filter(pk=programme.pk).update(
                    name=name.strip(),
                    summary_vi=summary_vi.strip(),
                    summary_en=summary_en.strip(),
                    starts_on=starts_on,
                    ends_on=ends_on,
                )
        except IntegrityError as error:
            if Programme.objects.exclude(pk=programme.pk).filter(name=name.strip()).exists():
                raise ProgrammeExists from error
            raise
    programme.refresh_from_db()
    return programme


def terms_set(*, programme: Programme, terms: Terms, actor: Actor) -> None:
    """Sets the rules of a programme that never had a budget. Raises RulesNeedTwoPeople, Invalid."""
    _check_terms(terms, programme.starts_on, programme.ends_on)
    with transaction.atomic(), acting(actor, "terms_set"):
        Programme.objects.select_for_update(no_key=True).get(pk=programme.pk)  # no funding comes between
        if is_funded(programme):
            raise RulesNeedTwoPeople
        _terms_write(programme, terms)


def terms_propose(*, programme: Programme, terms: Terms, reason: str, person: User) -> Proposal:
    """Asks another person to change a programme's rules. The proposal keeps the rules before and after.

    Raises Invalid; NotAllowed, Invalid of proposals.
    """
    _check_terms(terms, programme.starts_on, programme.ends_on)
    before = terms_of(programme)
    if before == terms:
        raise Invalid(_("Nothing was changed."))
    limits = [limit for limit in (before.three_person_above_vnd, terms.three_person_above_vnd) if limit is not None]
    return proposal_make(
        kind="programme_rules",
        facts={
            "programme": programme.pk,
            "name": programme.name,
            "before": before.as_facts(),
            "after": terms.as_facts(),
        },
        reason=reason,
        person=person,
        # Where an amount needs two approvers, so does the rule that decides which amounts do.
        approvals_needed=2 if limits else 1,
    )


def terms_carry_out(proposal: Proposal) -> None:
    """Sets the rules that a proposal says. Raises Invalid where they were changed since, or no longer fit."""
    programme = Programme.objects.select_for_update(no_key=True).get(pk=proposal.facts["programme"])
    if terms_of(programme) != Terms.from_facts(proposal.facts["before"]):
        raise Invalid(_("The rules were changed after this was proposed. Propose it again."))
    terms = Terms.from_facts(proposal.facts["after"])
    _check_terms(terms, programme.starts_on, programme.ends_on)
    _terms_write(programme, terms)


def imported_programme_ensure(*, gpu_types: list[str], actor: Actor) -> Programme:
    """The one programme from which imported history is granted, with an empty pool for each of the GPU types."""
    with transaction.atomic():
        programme = Programme.objects.filter(imported=True).first() or programme_create(
            name="Imported history",
            slug="imported",
            starts_on=date(1970, 1, 1),
            ends_on=date(9999, 12, 31),
            budgets={},
            actor=actor,
            imported=True,
        )
        for gpu_type in gpu_types:
            pool_ensure(programme=programme, gpu_type=gpu_type)
    return programme


def _terms_write(programme: Programme, terms: Terms) -> None:
    Programme.objects.filter(pk=programme.pk).update(**terms.limits)
    _shares_write(programme, terms)
    programme.refresh_from_db()


def _shares_write(programme: Programme, terms: Terms) -> None:
    programme.shares.exclude(organisation_kind__in=terms.shares).delete()
    StateShare.objects.bulk_create(
        [
            StateShare(programme=programme, organisation_kind=kind, share_basis_points=share)
            for kind, share in terms.shares.items()
        ],
        update_conflicts=True,
        unique_fields=["programme", "organisation_kind"],
        update_fields=["share_basis_points"],
    )


def _is_taken(name: str, slug: str) -> bool:
    return Programme.objects.filter(name=name.strip()).exists() or Programme.objects.filter(slug=slug).exists()


def _check(*, name: str, summary_vi: str, summary_en: str, starts_on: date, ends_on: date) -> None:
    if not 1 <= len(name.strip()) <= 200 or not is_plain_name(name):
        raise Invalid(
            _("Use 1 to 200 characters on one line, without straight quotation marks and \\ ` $ ; | < >."), field="name"
        )
    for field, text in (("summary_vi", summary_vi), ("summary_en", summary_en)):
        if len(text) > SUMMARY_LENGTH or not is_plain_text(text):
            raise Invalid(_("Use at most 2,000 characters, without control characters."), field=field)
    if ends_on < starts_on:
        raise Invalid(_("The last day cannot come before the first."), field="ends_on")


def _check_terms(terms: Terms, starts_on: date, ends_on: date) -> None:
    for kind, share in terms.shares.items():
        if kind not in Organisation.Kind.values or not 0 <= share <= WHOLE_BASIS_POINTS:
            raise Invalid(_("A state share is 0 to 100 per cent."), field=f"share_{kind}")
    most = {"largest_award_gpu_hours": COUNT_MOST, "open_vouchers_limit": 32_767}
    for field in ("largest_award_gpu_hours", "largest_award_vnd", "open_vouchers_limit"):
        value = getattr(terms, field)
        if value is not None and not 1 <= value <= most.get(field, VND_MOST):
            raise Invalid(_("Use a positive number, or leave it empty for no limit."), field=field)
    if terms.three_person_above_vnd is not None and not 0 <= terms.three_person_above_vnd <= VND_MOST:
        raise Invalid(_("Use a positive number, or leave it empty for no limit."), field="three_person_above_vnd")
    if (terms.clawback_on is None) != (terms.clawback_basis_points == 0):
        raise Invalid(_("Give both the day and the share of the clawback, or neither."), field="clawback_on")
    if not 0 <= terms.clawback_basis_points <= WHOLE_BASIS_POINTS:
        raise Invalid(_("A clawback takes at most the whole."), field="clawback_basis_points")
    if terms.clawback_on is not None and not starts_on <= terms.clawback_on <= ends_on:
        raise Invalid(_("The day of the clawback lies outside the programme."), field="clawback_on")
    if terms.clawback_on is not None and terms.clawback_on - starts_on < timedelta(days=1):
        raise Invalid(_("The day of the clawback lies outside the programme."), field="clawback_on")
