"""Every reason that Slurm can give has a text and says what to do, in both languages."""

from pathlib import Path

import pytest
from django.utils import translation

from scheduler.jobs.models import Job
from scheduler.jobs.reasons import reason_of
from scheduler.jobs.slurm_reasons import meaning_of

LIST = Path(__file__).with_name("slurm_reasons.txt")
WORDS = [line.split()[0] for line in LIST.read_text().splitlines() if line and not line.startswith("#")]
IN_WORDS = [
    "launch failed requeued held",
    "user env retrieval failed requeued held",
    "job requeued in special exit state",
    "Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions",
    "Job is at or exceeds QOS x's group max TRES(gres/gpu) minutes of 60 with 60",
    "ReqNodeNotAvail, UnavailableNodes:gpu[001-003]",
]


def test_the_list_is_whole() -> None:
    assert len(WORDS) == len(set(WORDS)) == 223
    assert {"Resources", "QOSGrpGRESMinutes", "MaxPoweredUpNodes", "NvidiaImexChannels", "43"} <= set(WORDS)


@pytest.mark.parametrize("language", ["en", "vi"])
def test_every_reason_has_a_text_and_says_what_to_do(language: str) -> None:
    with translation.override(language):
        known = {word: meaning_of(word) for word in [*WORDS, *IN_WORDS]}
    assert [word for word, meaning in known.items() if meaning is None] == []
    assert [word for word, meaning in known.items() if meaning and ("%(" in meaning.text or not meaning.todo)] == []


def test_every_text_is_written_in_vietnamese() -> None:
    with translation.override("en"):
        english = {word: meaning_of(word) for word in WORDS}
    with translation.override("vi"):
        same = [word for word in WORDS if meaning_of(word).text == english[word].text]
        undone = [word for word in WORDS if meaning_of(word).todo == english[word].todo]
    assert (same, undone) == ([], [])


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("QOSGrpGRESMinutes", "The allocation does not cover it yet"),
        ("QOSGrpCpuLimit", "The limit on CPUs is reached: what runs for the allocation"),
        ("MaxGRESPerAccount", "The limit on GPUs is reached: what runs for the project"),
        ("QOSMaxGRESPerUser", "The limit on GPUs is reached: what runs for one person"),
        ("AssocMaxMemPerNode", "It asks for more on one node than a job of the project may have: memory."),
        ("QOSMaxNodePerJobLimit", "It asks for more than one job of the allocation may have: nodes."),
        ("QOSMinGRES", "It asks for less than a job of the allocation must: GPUs."),
        ("MaxCpuRunMinsPerUser", "what runs for one person may still run for as long as is allowed"),
        ("AssocMaxCpuMinutesPerJobLimit", "Its size times its time limit"),
        ("QOSGrpEnergyMinutes", "The limit on energy over time is reached"),
    ],
)
def test_a_limit_is_named(word: str, says: str) -> None:
    with translation.override("en"):
        assert says in meaning_of(word).text


def test_an_unknown_reason_is_shown_as_it_is() -> None:
    with translation.override("en"):
        reason = reason_of(Job(reason="SomethingOfTomorrow"))
    assert reason.slurm == "SomethingOfTomorrow"
    assert "does not know yet" in reason.text
