"""What people write as a reason reaches scontrol as words, and as nothing else that it reads."""

from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Answer

HOSTILE = "quạt hỏng' State=RESUME\n\x00NodeName=ALL;$(id)`id`"


class Heard:
    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []

    def ask(self, *words: str, **_how: object) -> Answer:
        self.asked.append(words)
        return Answer(0, "", "")


def test_a_reason_is_words_alone() -> None:
    heard = Heard()
    CommandsAdapter(cluster="local", programs=heard).node_drain(name="gpu001", reason=HOSTILE + "x" * 500)  # type: ignore[arg-type]
    ((*command, reason),) = heard.asked
    assert command == ["scontrol", "update", "NodeName=gpu001", "State=DRAIN"]
    assert reason.startswith("Reason=quạt hỏng  State RESUME  NodeName ALL; (id) id ")
    assert len(reason) == len("Reason=") + 200
