"""The risk tier of an application after the EU AI Act, Regulation (EU) 2024/1689, with the reasons for it.

The questions follow the Act's own order: what Article 5 forbids, what Article 6 and Annexes I and III call high-risk
(with the exception of Article 6(3), which profiling of people ends), what Article 50 wants made known. A model of
general purpose has duties of its own (Article 53), and above 10^25 floating-point operations of training systemic risk
(Article 51(2)); they stand beside the tier. The tier is what the answers lead to, not a legal opinion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from django.db import models
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

SYSTEMIC_FLOPS = 10**25  # Article 51(2)
FLOPS_A_PARAMETER_AND_TOKEN = 6  # training, without attention: enough to compare with a power of ten


class Tier(models.TextChoices):
    UNACCEPTABLE = "unacceptable", _("Forbidden practice")
    HIGH = "high", _("High risk")
    LIMITED = "limited", _("Limited risk: people must be told")
    MINIMAL = "minimal", _("Minimal risk")


@dataclass(frozen=True)
class RiskField:
    key: str
    label: str | Promise
    help: str | Promise
    article: str
    required: bool = True
    choices: tuple[tuple[str, str | Promise], ...] = ()  # yes or no where there are none


@dataclass(frozen=True)
class Reason:
    article: str
    text: str | Promise


@dataclass(frozen=True)
class Risk:
    """`tier` is "" while questions are open whose answers could still lead higher; they are `open`, by key."""

    tier: str
    reasons: list[Reason] = field(default_factory=list)
    open: list[str] = field(default_factory=list)

    @property
    def label(self) -> str | Promise:
        return Tier(self.tier).label if self.tier else ""


FORBIDDEN = (
    RiskField(
        "risk_manipulates",
        _("Does it manipulate people, or exploit their age, disability or situation, so that they come to harm?"),
        _("Hidden or deceptive techniques that change what people do."),
        "5(1)(a), (b)",
    ),
    RiskField(
        "risk_scores_people",
        _("Does it rate people by their behaviour or character, or predict crimes from such a profile alone?"),
        _("Social scoring, and prediction of offences without facts."),
        "5(1)(c), (d)",
    ),
    RiskField(
        "risk_forbidden_biometrics",
        _(
            "Does it collect faces at large, read emotions at work or school, sort people by beliefs or origin from "
            "their bodies, or identify them live in public places for the police?"
        ),
        _("Reading emotions for medical or safety reasons is not meant."),
        "5(1)(e)–(h)",
    ),
)
_AREAS = (
    ("none", _("None of these")),
    ("biometrics", _("Biometrics")),
    ("infrastructure", _("Critical infrastructure: power, water, traffic, networks")),
    ("education", _("Education: admission, grading, supervision of exams")),
    ("employment", _("Employment: recruiting, tasks, promotion, dismissal")),
    ("services", _("Essential services: benefits, credit, insurance, emergency calls, health care")),
    ("law_enforcement", _("Law enforcement")),
    ("migration", _("Migration, asylum and border control")),
    ("justice", _("Justice and elections")),
)
_PRODUCT = RiskField(
    "risk_product_safety",
    _("Is it, or a safety part of, a product that a third party must approve?"),
    _("Medical devices, vehicles, machines, lifts, toys: the product laws of Annex I."),
    "6(1)",
)
_AREA = RiskField(
    "risk_area",
    _("In which of these areas does it decide, or help to decide, about people?"),
    _("The areas of Annex III."),
    "6(2)",
    choices=_AREAS,
)
_NARROW = RiskField(
    "risk_narrow_task",
    _("If you named an area: does it only do a narrow task that prepares what people decide?"),
    _("It sorts, corrects or finds; it does not replace or sway what a person judges."),
    "6(3)",
    required=False,
)
_PROFILES = RiskField(
    "risk_profiles_people",
    _("If you named an area: does it profile people?"),
    _("It evaluates personal aspects such as work, health, money, interests or movements."),
    "6(3)",
    required=False,
)
_TOLD = RiskField(
    "risk_people_told",
    _("Does it talk with people, or make texts, pictures, sound or video?"),
    _("People must be told that it is a machine, and what it makes must be marked."),
    "50",
)
_GENERAL = RiskField(
    "risk_general_purpose",
    _("Is it a general-purpose model that others can build on?"),
    _("It does many different tasks, such as a language model that is published."),
    "53",
)
RISK_FIELDS = (*FORBIDDEN, _PRODUCT, _AREA, _NARROW, _PROFILES, _TOLD, _GENERAL)

_WHY = {
    "risk_manipulates": _("It manipulates people or exploits their weakness."),
    "risk_scores_people": _("It scores people by behaviour or character, or predicts crimes from profiles."),
    "risk_forbidden_biometrics": _("It uses biometrics in a way that is forbidden."),
    "risk_product_safety": _("It is a product, or a safety part of one, that a third party must approve."),
    "risk_people_told": _("It talks with people or makes content: people must be told."),
}


def risk_of(answers: Mapping[str, Any]) -> Risk:
    """The tier that the answers lead to, the reasons for it, and what is still open."""
    reasons = [Reason(one.article, _WHY[one.key]) for one in FORBIDDEN if answers.get(one.key) == "yes"]
    if reasons:
        return Risk(Tier.UNACCEPTABLE, reasons)
    still = [one.key for one in FORBIDDEN if not answers.get(one.key)]
    beside = _general_purpose(answers)
    high, open_high = _high(answers)
    if high:
        return Risk("" if still else Tier.HIGH, high + beside, still)
    still += open_high
    if not answers.get(_GENERAL.key):
        still.append(_GENERAL.key)
    told = answers.get(_TOLD.key)
    if told == "yes":
        return Risk("" if still else Tier.LIMITED, [Reason(_TOLD.article, _WHY[_TOLD.key]), *beside], still)
    if not told:
        still.append(_TOLD.key)
    named_none = Reason("", _("Nothing that you answered leads to a higher tier."))
    return Risk("" if still else Tier.MINIMAL, ([] if still else [named_none]) + beside, still)


def needs_area_questions(answers: Mapping[str, Any]) -> bool:
    """Whether an area of Annex III is named: only then the two questions after it count."""
    return answers.get(_AREA.key) not in (None, "", "none")


def _high(answers: Mapping[str, Any]) -> tuple[list[Reason], list[str]]:
    reasons, still = [], [one.key for one in (_PRODUCT, _AREA) if not answers.get(one.key)]
    if answers.get(_PRODUCT.key) == "yes":
        reasons.append(Reason(_PRODUCT.article, _WHY[_PRODUCT.key]))
    if needs_area_questions(answers):
        area = dict(_AREAS)[answers[_AREA.key]]
        if answers.get(_PROFILES.key) == "yes":
            reasons += [Reason(_AREA.article, area), Reason("6(3)", _("It profiles people: no exception holds."))]
        elif answers.get(_NARROW.key) == "no":
            reasons.append(Reason(_AREA.article, area))
        else:  # a narrow task without profiling is no high risk
            still += [one.key for one in (_NARROW, _PROFILES) if not answers.get(one.key)]
    return reasons, still


def _general_purpose(answers: Mapping[str, Any]) -> list[Reason]:
    if answers.get(_GENERAL.key) != "yes":
        return []
    reasons = [Reason("53", _("A general-purpose model: its training data and abilities are documented."))]
    flops = FLOPS_A_PARAMETER_AND_TOKEN * (answers.get("parameters") or 0) * (answers.get("tokens") or 0)
    if flops > SYSTEMIC_FLOPS:
        reasons.append(
            Reason("51(2)", _("More than 10²⁵ operations of training: a model with systemic risk, which is evaluated."))
        )
    return reasons
