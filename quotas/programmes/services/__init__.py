"""Everything that writes programmes, their budgets and rules, tariffs and calls."""

from quotas.programmes.services.budgets import budget_ensure, budget_propose, money_fund, pool_ensure, programme_fund
from quotas.programmes.services.calls import (
    CriterionGiven,
    call_change,
    call_create,
    criteria_fix,
    criteria_set,
    questions_publish,
)
from quotas.programmes.services.programmes import (
    imported_programme_ensure,
    programme_change,
    programme_create,
    terms_propose,
    terms_set,
)
from quotas.programmes.services.tariffs import tariff_propose

__all__ = [
    "CriterionGiven",
    "budget_ensure",
    "budget_propose",
    "call_change",
    "call_create",
    "criteria_fix",
    "criteria_set",
    "imported_programme_ensure",
    "money_fund",
    "pool_ensure",
    "programme_change",
    "programme_create",
    "programme_fund",
    "questions_publish",
    "tariff_propose",
    "terms_propose",
    "terms_set",
]
