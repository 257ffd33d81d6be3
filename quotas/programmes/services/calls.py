"""Calls: when they are open, what they ask, by what applications are scored.

Whether a person may change a call is decided by the selector that fetched it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.utils.translation import gettext as _

from portal.audit.context import acting
from portal.clock import centre_date, now
from portal.people.models import SLUG_FORM, User
from quotas.actors import Actor
from quotas.programmes.errors import CallExists, CriteriaFixed, Invalid
from quotas.programmes.models import Call, Criterion, Programme, QuestionSet
from quotas.programmes.questions import KEY_FORM, LABEL_LENGTH, questions_checked
from quotas.texts import is_plain_name, is_plain_text

REVIEWS_MOST = 9
CRITERIA_MOST = 20
WEIGHT_MOST = 100
SCORE_MOST = 100
SUMMARY_LENGTH = 2_000


@dataclass(frozen=True)
class CriterionGiven:
    """A criterion to be: `weight` among those of the call, scores from 0 to `max_score`."""

    key: str
    label_vi: str
    label_en: str
    weight: int
    max_score: int


def call_create(
    *,
    programme: Programme,
    title: str,
    slug: str,
    opens_at: datetime,
    closes_at: datetime,
    actor: Actor,
    reviews_needed: int = 2,
    summary_vi: str = "",
    summary_en: str = "",
) -> Call:
    """Makes a call, with an empty first version of its questions. Raises CallExists, Invalid (with the field)."""
    if programme.imported:
        raise Invalid(_("Imported history takes no applications."))
    if not re.fullmatch(SLUG_FORM, slug) or len(slug) > 40 or slug == "new":
        raise Invalid(_("Use lower-case letters, digits and single hyphens."), field="slug")
    _check_texts(title, summary_vi, summary_en)
    _check_times(programme, opens_at, closes_at)
    _check_reviews(reviews_needed)
    with transaction.atomic(), acting(actor, "call_create"):
        try:
            with transaction.atomic():
                call = Call.objects.create(
                    programme=programme,
                    title=title.strip(),
                    slug=slug,
                    summary_vi=summary_vi.strip(),
                    summary_en=summary_en.strip(),
                    opens_at=opens_at,
                    closes_at=closes_at,
                    reviews_needed=reviews_needed,
                    created_at=now(),
                )
        except IntegrityError as error:
            if Call.objects.filter(slug=slug).exists():
                raise CallExists from error
            raise
        questions_publish(call=call, questions=[], actor=actor)
    return call


def call_change(
    *,
    call: Call,
    title: str,
    opens_at: datetime,
    closes_at: datetime,
    reviews_needed: int,
    actor: Actor,
    summary_vi: str = "",
    summary_en: str = "",
) -> Call:
    """Changes a call. What has begun cannot begin at another time; nobody's time to apply is cut off behind them: a
    new end lies in the future. A call whose scoring has begun is not opened again. Raises Invalid (with the field).
    """
    _check_texts(title, summary_vi, summary_en)
    _check_reviews(reviews_needed)
    with transaction.atomic(), acting(actor, "call_change"):
        locked = Call.objects.select_for_update().select_related("programme").get(pk=call.pk)
        moment = now()
        if opens_at != locked.opens_at and locked.opens_at <= moment:
            raise Invalid(_("The call has opened already: its beginning stands."), field="opens_at")
        if closes_at != locked.closes_at and closes_at <= moment:
            raise Invalid(_("A call cannot be closed in the past."), field="closes_at")
        if closes_at > locked.closes_at and locked.criteria_fixed_at is not None:
            raise Invalid(_("Scoring has begun: the call cannot be open for longer."), field="closes_at")
        if (opens_at, closes_at) != (locked.opens_at, locked.closes_at):
            _check_times(locked.programme, opens_at, closes_at)
        locked.title, locked.reviews_needed = title.strip(), reviews_needed
        locked.summary_vi, locked.summary_en = summary_vi.strip(), summary_en.strip()
        locked.opens_at, locked.closes_at = opens_at, closes_at
        locked.save()
    return locked


def questions_publish(*, call: Call, questions: Sequence[Mapping[str, Any]], actor: Actor) -> QuestionSet:
    """A new version of a call's questions, for the applications that are begun from now on; those that exist keep
    theirs. The same questions again make no new version. Raises Invalid (with position and field).
    """
    checked = questions_checked(questions)
    with transaction.atomic(), acting(actor, "questions_publish"):
        Call.objects.select_for_update(no_key=True).get(pk=call.pk)  # one version after another
        known = QuestionSet.objects.filter(call=call)
        last = known.order_by("-version").first()
        if last is not None and last.questions == checked:
            return last
        return QuestionSet.objects.create(
            call=call,
            version=(known.aggregate(last=Max("version"))["last"] or 0) + 1,
            questions=checked,
            created_at=now(),
            created_by=actor if isinstance(actor, User) else None,
        )


def criteria_set(*, call: Call, criteria: Sequence[CriterionGiven], actor: Actor) -> list[Criterion]:
    """Sets what reviewers score, in order, until the first score. Raises CriteriaFixed, Invalid (position, field)."""
    _check_criteria(criteria)
    with transaction.atomic(), acting(actor, "criteria_set"):
        locked = Call.objects.select_for_update(no_key=True).get(pk=call.pk)
        if locked.criteria_fixed_at is not None:
            raise CriteriaFixed
        Criterion.objects.filter(call=call).exclude(key__in=[one.key for one in criteria]).delete()
        for position, one in enumerate(criteria):
            Criterion.objects.update_or_create(
                call=call,
                key=one.key,
                defaults={
                    "position": position,
                    "label_vi": one.label_vi.strip(),
                    "label_en": one.label_en.strip(),
                    "weight": one.weight,
                    "max_score": one.max_score,
                },
            )
    return list(Criterion.objects.filter(call=call))


def criteria_fix(*, call: Call) -> None:
    """The first score is given, in the caller's transaction: from here on the criteria stand. Again changes nothing."""
    with transaction.atomic():
        Call.objects.filter(pk=call.pk, criteria_fixed_at__isnull=True).update(criteria_fixed_at=now())


