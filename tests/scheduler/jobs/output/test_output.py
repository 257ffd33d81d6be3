"""A job's log and files on its page: who may read them, how often the cluster is asked, what is shown of what came.

The worker's part runs here when a test says so, against a Slurm in memory; through the real sudo and wrapper it is in
tests/scheduler/clusters/test_output.py, and through web, Redis and worker in tests/stack/test_job_page.py.
"""

from datetime import timedelta
from urllib.parse import urlencode

import pytest
from django.core.cache import caches
from django.db import connection
from django.urls import reverse
from redis.exceptions import ConnectionError as RedisAway

from portal.clock import now
from portal.locks import LockSpace
from scheduler.clusters.adapters.output import RunUsage
from scheduler.jobs.models import Job, Run
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question
from tests.counting import QUERIES_MOST, queries_of
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db

NUMBER = 71


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    caches["redis"].clear()


@pytest.fixture
def running(submitter, allocation) -> Job:
    job = submit(submitter, allocation)
    began = now() - timedelta(minutes=10)
    Job.objects.filter(pk=job.pk).update(
        state="running", slurm_job_id=NUMBER, slurm_submit_at=began, bound_at=began, updated_at=began
    )
    Run.objects.filter(job=job).update(state="running", started_at=began, submit_at=began, job_id_raw=NUMBER)
    job.refresh_from_db()
    return job


@pytest.fixture
def window(client_of, submitter):
    client = client_of(submitter)
    client.cookies["django_language"] = "en"
    return client


def url(name: str, job: Job, **query: object) -> str:
    return reverse(f"jobs:{name}", args=[job.pk]) + (f"?{urlencode(query, doseq=True)}" if query else "")


def end(job: Job, state: str = "completed") -> None:
    moment = now() - timedelta(minutes=1)
    Job.objects.filter(pk=job.pk).update(state=state, updated_at=moment)
    Run.objects.filter(job=job).update(state=state, ended_at=moment, charged_gpu_seconds=1_080, hold_resolved=True)


# --- the log ------------------------------------------------------------------------------------------------------


def test_a_log_is_asked_for_and_comes_with_a_later_look(window, running, slurm, work) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"step 1 loss 0.3\n"
    assert "The cluster is being asked" in window.get(url("log", running)).content.decode()
    assert work() == 1
    page = window.get(url("log", running))
    assert "step 1 loss 0.3" in page.content.decode()
    assert "every 2s" in page.content.decode()


def test_however_many_watch_the_cluster_is_asked_once_an_interval(window, running, slurm, work, clock) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"x\n"
    for _ in range(20):
        window.get(url("log", running))
    assert work() == 1
    for _ in range(20):
        window.get(url("log", running))
    assert work() == 0
    clock.shift(3)
    for _ in range(20):
        window.get(url("log", running))
    assert work() == 1
    assert slurm.reads == 2


def test_a_look_asks_the_database_little(window, running, slurm, work) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"x\n"
    for name in ("log", "files"):
        window.get(url(name, running))
        work()
        assert queries_of(window, url(name, running)) <= QUERIES_MOST


def test_a_page_that_has_it_already_is_left_alone(window, running, slurm, work, clock) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"x\n"
    window.get(url("log", running))
    work()
    version = window.get(url("log", running)).context["log"].version
    assert window.get(url("log", running, seen=version)).status_code == 204
    slurm.files[f"slurm-{NUMBER}.out",] = b"x\nmore\n"
    clock.shift(3)
    window.get(url("log", running))
    work()
    assert "more" in window.get(url("log", running, seen=version)).content.decode()


def test_it_is_followed_until_it_was_read_after_the_end(window, running, slurm, work) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"last line\n"
    end(running)
    assert "hx-trigger" in window.get(url("log", running)).content.decode()
    work()
    page = window.get(url("log", running)).content.decode()
    assert "last line" in page
    assert "hx-trigger" not in page


