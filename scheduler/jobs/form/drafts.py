"""The job that a form describes so far."""

from collections.abc import Sequence

from scheduler.jobs.chaining import Chaining
from scheduler.jobs.form.forms import JobForm
from scheduler.jobs.services import Draft, job_draft


def draft_of(form: JobForm, chaining: Chaining, data_sets: Sequence[int] = ()) -> Draft | None:
    """Of a form that was read, as far as it can be: what cannot is 0 or empty here, and said by the form."""
    data = form.cleaned_data
    if "allocation" not in data:
        return None
    # A script that cannot be read is nobody's to replace; an empty one is the preset's.
    script = data["script"] or (form.chosen.start if form.chosen else "") if "script" in data else ""
    return job_draft(
        person=form.person,
        project=data["allocation"].project,
        allocation=data["allocation"],
        name=data.get("name") or "job",
        gpus_per_node=data.get("gpus_per_node", 0),
        nodes=data.get("nodes", 0),
        time_limit_s=data.get("time_limit", 0),
        script=script,
        filled=form.filled(),
        **form.place(),
        chaining=chaining,
        data_sets=data_sets,
    )
