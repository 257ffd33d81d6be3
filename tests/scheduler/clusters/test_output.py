"""What a job wrote, read through the real sudo and the installed wrapper, from a researcher who means harm."""

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from scheduler.clusters.adapters.commands import CommandsAdapter
from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import (
    OUTPUT_FILE_LIMIT_BYTES,
    ClusterError,
    ClusterUnreachable,
    OutputRefused,
)
from tests.scheduler.live import LiveSlurm

pytestmark = pytest.mark.slurm

NUMBER = 17
GIB = 1024**3
SECRET = "/etc/passwd"  # outside of the folder; anybody may read it, but not through this
READS_WHILE_SWAPPED = 30
SWAP = """
import os
os.chdir(__import__("sys").argv[1])
print("ready", flush=True)
while True:
    os.symlink("/etc/passwd", "next"); os.replace("next", "slurm-17.out")
    open("next", "w").write("own\\n"); os.replace("next", "slurm-17.out")
"""


class Home:
    """A researcher's home with the folder of one job in it."""

    def __init__(self, user: str) -> None:
        self.user = user
        self.entry = pwd.getpwnam(user)
        self.key: UUID = uuid4()
        self.jobs = Path(self.entry.pw_dir, "saola/jobs")
        self.folder = self.jobs / str(self.key)
        self.log = self.folder / f"slurm-{NUMBER}.out"
        self.folder.mkdir(parents=True)
        self.own(self.jobs.parent, self.jobs, self.folder)

    def own(self, *paths: Path) -> None:
        for path in paths:
            os.chown(path, self.entry.pw_uid, self.entry.pw_gid, follow_symlinks=False)

    def write(self, path: str, data: bytes) -> Path:
        place = self.folder / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data)
        self.own(place.parent, place)
        return place


@pytest.fixture(scope="module")
def slurm() -> LiveSlurm:
    return LiveSlurm()


@pytest.fixture(scope="module")
def adapter(slurm: LiveSlurm) -> CommandsAdapter:
    return slurm.adapter()


@pytest.fixture
def home(slurm: LiveSlurm) -> Iterator[Home]:
    made = Home(slurm.researchers[0])
    yield made
    shutil.rmtree(made.folder, ignore_errors=True)


@pytest.fixture
def tail(adapter: CommandsAdapter, home: Home) -> Callable[[], bytes]:
    return lambda: adapter.output_tail(key=home.key, unix_account=home.user, job_id=NUMBER, limit_bytes=100).data


@pytest.fixture
def read(adapter: CommandsAdapter, home: Home) -> Callable[..., bytes]:
    return lambda *path: adapter.output_read(key=home.key, unix_account=home.user, path=path)


def refused(act: Callable[[], object]) -> str:
    with pytest.raises(OutputRefused) as refusal:
        act()
    said = refusal.value.message
    assert said
    assert "\n" not in said
    assert "Traceback" not in said
    return refusal.value.code


def test_the_end_of_a_log_is_read(adapter, home) -> None:
    home.write(home.log.name, b"x" * 200 + "cuối\n".encode())
    found = adapter.output_tail(key=home.key, unix_account=home.user, job_id=NUMBER, limit_bytes=100)
    assert found.data.endswith("cuối\n".encode())
    assert (len(found.data), found.size, found.begins_at) == (100, 207, 107)


def test_a_file_is_read_whole_with_every_byte(home, read) -> None:
    data = bytes(range(256)) * 100
    home.write("plots/đường cong.png", data)
    assert read("plots", "đường cong.png") == data
    home.write("empty", b"")
    assert read("empty") == b""


def test_a_listing_tells_kinds_and_follows_nothing(adapter, home) -> None:
    home.write(home.log.name, b"log")
    home.write("run/loss.csv", b"1,2")
    (home.folder / "root").symlink_to("/")
    (home.folder / "self").symlink_to(".")
    os.mkfifo(home.folder / "pipe")
    found = adapter.output_list(key=home.key, unix_account=home.user)
    assert [("/".join(one.path), one.kind) for one in found.entries] == [
        ("pipe", "other"),
        ("root", "link"),
        ("run", "folder"),
        ("run/loss.csv", "file"),
        ("self", "link"),
        (home.log.name, "file"),
    ]
    assert (found.unnamed, found.is_whole) == (0, True)


def test_one_odd_entry_does_not_hide_the_others(adapter, home) -> None:
    os.utime(home.write("old", b"x"), (-5, -5))
    os.utime(home.write("far", b"x"), (2**34, 2**34))
    home.write("shut/x", b"x").parent.chmod(0o000)
    found = adapter.output_list(key=home.key, unix_account=home.user)
    assert [one.path for one in found.entries] == [("far",), ("old",), ("shut",)]
    home.folder.chmod(0o000)
    assert refused(lambda: adapter.output_list(key=home.key, unix_account=home.user)) == "denied"


