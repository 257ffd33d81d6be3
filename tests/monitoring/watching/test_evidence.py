"""What a real Prometheus says of sick GPUs, silent nodes and jobs. A job that really idles: test_real.py."""

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from monitoring.attribution.models import Declared, Exporter, Interval
from monitoring.rollups.prometheus import Prometheus
from monitoring.watching.core import Verdict
from monitoring.watching.evidence import sights
from monitoring.watching.models import Finding
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Job, Run
from tests.monitoring.conftest import hanoi

Kind = Finding.Kind
NOON = hanoi("2026-06-10 12:00")


def found(prometheus: Prometheus | None, moment: datetime = NOON) -> dict[tuple[str, str], tuple[Verdict, object]]:
    return {(one.kind, one.subject): (one.verdict, one.evidence) for one in sights(prometheus, moment)}


def test_sick_gpus_are_told_apart_from_those_that_are_well_and_those_that_were_a_moment_ago(
    cluster: Cluster, prometheus: Prometheus
) -> None:
    said = found(prometheus)
    assert {subject: verdict for (kind, subject), (verdict, _what) in said.items() if kind == Kind.SICK} == {
        "GPU-well": Verdict.NO,
        "GPU-lost": Verdict.YES,
        "GPU-xid": Verdict.YES,
        "GPU-ecc": Verdict.YES,
    }
    assert said[Kind.SICK, "GPU-lost"][1] == {"reasons": ["lost"]}
    assert said[Kind.SICK, "GPU-xid"][1] == {"reasons": ["xid 79"]}
    assert said[Kind.SICK, "GPU-ecc"][1] == {"reasons": ["ecc"]}


def test_a_node_that_is_not_scraped_and_one_whose_exporter_answers_nobody(
    cluster: Cluster, prometheus: Prometheus
) -> None:
    for node, age, failures in (("n1", 5, 0), ("n2", 5, 0), ("n3", 900, 60)):
        Exporter.objects.create(
            cluster=cluster, node=node, answered_at=NOON - timedelta(seconds=age), failures=failures, error="refused"
        )
    said = found(prometheus)
    assert said[Kind.EXPORTER, "n1"] == (Verdict.NO, {})
    assert said[Kind.EXPORTER, "n2"] == (Verdict.YES, {"reasons": ["not_scraped"], "error": "refused"})
    assert said[Kind.EXPORTER, "n3"] == (Verdict.YES, {"reasons": ["no_answer"], "error": "refused"})
    away = found(Prometheus("http://127.0.0.1:9"))
    assert away[Kind.EXPORTER, "n2"][0] == Verdict.NO
    assert not any(kind == Kind.SICK for kind, _subject in away)


@pytest.fixture
def on_gpu(job: Job) -> Callable[..., Job]:
    def runs(uuid: str, since: str) -> Job:
        began = hanoi(f"2026-06-10 {since}")
        facts = {"cluster": job.cluster, "job_id_raw": 7, "submit_at": began}
        Job.objects.filter(pk=job.pk).update(updated_at=began, gpus_per_node=1)
        Run.objects.create(job=job, started_at=began, gpus=1, created_at=began, state="running", **facts)
        Interval.objects.create(
            node="n1", uuid=uuid, started_at=began, charged_from=began, start_known="event", end_known="open", **facts
        )
        return job

    return runs


def test_busy_with_tensor_work_is_nothing_idle_is_and_a_young_job_is_not_judged(
    on_gpu: Callable[..., Job], prometheus: Prometheus
) -> None:
    """GPU-dull was never busy; the job has it since 11:00."""
    job = on_gpu("GPU-dull", "11:00")
    said = found(prometheus)
    verdict, evidence = said[Kind.IDLE, str(job.pk)]
    assert verdict == Verdict.YES
    assert isinstance(evidence, dict)
    assert (evidence["found"], evidence["gpus"], evidence["window_s"], evidence["all"]) == (1, 1, 1_800, True)
    Job.objects.filter(pk=job.pk).update(updated_at=hanoi("2026-06-10 11:40"))  # suspended until then
    assert found(prometheus)[Kind.IDLE, str(job.pk)][0] == Verdict.UNKNOWN
    Job.objects.filter(pk=job.pk).update(updated_at=hanoi("2026-06-10 11:00"), state=Job.State.SUSPENDED)
    assert found(prometheus)[Kind.IDLE, str(job.pk)][0] == Verdict.UNKNOWN
    Job.objects.filter(pk=job.pk).update(state=Job.State.RUNNING)
    assert found(prometheus, hanoi("2026-06-10 11:29"))[Kind.IDLE, str(job.pk)][0] == Verdict.UNKNOWN
    assert not any(kind == Kind.IDLE for kind, _subject in found(Prometheus("http://127.0.0.1:9")))


def test_declared_tensor_work_that_no_tensor_core_did(on_gpu: Callable[..., Job], prometheus: Prometheus) -> None:
    job = on_gpu("GPU-scalar", "11:00")
    assert found(prometheus)[Kind.SILENT, str(job.pk)][0] == Verdict.NO
    Declared.objects.create(
        cluster=job.cluster, node="n1", job_id_raw=7, began_at=NOON, precision="bf16", sparsity="dense", at=NOON,
        day=NOON.date(), flop_total=10**15,
    )  # fmt: skip
    verdict, evidence = found(prometheus)[Kind.SILENT, str(job.pk)]
    assert verdict == Verdict.YES
    assert isinstance(evidence, dict)
    assert evidence["which"] == "tensor"
    assert found(prometheus)[Kind.IDLE, str(job.pk)][0] == Verdict.NO


def test_an_array_s_tasks_are_one_finding_and_one_that_works_says_so(
    on_gpu: Callable[..., Job], prometheus: Prometheus
) -> None:
    job = on_gpu("GPU-dull", "11:00")
    on_gpu("GPU-whole", "11:01")
    verdict, evidence = found(prometheus)[Kind.IDLE, str(job.pk)]
    assert verdict == Verdict.YES
    assert isinstance(evidence, dict)
    assert (evidence["found"], evidence["gpus"], evidence["all"]) == (1, 2, False)
    on_gpu("GPU-second", "11:45")  # a task that has just begun
    Job.objects.filter(pk=job.pk).update(updated_at=hanoi("2026-06-10 11:00"))
    assert found(prometheus)[Kind.IDLE, str(job.pk)][0] == Verdict.YES
    Interval.objects.filter(uuid="GPU-dull").delete()
    assert found(prometheus)[Kind.IDLE, str(job.pk)][0] == Verdict.UNKNOWN
