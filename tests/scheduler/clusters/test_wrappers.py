"""The wrappers as programs: what they refuse, what sbatch is given. sbatch itself is a script here that writes down
what it got; the same path ends in a real job in contract/test_jobs.py. Run as `nobody`, so as root only."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scheduler.live import LiveSlurm

WRAPPERS = Path(__file__).resolve().parents[3] / "scheduler/clusters/wrappers"
SCRIPT = "#!/bin/bash\n#SBATCH --gres=gpu:h100:2\n#SBATCH --signal=B:TERM@60\nexport SLURM_EXPORT_ENV=ALL\nhostname\n"
REQUEST = {
    "key": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "account": "sl-mo-hinh",
    "qos": "mo-hinh-h100-1a2b3c",
    "partition": "h100",
    "name": "huấn luyện 1",
    "script": SCRIPT,
    "nodes": 2,
    "gpu_type": "h100",
    "gpus_per_node": 8,
    "time_limit_s": 5_400,
}
LIST = {"act": "list", "key": REQUEST["key"]}
TAIL = {"act": "tail", "key": REQUEST["key"], "job_id": 17, "bytes": 100}
READ = {"act": "read", "key": REQUEST["key"], "path": ["a"]}
NOBODY = 65_534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="takes another user's identity")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory like the installed one, that everybody can read and only root can write."""
    place = Path(tempfile.mkdtemp(prefix="wrappers-"))
    place.chmod(0o755)
    for name in ("submit", "control", "output"):
        shutil.copy(WRAPPERS / name, place / name)
    for name in ("sbatch", "scancel", "scontrol"):
        program = place / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\necho ---\nenv\necho ---\numask; pwd\necho ---\ncat\n')
        program.chmod(0o755)
    settings = place / "wrappers.json"
    settings.write_text(json.dumps({"slurm_conf": "/run/x/slurm.conf", "bin_dir": str(place)}))
    settings.chmod(0o644)
    yield place
    shutil.rmtree(place)


def run(program: Path, request: object, *arguments: str, uid: int = NOBODY) -> subprocess.CompletedProcess[str]:
    text = request if isinstance(request, str) else json.dumps(request)
    return subprocess.run(
        [program, *arguments],
        input=text,
        text=True,
        capture_output=True,
        user=uid,
        group=uid,
        extra_groups=[],
        env={"SECRET_KEY": "must not leak", "SBATCH_ARRAY_INX": "1-9", "LD_LIBRARY_PATH": "/tmp", "PYTHONPATH": "/tmp"},
        check=False,
    )


def refusal(answer: subprocess.CompletedProcess[str]) -> str:
    assert (answer.returncode, answer.stdout) == (64, "")
    assert answer.stderr.startswith(("saola-submit: ", "saola-control: ", "saola-output: "))
    return answer.stderr.split(": ")[1]


@pytest.fixture
def researcher() -> Iterator[pwd.struct_passwd]:
    """One of the stack's: a job's folder is made in a home, and nobody has none."""
    entry = pwd.getpwnam(LiveSlurm().researchers[0])
    yield entry
    shutil.rmtree(Path(entry.pw_dir, "saola/jobs", REQUEST["key"]), ignore_errors=True)


def test_sbatch_gets_a_fixed_vector_a_clean_environment_and_the_script(
    place: Path, researcher: pwd.struct_passwd
) -> None:
    answer = run(place / "submit", REQUEST, uid=researcher.pw_uid)
    assert answer.returncode == 0, answer.stderr
    folder = f"{researcher.pw_dir}/saola/jobs/{REQUEST['key']}"
    arguments, environment, where, script = answer.stdout.split("---\n")
    assert arguments.splitlines() == [
        "--parsable",
        "--export=NONE",
        f"--chdir={researcher.pw_dir}",
        f"--output={folder}/slurm-%j.out",
        "--ignore-pbs",
        "--comment=0f8fad5b-d9cb-469f-a165-70867728950e",
        "--job-name=huấn luyện 1",
        "--account=sl-mo-hinh",
        "--qos=mo-hinh-h100-1a2b3c",
        "--partition=h100",
        "--nodes=2",
        "--gres=gpu:h100:8",
        "--time=90",
    ]
    names = {line.partition("=")[0] for line in environment.splitlines()} - {"_", "PWD"}
    assert names == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TZ", "SLURM_CONF"}
    assert where.split() == ["0027", folder]  # which the job finds as $SLURM_SUBMIT_DIR
    assert Path(folder).stat().st_mode & 0o777 == 0o700
    assert script == SCRIPT