def test_the_last_lines_are_not_waited_for_longer_than_others(window, running, slurm, work, clock) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"step 6\n"
    window.get(url("log", running))
    work()
    Job.objects.filter(pk=running.pk).update(state="completed", updated_at=now())
    slurm.files[f"slurm-{NUMBER}.out",] = b"step 6\nstep 8\n"
    clock.shift(3)
    window.get(url("log", running))
    assert work() == 1
    assert "step 8" in window.get(url("log", running)).content.decode()
    clock.shift(120)
    window.get(url("log", running))
    work()
    clock.shift(3)
    window.get(url("log", running))
    assert work() == 0  # long after the end an answer is good for longer


def test_only_the_end_of_a_long_log_is_shown(window, running, slurm, work) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = b"".join(b"line %d\n" % number for number in range(10_000))
    window.get(url("log", running))
    work()
    page = window.get(url("log", running)).content.decode()
    assert "line 9999" in page
    assert "line 100\n" not in page
    assert "Only its end is shown" in page


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (b"<script>alert(1)</script>", "&lt;script&gt;alert(1)"),
        (b"\x1b[31mred\x1b]0;title\x07!", ">red!<"),
        (b"\xff\xfe\n", "��"),
        (b"\x7fELF\0\0", "a page cannot show"),
        (b"", "It has written nothing yet"),
    ],
)
def test_whatever_is_in_it_is_harmless(window, running, slurm, work, data, shown) -> None:
    slurm.files[f"slurm-{NUMBER}.out",] = data
    window.get(url("log", running))
    work()
    page = window.get(url("log", running)).content.decode()
    assert shown in page
    assert "<script>alert" not in page
    assert "\x1b" not in page


def test_a_job_that_waits_has_no_log_yet(window, submitter, allocation, asked) -> None:
    page = window.get(url("log", submit(submitter, allocation))).content.decode()
    assert "as soon as the job runs" in page
    assert asked == []


def test_a_refusal_is_said_in_words(window, running, work) -> None:
    window.get(url("log", running))
    work()
    assert "There is nothing yet, or it was removed." in window.get(url("log", running)).content.decode()


def test_another_jobs_number_is_not_asked_for(window, running, asked) -> None:
    window.get(url("log", running, run=NUMBER + 1))
    assert asked[0].number == NUMBER


def test_nor_would_the_worker_read_it(running, slurm) -> None:
    slurm.files["slurm-99.out",] = b"not yours"
    question = Question(running.pk, "tail", 99)
    asking.answer(question, adapter=slurm)
    assert slurm.reads == 0
    assert asking.ask(question, cluster="local").code == "absent"


def test_each_run_has_a_log_of_its_own(window, running, slurm, work) -> None:
    Run.objects.create(
        job=running, cluster=running.cluster, job_id_raw=72, submit_at=now(), array_task=1, created_at=now()
    )
    slurm.files["slurm-72.out",] = b"second task\n"
    assert window.get(url("log", running)).context["number"] == 72
    window.get(url("log", running, run=NUMBER))
    work()
    page = window.get(url("log", running, run=72)).content.decode()
    assert "second task" in page
    assert '<option value="72" selected>[1] · 72</option>' in page


def test_while_the_cluster_is_away_it_is_asked_rarely(window, running, slurm, work, clock) -> None:
    slurm.away = True
    window.get(url("log", running))
    assert work() == 1
    clock.shift(5)
    assert "cannot be asked at the moment" in window.get(url("log", running)).content.decode()
    assert work() == 0
    clock.shift(30)
    window.get(url("log", running))
    assert work() == 1


def test_without_redis_the_page_says_so(window, running, monkeypatch) -> None:
    def away(*_args, **_how):
        raise RedisAway

    monkeypatch.setattr(type(caches["redis"]), "get", away)
    for name in ("log", "files"):
        assert "cannot be asked at the moment" in window.get(url(name, running)).content.decode()
    assert window.get(url("file_fetch", running, p="x")).status_code == 200
    assert window.get(url("file", running, p="x")).status_code == 302


