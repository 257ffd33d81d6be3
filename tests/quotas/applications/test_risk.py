"""The tier of risk that the answers lead to, after the EU AI Act."""

import pytest

from quotas.applications.risk import risk_of

CALM = {
    "risk_manipulates": "no",
    "risk_scores_people": "no",
    "risk_forbidden_biometrics": "no",
    "risk_product_safety": "no",
    "risk_area": "none",
    "risk_people_told": "no",
    "risk_general_purpose": "no",
}


@pytest.mark.parametrize(
    ("changes", "tier", "articles"),
    [
        ({}, "minimal", [""]),
        ({"risk_people_told": "yes"}, "limited", ["50"]),
        ({"risk_manipulates": "yes"}, "unacceptable", ["5(1)(a), (b)"]),
        ({"risk_product_safety": "yes"}, "high", ["6(1)"]),
        ({"risk_area": "education", "risk_narrow_task": "no", "risk_profiles_people": "no"}, "high", ["6(2)"]),
        ({"risk_area": "education", "risk_narrow_task": "yes", "risk_profiles_people": "no"}, "minimal", [""]),
        (
            {"risk_area": "education", "risk_narrow_task": "yes", "risk_profiles_people": "yes"},
            "high",
            ["6(2)", "6(3)"],
        ),
        (
            {"risk_general_purpose": "yes", "parameters": 405 * 10**9, "tokens": 15 * 10**12},
            "minimal",
            ["", "53", "51(2)"],
        ),
        ({"risk_general_purpose": "yes", "parameters": 8 * 10**9, "tokens": 15 * 10**12}, "minimal", ["", "53"]),
        ({"risk_area": ""}, "", []),
    ],
)
def test_the_answers_lead_to_a_tier_with_its_reasons(
    changes: dict[str, object], tier: str, articles: list[str]
) -> None:
    found = risk_of(CALM | changes)
    assert (found.tier, [reason.article for reason in found.reasons]) == (tier, articles)
