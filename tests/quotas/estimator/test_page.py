"""The public page: as a form sent by GET, and live by htmx."""

import re
from collections.abc import Callable
from html import unescape
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from django.conf import settings
from django.http import HttpResponse
from django.test import Client

from portal.people.models import User
from quotas.estimator import tariffs
from quotas.programmes.selectors import tariff_today
from tests.quotas import makers
from tests.quotas.estimator.conftest import Register

ClientOf = Callable[[User], Client]
PAGE = "/estimator/"
LLAMA = {"parameters": "405e9", "tokens": "15600e9"}


def ask(client: Client, language: str = "en", live: bool = False, **inputs: str) -> HttpResponse:
    client.cookies[settings.LANGUAGE_COOKIE_NAME] = language
    return client.get(PAGE, inputs, headers={"HX-Request": "true"} if live else {})


def text_of(response: HttpResponse) -> str:
    """As a person reads it: without tags, and with one space between words."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def said_under(response: HttpResponse, field: str) -> str:
    part = response.content.decode().split(f'id="id_{field}_said"', 1)[1].split("</div></div>", 1)[0]
    return " ".join(unescape(re.sub(r"<[^>]+>|^[^>]*>", " ", part)).split())


def permanent_link(response: HttpResponse) -> dict[str, str]:
    link = re.search(r'href="(/estimator/\?[^"]+)">(?!.*/estimator/\?)', response.content.decode(), re.DOTALL)
    assert link is not None
    return dict(parse_qsl(urlsplit(unescape(link[1])).query))


def test_a_stranger_reads_it_without_the_database(client: Client) -> None:
    """No database fixture here: a query would fail the test."""
    page = client.get(PAGE)
    assert page.status_code == 200
    assert '<html lang="vi">' in page.content.decode()
    assert "94.111" in text_of(page)


@pytest.mark.parametrize(
    ("language", "tokens", "hours", "years", "read_as"),
    [
        ("vi", "15,6 nghìn tỷ", "30.358.668", "54,2 năm", "= 15.600.000.000.000"),
        ("vi", "15.6T", "30.358.668", "54,2 năm", "= 15.600.000.000.000"),
        ("en", "15.6T", "30,358,668", "54.2 years", "= 15,600,000,000,000"),
        ("en", "15,600,000,000,000", "30,358,668", "54.2 years", "= 15,600,000,000,000"),
    ],
)
def test_numbers_are_read_as_the_language_writes_them(
    client: Client, language: str, tokens: str, hours: str, years: str, read_as: str
) -> None:
    page = ask(client, language, parameters="405B", tokens=tokens, utilisation="38")
    assert page.status_code == 200
    assert hours in text_of(page)
    assert years in text_of(page)
    assert read_as in page.content.decode()


def test_the_permanent_link_says_the_same_in_both_languages(client: Client) -> None:
    typed = {"parameters": "1.234.567.890", "tokens": "1,5 tỷ", "utilisation": "33,125%", "sequence_length": "4.096"}
    page = ask(client, "vi", live=True, **typed)
    link = page.headers["HX-Replace-Url"]
    inputs = dict(parse_qsl(urlsplit(link).query))
    assert inputs == {
        "method": "pretrain",
        "parameters": "1234567890",
        "tokens": "1500e6",
        "gpu_type": "h100",
        "precision": "bf16",
        "utilisation": "33125e-3",
        "sequence_length": "4096",
    }
    for language in ("vi", "en"):
        again = ask(client, language, live=True, **inputs)
        assert again.headers["HX-Replace-Url"] == link
        assert permanent_link(ask(client, language, **inputs)) == inputs
    assert 'value="1.5B"' in ask(client, "en", **inputs).content.decode()
    assert 'value="33,125%"' in ask(client, "vi", **inputs).content.decode()


@pytest.mark.parametrize(("written", "share"), [("38", "38%"), ("38%", "38%"), ("0.38", "38%"), ("0,5 %", "0.5%")])
def test_a_utilisation_is_a_percentage_or_a_share(client: Client, written: str, share: str) -> None:
    assert f"· {share} = " in text_of(ask(client, "en", utilisation=written))


def test_a_model_brings_its_parameters_and_the_hidden_box_does_not_count(client: Client) -> None:
    page = ask(client, live=True, model="deepseek-v3", parameters="30B", tokens="1T", method="inference")
    assert "parameters=" not in page.headers["HX-Replace-Url"]
    assert "2 · 37,000,000,000" in text_of(page)
    assert "37 billion of 671 billion parameters" in said_under(page, "model")


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(
    ("field", "written"),
    [(field, bad) for field in ("parameters", "tokens", "sequence_length") for bad in ("0", "-5", "nan", "1e40", "x")]
    + [("utilisation", bad) for bad in ("0", "-1", "101", "nan", "x")]
    + [("parameters", "1,5"), ("parameters", ""), ("tokens", ""), ("sequence_length", "8K")]
    + [("gpu_type", "h20"), ("precision", "fp4"), ("method", "guess"), ("model", "gpt-5"), ("tokens", "<b>7</b>")],
)
@pytest.mark.parametrize("language", ["vi", "en"])
def test_bad_input_is_refused_beside_its_field(
    client: Client, field: str, written: str, live: bool, language: str
) -> None:
    page = ask(client, language, live=live, **{field: written})
    assert page.status_code == (200 if live else 422)
    assert "field-error" in page.content.decode().split(f'id="id_{field}_said"', 1)[1].split("</div></div>", 1)[0]
    assert said_under(page, field)
    assert "HX-Replace-Url" not in page.headers
    assert "<b>7" not in page.content.decode()


def test_a_precision_that_the_gpu_lacks_is_refused_beside_the_precision(client: Client) -> None:
    page = ask(client, "vi", live=True, gpu_type="a100", precision="fp8")
    assert said_under(page, "precision") == "A100 không tính được ở FP8, chỉ ở: BF16, TF32."


def test_htmx_gets_the_part_that_changes(client: Client) -> None:
    page = ask(client, live=True, **LLAMA)
    assert "<html" not in page.content.decode()
    assert "30.4 million" in text_of(page)
    assert page.content.decode().count('hx-swap-oob="true"') == 9  # eight fields, and how it is computed
    assert "HX-Request" in page.headers["Vary"]
    whole = client.get(PAGE, LLAMA, headers={"HX-Request": "true", "HX-History-Restore-Request": "true"})
    assert "<html" in whole.content.decode()


def test_formula_and_assumptions_lie_open(client: Client) -> None:
    text = text_of(ask(client, **LLAMA))
    assert "6·N + 12·L·H·Q·T = 6 · 405,000,000,000 + 12 · 126 · 128 · 128 · 8,192 = 2.633 × 10 12" in text
    assert "989 TFLOP/s · 38% = 375.8 TFLOP/s" in text
    assert "arXiv:2407.21783, table 3" in text
    assert "peak table 2026-11.2" in text


def test_a_tariff_gives_a_cost(client: Client, tariff: Register) -> None:
    assert "VND" not in text_of(ask(client, **LLAMA))
    tariff({"h100": 55_000})
    assert "VND at today's tariff 1.67 trillion 1,669,726,732,117" in text_of(ask(client, **LLAMA))
    assert "no tariff" in text_of(ask(client, gpu_type="h200", **LLAMA))


def test_too_few_gpus_for_the_memory_are_marked(client: Client) -> None:
    text = text_of(ask(client, **LLAMA))
    assert "64 GPUs 54.2 years Too little 512 GPUs 6.77 years Enough" in text


def test_it_carries_no_inline_style_or_script(client: Client) -> None:
    page = ask(client, **LLAMA)
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", page.content.decode())


@pytest.mark.django_db
def test_a_manager_takes_the_hours_to_the_application(
    client_of: ClientOf, organisation_manager: User, researcher: User
) -> None:
    page = ask(client_of(organisation_manager), **LLAMA).content.decode()
    link = re.search(r'href="(/applications/[^"]*gpu_hours=30358668)"', page)
    assert link is not None
    assert "gpu_type=h100" in link[1]
    assert "gpu_hours" not in ask(client_of(researcher), **LLAMA).content.decode()
    assert PAGE in client_of(organisation_manager).get("/applications/new/").content.decode()


@pytest.mark.django_db
def test_it_is_linked_from_the_landing_page_and_the_menu(client: Client, client_of: ClientOf, nobody: User) -> None:
    assert f'href="{PAGE}"' in client.get("/").content.decode()
    assert f'href="{PAGE}" aria-current="page"' in client_of(nobody).get(PAGE).content.decode()


def test_every_example_has_figures(client: Client) -> None:
    page = ask(client).content.decode()
    examples = re.findall(r'btn-sm" href="(/estimator/\?[^"]+)">', page.split('class="estimator"')[0])
    assert len(examples) == 4
    for address in examples:
        assert client.get(unescape(address)).status_code == 200, address


def test_an_address_with_a_part_of_the_inputs_is_completed(client: Client) -> None:
    assert client.get(f"{PAGE}?{urlencode({'model': 'qwen2.5-7b', 'method': 'lora'})}").status_code == 200


@pytest.mark.django_db
def test_the_application_begins_with_the_estimates_hours(client_of: ClientOf, organisation_manager: User) -> None:
    makers.call(makers.programme())
    page = client_of(organisation_manager).get("/applications/new/?gpu_type=h100&gpu_hours=30358668").content.decode()
    assert 'value="30358668"' in page


@pytest.mark.django_db
def test_the_tariff_is_the_one_that_two_people_decided(client: Client) -> None:
    tariffs.register(tariff_today)
    assert "no tariff" in text_of(ask(client, **LLAMA))
    makers.tariff("h100", 60_000)
    assert "60,000 VND" in text_of(ask(client, **LLAMA))