def test_a_start_is_only_asked_for(place: Path, researcher: pwd.struct_passwd) -> None:
    answer = run(place / "submit", REQUEST | {"test_only": 1}, uid=researcher.pw_uid)
    arguments, _environment, where, _script = answer.stdout.split("---\n")
    assert "--test-only" in arguments.splitlines()
    assert "--comment=0f8fad5b-d9cb-469f-a165-70867728950e" in arguments.splitlines()
    assert where.split() == ["0027", "/"]
    assert not Path(researcher.pw_dir, "saola/jobs", REQUEST["key"]).exists()
    for wrong in (2, "1", -1):
        assert refusal(run(place / "submit", REQUEST | {"test_only": wrong}, uid=researcher.pw_uid)) == "request"


def test_without_a_folder_for_its_log_there_is_no_job(place: Path) -> None:
    assert refusal(run(place / "submit", REQUEST)) == "folder"


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "not-a-uuid"},
        {"key": REQUEST["key"] + "\n"},
        {"account": "a b"},
        {"account": "--uid=0"},
        {"account": ""},
        {"qos": "x,y"},
        {"qos": "x" * 121},
        {"partition": "h100,h200"},
        {"partition": "-p"},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "a\nb"},
        {"name": 'a"b'},
        {"name": "a\x00b"},
        {"nodes": 0},
        {"nodes": 10_000},
        {"nodes": "2"},
        {"nodes": True},
        {"nodes": 2.0},
        {"nodes": None},
        {"gpus_per_node": 0},
        {"gpus_per_node": 10_000},
        {"gpu_type": "h100:8,gpu:h200"},
        {"gpu_type": "H100"},
        {"time_limit_s": 59},
        {"time_limit_s": 61},
        {"time_limit_s": 367 * 86_400},
        {"time_limit_s": -60},
        {"script": 17},
        {"extra": "x"},
    ],
    ids=lambda changed: f"{next(iter(changed))}={next(iter(changed.values()))!r}"[:40],
)
def test_it_refuses_a_request_that_breaks_a_rule(place: Path, changed: dict[str, object]) -> None:
    assert refusal(run(place / "submit", {**REQUEST, **changed})) == "request"


@pytest.mark.parametrize("missing", sorted(REQUEST))
def test_it_refuses_a_request_without_one_of_the_keys(place: Path, missing: str) -> None:
    assert refusal(run(place / "submit", {key: REQUEST[key] for key in REQUEST if key != missing})) == "request"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "17", '"x"', "\ud800".encode("utf-8", "replace").decode(), "[" * 100_000]
)
def test_it_refuses_what_is_no_request(place: Path, text: str) -> None:
    assert refusal(run(place / "submit", text)) == "request"


@pytest.mark.parametrize(
    "script",
    [
        "",
        "hostname\n",
        "#!/usr/bin/python3\nprint(1)\n",
        "#!/bin/bash/../../usr/bin/env python3\n",
        "#!/bin/bash\nhost\0name\n",
        "#!/bin/bash\r\nhostname\r\n",
        "#!/bin/bash\n#SBATCH --array=1-9\nhostname\n",
        "#!/bin/bash\n#SBATCH --gpus=8\nhostname\n",
        "#!/bin/bash\n#SBATCH -a 1-9\nhostname\n",
        "#!/bin/bash\n#SBATCH -G8\nhostname\n",
        "#!/bin/bash\n#SBATCH --nodes=1 --exclusive\nhostname\n",
        "#!/bin/bash\n#SBATCH --clusters=all\nhostname\n",
        "#!/bin/bash\n#SBATCH --nodes=1\n#SBATCH hetjob\n#SBATCH --nodes=2\nhostname\n",
        "#!/bin/bash\n#SBATCH --nodes=1 hetjob\nhostname\n",
        "#!/bin/bash\n#SBATCH --requeue hetjob\nhostname\n",
        "#!/bin/bash\n#SBATCH --reservation=x\nhostname\n",
        "#!/bin/bash\n#SBATCH --uid=0\nhostname\n",
        "#!/bin/bash\n#SBATCH --export=ALL\nhostname\n",
        '#!/bin/bash\n#SBATCH "--arr"ay=1-9\nhostname\n',
        "#!/bin/bash\n#SBATCH \\--array=1-9\nhostname\n",
        "#!/bin/bash\n#SBATCH --comm=x\nhostname\n",
        "#!/bin/bash\n#SLURM --array=1-9\nhostname\n",
        "#!/bin/bash\n#PBS -l nodes=4\nhostname\n",
        "#!/bin/bash\n#BSUB -n 4\nhostname\n",
        "#!/bin/bash\n" + "#" * 1_048_576,
    ],
    ids=lambda script: script[12:40].strip() or repr(script[:12]),
)
def test_it_refuses_a_script_that_takes_an_option_of_its_own(place: Path, script: str) -> None:
    assert refusal(run(place / "submit", {**REQUEST, "script": script})) == "script"


