"""The data of profiles.toml, as the library reads it and as a test may know it.

    python -m monitoring.emulator NODE PROFILE GPUS DIRECTORY     writes DIRECTORY/emulator.conf

GPUs are named by uuid5 of node and index, slices also by their instance: the same node has the same GPUs for ever.
"""

import functools
import tomllib
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "saola/emulated-gpu")
SLICES_WHOLE = 7  # compute slices of one GPU
IDLE_TEMPERATURE_C = 41
# As the library's enum has them: shares of the SM cycles that elapse.
CYCLES = ("active", "mma", "dmma", "hmma", "imma", "dfma", "integer", "fp64", "fp32", "fp16")


@dataclass(frozen=True)
class Load:
    """What a whole GPU of one profile does under one load."""

    name: str
    utilisation: float
    shares: dict[str, float]  # by CYCLES
    occupancy: float
    dram: float
    memory_mib: int
    clock_mhz: int  # its mean
    swing_mhz: int  # it is that much higher for 0.1 s, then lower
    power_mw: int
    temperature_c: int
    reasons: int
    nvlink_bytes_s: int
    pcie_bytes_s: int


@functools.cache
def _data() -> dict[str, Any]:
    return tomllib.loads((HERE / "profiles.toml").read_text())


def profile(name: str) -> dict[str, Any]:
    """Raises KeyError for one that is not in profiles.toml."""
    found = _data()["profile"][name]
    return profile(found["like"]) | found if "like" in found else found


def names() -> list[str]:
    return list(_data()["profile"])


def load_names() -> list[str]:
    return list(_data()["load"])


def truth(of: str, load: str) -> Load:
    """What the library will count for profile `of` under `load`. Raises KeyError."""
    gpu, asked = profile(of), _data()["load"][load]

    def between(share: str, low: int, high: int) -> int:
        return round(low + asked.get(share, 0) * (high - low))

    return Load(
        name=load,
        utilisation=asked.get("utilisation", 0.0),
        shares={name: asked.get(name, 0.0) for name in CYCLES},
        occupancy=asked.get("occupancy", 0.0),
        dram=asked.get("dram", 0.0),
        memory_mib=round(asked.get("memory", 0) * (gpu["memory_mib"] - gpu["reserved_mib"])),
        clock_mhz=between("clock", gpu["idle_clock_mhz"], gpu["sm_clock_mhz"]),
        swing_mhz=asked.get("swing_mhz", 0),
        power_mw=between("power", gpu["idle_power_mw"], gpu["power_limit_mw"]),
        temperature_c=asked.get("temperature_c", IDLE_TEMPERATURE_C),
        reasons=asked.get("reasons", 0 if "utilisation" in asked else 1),
        nvlink_bytes_s=asked.get("nvlink_mib_s", 0) << 20,
        pcie_bytes_s=asked.get("pcie_mib_s", 0) << 20,
    )


def gpu_uuid(node: str, index: int) -> str:
    return f"GPU-{uuid.uuid5(SPACE, f'{node}/{index}')}"


def slice_uuid(node: str, index: int, instance: int) -> str:
    return f"MIG-{uuid.uuid5(SPACE, f'{node}/{index}/{instance}')}"


def configuration(*, node: str, of: str, gpus: int, directory: Path, default_load: str = "training") -> str:
    """The text of emulator.conf: `key value…` lines, all that the library knows."""
    gpu = profile(of)
    lines = [
        f"profile {of}",
        f"driver {gpu['driver']}",
        f"spool {directory}/events",
        f"jobs {directory}/jobs",
        f"state {directory}/emulator/state",
        f"control {directory}/emulator/control",
        f"gpm {int(gpu['gpm'])}",
        f"cumulative {int(gpu['cumulative'])}",
        f"counters_per_sm {int(gpu['cycles_per'] == 'sm')}",
        f"clocks {gpu['sm_clock_mhz']} {gpu['memory_clock_mhz']}",
        f"reserved_mib {gpu['reserved_mib']}",
    ]
    for index in range(gpus):
        minor = gpu["minors"][index % len(gpu["minors"])] + index // len(gpu["minors"]) * len(gpu["minors"])
        lines.append(f"gpu {gpu_uuid(node, index)} {minor} {gpu['sms']} {gpu['memory_mib']} {gpu['name']}")
        for name, instance, slices, sms, memory_mib in gpu.get("slices", []):
            whole = f"{slice_uuid(node, index, instance)} {index} {instance} {slices} {sms} {memory_mib}"
            lines.append(f"slice {whole} {gpu['name']} MIG {name}")
    for name in ["idle", *(other for other in load_names() if other != "idle")]:
        one = truth(of, name)
        shares = " ".join(f"{round(one.shares[cycles] * 10_000)}" for cycles in CYCLES)
        lines.append(
            f"load {name} {round(one.utilisation * 10_000)} {shares} {round(one.occupancy * 10_000)}"
            f" {round(one.dram * 10_000)} {one.memory_mib} {one.clock_mhz} {one.swing_mhz} {one.power_mw}"
            f" {one.temperature_c} {one.reasons} {one.nvlink_bytes_s} {one.pcie_bytes_s}"
        )
    return "\n".join([*lines, f"default {default_load}", ""])


def configuration_write(*, node: str, of: str, gpus: int, directory: Path, default_load: str = "training") -> Path:
    place = directory / "emulator.conf"
    text = configuration(node=node, of=of, gpus=gpus, directory=directory, default_load=default_load)
    new = place.with_suffix(".new")
    new.write_text(text)
    new.replace(place)
    return place
