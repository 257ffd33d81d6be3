"""What people want of a job: short ones, some that fail, arrays, and some that are asked for something on their way."""

import random
from dataclasses import dataclass

ARRAY = "0-3"
_NAP = "#!/bin/bash\nsleep {}\n"
_FAILS = "#!/bin/bash\nsleep {}\nexit 3\n"
_ENDS_AFTER_REQUEUE = '#!/bin/bash\n[ "${SLURM_RESTART_COUNT:-0}" -ge 1 ] && exit 0\nsleep 100\n'
# How many of a hundred jobs, and what their script does.
KINDS: dict[str, tuple[int, str]] = {
    "plain": (65, _NAP),
    "fails": (8, _FAILS),
    "array": (6, _NAP),
    "cancelled": (6, "#!/bin/bash\nsleep 110\n"),
    "cancelled at once": (3, "#!/bin/bash\nsleep 110\n"),
    "requeued": (4, _ENDS_AFTER_REQUEUE),
    "extended": (4, "#!/bin/bash\nsleep 6\n"),
    "held": (4, _NAP),
}


@dataclass(frozen=True)
class Wish:
    number: int
    person: int
    kind: str
    script: str
    array: str
    cancel_after_s: float

    @property
    def name(self) -> str:
        return f"{self.kind} {self.number}"


def wishes(count: int, people: int, chance: random.Random) -> list[Wish]:
    kinds = chance.choices(list(KINDS), [share for share, _script in KINDS.values()], k=count)
    made = []
    for number, kind in enumerate(kinds):
        after_s = 0.0 if kind == "cancelled at once" else chance.uniform(1, 10)
        script = KINDS[kind][1].replace("{}", str(chance.choice((0, 1, 1, 2))))
        array = ARRAY if kind == "array" else ""
        made.append(Wish(number, chance.randrange(people), kind, script, array, after_s))
    return made