def test_a_listing_is_bounded(adapter, home) -> None:
    for number in range(400):
        (home.folder / f"{number:04}").touch()
    found = adapter.output_list(key=home.key, unix_account=home.user)
    assert (len(found.entries), found.is_whole) == (300, False)


def test_a_deep_tree_is_cut(adapter, home) -> None:
    (home.folder / "a/b/c/d/e/f").mkdir(parents=True)
    home.own(home.folder / "a", *(home.folder / "a").rglob("*"))
    found = adapter.output_list(key=home.key, unix_account=home.user)
    assert max(len(one.path) for one in found.entries) == 4


def test_names_that_no_page_can_show_are_counted(adapter, home, read) -> None:
    for name in (b"two\nlines", b"\xff\xfe", "\u202etxt.exe".encode(), b"bell\x07"):
        Path(os.fsdecode(bytes(home.folder) + b"/" + name)).write_bytes(b"x")
    found = adapter.output_list(key=home.key, unix_account=home.user)
    assert (found.entries, found.unnamed) == ((), 4)
    assert refused(lambda: read("two\nlines")) == "request"


@pytest.mark.parametrize(
    "path", [("..", "x"), ("../../../.ssh/id_rsa",), (SECRET,), ("a", "..", "b"), (".",), ("",), ("a\0b",), ()]
)
def test_a_path_that_leads_outside_is_refused(read, path) -> None:
    assert refused(lambda: read(*path)) == "request"


def test_a_link_in_place_of_the_log_is_refused(home, tail, read) -> None:
    home.log.symlink_to(SECRET)
    assert refused(tail) == "link"
    assert refused(lambda: read(home.log.name)) == "link"


def test_a_link_among_the_parents_is_refused(home, tail, read) -> None:
    other = home.folder.with_name(f"{home.key}-other")
    home.write("run/x", b"x")
    (home.folder / "linked").symlink_to("run")
    assert refused(lambda: read("linked", "x")) == "link"
    home.write(home.log.name, b"log")
    home.folder.rename(other)
    home.folder.symlink_to(other)
    try:
        assert refused(tail) == "link"
    finally:
        home.folder.unlink()
        other.rename(home.folder)
    assert tail() == b"log"


def test_a_link_in_place_of_all_folders_is_refused(home, tail) -> None:
    home.write(home.log.name, b"log")
    moved = home.jobs.with_name("jobs-moved")
    home.jobs.rename(moved)
    home.jobs.symlink_to(moved)
    try:
        assert refused(tail) == "link"
    finally:
        home.jobs.unlink()
        moved.rename(home.jobs)


def test_a_pipe_is_refused_and_nobody_waits_for_its_writer(home, tail, read) -> None:
    os.mkfifo(home.log)
    home.own(home.log)
    assert refused(tail) == "kind"
    assert refused(lambda: read(home.log.name)) == "kind"


def test_a_device_is_refused(home, tail) -> None:
    os.mknod(home.log, 0o666 | 0o020000, os.makedev(1, 5))  # /dev/zero
    home.log.chmod(0o666)
    assert refused(tail) == "kind"


def test_a_directory_or_socket_in_place_of_the_log_is_refused(home, tail, read, monkeypatch) -> None:
    home.log.mkdir()
    assert refused(tail) == "kind"
    monkeypatch.chdir(home.folder)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("socket")
        assert refused(lambda: read("socket")) == "kind"


def test_a_file_in_place_of_a_folder_is_refused(home, read) -> None:
    home.write("plain", b"x")
    assert refused(lambda: read("plain", "x")) == "kind"


def test_what_its_owner_may_not_read_is_refused(home, tail) -> None:
    home.write(home.log.name, b"x").chmod(0o000)
    assert refused(tail) == "denied"


def test_a_job_that_wrote_nothing_is_absent(tail) -> None:
    assert refused(tail) == "absent"


def test_another_persons_job_is_absent(adapter, home, slurm) -> None:
    home.write(home.log.name, b"mine")
    other = slurm.researchers[1]
    ask = {"key": home.key, "unix_account": other}
    assert refused(lambda: adapter.output_tail(**ask, job_id=NUMBER, limit_bytes=100)) == "absent"
    assert refused(lambda: adapter.output_list(**ask)) == "absent"
    # Nor is another's folder reached through a link in one's own.
    link = Path(slurm.home(other), "saola/jobs", str(home.key))
    link.parent.mkdir(parents=True, exist_ok=True)
    for made in (link.parent.parent, link.parent):
        shutil.chown(made, other, other)
    link.symlink_to(home.folder)
    try:
        assert refused(lambda: adapter.output_tail(**ask, job_id=NUMBER, limit_bytes=100)) == "link"
    finally:
        link.unlink()