@pytest.mark.django_db(transaction=True)
def test_one_is_read_at_a_time(running, slurm) -> None:
    """A home directory that hangs takes one of the worker's processes, not all."""
    slurm.files[f"slurm-{NUMBER}.out",] = b"x"
    question = Question(running.pk, "tail", NUMBER)
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s, %s)", [LockSpace.OUTPUT, running.cluster_id])
        asking.answer(question, adapter=slurm)
        assert slurm.reads == 0
    finally:
        other.close()
    asking.answer(question, adapter=slurm)
    assert slurm.reads == 1


# --- the files ----------------------------------------------------------------------------------------------------


def test_the_folder_is_listed(window, running, slurm, work) -> None:
    slurm.files |= {("loss.csv",): b"1,2\n", ("plots", "<b>.png"): b"x" * 3_000}
    window.get(url("files", running))
    work()
    page = window.get(url("files", running)).content.decode()
    assert "loss.csv" in page
    assert "plots/&lt;b&gt;.png" in page
    assert "p=plots&amp;p=%3Cb%3E.png" in page


def test_a_file_is_fetched_and_then_handed_out_once(window, running, slurm, work) -> None:
    data = bytes(range(256))
    slurm.files["plots", "x.html"] = data
    ask = {"p": ["plots", "x.html"]}
    assert "Being fetched" in window.get(url("file_fetch", running, **ask)).content.decode()
    work()
    assert "data-save" in window.get(url("file_fetch", running, **ask)).content.decode()
    response = window.get(url("file", running, **ask))
    assert response.content == data
    assert response.headers["Content-Disposition"].startswith('attachment; filename="x.html"')
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response.headers["Content-Security-Policy"]
    assert window.get(url("file", running, **ask)).status_code == 302


def test_without_scripts_one_is_told_to_come_again(window, running, slurm, work) -> None:
    slurm.files["a.txt",] = b"a"
    response = window.get(url("file", running, p="a.txt"), follow=True)
    assert "Ask for it again in a few seconds" in response.content.decode()
    work()
    assert window.get(url("file", running, p="a.txt")).content == b"a"


def test_a_file_that_is_not_handed_out_says_why(window, running, work) -> None:
    for name in ("none", "nothing", "nowhere"):  # a refused one keeps nobody else's place
        window.get(url("file_fetch", running, p=name))
        work()
        assert "There is nothing yet" in window.get(url("file_fetch", running, p=name)).content.decode()


def test_few_files_are_fetched_at_once(window, running, slurm, work) -> None:
    for number in range(4):
        slurm.files[f"{number}",] = b"x"
    pages = [window.get(url("file_fetch", running, p=number)).content.decode() for number in range(3)]
    assert ["Being fetched" in page for page in pages] == [True, True, False]
    assert "already" in pages[2]
    work()
    window.get(url("file", running, p=0))
    assert "Being fetched" in window.get(url("file_fetch", running, p=2)).content.decode()


# --- who ----------------------------------------------------------------------------------------------------------


def test_the_log_is_not_for_everybody_who_sees_the_job(client_of, running, auditor, second_researcher, pi) -> None:
    for person, status in ((auditor, 404), (second_researcher, 404), (pi, 200)):
        for name in ("log", "files"):
            assert client_of(person).get(url(name, running)).status_code == status
        page = client_of(person).get(url("job", running)).content.decode()
        assert (url("log", running) in page) == (status == 200)


# --- what it used -------------------------------------------------------------------------------------------------


def test_after_the_end_it_says_what_was_used(window, running, slurm, work) -> None:
    assert window.get(url("usage", running)).status_code == 204
    end(running)
    run = running.runs.get()
    slurm.used = [RunUsage(NUMBER, run.submit_at, 540, 8, 2_160.0, 100 * 2**30, 25 * 2**30)]
    assert "being asked" in window.get(url("usage", running)).content.decode()
    work()
    page = window.get(url("usage", running)).content.decode()
    assert "50.0 %" in page
    assert "25.0 %" in page
    assert "0.3 GPU-hours" in page.replace("\n", " ")


def test_where_nothing_was_gathered_it_says_so(window, running, work) -> None:
    end(running)
    window.get(url("usage", running))
    work()
    assert window.get(url("usage", running)).content.decode().count("the cluster gathered nothing") == 2
