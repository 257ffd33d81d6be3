"""Each preset's script, run by bash with stand-ins for Slurm and the launchers (stand_in.py), and what they were given.

This shows what a script asks of them, and that ranks, addresses and signals arrive where the real ones put them as
documented. It does not show that PyTorch, Accelerate, Megatron, Apptainer or Enroot do what is expected of them.
"""

import getpass
import json
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from scheduler.jobs.output.tunnel import tunnel_of
from scheduler.jobs.preflight import Shape
from scheduler.jobs.presets.code import Code
from scheduler.jobs.presets.render import Filled
from tests.scheduler.jobs.presets.cases import Case, case, cases, written

STAND_IN = Path(__file__).with_name("stand_in.py")
NAMES = (
    *("srun", "scontrol", "torchrun", "accelerate", "apptainer", "conda", "module", "jupyter", "python3"),
    *("trainer", "train.py"),
)
JOB = 1234567
PATIENCE_S = 20
HOSTS = ["gpu001", "gpu002", "gpu003", "gpu004"]


class Slurm:
    """A batch shell's surroundings: a home, the stand-ins on the PATH, Slurm's variables."""

    def __init__(self, folder: Path) -> None:
        self.home, self.records, programs = folder / "home", folder / "records", folder / "bin"
        self.folder = self.home / "saola/jobs/0f8fad5b"  # the job's own
        for path in (self.home, self.home / "Megatron-LM", self.records, programs, self.folder):
            path.mkdir(parents=True)
        for name in NAMES:
            (programs / name).symlink_to(STAND_IN)
        self.base = {"PATH": f"{programs}:/usr/bin:/bin", "HOME": str(self.home), "RECORDS": str(self.records)}

    def start(self, one: Case, script: str, **more: str) -> subprocess.Popen[str]:
        visible = ",".join(str(number) for number in range(one.gpus_per_node))
        environment = self.base | {
            "SLURM_JOB_ID": str(JOB),
            "SLURM_JOB_NODELIST": ",".join(HOSTS[: one.nodes]),
            "SLURM_CPUS_ON_NODE": str(8 * one.gpus_per_node),
            "CUDA_VISIBLE_DEVICES": visible,
            "SLURM_SUBMIT_DIR": str(self.folder),
            **more,
        }
        path = self.home / "script.sh"
        path.write_text(script, encoding="utf-8")
        return subprocess.Popen(
            ["/bin/bash", str(path)],
            env=environment,
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, one: Case, **more: str) -> tuple[int, str]:
        process = self.start(one, one.script(), **more)
        output, _nothing = process.communicate(timeout=PATIENCE_S)
        return process.returncode, output

    def calls(self, name: str) -> list[dict[str, Any]]:
        found = [json.loads(path.read_text()) for path in sorted(self.records.glob("*.json"))]
        return [record for record in found if record["name"] == name]

    def until(self, met: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not met():
            assert time.monotonic() < end
            time.sleep(0.01)


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


def trainers(slurm: Slurm, one: Case) -> list[dict[str, Any]]:
    if one.preset.slug == "free-script":
        return slurm.calls("python3")
    return slurm.calls("trainer")


def training() -> Iterator[Case]:
    for one in cases():
        if one.nodes == 1 and one.environment.kind == "system" and one.preset.launcher not in ("none", "task"):
            yield one
    for slug in ("pytorch-multinode", "accelerate", "sft", "free-script"):
        yield case(slug, 2, 8)


@pytest.mark.parametrize("one", training(), ids=lambda one: one.name)
def test_every_process_finds_its_rank_address_and_gpus(slurm, one):
    code, output = slurm.run(one)
    assert code == 0, output
    found = [record["env"] for record in trainers(slurm, one)]
    world = one.nodes * one.gpus_per_node
    assert sorted(int(env["RANK"]) for env in found) == list(range(world))
    assert Counter(int(env["LOCAL_RANK"]) for env in found) == dict.fromkeys(range(one.gpus_per_node), one.nodes)
    assert {env["WORLD_SIZE"] for env in found} == {str(world)}
    here = "localhost" if one.preset.launcher == "torchrun" and one.nodes == 1 else HOSTS[0]
    assert {env["MASTER_ADDR"] for env in found} == {here}
    assert {env["MASTER_PORT"] for env in found} == {str(20000 + JOB % 10000)}
    assert {env["CUDA_VISIBLE_DEVICES"] for env in found} == {",".join(map(str, range(one.gpus_per_node)))}
    assert {env["OMP_NUM_THREADS"] for env in found} == {"8"}
    assert {env["NCCL_DEBUG"] for env in found} == {"WARN"}
    assert {env["HF_HOME"] for env in found} == {f"{slurm.home}/saola/tieng-viet/cache/huggingface"}
    (step,) = slurm.calls("srun")
    per_node = one.gpus_per_node if one.preset.launcher == "srun" else 1
    assert f"--ntasks={one.nodes * per_node}" in step["argv"]
    assert f"--ntasks-per-node={per_node}" in step["argv"]
    assert f"--cpus-per-task={8 * one.gpus_per_node // per_node}" in step["argv"]
    started = slurm.calls("torchrun") + slurm.calls("accelerate")
    assert len(started) == (0 if one.preset.launcher == "srun" else one.nodes)


@pytest.mark.parametrize("slug", ["pytorch-single", "sft", "free-script", "jupyter", "evaluation"])
def test_environments_are_entered(slurm, slug):
    for kind in ("module", "apptainer", "enroot"):
        assert slurm.run(case(slug, 1, 1, kind))[0] == 0
    assert [record["argv"] for record in slurm.calls("module")] == [["load", "cuda/12.4"], ["load", "openmpi/5.0"]]
    (inside,) = slurm.calls("apptainer")
    project = f"{slurm.home}/saola/tieng-viet"
    assert inside["argv"][:12] == [
        *("exec", "--nv", "--pwd", str(slurm.home), "--bind", str(slurm.home), "--bind", project),
        *("--bind", str(slurm.folder)),
        *("--bind", "/data/vi wiki:/data/vi wiki:ro"),
    ]
    assert inside["argv"][12] == "images/pytorch 24.05.sif"
    steps = [record["argv"] for record in slurm.calls("srun")]
    with_image = [argv for argv in steps if "--container-image=nvcr.io#nvidia/pytorch:24.05-py3" in argv]
    assert len(with_image) == 1
    home = str(slurm.home)
    own = f"{slurm.folder}:{slurm.folder}"
    assert f"--container-mounts={home}:{home},{project}:{project},{own},/data/vi wiki:/data/vi wiki:ro" in with_image[0]
    assert f"--container-workdir={home}" in with_image[0]


def test_conda_is_activated_without_init(slurm):
    assert slurm.run(case("pytorch-single", 1, 1, "conda"))[0] == 0
    assert [record["argv"] for record in slurm.calls("conda")] == [["shell.bash", "hook"], ["activate", "train"]]


def test_conda_is_found_where_it_lies(slurm):
    base = slurm.home / "miniforge3"
    (base / "etc/profile.d").mkdir(parents=True)
    (base / "etc/profile.d/conda.sh").write_text('conda() { command conda "$@"; }\n')
    plain = case("pytorch-single", 1, 1, "conda")
    one = replace(plain, environment=replace(plain.environment, conda="/envs/train", conda_base=str(base)))
    assert slurm.run(one)[0] == 0
    assert [record["argv"] for record in slurm.calls("conda")] == [["activate", "/envs/train"]]


def test_arguments_arrive_as_they_were_written(slurm):
    slurm.run(case("pytorch-single", 1, 2))
    for record in slurm.calls("trainer"):
        assert record["argv"] == ["train.py", "--note", "hai từ", "--seed", "7"]


def test_nodes_meet_at_the_first_by_the_jobs_number(slurm):
    slurm.run(case("pytorch-multinode", 4, 1))
    for record in slurm.calls("torchrun"):
        assert f"--rdzv-id={JOB}" in record["argv"]
        assert "--rdzv-backend=c10d" in record["argv"]
        assert f"--rdzv-endpoint=gpu001:{20000 + JOB % 10000}" in record["argv"]
        assert "--nproc-per-node=1" in record["argv"]


def test_megatron_ends_by_itself_between_signal_and_limit(slurm):
    one = case("megatron-pretrain", 1, 1)
    slurm.run(one)
    argv = slurm.calls("trainer")[0]["argv"]
    minutes = int(argv[argv.index("--exit-duration-in-mins") + 1])
    assert "#SBATCH --signal=B:USR1@900" in one.script()
    assert 7200 - 900 < minutes * 60 < 7200
    assert argv[argv.index("--save") + 1] == argv[argv.index("--load") + 1]


def test_deepspeed_needs_no_ssh(slurm):
    slurm.run(case("deepspeed", 1, 1))
    argv = slurm.calls("trainer")[0]["argv"]
    assert argv[:3] == ["train.py", "--deepspeed", "ds_config.json"]
    other = case("deepspeed", 1, 1)
    process = slurm.start(other, other.script(option="--deepspeed_config"))
    process.communicate(timeout=PATIENCE_S)
    assert any(
        record["argv"][1:4] == ["--deepspeed", "--deepspeed_config", "ds_config.json"]
        for record in slurm.calls("trainer")
    )


def test_a_split_model_is_evaluated_by_one_process(slurm):
    one = case("evaluation", 1, 8)
    process = slurm.start(one, one.script(placement="split"))
    process.communicate(timeout=PATIENCE_S)
    (record,) = slurm.calls("python3")
    assert record["argv"][:4] == ["-m", "lm_eval", "--model", "hf"]
    assert "pretrained=Qwen/Qwen2.5-7B,dtype=auto,parallelize=True" in record["argv"]


def test_a_failed_program_fails_the_job(slurm):
    assert slurm.run(case("pytorch-single", 1, 2), TRAINER="fails")[0] == 3
    assert slurm.run(case("sft", 1, 2), TRAINER="fails")[0] == 3


def test_jupyter_shows_the_tunnel_and_keeps_the_token(slurm):
    code, output = slurm.run(case("jupyter", 1, 1), SAOLA_LOGIN="login.example.vn")
    assert code == 0, output
    (seen,) = slurm.calls("token")
    assert seen["env"]["mode"] == "600"
    assert len(seen["env"]["token"]) == 48
    assert seen["env"]["token"] not in output
    port = 20000 + JOB % 10000
    assert f"ssh -N -L {port}:127.0.0.1:{port} -J " in output
    assert "@login.example.vn" in output
    written = (slurm.folder / "tunnel.txt").read_text()
    assert written in output
    user = getpass.getuser()
    assert tunnel_of(written, unix_account=user, number=JOB).command == written.strip()
    (call,) = slurm.calls("jupyter")
    assert {"lab", "--ip=127.0.0.1", f"--port={port}", "--no-browser"} <= set(call["argv"])
    assert not any("token" in argument.lower() for argument in call["argv"])
    assert not list((slurm.home / ".saola").iterdir())


def test_results_lie_where_the_jobs_page_lists_them_unless_they_have_a_name(slurm):
    one = case("free-script", 1, 1)
    for name, folder in (("", slurm.folder), ("lan-1", slurm.home / "saola/tieng-viet/runs/lan-1")):
        process = slurm.start(one, one.script(run_name=name))
        output, _nothing = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output
        assert f"results: {folder}\n" in output
        assert folder.is_dir()


def test_code_is_fetched_from_its_repository_once(slurm, tmp_path):
    """The real git; only the address is led to a repository beside the test."""
    origin = tmp_path / "origin"
    git = ["/usr/bin/git", "-C", str(origin), "-c", "user.name=Lan", "-c", "user.email=lan@example.vn"]
    subprocess.run(["/usr/bin/git", "init", "--quiet", "--initial-branch=main", str(origin)], check=True)
    for text in ("first", "second"):
        (origin / "train.py").write_text(text)
        subprocess.run([*git, "add", "train.py"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", text], check=True)
        subprocess.run([*git, "tag", text], check=True)
    (slurm.home / ".gitconfig").write_text(f'[url "file://{origin}"]\n    insteadOf = https://git.example.vn/lab.git\n')
    plain = case("free-script", 1, 1)
    code = Code("https://git.example.vn/lab.git", "first")
    fields = {"command": "cat train.py", "workdir": ""}
    script = written(Filled(plain.preset, fields, code=code), Shape("h100", 1, 1, 3600))
    for _twice in range(2):
        output, _nothing = slurm.start(plain, script).communicate(timeout=PATIENCE_S)
        assert "first" in output.split("\n"), output
        assert "code: https://git.example.vn/lab.git " in output
        subprocess.run([*git, "tag", "--force", "first", "second"], check=True, capture_output=True)
    missing = written(Filled(plain.preset, fields, code=replace(code, revision="nobody")), Shape("h100", 1, 1, 3600))
    process = slurm.start(plain, missing, SLURM_JOB_ID="77")
    assert "cat" not in process.communicate(timeout=PATIENCE_S)[0]
    assert process.returncode != 0


def signalled(slurm: Slurm, one: Case, trainer: str, *, time_limit_s: int = 7200, **more: str) -> tuple[int, str]:
    """The script's end after Slurm's signal, once every process of it runs."""
    process = slurm.start(one, one.script(time_limit_s=time_limit_s), TRAINER=trainer, **more)
    slurm.until(lambda: len(slurm.calls("ready")) == one.gpus_per_node)
    process.send_signal(signal.SIGUSR1)
    if trainer == "ignores":
        slurm.until(lambda: bool(requeued(slurm)))
        (slurm.records / "release").touch()
    output, _nothing = process.communicate(timeout=PATIENCE_S)
    return process.returncode, output


def requeued(slurm: Slurm) -> list[list[str]]:
    return [record["argv"] for record in slurm.calls("scontrol") if record["argv"][0] == "requeue"]


@pytest.mark.parametrize("slug", ["pytorch-single", "accelerate", "deepspeed"])
@pytest.mark.parametrize("kind", ["system", "apptainer"])
def test_the_signal_reaches_the_program_past_its_launcher(slurm, slug, kind):
    one = case(slug, 1, 2, kind)
    code, output = signalled(slurm, one, "saves")
    assert code == 0, output
    assert len(slurm.calls("saved")) == 2
    assert requeued(slurm) == [["requeue", str(JOB)]]


def test_a_program_that_ignores_the_signal_runs_on_until_shortly_before_the_end(slurm):
    code, output = signalled(slurm, case("pytorch-single", 1, 2), "ignores", time_limit_s=8)
    assert code == 0, output
    assert slurm.calls("saved") == []
    assert ["requeue", str(JOB)] in requeued(slurm)


def test_restarts_are_counted(slurm):
    signalled(slurm, case("pytorch-single", 1, 2), "saves", SLURM_RESTART_COUNT="3")
    assert requeued(slurm) == []


def test_a_job_that_ends_by_itself_is_not_requeued(slurm):
    assert slurm.run(case("pytorch-single", 1, 1))[0] == 0
    assert requeued(slurm) == []


def test_hello_gpu_runs_as_ever(slurm):
    one = case("hello-gpu", 1, 1)
    script = one.script().replace("sleep 5\n", "")
    assert "srun bash -c" in script
    (slurm.home.parent / "bin" / "srun").unlink()
    (slurm.home.parent / "bin" / "srun").write_text('#!/bin/bash\nexec "$@"\n')
    os.chmod(slurm.home.parent / "bin" / "srun", 0o700)
    process = slurm.start(one, script, SLURM_PROCID="0", SLURMD_NODENAME="gpu001")
    output, _nothing = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, output
    assert "task 0 on gpu001: CUDA_VISIBLE_DEVICES=0" in output
