"""What a GPU can do at most: dense FLOP/s by precision, as the makers' data sheets state it, and what it is made of.

The figures lie in peaks.json, each with the key of its source, which that file spells out; where a sheet states a
figure with 2:4 sparsity, half of it is there. What nobody has stated is null there and None here, never a guess; a
precision that a GPU has no tensor cores for is left out. Memory is the sheet's, in GB of 10^9 bytes. A change of any
figure gets a new version: an estimate, and every figure of throughput, names the one it was made with.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _

from quotas.estimator.errors import EstimateError

GIGA, MEGA, TERA = 10**9, 10**6, 10**12


@dataclass(frozen=True, slots=True)
class Gpu:
    """`type` is Slurm's GRES type, as in the ledger; peaks are in FLOP/s, by precision.

    `flop_per_clock_sm` is dense, of one streaming multiprocessor and one clock cycle with its tensor cores busy.
    `slice_sms` says how many of these a MIG slice has, by the profile's name. `achievable_flops` is the best that
    anybody has shown, a mark beside the theoretical peak.
    """

    type: str
    name: str
    memory_bytes: int
    peaks_flops: Mapping[str, int]
    sms: int | None = None
    max_sm_clock_hz: int | None = None
    flop_per_clock_sm: Mapping[str, int | None] = field(default_factory=dict)
    slice_sms: Mapping[str, int] = field(default_factory=dict)
    achievable_flops: Mapping[str, int] = field(default_factory=dict)

    @property
    def memory_gb(self) -> int:
        return self.memory_bytes // GIGA

    def peak_tflops(self, precision: str) -> float | None:
        peak = self.peaks_flops.get(precision)
        return None if peak is None else peak / TERA


def _gpu(type: str, row: Mapping[str, Any]) -> Gpu:
    clock_mhz = _value(row["max_sm_clock_mhz"])
    return Gpu(
        type,
        row["name"],
        row["memory_gb"]["value"] * GIGA,
        {precision: round(figure["value"] * TERA) for precision, figure in row["dense_tflops"].items()},
        sms=_value(row["sms"]),
        max_sm_clock_hz=None if clock_mhz is None else clock_mhz * MEGA,
        flop_per_clock_sm={precision: _value(figure) for precision, figure in row["flop_per_clock_sm"].items()},
        slice_sms={profile: figure["value"] for profile, figure in row["slice_sms"].items()},
        achievable_flops={name: round(figure["value"] * TERA) for name, figure in row["achievable_tflops"].items()},
    )


def _value(figure: Mapping[str, Any] | None) -> int | None:
    return None if figure is None else figure["value"]


_TABLE = json.loads(Path(__file__).with_name("peaks.json").read_text())
PEAKS_VERSION: str = _TABLE["version"]
SOURCES: Mapping[str, str] = _TABLE["sources"]
GPUS = {type: _gpu(type, row) for type, row in _TABLE["types"].items()}
PRECISIONS = ("fp8", "bf16", "tf32")
BYTES_A_WEIGHT = {"fp8": 1, "bf16": 2, "tf32": 4}


def gpu_get(gpu_type: str) -> Gpu:
    """Raises EstimateError beside `gpu_type`."""
    if gpu_type not in GPUS:
        known = {"gpu_type": gpu_type, "known": ", ".join(GPUS)}
        raise EstimateError("gpu_type", _("The peak table has no GPU type “%(gpu_type)s”. It has: %(known)s.") % known)
    return GPUS[gpu_type]


def peak_get(gpu: Gpu, precision: str) -> int:
    """FLOP/s. Raises EstimateError beside `precision`."""
    if precision not in gpu.peaks_flops:
        known = {"gpu": gpu.name, "precision": precision.upper(), "known": ", ".join(gpu.peaks_flops).upper()}
        raise EstimateError("precision", _("%(gpu)s does not compute in %(precision)s, only in: %(known)s.") % known)
    return gpu.peaks_flops[precision]
