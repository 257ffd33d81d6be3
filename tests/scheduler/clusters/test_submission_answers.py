"""What sbatch's answer means. The job exists, does not exist, or nobody knows: only a named error is a refusal."""

import pytest

from scheduler.clusters.adapters.commands_jobs import REFUSALS, estimated_start, submitted_job_id
from scheduler.clusters.adapters.programs import Answer, Programs, failure
from scheduler.clusters.adapters.protocol import ClusterUnreachable, SubmissionRefused, SubmissionUnknown


def sbatch(error: str, code: int = 1, out: str = "") -> Answer:
    return Answer(code, out, error)


@pytest.mark.parametrize(("out", "number"), [("17\n", 17), ("17;local\n", 17)])
def test_an_id_is_an_id(out: str, number: int) -> None:
    assert submitted_job_id(Answer(0, out, "")) == number


@pytest.mark.parametrize("out", ["", "Submitted batch job 17", "17 18", "-1"])
def test_an_unreadable_success_is_unknown(out: str) -> None:
    with pytest.raises(SubmissionUnknown):
        submitted_job_id(Answer(0, out, ""))


@pytest.mark.parametrize(("words", "code"), REFUSALS)
def test_a_named_error_is_a_refusal(words: str, code: str) -> None:
    with pytest.raises(SubmissionRefused) as refusal:
        submitted_job_id(sbatch(f"sbatch: error: Batch job submission failed: {words}\n"))
    assert refusal.value.code == code


def test_the_fences_own_words_reach_the_person() -> None:
    with pytest.raises(SubmissionRefused, match="name the GPU type: partition h100 has h100"):
        submitted_job_id(
            sbatch(
                "sbatch: error: saola: name the GPU type: partition h100 has h100, for example --gpus=h100:1.\n"
                "sbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit,"
                " user's size and/or time limits)\n"
            )
        )


@pytest.mark.parametrize(
    "answer",
    [
        sbatch("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n"),
        sbatch("sbatch: error: Batch job submission failed: Zero Bytes were transmitted or received\n"),
        sbatch("sbatch: error: Batch job submission failed: Unspecified error\n"),
        sbatch("sbatch: error: Batch job submission failed: Protocol authentication error\n"),
        sbatch("", code=124),  # timeout's own status
        sbatch("", code=137),
        sbatch("", code=-9),
        sbatch("", code=1),
        sbatch("sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\n", code=124),
    ],
)
def test_everything_else_is_unknown(answer: Answer) -> None:
    with pytest.raises(SubmissionUnknown):
        submitted_job_id(answer)


def test_what_the_wrapper_refuses_never_reached_sbatch() -> None:
    with pytest.raises(SubmissionRefused) as refusal:
        submitted_job_id(sbatch("saola-submit: script: line 3: '--array' is not accepted in a script\n", code=64))
    assert (refusal.value.code, refusal.value.message) == ("script", "line 3: '--array' is not accepted in a script")


def test_sudo_that_refuses_never_reached_sbatch() -> None:
    with pytest.raises(SubmissionRefused) as refusal:
        submitted_job_id(
            sbatch("sudo: unknown user nobody-here\nsudo: error initializing audit plugin sudoers_audit\n")
        )
    assert refusal.value.code == "invalid_user"


# ---- programs


def test_unreachable_is_told_from_other_failures() -> None:
    words = "sacctmgr: error: Sending PersistInit msg: Connection refused"
    assert isinstance(failure("sacctmgr", Answer(1, "", words)), ClusterUnreachable)
    assert not isinstance(failure("sacctmgr", Answer(1, "", "Unknown condition: x")), ClusterUnreachable)


def test_a_program_that_hangs_is_unreachable() -> None:
    with pytest.raises(ClusterUnreachable, match="within"):
        Programs(slurm_conf="/nowhere", accounting_lock="/nowhere").ask("sleep", "5", timeout_s=0.2)


def test_programs_see_nothing_of_the_portals_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_KEY", "must not leak")
    seen = Programs(slurm_conf="/nowhere/slurm.conf", accounting_lock="/nowhere").read("env").splitlines()
    assert {line.partition("=")[0] for line in seen} == {
        *("PATH", "LANG", "TZ", "SLURM_CONF", "SLURM_TIME_FORMAT", "SLURM_BITSTR_LEN"),
    }


def test_a_stream_gives_pieces_and_then_its_error() -> None:
    programs = Programs(slurm_conf="/nowhere", accounting_lock="/nowhere")
    assert "".join(programs.stream("printf", "%s\\n", "é", "b")) == "é\nb\n"
    pieces = programs.stream("sh", "-c", "echo first; echo Connection refused >&2; exit 3")
    assert next(pieces) == "first\n"
    with pytest.raises(ClusterUnreachable, match="Connection refused"):
        list(pieces)


def test_a_stream_that_is_left_ends_its_program() -> None:
    pieces = Programs(slurm_conf="/nowhere", accounting_lock="/nowhere").stream("yes")
    next(pieces)
    pieces.close()  # would hang here if `yes` were waited for


def test_a_stream_has_a_time_limit() -> None:
    with pytest.raises(ClusterUnreachable):
        list(Programs(slurm_conf="/nowhere", accounting_lock="/nowhere").stream("sleep", "20", timeout_s=0.3))


def test_a_start_is_read_from_what_sbatch_says() -> None:
    said = "sbatch: Job 8 to start at 2026-11-22T16:40:05 using 8 processors on nodes gpu001 in partition h100\n"
    assert estimated_start(Answer(0, "", said)).isoformat() == "2026-11-22T16:40:05+00:00"
    for silent in ("", "sbatch: Job 8 to start at Unknown using 8 processors\n"):
        with pytest.raises(SubmissionUnknown):
            estimated_start(Answer(0, "", silent))
    with pytest.raises(SubmissionRefused) as refused:
        estimated_start(Answer(1, "", "allocation failure: Requested node configuration is not available\n"))
    assert refused.value.code == "node_configuration"
