"""The tasks of arrays that the portal submitted: each has had its run, with its own hold, since the submission.

Slurm gives a task a number of its own when it starts; until then all that wait are one line of squeue and one record of
slurmdbd, which a cancellation closes for all of them at once.
"""

from collections.abc import Iterable
from uuid import UUID

from scheduler.jobs.arrays import tasks_shown
from scheduler.jobs.models import Job, Run
from scheduler.settlement.charges import job_state
from scheduler.settlement.models import Record
from scheduler.settlement.seen import Seen

UnseenTasks = dict[tuple[UUID, int], Run]  # by job and task


def unseen_tasks(jobs: Iterable[Job]) -> UnseenTasks:
    """The runs of tasks that Slurm has not shown by a number yet."""
    arrays = [job.pk for job in jobs if job.is_array]
    if not arrays:
        return {}
    runs = Run.objects.filter(job__in=arrays, job_id_raw=None, ended_at=None, array_task__isnull=False)
    return {(run.job_id, run.array_task or 0): run for run in runs.select_related("job")}


def task_run(one: Seen, job: Job, unseen: UnseenTasks) -> Run | None:
    """Whose run a line or record of such an array is. Of several tasks that never started: the first one's."""
    tasks = (one.array_task,) if one.array_task is not None else tasks_shown(one.array_rest) if one.ended_at else ()
    for task in tasks:
        run = unseen.pop((job.pk, task), None)
        if run is not None:
            return run
    return None


def tasks_never_started(run: Run | None, seen: Seen, record: Record) -> list[UUID]:
    """Ends the other runs of a record that stands for several tasks, and returns their holds, to be given back."""
    if run is None or not seen.array_rest or not run.job.is_array:
        return []
    others = Run.objects.filter(
        job=run.job, job_id_raw=None, ended_at=None, array_task__in=tasks_shown(seen.array_rest)
    ).exclude(pk=run.pk)
    holds = list(others.filter(hold__isnull=False, hold_resolved=False).values_list("hold", flat=True))
    others.update(state=job_state(record.state), ended_at=record.ended_at, hold_resolved=True, charged_gpu_seconds=0)
    return [hold for hold in holds if hold is not None]
