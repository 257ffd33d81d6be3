"""What differs between two versions of a preset, line by line."""

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

CONTEXT_LINES = 3


@dataclass(frozen=True)
class Line:
    """`kind`: same, less (only the first has it), more (only the second), gap. `before`, `after`: its numbers, 0 where
    it has none."""

    kind: str
    text: str = ""
    before: int = 0
    after: int = 0

    @property
    def sign(self) -> str:
        return {"less": "−", "more": "+"}.get(self.kind, "")


def compared(before: str, after: str) -> list[Line]:
    """Empty where they are the same."""
    return list(_lines(before.splitlines(), after.splitlines()))


def _lines(before: list[str], after: list[str]) -> Iterator[Line]:
    matcher = SequenceMatcher(a=before, b=after, autojunk=False)
    for number, group in enumerate(matcher.get_grouped_opcodes(CONTEXT_LINES)):
        if number:
            yield Line("gap")
        for tag, begin, end, begin_after, end_after in group:
            if tag == "equal":
                for step in range(end - begin):
                    yield Line("same", before[begin + step], begin + step + 1, begin_after + step + 1)
                continue
            for place in range(begin, end):
                yield Line("less", before[place], before=place + 1)
            for place in range(begin_after, end_after):
                yield Line("more", after[place], after=place + 1)
