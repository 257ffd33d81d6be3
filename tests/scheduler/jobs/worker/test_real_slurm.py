"""What the fake Slurm promises, kept by the test stack's real one: submitting, binding, running, cancelling, drift."""

import re
import shlex
import subprocess
import time
from statistics import median
from uuid import uuid4

import pytest
from django.conf import settings

from portal.clock import now
from quotas.ledger.models import Transfer
from scheduler.jobs.models import Job, Run
from scheduler.jobs.output import asking
from scheduler.jobs.output.asking import Question
from scheduler.jobs.output.tunnel import tunnel_of
from scheduler.jobs.presets import presets
from scheduler.jobs.presets.environments import Environment
from scheduler.jobs.presets.render import Filled
from scheduler.jobs.script import script_check
from scheduler.jobs.services import job_cancel
from scheduler.jobs.shell import lines_for
from scheduler.jobs.worker import submission
from tests.quotas.makers import balance
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import Real, open_to_jobs, researchers
from tests.scheduler.live import LiveSlurm

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]

ENVIRONMENT = "#!/bin/bash\nenv | sort\necho ---\nsrun env | sort\n"
TORCHRUN = """
mkdir -p "$output/bin"
cat > "$output/bin/torchrun" << 'END'
#!/bin/sh
echo torchrun "$SLURM_NODEID" "$SLURMD_NODENAME" "$CUDA_VISIBLE_DEVICES" "$FROM_MODULE" "$SLURM_CPUS_PER_TASK" "$@"
END
chmod +x "$output/bin/torchrun"
export PATH="$output/bin:$PATH"
"""
SLEEP = "#!/bin/bash\nsleep 600\n"


def as_owner(real: Real, *command: str) -> subprocess.CompletedProcess[str]:
    user = real.person.unix_account
    slurm = {"PATH": "/usr/bin:/bin", "SLURM_CONF": settings.SLURM["local"]["slurm_conf"]}
    return subprocess.run(
        command, user=user, group=user, extra_groups=[], env=slurm, cwd="/", capture_output=True, text=True, check=False
    )


def as_root(*command: str) -> None:
    slurm = {"PATH": "/usr/bin:/bin", "SLURM_CONF": settings.SLURM["local"]["slurm_conf"]}
    subprocess.run(command, env=slurm, cwd="/", capture_output=True, text=True, check=True)


def test_a_job_is_bound_to_what_squeue_shows(real):
    job = real.submit(script=SLEEP)
    assert job.state in ("pending", "running")
    [line] = real.adapter.queue(job_ids=[job.slurm_job_id])
    assert (line.comment, line.user, line.qos) == (str(job.pk), real.person.unix_account, real.allocation.qos)
    assert job.slurm_submit_at == line.submit_at
    real.cycle_until(job, lambda job: job.state == "running")
    assert Run.objects.get(job=job).started_at is not None


def test_hello_gpu_says_hello(real):
    preset = presets()["hello-gpu"]
    job = real.submit(preset="hello-gpu", script="", time_limit_s=preset.time_limit_s, nodes=2)
    assert real.ended(job) == "COMPLETED"
    output = real.output(job)
    assert f"user: {real.person.unix_account}" in output
    assert re.search(r"CUDA_VISIBLE_DEVICES: \d$", output, re.MULTILINE)  # one GPU, whichever is free
    assert "task 0 on gpu" in output
    assert "task 1 on gpu" in output
    assert output.endswith("done\n")