def test_a_script_may_carry_harmless_options(place: Path, researcher: pwd.struct_passwd) -> None:
    script = (
        "#!/bin/sh\n#SBATCH --nice 10 --requeue --mail-type=END -d afterok:17 -bnow+1hour\n"
        "# a comment with #SBATCH --array=1-9\n##SBATCH --array=1-9\n#SBATCH --open-mode=append # --array=1-9\nid\n"
    )
    assert run(place / "submit", {**REQUEST, "script": script}, uid=researcher.pw_uid).returncode == 0


def test_it_takes_no_arguments(place: Path) -> None:
    assert refusal(run(place / "submit", REQUEST, "--wrap=id")) == "request"
    assert refusal(run(place / "control", {"verb": "cancel", "job_id": 1}, "--user=root")) == "request"
    assert refusal(run(place / "output", LIST, "/etc/passwd")) == "request"


@pytest.mark.parametrize("uid", [0, 999])
def test_root_and_system_users_are_refused(place: Path, uid: int) -> None:
    assert refusal(run(place / "submit", REQUEST, uid=uid)) == "user"
    assert refusal(run(place / "control", {"verb": "cancel", "job_id": 1}, uid=uid)) == "user"
    assert refusal(run(place / "output", LIST, uid=uid)) == "user"


@pytest.mark.parametrize("mode", [0o666, 0o664])
def test_settings_that_others_can_write_are_not_believed(place: Path, mode: int) -> None:
    (place / "wrappers.json").chmod(mode)
    assert refusal(run(place / "submit", REQUEST)) == "settings"
    assert refusal(run(place / "control", {"verb": "cancel", "job_id": 1})) == "settings"


def test_settings_of_another_owner_are_not_believed(place: Path) -> None:
    os.chown(place / "wrappers.json", NOBODY, NOBODY)
    assert refusal(run(place / "submit", REQUEST)) == "settings"


@pytest.mark.parametrize(
    ("request_", "vector"),
    [
        ({"verb": "cancel", "job_id": 17}, ["17"]),
        ({"verb": "cancel", "job_id": 17, "task": 0}, ["17_0"]),
        ({"verb": "hold", "job_id": 17}, ["hold", "17"]),
        ({"verb": "release", "job_id": 17}, ["release", "17"]),
        ({"verb": "requeue", "job_id": 17, "task": 3}, ["requeue", "17_3"]),
    ],
)
def test_control_gives_slurm_the_verb_and_the_id_and_nothing_else(
    place: Path, request_: object, vector: list[str]
) -> None:
    answer = run(place / "control", request_)
    assert answer.stdout.split("---\n")[0].splitlines() == vector
    names = {line.partition("=")[0] for line in answer.stdout.split("---\n")[1].splitlines()} - {"_", "PWD"}
    assert names == {"PATH", "LANG", "TZ", "SLURM_CONF"}


