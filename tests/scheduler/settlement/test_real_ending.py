"""An allocation ends, or is suspended, while one of its jobs runs: what Slurm, the ledger and the people see of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail

from portal.clock import centre_date, now
from portal.outbox.services import messages_deliver
from quotas.allocations.models import Allocation, Voucher
from quotas.allocations.selectors import allocation_balances, open_withdrawals
from quotas.allocations.services import allocation_resume, allocation_suspend, ended_expire
from quotas.ledger.verification import ledger_findings
from scheduler.clusters.names import account_name
from scheduler.jobs.models import Job, Run
from scheduler.jobs.services import job_submit
from scheduler.settlement.models import Record
from scheduler.settlement.services import reconcile
from tests.scheduler.live import own_name
from tests.scheduler.settlement.real import real_centre, run

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
LATER = "#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 1\n"
ONE_GPU = "--gpus-per-node=h100:1"


@pytest.fixture
def centre(db):
    with real_centre(gpu_hours=1) as made:
        yield made


def submit(centre, name: str, script: str) -> Job:
    return job_submit(
        person=centre.people[0],
        project=centre.projects[0],
        allocation=centre.allocations[0, "h100"],
        name=name,
        gpus_per_node=1,
        nodes=1,
        time_limit_s=600,
        script=script,
    )


def state(job: Job) -> str:
    job.refresh_from_db()
    return job.state


def balance(allocation: Allocation):
    return allocation_balances([allocation.pk])[allocation.pk]


def sbatch_refused(centre) -> str:
    """What Slurm itself answers to a new job of the allocation."""
    account = account_name(centre.cluster, centre.projects[0].slug)
    where = [f"--account={account}", f"--qos={centre.allocations[0, 'h100'].qos}", "--partition=h100", "--time=5"]
    done = run("sbatch", ONE_GPU, *where, stdin="#!/bin/sh\nsleep 1\n", user=centre.people[0].unix_account)
    assert done.returncode != 0, done.stdout
    return done.stderr


@pytest.mark.parametrize("how", ["expiry", "suspension"])
def test_nothing_new_starts_what_waits_is_cancelled_and_what_runs_is_charged_exactly(centre, how):
    allocation, person = centre.allocations[0, "h100"], centre.people[0]
    done = Path(centre.home(0), own_name("done"))  # the job runs until this file is there
    running = submit(centre, "chạy", f"#!/bin/bash\nwhile [ ! -e {done} ]; do sleep 1; done\n")
    waiting = submit(centre, "chờ", LATER)
    outside = centre.sbatch(ONE_GPU, "--begin=now+1hour", script="#!/bin/sh\nsleep 1\n")
    centre.cycle_until(lambda: (state(running), state(waiting)) == ("running", "pending"))
    held = Run.objects.get(job=running).held_gpu_seconds
    assert balance(allocation).held == 2 * held == 2 * 660

    if how == "expiry":
        yesterday = centre_date(now()) - timedelta(days=1)
        Voucher.objects.filter(pk=allocation.voucher_id).update(ends_on=yesterday)
        Allocation.objects.filter(pk=allocation.pk).update(ends_on=yesterday)
        ended_expire(actor="test")
    else:
        allocation_suspend(allocation_id=allocation.pk, reason="kiểm toán", actor="test")
    centre.cycle_until(lambda: state(waiting) == "cancelled" and centre.line(outside) is None)

    assert "QOS" in sbatch_refused(centre)
    qos = {row.name: row for row in centre.adapter.qos()}[allocation.qos]
    assert (qos.grp_jobs, qos.grp_submit_jobs) == (0, 0)
    assert (state(running), centre.is_running(running.slurm_job_id)) == ("running", True)
    assert balance(allocation).held == held, "what runs keeps what it holds, what waited gives it back"
    messages_deliver(queue="default")
    told = [one for one in mail.outbox if one.to == [person.email]]
    assert [one for one in told if "“chờ”" in one.subject]
    assert not [one for one in told if "“chạy”" in one.subject]
    assert ("kiểm toán" in told[0].body) is (how == "suspension")

    done.touch()
    try:
        centre.cycle_until(centre.is_settled, within_s=120)
    finally:
        done.unlink()
    record = Record.objects.get(job_id_raw=running.slurm_job_id)
    assert state(running) == "completed"
    assert balance(allocation).consumed == record.gpu_seconds == record.elapsed_s > 0
    assert (balance(allocation).held, balance(allocation).overrun) == (0, 0)
    found = reconcile(cluster=centre.cluster)
    assert (found.residual_gpu_seconds, found.differences) == (0, [])
    if how == "expiry":
        # The rest leaves once the lower limit was read back from Slurm.
        centre.cycle_until(lambda: not open_withdrawals(allocation).exists())
        after = balance(allocation)
        assert (after.remaining, after.expired) == (0, 3_600 - after.consumed)
    else:
        allocation_resume(allocation_id=allocation.pk, reason="", actor="test")
        centre.cycle()  # opens the QOS
        again = submit(centre, "lại", "#!/bin/bash\ntrue\n")
        centre.cycle_until(lambda: state(again) == "completed")
    assert ledger_findings(at=now()).ok