def test_presets_start_what_they_say_on_every_node(real):
    """Slurm, srun and environment modules are real; torchrun is a stand-in that the person's own lines put there."""
    modules = real.home / "privatemodules" / "torch"
    as_root("/usr/bin/install", "-d", "-o", real.person.unix_account, str(modules))
    (modules / "2.6").write_text("#%Module\nsetenv FROM_MODULE torch-2.6\n")
    launched, tasked = "pytorch-multinode", "free-script"
    own = presets()[launched].start.replace("\nrun ", f"{TORCHRUN}\nrun ")
    torch = Filled(
        presets()[launched],
        {"program": "train.py", "arguments": "--note 'hai từ'", "run_name": uuid4().hex},
        Environment("module", modules=("use.own", "torch/2.6")),
    )
    one = real.submit(filled=torch, script=own, nodes=2, gpus_per_node=2)
    command = "sh -c 'echo task $RANK $LOCAL_RANK $WORLD_SIZE $OMP_NUM_THREADS gpus $CUDA_VISIBLE_DEVICES'"
    two = real.submit(
        filled=Filled(presets()[tasked], {"command": command}), script=presets()[tasked].start, nodes=2, gpus_per_node=2
    )
    served = presets()["jupyter"].start.partition("\nrun ")[0] + "\ntrue\n"  # all but Jupyter itself
    three = real.submit(filled=Filled(presets()["jupyter"], {}), script=served)
    assert [real.ended(job) for job in (one, two, three)] == ["COMPLETED"] * 3
    folder = real.home / "saola/jobs" / str(two.pk)
    assert f"results: {folder}\n" in real.output(two)
    asking.answer(Question(three.pk, "tunnel"), adapter=real.adapter)
    reply = asking.ask(Question(three.pk, "tunnel"), cluster="local")
    tunnel = tunnel_of(reply.body["text"], unix_account=three.unix_account, number=three.slurm_job_id)
    assert tunnel.command in real.output(three)
    assert tunnel.node.startswith("gpu")
    said = [line.split(" ", 4) for line in real.output(one).splitlines() if line.startswith("torchrun ")]
    assert sorted(number for _word, number, *_rest in said) == ["0", "1"]
    first = min(node for _word, _number, node, *_rest in said)
    options = f"--nnodes=2 --nproc-per-node=2 --rdzv-id={one.slurm_job_id} --rdzv-backend=c10d"
    address = f"--rdzv-endpoint={first}:{20000 + (one.slurm_job_id or 0) % 10000}"
    assert {rest for *_words, rest in said} == {f"torch-2.6 16 {options} {address} train.py --note hai từ"}
    assert {len(visible.split(",")) for *_words, visible, _rest in said} == {2}
    tasks = sorted(line.split(" gpus ") for line in real.output(two).splitlines() if line.startswith("task "))
    assert [ranks for ranks, _gpus in tasks] == [f"task {rank} {rank % 2} 4 8" for rank in range(4)]
    assert {len(visible.split(",")) for _ranks, visible in tasks} == {2}


