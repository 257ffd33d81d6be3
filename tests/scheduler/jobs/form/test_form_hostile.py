"""Anything at all through the form: an answer, and a script in which nothing stands that the person may not set.

That a value never leaves its shell word is test_preset_values' to show. SOAK=1 sends 10,000.
"""

import os
import re
import shlex
from uuid import uuid4

import pytest
from django.db import transaction
from django.urls import reverse
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from scheduler.jobs.form.preset_fields import CODES, ENVIRONMENT_TITLES
from scheduler.jobs.models import Job
from scheduler.jobs.presets import presets
from scheduler.jobs.script import ALLOWED_OPTIONS, BLOCK_BEGIN, BLOCK_END, strip_block
from tests.scheduler.jobs.presets.test_values import HOSTILE, REFUSED

pytestmark = pytest.mark.django_db

NEW, PREVIEW = reverse("jobs:new"), reverse("jobs:preview")
EXAMPLES = 10_000 if "SOAK" in os.environ else 25
LINES = [
    *("#SBATCH --account=other", "#SBATCH --uid=0", "#SBATCH --reservation=x", "#SBATCH --nodelist=gpu001", "\n"),
    *("#SBATCH --qos=other", "#SBATCH --priority=1", "#SBATCH --requeue", BLOCK_BEGIN, BLOCK_END, "#!/bin/bash\n"),
]
TEXT = st.lists(st.one_of(st.text(max_size=8), st.sampled_from([*HOSTILE, *REFUSED, *LINES])), max_size=5).map("".join)
FIELDS = sorted({one.name for preset in presets().values() for one in preset.fields})
PLACES = ["modules", "conda", "conda_base", "image", "mounts", "repository", "revision", "partition", "name", "mode"]
ANY = st.dictionaries(
    st.sampled_from([*FIELDS, *PLACES, "nodes", "gpus_per_node", "time_limit", "fix"]), TEXT, max_size=6
)


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    slug=st.sampled_from(sorted(presets())),
    environment=st.sampled_from(sorted(ENVIRONMENT_TITLES)),
    code=st.sampled_from([name for name, _title in CODES]),
    typed=ANY,
    script=st.one_of(
        st.just(""), TEXT, st.lists(TEXT, max_size=4).map(lambda lines: "\n".join(["#!/bin/bash", *lines]))
    ),
)
def test_anything_is_answered_and_orders_nothing(
    client_of, submitter, allocation, slug, environment, code, typed, script
):
    window = client_of(submitter)
    # What a form cannot send, half a letter, is no text of a request either.
    sent = {name: value.encode("utf-8", "replace").decode() for name, value in (typed | {"script": script}).items()}
    data = {
        "key": uuid4(),
        "allocation": allocation.pk,
        "name": "x",
        "gpus_per_node": 1,
        "nodes": 1,
        "time_limit": "1h",
    }
    data |= {"preset": slug, "environment": environment, "code": code, "program": "train.py"} | sent
    with transaction.atomic():
        seen = window.post(PREVIEW, data)
        assert seen.status_code == 200
        proper(seen.context["rendered"], sent["script"], presets()[slug].start, allocation)
        answer = window.post(NEW, data)
        assert answer.status_code in (200, 302, 422)
        assert Job.objects.count() == (answer.status_code == 302)
        for job in Job.objects.all():
            proper(job.script, sent["script"], presets()[slug].start, allocation)
        event(f"{answer.status_code}, {'a' if seen.context['rendered'] else 'no'} script")
        transaction.set_rollback(True)


def proper(rendered: str, typed: str, start: str, allocation) -> None:
    """The person's lines are those that were typed, and the block orders what the form says and nothing else."""
    if not rendered:
        return
    own = strip_block(typed or start)
    assert strip_block(rendered).rstrip("\n") == own.rstrip("\n")
    lines = rendered.split("\n")
    block = lines[lines.index(BLOCK_BEGIN) : lines.index(BLOCK_END)]
    options = [word for line in block if line.startswith("#SBATCH") for word in shlex.split(line)[1:]]
    names = [option.partition("=")[0] for option in options]
    ours = ["--job-name", "--account", "--qos", "--partition", "--nodes", "--gres", "--time"]
    assert names[: len(ours)] == ours
    assert set(names[len(ours) :]) <= {"--signal", "--requeue", "--open-mode"} <= set(ALLOWED_OPTIONS)
    assert options[1:3] == ["--account=sl-mo-hinh-tieng-viet", f"--qos={allocation.qos}"]
    assert re.fullmatch(r"--partition=h100", options[3])
