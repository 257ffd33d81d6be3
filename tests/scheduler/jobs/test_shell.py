"""The line for those who live in ssh: what it says, to whom it is shown, and that Slurm takes it as it is."""

import shlex
from datetime import date

from django.urls import reverse

from scheduler.jobs.shell import line_of_job, lines_for
from tests.quotas import makers


def test_a_job_in_one_line(job) -> None:
    account = f"{job.cluster.account_prefix}{job.project.slug}"
    assert shlex.split(line_of_job(job)) == [
        *("sbatch", f"--account={account}", f"--partition={job.partition}", f"--qos={job.allocation.qos}"),
        *(f"--nodes={job.nodes}", f"--gpus-per-node={job.gpu_type}:{job.gpus_per_node}", "--time=01:00:00", "job.sh"),
    ]


def test_a_project_has_a_line_for_each_allocation_that_can_be_used(submitter, allocation) -> None:
    (row,) = lines_for(submitter, allocation.project)
    assert f"--qos={allocation.qos}" in row.line
    allocation.cluster = "elsewhere"
    allocation.save()
    assert lines_for(submitter, allocation.project) == []


def test_of_several_it_says_which_one_a_job_without_qos_runs_on(client_of, submitter, allocation) -> None:
    project = allocation.project
    sooner = makers.award(project, makers.programme("second"), ends_on=date(2098, 1, 1))
    other_type = makers.award(project, makers.programme("third", h200_hours=500), gpu_type="h200")
    rows = lines_for(submitter, project)
    assert {row.allocation for row in rows} == {allocation, sooner, other_type}
    assert [row.allocation for row in rows if row.is_default] == [sooner]  # as the accounts plan sets it
    page = client_of(submitter).get(reverse("jobs:project_shell", args=[project.slug])).content.decode()
    assert page.count(sooner.qos) == 2
    assert page.count(other_type.qos) == 1


def test_it_is_shown_to_who_has_an_account_on_the_cluster(client_of, submitter, allocation) -> None:
    address = reverse("jobs:project_shell", args=[allocation.project.slug])
    assert f"--qos={allocation.qos}" in client_of(submitter).get(address).content.decode()
    submitter.unix_account = None
    submitter.save()
    assert client_of(submitter).get(address).status_code == 204


def test_it_is_on_a_jobs_page(client_of, submitter, job) -> None:
    page = client_of(submitter).get(reverse("jobs:job", args=[job.pk])).content.decode()
    assert line_of_job(job) in page
