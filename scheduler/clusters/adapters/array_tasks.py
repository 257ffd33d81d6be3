"""The tasks of an array as Slurm writes them: "4-9%2", "1,3,5-7", "0-8:4"."""

import re


def array_task_count(tasks: str) -> int:
    """How many they are; 1 for a plain job. Counts up to the first of another form: Slurm cuts a long list short."""
    total = 0
    for item in tasks.split("%")[0].split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+)(?::(\d+))?)?", item.strip())
        if not found:
            return 1 if not tasks else max(total, 1)
        first, last, step = int(found[1]), int(found[2] or found[1]), int(found[3] or 1)
        total += (last - first) // step + 1
    return total