@pytest.mark.parametrize(
    "request_",
    [
        {"verb": "cancel", "job_id": "17"},
        {"verb": "cancel", "job_id": 0},
        {"verb": "cancel", "job_id": -1},
        {"verb": "cancel", "job_id": 2**40},
        {"verb": "cancel", "job_id": True},
        {"verb": "cancel", "job_id": 1, "user": "x"},
        {"verb": "cancel", "job_id": 1, "task": -1},
        {"verb": "cancel", "job_id": 1, "task": "2"},
        {"verb": "cancel", "job_id": 1, "task": None},
        {"verb": "update", "job_id": 1},
        {"verb": "hold;id", "job_id": 1},
        {"verb": ["hold"], "job_id": 1},
        {"verb": "hold"},
        {"job_id": 1},
        {},
        [],
    ],
)
def test_control_refuses_what_is_no_verb_and_job_id(place: Path, request_: object) -> None:
    assert refusal(run(place / "control", request_)) == "request"


def test_arrays_dependencies_and_checkpoints_are_options_of_their_own(
    place: Path, researcher: pwd.struct_passwd
) -> None:
    wanted = {"array": "0-9%2", "dependency": "afterok:17,afterany:18", "checkpoint_lead_s": 300}
    answer = run(place / "submit", REQUEST | wanted, uid=researcher.pw_uid)
    arguments = answer.stdout.split("---\n")[0].splitlines()
    assert arguments[-6:] == [
        "--array=0-9%2",
        "--dependency=afterok:17,afterany:18",
        "--kill-on-invalid-dep=no",
        "--signal=B:USR1@300",
        "--requeue",
        "--open-mode=append",
    ]
    empty = REQUEST | {"array": "", "dependency": "", "checkpoint_lead_s": 0}
    plain = run(place / "submit", empty, uid=researcher.pw_uid)
    assert plain.stdout == run(place / "submit", REQUEST, uid=researcher.pw_uid).stdout


@pytest.mark.parametrize(
    "changed",
    [
        {"array": "0-9 --uid=0"},
        {"array": "x"},
        {"array": "1-2-3"},
        {"array": "%4"},
        {"array": "0-9%0"},
        {"array": 7},
        {"dependency": "afterok:x"},
        {"dependency": "singleton"},
        {"dependency": "afterok:1\n"},
        {"dependency": "afterok:1?afterok:2"},
        {"checkpoint_lead_s": -1},
        {"checkpoint_lead_s": 65_536},
        {"checkpoint_lead_s": "60"},
    ],
    ids=str,
)
def test_it_refuses_what_is_no_array_dependency_or_checkpoint(place: Path, changed: dict[str, object]) -> None:
    assert refusal(run(place / "submit", {**REQUEST, **changed})) == "request"


@pytest.mark.parametrize(
    "request_",
    [
        {},
        [],
        "tail",
        17,
        {"act": "tail"},
        {**LIST, "act": "remove"},
        {**LIST, "act": ["list"]},
        {**LIST, "path": ["a"]},
        {**LIST, "key": "../../../etc"},
        {**LIST, "key": REQUEST["key"] + "\n"},
        {**LIST, "key": None},
        {**TAIL, "job_id": "17"},
        {**TAIL, "job_id": True},
        {**TAIL, "job_id": 0},
        {**TAIL, "job_id": 2**40},
        {**TAIL, "bytes": 0},
        {**TAIL, "bytes": 10**9},
        {**TAIL, "bytes": -1},
        {**TAIL, "bytes": 1.0},
        {**READ, "path": []},
        {**READ, "path": "a"},
        {**READ, "path": [["a"]]},
        {**READ, "path": [""]},
        {**READ, "path": ["."]},
        {**READ, "path": ["..", "a"]},
        {**READ, "path": ["a/../../b"]},
        {**READ, "path": ["/etc/passwd"]},
        {**READ, "path": ["a\n"]},
        {**READ, "path": ["a\0"]},
        {**READ, "path": ["\u202ea"]},
        {**READ, "path": ["a" * 256]},
        {**READ, "path": ["a"] * 5},
    ],
    ids=repr,
)
def test_output_refuses_what_is_no_request(place: Path, request_: object) -> None:
    assert refusal(run(place / "output", request_)) == "request"


@pytest.mark.parametrize("request_", [LIST, TAIL, READ], ids=lambda request_: request_["act"])
def test_output_says_that_there_is_no_home(place: Path, request_: object) -> None:
    assert refusal(run(place / "output", request_)) == "absent"