@pytest.mark.parametrize("account", ["root", "daemon", "#0", "-u", "no-such-user"])
def test_nothing_is_read_as_anybody_else(adapter, home, account) -> None:
    assert refused(lambda: adapter.output_list(key=home.key, unix_account=account)) == "user"


def test_a_huge_sparse_log_has_an_end_and_is_not_handed_out(home, tail, read) -> None:
    with home.log.open("wb") as log:
        log.truncate(GIB)
    home.own(home.log)
    assert tail() == b"\0" * 100
    assert refused(lambda: read(home.log.name)) == "too_large"


def test_the_largest_file_is_handed_out_and_one_byte_more_is_not(home, read) -> None:
    home.write("large", b"x" * OUTPUT_FILE_LIMIT_BYTES)
    assert len(read("large")) == OUTPUT_FILE_LIMIT_BYTES
    home.write("large", b"x" * (OUTPUT_FILE_LIMIT_BYTES + 1))
    assert refused(lambda: read("large")) == "too_large"


def test_a_log_that_is_exchanged_all_the_time_never_leads_outside(home, tail) -> None:
    swapping = subprocess.Popen(
        ["/usr/bin/python3", "-I", "-c", SWAP, home.folder],
        user=home.entry.pw_uid,
        group=home.entry.pw_gid,
        extra_groups=[],
        stdout=subprocess.PIPE,
        cwd="/",
    )
    found: list[bytes | str] = []
    try:
        assert swapping.stdout is not None
        swapping.stdout.readline()
        for _ in range(READS_WHILE_SWAPPED):
            try:
                found.append(tail())
            except OutputRefused as refusal:
                found.append(refusal.code)
    finally:
        swapping.kill()
        swapping.wait()
        swapping.stdout.close()
    assert {one for one in found if isinstance(one, str)} <= {"link", "absent"}
    assert {one for one in found if isinstance(one, bytes)} <= {b"own\n", b""}  # just made, not written yet


# ---- a researcher can meddle with a process of their own uid: what it says is bounded all the same


@pytest.fixture
def programs(slurm: LiveSlurm) -> Programs:
    return slurm.root


def test_endless_output_is_not_read_to_its_end(programs: Programs) -> None:
    with pytest.raises(ClusterUnreachable, match="wrote too much"):
        programs.ask_untrusted(["/usr/bin/yes"], stdin=b"", limit_bytes=100_000, timeout_s=60)


def test_endless_complaints_neither(programs: Programs) -> None:
    with pytest.raises(ClusterUnreachable, match="wrote too much"):
        programs.ask_untrusted(["/bin/sh", "-c", "exec yes >&2"], stdin=b"", limit_bytes=100_000, timeout_s=60)


def test_one_that_does_not_end_is_left_alone(programs: Programs) -> None:
    with pytest.raises(ClusterUnreachable, match="took too long"):
        programs.ask_untrusted(["/bin/sleep", "600"], stdin=b"", limit_bytes=100, timeout_s=0.3)
    # Nor one that closes what it writes to and stays.
    script = "exec sleep 600 >&- 2>&-"
    with pytest.raises(ClusterUnreachable):
        programs.ask_untrusted(["/bin/bash", "-c", script], stdin=b"", limit_bytes=100, timeout_s=0.3)


@pytest.mark.parametrize(
    "says",
    [
        "",
        "no JSON\\n",
        "[]\\n",
        "{}\\n",
        '{"bytes": 5, "size": 5, "begins_at": 0, "changed_at": 0}\\nabc',
        '{"bytes": 3, "size": -5, "begins_at": 0, "changed_at": 0}\\nabc',
        '{"bytes": 3, "size": 3, "begins_at": "x", "changed_at": 0}\\nabc',
        '{"files": [{"path": ["a/../b"], "kind": "file", "size": 1, "changed_at": 1}], "unnamed": 0, "more": false}\\n',
        '{"files": [{"path": [], "kind": "file", "size": 1, "changed_at": 1}], "unnamed": 0, "more": false}\\n',
        '{"files": [7], "unnamed": 0, "more": false}\\n',
    ],
)
def test_an_answer_of_another_form_is_not_believed(tmp_path: Path, programs: Programs, says: str) -> None:
    liar = tmp_path / "sudo"
    liar.write_text(f"#!/bin/sh\nprintf '{says}'\n".replace("%", "%%"))
    liar.chmod(0o755)
    adapter = CommandsAdapter(cluster="local", programs=programs, wrappers_dir="/nowhere", sudo=str(liar))
    with pytest.raises(ClusterError):
        adapter.output_tail(key=uuid4(), unix_account="x", job_id=1, limit_bytes=100)
    with pytest.raises(ClusterError):
        adapter.output_list(key=uuid4(), unix_account="x")
