from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_POST

from portal.web.requests import PersonRequest
from scheduler.jobs.form.forms import JobForm
from scheduler.jobs.preflight import Shape
from scheduler.jobs.starts.shapes import candidates
from scheduler.jobs.starts.shown import StartsShown, starts_shown

NEEDED = frozenset(["allocation", "nodes", "gpus_per_node", "time_limit"])
LOOKS_MOST = 30  # after which nobody is expected to answer any more


@require_POST
@login_required
def job_starts(request: PersonRequest) -> HttpResponse:
    """Beside the form: when this shape, and some others, would start. Asks for itself until the answer is there."""
    form = JobForm(request.POST, person=request.user)
    form.is_valid()
    data = form.cleaned_data
    looks = request.POST.get("looks", "")
    number = int(looks) + 1 if looks.isdecimal() and len(looks) < 4 else 1
    starts = StartsShown()
    if data.keys() >= NEEDED:
        allocation = data["allocation"]
        shape = Shape(allocation.gpu_type, data["gpus_per_node"], data["nodes"], data["time_limit"])
        found = candidates(
            person=request.user, allocation=allocation, shape=shape, asked_partition=data.get("partition", "")
        )
        starts = starts_shown(found, person=request.user)
    context = {"starts": starts, "looks": number, "gives_up": number > LOOKS_MOST}
    return render(request, "jobs/starts.html", context)
