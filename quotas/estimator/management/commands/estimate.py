"""manage.py estimate --method pretrain --parameters 405e9 --tokens 15.6e12 --gpu h100 …: what a piece of work takes."""

from argparse import ArgumentParser
from decimal import Decimal
from typing import Any

from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils.translation import override

from portal.commands import JsonCommand
from quotas.estimator.errors import EstimateError
from quotas.estimator.methods import Method
from quotas.estimator.numbers import read
from quotas.estimator.peaks import GPUS, PRECISIONS
from quotas.estimator.services import SEQUENCE_LENGTH, Estimate, estimate
from quotas.estimator.tariffs import tariff_for

OPTION_OF = {"gpu_type": "gpu", "sequence_length": "sequence-length", "tariff_vnd_per_gpu_hour": "tariff"}


class Command(JsonCommand):
    help = (
        "FLOPs, GPU-hours, VND and time of training, fine-tuning, evaluation or inference. Numbers may be written"
        " 405e9, 405B or 15.6T. Without a tariff, VND is null."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--method", required=True, help=", ".join(Method.values))
        parser.add_argument("--parameters", help="of a mixture of experts: those that work on a token")
        parser.add_argument("--model", default="", metavar="NAME", help="a published model, for or beside --parameters")
        parser.add_argument("--tokens", required=True, help="training: of every epoch; else: read and written")
        parser.add_argument("--gpu", required=True, metavar="TYPE", help=", ".join(GPUS))
        parser.add_argument("--precision", required=True, help=", ".join(PRECISIONS))
        parser.add_argument("--utilisation", required=True, help="share of the GPU's peak, such as 0.38")
        parser.add_argument("--sequence-length", default=str(SEQUENCE_LENGTH), help="tokens")
        parser.add_argument("--tariff", metavar="VND", help="per GPU-hour, instead of the centre's own of today")

    def handle(self, *args: Any, **options: Any) -> None:
        with override("en"):
            try:
                found = _estimate(options, None if options["tariff"] else self._tariff(options["gpu"]))
            except EstimateError as error:
                raise CommandError(f"--{OPTION_OF.get(error.field, error.field)}: {error}") from error
            self.emit(_result(found))

    def _tariff(self, gpu_type: str) -> int | None:
        """The one thing that the database knows; without it everything but the cost is the same."""
        try:
            return tariff_for(gpu_type)
        except DatabaseError as error:
            self.say(f"No tariff, the database does not answer: {' '.join(str(error).split())}")
            return None


def _estimate(options: dict[str, Any], own_tariff: int | None) -> Estimate:
    given, gpu_type = options["parameters"], options["gpu"]
    tariff = options["tariff"]
    return estimate(
        method=options["method"],
        parameters=None if given is None else _read("parameters", given),
        tokens=_read("tokens", options["tokens"]),
        gpu_type=gpu_type,
        precision=options["precision"],
        utilisation=_read("utilisation", options["utilisation"]),
        sequence_length=_read("sequence_length", options["sequence_length"]),
        model=options["model"],
        tariff_vnd_per_gpu_hour=own_tariff if tariff is None else _read("tariff_vnd_per_gpu_hour", tariff),
    )


def _read(field: str, given: Any) -> Decimal:
    try:
        return read(str(given))
    except ValueError as error:
        raise EstimateError(field, f"{error}; write it as 405e9, 405B or 405,000,000,000.") from error


def _result(found: Estimate) -> dict[str, Any]:
    return {
        "flops": found.flops,
        "gpu_seconds": found.gpu_seconds,
        "gpu_hours": found.gpu_hours,
        "vnd": found.vnd,
        "days_on": {str(count): days for count, days in found.days_on.items()},
        "years_on": {str(count): years for count, years in found.years_on.items()},
        "centre_gpus": found.centre_gpus,
        "centre_share_of_a_year": found.centre_share,
        "parameters": found.parameters,
        "tokens": found.tokens,
        "flops_per_token": found.flops_per_token,
        "layers_heads_dimension": found.found.width,
        "model": found.found.model.name if found.found.model else None,
        "peak_flops": found.peak_flops,
        "peaks_version": found.peaks_version,
        "memory_bytes": found.memory_bytes,
        "gpus_at_least": found.gpus_at_least,
        "formula": found.formula_lines,
        "assumptions": found.assumptions,
    }
