"""Where the observed time of GPUs went: idle, busy without tensor cores, lost to a clock held down, and the rest.

A partition: each part is what lies between two edges, and the edges fall from what was observed to 0, so the parts add
up whatever the counters say. Where they leave open how much of two things fell together, as little as possible is
called known:

- busy: kernels ran, or tensor cores did (they are read apart, and tensor cycles prove that something ran).
- tensor: tensor cores active, by their cycles. Of busy time for which no cycles were read nobody knows: all busy time
  that may lie there is `unread`, never "without tensor cores".
- full clock: what the same cycles would have taken at the highest clock. What lies between that and `tensor` is lost to
  the clock, for no more than the time for which the driver named a reason that held it down. Without the highest
  clock in the peak table all tensor time in which it may have been held down counts as lost.

Times are microseconds of devices.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Edges:
    """observed ≥ busy ≥ known ≥ tensor ≥ full ≥ 0. Idle: observed − busy. Without tensor cores: busy − known. Tensor
    cores not read: known − tensor. Lost to the clock: tensor − full. At the full clock: full."""

    observed_us: int
    busy_us: int
    known_us: int
    tensor_us: int
    full_us: int


def edges_of(
    *, observed_us: int, read_us: int, busy_us: int, tensor_us: int, throttled_us: int, at_full_clock_us: int | None
) -> Edges:
    """`read_us`: for which tensor cycles were read. `at_full_clock_us`: the cycles ÷ the highest clock; None: not
    known."""
    busy = min(max(busy_us, tensor_us, 0), observed_us)
    tensor = min(max(tensor_us, 0), busy)
    unread = min(busy - tensor, max(observed_us - read_us, 0))
    held_down = min(max(throttled_us, 0), tensor)
    lost = held_down if at_full_clock_us is None else min(held_down, max(tensor - at_full_clock_us, 0))
    return Edges(observed_us, busy, tensor + unread, tensor, tensor - lost)
