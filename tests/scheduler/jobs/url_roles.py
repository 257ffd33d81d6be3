from portal.clock import now
from scheduler.clusters.models import Cluster, Partition
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.form.project_presets import project_preset_save
from tests.quotas import makers as quotas
from tests.scheduler.jobs.makers import submit
from tests.urls.roles import Row, World


def prepare(world: World) -> None:
    cluster = Cluster.objects.filter(name="local").first() or Cluster.objects.create(
        name="local", title="Local", created_at=now()
    )
    Partition.objects.get_or_create(
        cluster=cluster,
        name="h100",
        defaults={"gpu_type": "h100", "nodes": 3, "gpus_per_node": 8, "max_time_s": 172_800, "read_at": now()},
    )
    world.job_allocation = quotas.award(world.project, quotas.programme("jobs-urls"))
    world.job = submit(world.researcher, world.job_allocation)
    world.array = submit(world.researcher, world.job_allocation, chaining=Chaining(array="0-2"))
    world.job_preset = project_preset_save(
        person=world.researcher,
        project=world.project,
        title="kept",
        script=world.job.script,
        nodes=1,
        gpus_per_node=1,
        time_limit_s=600,
    )


SEES = {
    "researcher": 200,
    "pi": 200,
    "organisation_manager": 200,
    "operator": 200,
    "second_operator": 200,
    "approver": 200,
    "auditor": 200,
}
READS = {role: 200 for role in SEES if role not in ("approver", "auditor")}
SHELL = dict.fromkeys(SEES, 204) | {"researcher": 200, "pi": 200}
READERS = {"operator": 200, "second_operator": 200, "approver": 200, "auditor": 200}
ACTS = dict.fromkeys(("researcher", "pi", "organisation_manager", "operator", "second_operator"), 302)
MEMBERS = {"researcher": 200, "pi": 200, "other_researcher": 200}


def the_job(world: World) -> list[object]:
    return [world.job.pk]


ROWS = [
    Row("jobs:list", 200),
    Row("jobs:new", 200),
    Row("jobs:new", 422, post={"name": "x"}),
    Row("jobs:preview", 200, post={}),
    Row("jobs:data_sets", 200, post={}),
    Row("jobs:starts", 200, post={}),
    Row("jobs:preset_save", 422, post={"save_as": "x"}),
    Row("jobs:preset_withdraw", 404, args=lambda world: [world.job_preset.pk], post={}, researcher=302, pi=302),
    Row("jobs:preset_copy", 404, args=lambda world: ["lora"], **MEMBERS),
    Row("jobs:preset_copy", 404, args=lambda world: ["lora"], post={}, **dict.fromkeys(MEMBERS, 422)),
    Row("jobs:card", 204, **MEMBERS),
    Row("jobs:project_card", 404, args=lambda world: [world.project.slug], **SEES),
    Row("jobs:project_shell", 404, args=lambda world: [world.project.slug], **SHELL),
    Row("jobs:job", 404, args=the_job, **SEES),
    Row("jobs:live", 404, args=the_job, **SEES),
    Row("jobs:log", 404, args=the_job, **READS),
    Row("jobs:tunnel", 404, args=the_job, **READS),
    Row("jobs:files", 404, args=the_job, **READS),
    Row("jobs:file_fetch", 404, args=the_job, query="?p=x", **READS),
    Row("jobs:file", 404, args=the_job, query="?p=x", **dict.fromkeys(READS, 302)),
    Row("jobs:usage", 404, args=the_job, **dict.fromkeys(SEES, 204)),
    Row("jobs:cancel", 404, args=the_job, post={}, **ACTS),
    Row("jobs:order", 404, args=lambda world: [world.job.pk, "hold"], post={}, **ACTS),
    Row("jobs:free", 404, args=the_job, post={}, operator=302, second_operator=302),
    Row("jobs:left", 404, args=lambda world: ["local"], **READERS),
    Row("jobs:left_card", 404, **dict.fromkeys(READERS, 204)),
    Row("jobs:all_free", 404, args=lambda world: ["local"], post={}, operator=302, second_operator=302),
    Row("jobs:extend", 404, args=the_job, post={"time_limit": "2h"}, **ACTS),
    Row("jobs:tasks", 404, args=lambda world: [world.array.pk], **SEES),
    Row("jobs:tasks", 404, args=the_job),
    Row("jobs:task_cancel", 404, args=lambda world: [world.array.pk, 1], post={}, **dict.fromkeys(ACTS, 200)),
]
