"""The command that leads to what a job serves: taken from its own output, and believed no further than that."""

from datetime import timedelta

import pytest
from django.core.cache import caches
from django.urls import reverse

from portal.clock import now
from scheduler.jobs import tasks
from scheduler.jobs.models import Job, Run
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question
from scheduler.jobs.output.tunnel import FILE, MOST_BYTES, tunnel_of
from tests.scheduler.jobs.makers import submit

NUMBER = 71
PORT = 20_071
LINE = f"ssh -N -L {PORT}:127.0.0.1:{PORT} -J minh@login.example.vn minh@gpu001\n"


def test_the_jobs_own_command_is_taken_apart_and_put_together() -> None:
    found = tunnel_of(LINE, unix_account="minh", number=NUMBER)
    assert found is not None
    assert found.command == LINE.strip()
    assert found.token_command == "ssh minh@login.example.vn cat .saola/jupyter-71.token"
    assert found.address == f"http://127.0.0.1:{PORT}/lab"


@pytest.mark.parametrize(
    "text",
    [
        "",
        LINE * 2,
        LINE.replace("gpu001", "gpu001; rm -rf ~"),
        LINE.replace("gpu001", "-oProxyCommand=sh"),
        LINE.replace("minh@gpu001", "hoa@gpu001"),
        LINE.replace("-J minh@", "-J hoa@"),
        LINE.replace("login.example.vn", "login.example.vn,evil"),
        LINE.replace("login.example.vn", "$(id)"),
        LINE.replace(str(PORT), "20072"),
        LINE.replace(f"{PORT}:127", "22:127"),
        LINE.replace("127.0.0.1", "10.0.0.1"),
        LINE.replace("ssh ", "ssh -oProxyCommand=x "),
        LINE.replace(" ", "\u00a0", 1),
        LINE.replace("\n", "\r\n"),
        "x" + LINE,
        f"\x1b[2J{LINE}",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    assert tunnel_of(text, unix_account="minh", number=NUMBER) is None


@pytest.mark.django_db
def test_it_stands_on_the_page_while_the_job_runs(
    client_of, submitter, approver, allocation, slurm, monkeypatch
) -> None:
    caches["redis"].clear()
    asked: list[Question] = []
    monkeypatch.setattr(
        tasks.output_answer, "apply_async", lambda *, args, **_how: asked.append(Question(job.pk, args[1]))
    )
    job = submit(submitter, allocation, preset="jupyter", script="")
    window, address = client_of(submitter), reverse("jobs:tunnel", args=[job.pk])
    assert "ssh" not in window.get(address).content.decode()
    assert asked == []  # it does not run
    began = now() - timedelta(minutes=1)
    Job.objects.filter(pk=job.pk).update(state="running", slurm_job_id=NUMBER, slurm_submit_at=began, bound_at=began)
    Run.objects.filter(job=job).update(state="running", started_at=began, submit_at=began, job_id_raw=NUMBER)
    assert address in window.get(reverse("jobs:job", args=[job.pk])).content.decode()
    window.get(address)
    slurm.files[FILE,] = LINE.encode()
    asking.answer(asked.pop(), adapter=slurm)
    page = window.get(address).content.decode()
    assert LINE.strip() in page
    assert window.get(address, {"seen": LINE.strip()}).status_code == 204
    assert client_of(approver).get(address).status_code == 404  # who may not read the log
    slurm.files[FILE,] = b"ssh -oProxyCommand=x minh@gpu001\n" + b"x" * MOST_BYTES
    asking.answer(Question(job.pk, "tunnel"), adapter=slurm)
    assert "ProxyCommand" not in window.get(address).content.decode()
    Job.objects.filter(pk=job.pk).update(state="completed")
    caches["redis"].clear()
    assert "hx-get" not in window.get(address).content.decode()
