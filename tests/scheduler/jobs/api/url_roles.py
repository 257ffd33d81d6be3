from tests.portal.api.programs import carrying
from tests.scheduler.jobs.url_roles import READS, SEES, the_job
from tests.scheduler.jobs.url_roles import prepare as prepare
from tests.urls.roles import Row, World

reads, submits, operates = carrying("read"), carrying("submit"), carrying("operate")
ACTORS = ("researcher", "pi", "organisation_manager", "operator", "second_operator")


def the_array(world: World) -> list[object]:
    return [world.array.pk]


def a_task(world: World) -> list[object]:
    return [world.array.pk, 1]


ROWS = [
    Row("jobs_v1:presets", 200, anonymous=401, client=submits),
    Row("jobs_v1:data_sets", 200, anonymous=401, client=submits),
    Row("jobs_v1:jobs", 200, anonymous=401, client=reads),
    Row("jobs_v1:jobs", 422, post={"name": "x"}, anonymous=401, client=submits),
    Row("jobs_v1:estimate", 200, post={"name": "x"}, anonymous=401, client=submits),
    Row("jobs_v1:job", 404, args=the_job, anonymous=401, client=reads, **SEES),
    Row("jobs_v1:log", 404, args=the_job, anonymous=401, client=reads, **READS),
    Row("jobs_v1:files", 404, args=the_job, anonymous=401, client=reads, **READS),
    Row("jobs_v1:file", 404, args=the_job, query="?p=x", anonymous=401, client=reads, **dict.fromkeys(READS, 202)),
    Row("jobs_v1:cancel", 404, args=the_job, post={}, anonymous=401, client=operates, **dict.fromkeys(ACTORS, 202)),
    Row("jobs_v1:tasks", 404, args=the_array, anonymous=401, client=reads, **SEES),
    Row("jobs_v1:tasks", 404, args=the_job, anonymous=401, client=reads),
    Row("jobs_v1:task", 404, args=a_task, anonymous=401, client=reads, **SEES),
    Row("jobs_v1:task", 404, args=lambda world: [world.array.pk, 3], anonymous=401, client=reads),
    Row("jobs_v1:task_log", 404, args=a_task, anonymous=401, client=reads, **READS),
    # On its way to Slurm: what is asked of it does not fit yet.
    Row(
        "jobs_v1:order",
        404,
        args=lambda world: [world.job.pk, "hold"],
        post={},
        anonymous=401,
        client=operates,
        **dict.fromkeys(ACTORS, 409),
    ),
    Row(
        "jobs_v1:task_cancel",
        404,
        args=a_task,
        post={},
        anonymous=401,
        client=operates,
        **dict.fromkeys(ACTORS, 409),
    ),
    Row(
        "jobs_v1:extend",
        404,
        args=the_job,
        post={"time_limit": "2h"},
        anonymous=401,
        client=operates,
        **dict.fromkeys(ACTORS, 409),
    ),
]
