"""manage.py estimate."""

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from quotas.estimator import tariffs
from tests.quotas.estimator.conftest import Register

LLAMA = {
    "--method": "pretrain",
    "--parameters": "405e9",
    "--tokens": "15.6e12",
    "--gpu": "h100",
    "--precision": "bf16",
    "--utilisation": "0.38",
}


def run(*more: str, **changes: str) -> dict[str, Any]:
    given = LLAMA | {f"--{name}": text for name, text in changes.items()}
    out = io.StringIO()
    call_command("estimate", *(part for pair in given.items() for part in pair), *more, "--json", stdout=out)
    return json.loads(out.getvalue())


def test_it_prints_what_llama_405b_took() -> None:
    result = run()
    assert result["gpu_hours"] == pytest.approx(30.84e6, rel=0.05)
    assert 54 <= result["years_on"]["64"] <= 56
    assert result["vnd"] is None
    assert result["flops"] == pytest.approx(4.1e25, rel=0.01)
    assert set(result["years_on"]) == {"8", "64", "512", "4096", "10240"}


def test_it_takes_numbers_as_people_write_them() -> None:
    assert run(parameters="405B", tokens="15.6T") == run()


def test_a_tariff_gives_a_cost() -> None:
    result = run("--tariff", "55000")
    assert result["vnd"] == -(-result["gpu_seconds"] * 55_000 // 3_600)


def test_the_centres_own_tariff_counts_unless_another_is_given(tariff: Register) -> None:
    tariff({"h100": 36_000})
    assert run()["vnd"] == 10 * run()["gpu_seconds"]
    assert run(gpu="h200")["vnd"] is None
    assert run("--tariff", "72000")["vnd"] == 20 * run()["gpu_seconds"]


def test_a_model_and_a_sequence_length_change_it() -> None:
    assert run("--sequence-length", "131072")["flops"] > run()["flops"]
    assert run("--model", "Llama 3.1 405B")["flops"] == run()["flops"]


def test_without_json_it_prints_a_table_with_formula_and_assumptions() -> None:
    out = io.StringIO()
    call_command("estimate", *(part for pair in LLAMA.items() for part in pair), stdout=out)
    assert "30,358,668" in out.getvalue()
    assert "6·N + 12·L·H·Q·T" in out.getvalue()
    assert "arXiv:2407.21783" in out.getvalue()


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("parameters", "0"),
        ("parameters", "nan"),
        ("parameters", "1e40"),
        ("tokens", "-5"),
        ("tokens", "many"),
        ("utilisation", "38"),
        ("utilisation", "nan"),
        ("gpu", "h20"),
        ("precision", "fp4"),
        ("method", "guess"),
        ("model", "gpt-5"),
        ("sequence-length", "0"),
        ("tariff", "0"),
    ],
)
def test_a_bad_option_is_named(option: str, text: str) -> None:
    with pytest.raises(CommandError, match=f"^--{option}: "):
        run(f"--{option}={text}")


def test_without_a_database_everything_but_the_cost_is_the_same() -> None:
    def fails(gpu_type: str) -> int | None:
        raise OperationalError("connection refused")

    before = run()
    tariffs.register(fails)
    assert run() == before