def _check_texts(title: str, summary_vi: str, summary_en: str) -> None:
    if not 3 <= len(title.strip()) <= 200 or not is_plain_name(title):
        raise Invalid(
            _("Use 3 to 200 characters on one line, without straight quotation marks and \\ ` $ ; | < >."),
            field="title",
        )
    for field, text in (("summary_vi", summary_vi), ("summary_en", summary_en)):
        if len(text) > SUMMARY_LENGTH or not is_plain_text(text):
            raise Invalid(_("Use at most 2,000 characters, without control characters."), field=field)


def _check_times(programme: Programme, opens_at: datetime, closes_at: datetime) -> None:
    if closes_at <= opens_at:
        raise Invalid(_("A call closes after it opens."), field="closes_at")
    if closes_at <= now():
        raise Invalid(_("A call cannot be closed in the past."), field="closes_at")
    if centre_date(opens_at) < programme.starts_on:
        raise Invalid(_("The programme begins after this day."), field="opens_at")
    if centre_date(closes_at - timedelta(microseconds=1)) > programme.ends_on:  # midnight belongs to the day before
        raise Invalid(_("The programme ends before this day."), field="closes_at")


def _check_reviews(reviews_needed: int) -> None:
    if not 1 <= reviews_needed <= REVIEWS_MOST:
        raise Invalid(_("Use 1 to 9 reviews."), field="reviews_needed")


def _check_criteria(criteria: Sequence[CriterionGiven]) -> None:
    if not 1 <= len(criteria) <= CRITERIA_MOST:
        raise Invalid(_("Give 1 to %(most)d criteria.") % {"most": CRITERIA_MOST})
    keys: set[str] = set()
    for position, one in enumerate(criteria):
        if not re.fullmatch(KEY_FORM, one.key) or one.key in keys:
            raise Invalid(_("Every criterion has a key of its own."), field="key", position=position)
        keys.add(one.key)
        for field, label in (("label_vi", one.label_vi), ("label_en", one.label_en)):
            if not label.strip() or len(label) > min(LABEL_LENGTH, 200) or not is_plain_text(label):
                raise Invalid(
                    _("Name the criterion in both languages, in at most 200 characters."),
                    field=field,
                    position=position,
                )
        if not 1 <= one.weight <= WEIGHT_MOST:
            raise Invalid(_("A weight is a whole number from 1 to 100."), field="weight", position=position)
        if not 1 <= one.max_score <= SCORE_MOST:
            raise Invalid(_("The highest score is a whole number from 1 to 100."), field="max_score", position=position)
