"""Matrix products of known FLOPs on a real GPU, for benchmarks.real_gpu.

    python3 -m benchmarks.real_gpu_load bf16|fp8|tf32|fp32 WORK_S PAUSE_S TIMES

Says "ready", begins with a line on standard input, and ends with the FLOPs that it did and the seconds in which its
kernels ran, by the GPU's own clock.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import torch

SIZE, GROUP = 8192, 5  # products of one group: a host that waits for the one before never leaves the GPU without work


def product_of(kind: str) -> Callable[[], Any]:
    a, b = (torch.randn(SIZE, SIZE, device="cuda") for _ in range(2))
    if kind == "fp8":
        one = torch.tensor(1.0, device="cuda")
        left, right = a.to(torch.float8_e4m3fn), b.to(torch.float8_e4m3fn).t()
        return lambda: torch._scaled_mm(left, right, one, one, out_dtype=torch.bfloat16, use_fast_accum=True)
    if kind == "bf16":
        a, b = a.bfloat16(), b.bfloat16()
    torch.backends.cuda.matmul.allow_tf32 = kind == "tf32"
    return lambda: torch.mm(a, b)


def group_of(product: Callable[[], Any]) -> tuple[Any, Any]:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    begin.record()
    for _ in range(GROUP):
        product()
    end.record()
    return begin, end


def main(kind: str, work_s: float, pause_s: float, times: int) -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    product, groups = product_of(kind), []
    product()  # what is loaded at first would count as work
    torch.cuda.synchronize()
    for each in range(times):
        time.sleep(pause_s if each else 0)
        until = time.monotonic() + work_s
        while time.monotonic() < until:
            groups.append(group_of(product))
            if len(groups) > 1:
                groups[-2][1].synchronize()
        torch.cuda.synchronize()
    busy_s = sum(begin.elapsed_time(end) for begin, end in groups) / 1000
    print(2 * SIZE**3 * (GROUP * len(groups) + 1), busy_s, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
