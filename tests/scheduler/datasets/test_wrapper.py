"""The wrapper `groups` as root, on this host's own groups: under a prefix that no stack has, and removed after it."""

import grp
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex

import pytest

from tests.scheduler.live import LiveSlurm

WRAPPER = Path(__file__).resolve().parents[3] / "scheduler/clusters/wrappers/groups"

pytestmark = [pytest.mark.slurm, pytest.mark.skipif(os.geteuid() != 0, reason="changes groups of this host")]


@pytest.fixture(scope="module")
def slurm() -> LiveSlurm:
    return LiveSlurm()


@pytest.fixture
def prefix() -> Iterator[str]:
    prefix = f"t{token_hex(3)}-d-"
    yield prefix
    for entry in grp.getgrall():
        if entry.gr_name.startswith(prefix):
            subprocess.run(["/usr/sbin/groupdel", entry.gr_name], check=True)


@pytest.fixture
def program(slurm: LiveSlurm, prefix: str) -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="groups-"))
    place.chmod(0o755)
    shutil.copy(WRAPPER, place / "groups")
    believed = {"data_group_prefix": prefix, "researchers_group": slurm.how["researchers_group"]}
    (place / "wrappers.json").write_text(json.dumps(believed))
    yield place / "groups"
    shutil.rmtree(place)


def ask(program: Path, request: object, *arguments: str, **how: object) -> str:
    """ "" where it was done, else the code of the refusal."""
    text = request if isinstance(request, str) else json.dumps(request)
    done = subprocess.run([program, *arguments], input=text, text=True, capture_output=True, check=False, **how)
    assert done.returncode in (0, 64), done
    assert done.stdout == ""
    return done.stderr.split(": ")[1] if done.returncode else ""


def asked(group: str, add: object = (), remove: object = ()) -> dict[str, object]:
    return {"group": group, "add": add, "remove": remove}


def test_a_group_is_made_filled_and_emptied_and_stays(slurm: LiveSlurm, program: Path, prefix: str) -> None:
    alice, bob = slurm.researchers[:2]
    name = f"{prefix}bao"
    assert ask(program, asked(name)) == ""
    made = grp.getgrnam(name)
    assert (made.gr_mem, made.gr_gid >= 1000) == ([], True)
    assert ask(program, asked(name, [alice, bob])) == ""
    assert set(grp.getgrnam(name).gr_mem) == {alice, bob}
    assert ask(program, asked(name, [alice], [bob, "gone"])) == ""
    assert grp.getgrnam(name).gr_mem == [alice]
    assert ask(program, asked(name, [], [alice])) == ""
    assert (grp.getgrnam(name).gr_mem, grp.getgrnam(name).gr_gid) == ([], made.gr_gid)


@pytest.mark.parametrize(
    "behind",
    ["", "A", "a b", "a;id", "-a", "a-", "a--b", "../x", "a\n", "a:b", "a,b", "ă", "$(id)", "x" * 40, "a_b"],
)
def test_a_hostile_group_is_refused(program: Path, prefix: str, behind: str) -> None:
    before = grp.getgrall()
    assert ask(program, asked(prefix + behind)) == "group"
    assert grp.getgrall() == before


@pytest.mark.parametrize("name", ["root", "sudo", "shadow", "docker", "", 7, None, ["x"], "../etc"])
def test_a_group_of_somebody_else_is_refused(slurm: LiveSlurm, program: Path, name: object) -> None:
    assert ask(program, asked(name, [slurm.researchers[0]])) == "group"  # type: ignore[arg-type]
    assert slurm.researchers[0] not in grp.getgrnam("sudo").gr_mem


@pytest.mark.parametrize("name", ["root", "nobody", "daemon", "no-such-account-here"])
def test_nobody_but_researchers_is_let_in(slurm: LiveSlurm, program: Path, prefix: str, name: str) -> None:
    assert ask(program, asked(f"{prefix}bao", [slurm.researchers[0], name])) == "person"
    assert ask(program, asked(f"{prefix}bao", [slurm.worker])) == "person"
    assert not [entry for entry in grp.getgrall() if entry.gr_name.startswith(prefix)]  # all of it or nothing


@pytest.mark.parametrize(
    "name", ["", "-x", "--help", "a,root", "a b", "a\n", "Ă", "$(id)", "a;id", 0, None, ["a"], "x" * 33]
)
def test_a_hostile_account_is_refused(program: Path, prefix: str, name: object) -> None:
    for request in (asked(f"{prefix}bao", [name]), asked(f"{prefix}bao", [], [name])):
        assert ask(program, request) == "request"


def test_a_hostile_request_is_refused(slurm: LiveSlurm, program: Path, prefix: str) -> None:
    name, alice = f"{prefix}bao", slurm.researchers[0]
    whole = asked(name)
    for request in ("", "[", "[]", "null", "7", "[" * 60_000, whole | {"more": 1}, {"group": name}):
        assert ask(program, request) == "request"
    assert ask(program, asked(name, alice)) == "request"
    assert ask(program, asked(name, [alice] * 501)) == "request"
    assert ask(program, asked(name, [alice], [alice])) == "request"
    assert ask(program, whole, "--help") == "request"
    assert ask(program, whole, user=65_534, group=65_534, extra_groups=[]) == "user"


@pytest.mark.parametrize("believed", ["", "sd", "-", "a--", "Sd-", "s d-", "../-"])
def test_a_prefix_that_means_too_much_is_no_setting(program: Path, prefix: str, believed: str) -> None:
    path = program.parent / "wrappers.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"data_group_prefix": believed}))
    assert ask(program, asked(f"{prefix}bao")) == "settings"


def test_settings_that_others_could_write_are_not_believed(program: Path, prefix: str) -> None:
    (program.parent / "wrappers.json").chmod(0o666)
    assert ask(program, asked(f"{prefix}bao")) == "settings"
