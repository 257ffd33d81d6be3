from datetime import timedelta
from typing import Any

from portal.clock import centre_date, now
from quotas.programmes.terms import terms_of
from tests.quotas import makers
from tests.urls.roles import Row, World

OPERATORS = {"operator": 200, "second_operator": 200}
DONE = {"operator": 302, "second_operator": 302}
WRONG = {"operator": 422, "second_operator": 422}


def prepare(world: World) -> None:
    """A programme with a budget and one without, a tariff, an open call."""
    world.programme, world.unfunded = makers.programme(), makers.programme("unfunded", h100_hours=0)
    world.tariff = makers.tariff()
    world.call = makers.call(world.programme)


def programme(world: World) -> list[str]:
    return [world.programme.slug]


def unfunded(world: World) -> list[str]:
    return [world.unfunded.slug]


def call(world: World) -> list[str]:
    return [world.call.slug]


def dates() -> dict[str, Any]:
    today = centre_date(now())
    return {"starts_on": today, "ends_on": today + timedelta(days=365)}


def call_form() -> dict[str, Any]:
    form = f"{now() + timedelta(days=1):%Y-%m-%dT%H:%M}", f"{now() + timedelta(days=9):%Y-%m-%dT%H:%M}"
    return {"title": "Đợt mới", "opens_at": form[0], "closes_at": form[1], "reviews_needed": 2}


def call_change(world: World) -> dict[str, Any]:
    """An open call's beginning stands: the form sends it back as it is shown, to the minute."""
    return call_form() | {"opens_at": ""}


def rules(world: World) -> dict[str, Any]:
    terms = terms_of(world.programme)
    return {f"share_{kind}": share / 100 for kind, share in terms.shares.items()} | {
        "open_vouchers_limit": "3",
        "reason": "x",
    }


TARIFF = {"gpu_type": "h200", "vnd_per_gpu_hour": "85.000", "reason": "x", "valid_from": "2098-01-01"}
QUESTION = {"count": 1, "key-0": "q1", "kind-0": "text", "label_vi-0": "a", "label_en-0": "a"}
CRITERION = {"count": 1, "key-0": "c1", "label_vi-0": "a", "label_en-0": "a", "weight-0": 1, "max_score-0": 5}

ROWS = [
    # Public: nobody needs an account to read who pays for what, and at which price.
    Row("programmes:list", 200, anonymous=200),
    Row("programmes:programme", 200, args=programme, anonymous=200),
    Row("programmes:call", 200, args=call, anonymous=200),
    Row("programmes:tariffs", 200, anonymous=200),
    # For operators.
    Row("programmes:new", 404, **OPERATORS),
    Row("programmes:new", 404, post=lambda world: {"name": "N", "slug": "n", **dates()}, **DONE),
    Row("programmes:new", 404, post={}, **WRONG),
    Row("programmes:edit", 404, args=programme, **OPERATORS),
    Row("programmes:edit", 404, args=programme, post=lambda world: {"name": "N", **dates()}, **DONE),
    Row("programmes:rules", 404, args=programme, **OPERATORS),
    Row("programmes:rules", 404, args=programme, post=rules, **DONE),
    Row("programmes:rules", 404, args=programme, post={}, **WRONG),
    Row("programmes:rules", 404, args=unfunded, post=rules, **DONE),
    Row("programmes:budget", 404, args=programme, **OPERATORS),
    Row("programmes:budget", 404, args=programme, post={"direction": "add", "vnd": "1", "reason": "x"}, **DONE),
    Row("programmes:budget", 404, args=programme, post={"direction": "add", "reason": "x"}, **WRONG),
    Row("programmes:tariff_new", 404, **OPERATORS),
    Row("programmes:tariff_new", 404, post=TARIFF, **DONE),
    Row("programmes:tariff_new", 404, post=TARIFF | {"gpu_type": "H 200"}, **WRONG),
    Row("programmes:call_new", 404, args=programme, **OPERATORS),
    Row("programmes:call_new", 404, args=programme, post=lambda world: call_form() | {"slug": "moi"}, **DONE),
    Row("programmes:call_edit", 404, args=call, **OPERATORS),
    Row("programmes:call_edit", 404, args=call, post=call_change, **WRONG),
    Row("programmes:questions", 404, args=call, **OPERATORS),
    Row("programmes:questions", 404, args=call, post=QUESTION | {"do": "add"}, **OPERATORS),
    Row("programmes:questions", 404, args=call, post=QUESTION | {"do": "publish"}, **DONE),
    Row("programmes:questions", 404, args=call, post=QUESTION | {"do": "publish", "label_en-0": ""}, **WRONG),
    Row("programmes:criteria", 404, args=call, **OPERATORS),
    Row("programmes:criteria", 404, args=call, post=CRITERION | {"do": "up:0"}, **OPERATORS),
    Row("programmes:criteria", 404, args=call, post=CRITERION | {"do": "publish"}, **DONE),
    Row("programmes:criteria", 404, args=call, post={"do": "publish"}, **WRONG),
]
