from datetime import date
from uuid import uuid4

import pytest

from portal.outbox.models import Message
from portal.people.services import project_member_remove, unix_account_set
from quotas.allocations.models import Allocation
from quotas.allocations.services import allocation_suspend
from quotas.ledger.models import Transfer
from scheduler.jobs.errors import JobEnded, JobRefused
from scheduler.jobs.models import Job, Run, UnixAccountSeen
from scheduler.jobs.script import EXPORT_LINE
from scheduler.jobs.services import job_cancel
from tests.quotas.makers import HOUR, award, balance, programme
from tests.scheduler.jobs.makers import SCRIPT, submit

pytestmark = pytest.mark.django_db
DAY = 24 * HOUR


def refusal(*args, **changes) -> set[tuple[str, str]]:
    """What is refused; nothing may have been written."""
    before = (Job.objects.count(), Run.objects.count(), Transfer.objects.count(), Message.objects.count())
    with pytest.raises(JobRefused) as refused:
        submit(*args, **changes)
    assert (Job.objects.count(), Run.objects.count(), Transfer.objects.count(), Message.objects.count()) == before
    assert all(str(problem) for problem in refused.value.problems)
    return {(problem.code, problem.field) for problem in refused.value.problems}


def test_it_writes_job_hold_and_order_together(submitter, allocation, cluster):
    job = submit(submitter, allocation, nodes=2)
    run = Run.objects.get(job=job)
    assert (job.state, job.origin, job.unix_account, job.partition) == ("queued", "portal", "minh", "h100")
    assert run.held_gpu_seconds == 4 * (HOUR + cluster.overshoot_s)
    assert balance(allocation).held == run.held_gpu_seconds
    message = Message.objects.get(topic="jobs.submit")
    assert (message.queue, message.payload) == (
        "cluster.local",
        {"job": str(job.pk), "attempt": 1, "account": "minh"},
    )


def test_the_stored_script_is_the_one_that_is_submitted(submitter, allocation):
    job = submit(submitter, allocation)
    assert EXPORT_LINE in job.script
    assert f"#SBATCH --qos={allocation.qos}\n" in job.script
    assert "#SBATCH --account=sl-mo-hinh-tieng-viet\n" in job.script
    assert job.script.endswith("srun hostname\n")


def test_a_preset_brings_its_script(submitter, allocation):
    job = submit(submitter, allocation, script="", preset="hello-gpu")
    assert "CUDA_VISIBLE_DEVICES" in job.script
    assert refusal(submitter, allocation, preset="no-such") == {("preset", "preset")}


def test_the_same_form_twice_is_one_job(submitter, allocation):
    key = uuid4()
    first, second = submit(submitter, allocation, form_key=key), submit(submitter, allocation, form_key=key)
    assert first.pk == second.pk
    assert Run.objects.count() == 1
    assert submit(submitter, allocation, form_key=key, name="edited").pk != first.pk


def test_the_same_form_twice_is_one_job_even_where_the_balance_is_gone(submitter, allocation):
    key = uuid4()
    big = {"gpus_per_node": 8, "time_limit_s": 12 * HOUR, "form_key": key}
    assert submit(submitter, allocation, **big).pk == submit(submitter, allocation, **big).pk


def test_another_persons_form_key_is_not_found(submitter, second_researcher, allocation):
    key = uuid4()
    assert submit(submitter, allocation, form_key=key).pk != submit(second_researcher, allocation, form_key=key).pk


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpus_per_node": 0}, ("no_gpu", "gpus_per_node")),
        ({"gpus_per_node": 10_000}, ("gpus_per_node", "gpus_per_node")),
        ({"gpus_per_node": 10**18}, ("gpus_per_node", "gpus_per_node")),
        ({"nodes": -1}, ("no_node", "nodes")),
        ({"time_limit_s": 365 * DAY}, ("partition_time", "time_limit")),
        ({"time_limit_s": 0}, ("no_time", "time_limit")),
        ({"time_limit_s": 47 * HOUR, "gpus_per_node": 8}, ("balance", "time_limit")),
        ({"script": ""}, ("empty", "script")),
        ({"script": "#!/bin/bash\necho \0\n"}, ("nul", "script")),
        ({"script": "#!/bin/bash\r\necho\r\n"}, ("crlf", "script")),
        ({"script": "#!/usr/bin/python3\nprint()\n"}, ("shebang", "script")),
        ({"script": "#!/bin/bash\n#SBATCH --array=1-9\necho\n"}, ("option", "script")),
        ({"script": "#!/bin/bash\n#PBS -l nodes=9\necho\n"}, ("foreign", "script")),
        ({"name": ""}, ("name", "name")),
        ({"name": "a" * 65}, ("name", "name")),
        ({"name": 'a"b'}, ("name", "name")),
        ({"name": "a'b"}, ("name", "name")),
        ({"name": "a\nb"}, ("name", "name")),
        ({"name": "a\n#SBATCH --array=1-9"}, ("name", "name")),
        ({"name": "$(id)"}, ("name", "name")),
        ({"name": "a;id"}, ("name", "name")),
        ({"name": "a`id`"}, ("name", "name")),
        ({"name": "a|b"}, ("name", "name")),
        ({"name": "../../etc"}, ("name", "name")),
        ({"name": "%j"}, ("name", "name")),
        ({"name": "a\0b"}, ("name", "name")),
        ({"name": "-J x"}, ("name", "name")),
    ],
)
def test_bad_input_is_refused_beside_its_field_and_nothing_is_written(submitter, allocation, changes, expected):
    assert expected in refusal(submitter, allocation, **changes)