def test_the_jobs_environment_holds_nothing_of_the_portals(real):
    job = real.submit(script=ENVIRONMENT)
    assert real.ended(job) == "COMPLETED"
    batch, task = real.output(job).split("---\n")
    for part in (batch, task):
        names = {line.split("=")[0] for line in part.splitlines() if "=" in line}
        assert not {"SECRET_KEY", "DATABASE_URL", "REDIS_URL", "SAOLA_ENV_FILE", "DJANGO_SETTINGS_MODULE"} & names
        assert not {name for name in names if name.startswith(("SAOLA", "SUDO", "DJANGO"))}
        assert settings.SECRET_KEY not in part
        assert {"PATH", "HOME", "USER", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"} <= names


def test_srun_hands_the_jobs_own_variables_on(real):
    script = "#!/bin/bash\n# mine\nexport MY_DATA=/data/x\nsrun sh -c 'echo got=$MY_DATA path=${PATH:-none}'\n"
    job = real.submit(script=script)
    assert real.ended(job) == "COMPLETED"
    assert "got=/data/x path=/" in real.output(job)


def test_an_allowed_option_in_the_script_takes_effect(real):
    job = real.submit(script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 1\n")
    assert real.cycle_until(job, lambda job: bool(job.reason)).reason == "BeginTime"


def test_a_refusal_by_name_is_shown_and_gives_the_hold_back(real):
    job = submit(real.person, real.allocation, gpus_per_node=1, time_limit_s=300)
    Job.objects.filter(pk=job.pk).update(gpus_per_node=9)  # more than a node has, past the portal's own check
    assert real.attempt(job).state == "refused"
    assert "node_configuration" in job.reason
    assert balance(real.allocation).held == 0


def test_a_limit_that_lags_behind_the_balance_is_waited_for(real, place):
    real.adapter.qos_modify(name=real.allocation.qos, grp_submit_jobs=0)  # as in the moment after a resumption
    job = real.attempt(submit(real.person, real.allocation, gpus_per_node=1, time_limit_s=300))
    open_to_jobs(real.adapter, place)
    assert (job.state, job.attempts) == ("queued", 1)
    assert "limit_late" in job.reason
    assert real.attempt(job).state in ("pending", "running")


def test_the_line_for_a_shell_is_taken_by_slurm_as_it_is(real):
    (row,) = lines_for(real.person, real.project)
    program, *options, script = shlex.split(row.line)
    assert (program, script) == ("sbatch", "job.sh")
    answer = LiveSlurm().researcher(
        real.person.unix_account, *("sbatch", "--parsable", *options), stdin="#!/bin/sh\ntrue\n"
    )
    assert answer.code == 0, answer.error
    (line,) = real.adapter.queue(job_ids=[int(answer.out)])
    assert (line.qos, line.gpus) == (real.allocation.qos, {"h100": 1})


def test_cancelling_a_running_job(real):
    job = real.submit(script=SLEEP)
    real.cycle_until(job, lambda job: job.state == "running")
    job_cancel(job_id=job.pk, person=real.person)
    submission.cancel(job, adapter=real.adapter)
    assert real.ended(job) == "CANCELLED"


def test_its_owner_cannot_change_a_pending_job(real):
    job = real.submit(script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 1\n")
    for change in ("TimeLimit=600", "NumNodes=2", "Comment=x", "QOS=normal", "Partition=h200"):
        done = as_owner(real, "scontrol", "update", f"JobId={job.slurm_job_id}", change)
        assert done.returncode != 0, change


def test_a_job_that_was_made_longer_is_held_for_anew_at_its_start(real):
    job = real.submit(script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 600\n")
    as_root("scontrol", "update", f"JobId={job.slurm_job_id}", "TimeLimit=30", "StartTime=now")
    real.cycle_until(job, lambda job: job.state == "running")
    assert job.time_limit_s == 1800
    assert balance(real.allocation).held == Run.objects.get(job=job).held_gpu_seconds == 1800 + 60


def test_a_job_made_larger_than_the_balance_is_cancelled_with_the_reason(real):
    job = real.submit(script="#!/bin/bash\n#SBATCH --begin=now+1hour\nsleep 600\n")
    as_root("scontrol", "update", f"JobId={job.slurm_job_id}", f"TimeLimit={11 * 60}")
    real.cycle_until(job, lambda job: job.reason.startswith("portal:drift"))
    assert real.ended(job) == "CANCELLED"


def test_a_requeued_job_is_followed_as_the_same_job(real):
    job = real.submit(script=SLEEP)
    real.cycle_until(job, lambda job: job.state == "running")
    number = job.slurm_job_id
    as_root("scontrol", "requeue", str(number))
    real.cycle_until(job, lambda job: job.state == "pending")
    assert job.slurm_job_id == number
    assert real.cycle_until(job, lambda job: job.state == "running", timeout_s=90).slurm_job_id == number


def test_nothing_is_submitted_twice(real):
    job = real.submit(script=SLEEP)
    submission.attempt(job_id=job.pk, number=1, adapter=real.adapter)
    submission.attempt(job_id=job.pk, number=2, adapter=real.adapter)
    assert real.jobs_in_slurm(job) == {job.slurm_job_id}
    assert Transfer.objects.filter(kind="hold").count() == 1


def test_an_attempt_takes_far_less_than_a_second(real):
    took_s = []
    for number in range(9):
        began = time.monotonic()
        job = real.submit(script="#!/bin/bash\n#SBATCH --begin=now+1hour\ntrue\n", name=f"quick {number}")
        took_s.append(time.monotonic() - began)
        assert job.state == "pending"
        assert job.bound_at <= now()
    assert median(took_s) < 0.7


READ = [
    "#SBATCH --array=bogus",
    "#SBATCH--array=bogus",
    "#SBATCH\t--array=bogus",
    "#SBATCH '--array=bogus'",
    "#SBATCH \\--array=bogus",
    '#SBATCH --sign"al=USR1" --array=bogus',
    "#SBATCH --arra=bogus",
    "\v\n#SBATCH --array=bogus",
]
NOT_READ = [
    " #SBATCH --array=bogus",
    "# SBATCH --array=bogus",
    "##SBATCH --array=bogus",
    "#SBATCH # --array=bogus",
    "echo\n#SBATCH --array=bogus",
    "\u00a0\n#SBATCH --array=bogus",
]


@pytest.mark.parametrize(("line", "is_read"), [(line, True) for line in READ] + [(line, False) for line in NOT_READ])
def test_sbatch_reads_what_the_check_believes_that_it_reads(line, is_read):
    script = f"#!/bin/bash\n{line}\ntrue\n"
    done = subprocess.run(
        ["/usr/bin/sbatch", "--ignore-pbs", "--test-only", "--partition=h100", "--gres=gpu:h100:1"],
        input=script,
        user=researchers()[0],
        env={"PATH": "/usr/bin:/bin", "SLURM_CONF": settings.SLURM["local"]["slurm_conf"]},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert ("array specification" in done.stderr) is is_read
    assert ("option" in [problem.code for problem in script_check(script)]) is is_read