def test_vietnamese_names_are_names(submitter, allocation):
    assert submit(submitter, allocation, name="Huấn luyện lần 1 (thử)").name == "Huấn luyện lần 1 (thử)"


def test_another_organisations_project_is_refused(submitter, allocation, other_project):
    theirs = award(other_project, programme("other"))
    assert refusal(submitter, theirs) == {("project", "project")}
    assert refusal(submitter, theirs, project=allocation.project) == {("allocation", "allocation")}
    assert refusal(submitter, allocation, project=other_project) == {("project", "project")}


def test_a_manager_who_is_no_member_of_the_project_cannot_submit(organisation_manager, allocation):
    assert refusal(organisation_manager, allocation) == {("project", "project")}


def test_a_removed_member_cannot_submit(submitter, allocation):
    project_member_remove(project=allocation.project, user=submitter, role="researcher")
    assert refusal(submitter, allocation) == {("project", "project")}


def test_an_expired_allocation_is_refused(submitter, allocation):
    Allocation.objects.filter(pk=allocation.pk).update(ends_on=date(2026, 1, 2))
    allocation.refresh_from_db()
    assert refusal(submitter, allocation) == {("expired", "allocation")}


def test_a_suspended_allocation_is_refused(submitter, allocation, operator):
    allocation_suspend(allocation_id=allocation.pk, reason="test", actor=operator)
    assert refusal(submitter, allocation) == {("allocation", "allocation")}  # this copy still says active
    allocation.refresh_from_db()
    assert refusal(submitter, allocation) == {("suspended", "allocation")}


def test_a_member_without_a_unix_account_is_refused(submitter, allocation, cluster):
    unix_account_set(user=submitter, name=None)
    submitter.refresh_from_db()
    assert refusal(submitter, allocation) == {("no_unix_account", "allocation")}


def test_a_member_whose_unix_account_does_not_exist_is_refused(submitter, allocation):
    UnixAccountSeen.objects.update(exists=False)
    assert refusal(submitter, allocation) == {("unix_account_missing", "allocation")}


def test_cancelling_a_queued_job_gives_its_hold_back_at_once(submitter, allocation):
    job = submit(submitter, allocation)
    job = job_cancel(job_id=job.pk, person=submitter)
    assert job.state == "cancelled"
    assert balance(allocation).held == 0
    assert not Message.objects.filter(topic="jobs.cancel").exists()
    with pytest.raises(JobEnded):
        job_cancel(job_id=job.pk, person=submitter)


def test_cancelling_a_job_that_is_being_submitted_waits_for_what_comes_of_it(submitter, allocation):
    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="submitting")
    job = job_cancel(job_id=job.pk, person=submitter)
    assert (job.state, job.cancel_requested_by) == ("submitting", submitter)
    assert balance(allocation).held > 0


def test_the_database_lets_an_attempt_begin_from_queued_only(submitter, allocation):
    from django.db.utils import ProgrammingError

    job = submit(submitter, allocation)
    Job.objects.filter(pk=job.pk).update(state="refused")
    with pytest.raises(ProgrammingError, match="jobs_job"):
        Job.objects.filter(pk=job.pk).update(state="submitting")


def test_the_script_is_kept_with_unix_ends(submitter, allocation):
    assert "\r" not in submit(submitter, allocation, script=SCRIPT).script
