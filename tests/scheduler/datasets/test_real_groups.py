"""From the catalogue to a job on the real Slurm: a member's job reads the data set and cannot write it, a stranger's
job cannot read it. Groups are changed by the installed wrapper, through sudo, as the cluster's worker."""

import grp
import os
import pwd
import shutil
import subprocess
from pathlib import Path
from secrets import token_hex

import pytest
from django.conf import settings

from portal.people.services import project_member_remove
from scheduler.clusters.unix_groups import GroupRefused, UnixGroups
from scheduler.datasets.models import Reading
from scheduler.datasets.services.groups import groups_cycle
from scheduler.jobs.errors import JobRefused
from scheduler.jobs.models import DataSetUse
from tests import factories
from tests.scheduler.datasets import makers
from tests.scheduler.jobs.makers import submit
from tests.scheduler.jobs.real import clear, place_in_slurm, real_project
from tests.scheduler.live import LiveSlurm, ProgramsAs, wait_for

pytestmark = [pytest.mark.slurm, pytest.mark.django_db]
READS = """#!/bin/bash
srun sh -c 'cat "$SAOLA_DATA_NAME/a.txt"; echo x > "$SAOLA_DATA_NAME/b.txt" || echo no writing'
"""


@pytest.fixture(scope="module")
def host():
    slurm = LiveSlurm()
    programs = ProgramsAs(**slurm.programs, user=slurm.worker)
    return UnixGroups(programs, slurm.how["wrappers_dir"], slurm.how["sudo"])


@pytest.fixture
def real():
    with place_in_slurm() as place:
        made = real_project(place)
        yield made
        clear(made.adapter, place)


@pytest.fixture
def folder():
    place = Path("/srv", f"saola-test-{token_hex(4)}")
    place.mkdir(mode=0o755)
    (place / "set").mkdir()
    (place / "set/a.txt").write_text("trăm năm\n")
    yield place / "set"
    shutil.rmtree(place)


@pytest.fixture
def slug():
    slug = f"t{token_hex(3)}"
    yield slug
    name = settings.DATA_GROUP_PREFIX + slug
    if any(entry.gr_name == name for entry in grp.getgrall()):
        subprocess.run(["/usr/sbin/groupdel", name], check=True)


def test_a_members_job_reads_and_cannot_write_and_a_strangers_cannot_read(real, host, folder, slug):
    stranger = factories.person("la@example.vn", "Lạ", unix_account=LiveSlurm().researchers[1])
    made = makers.offered(real.cluster, slug, path=str(folder), **makers.named(projects=[real.project]))
    with pytest.raises(JobRefused) as early:
        submit(real.person, real.allocation, data_sets=[made.pk], gpus_per_node=1, time_limit_s=300)
    assert [problem.code for problem in early.value.problems] == ["data_set"]
    groups_cycle(real.cluster.name, groups=host)
    assert grp.getgrnam(made.unix_group).gr_mem == [real.person.unix_account]
    subprocess.run(["/bin/chown", "-R", f"root:{made.unix_group}", folder], check=True)
    subprocess.run(["/bin/chmod", "-R", "u=rwX,g=rX,o=", folder], check=True)
    Reading.objects.update(folder_read_at=None)
    groups_cycle(real.cluster.name, groups=host)
    assert Reading.objects.get(data_set=made).folder == "fine"

    script = READS.replace("SAOLA_DATA_NAME", made.variable)

    def said() -> str:
        # slurmctld may remember for GroupUpdateTime that the person was in no such group.
        job = real.submit(script=script, data_sets=[made.pk])
        assert real.ended(job) in ("COMPLETED", "FAILED")
        use = DataSetUse.objects.get(job=job)
        assert (use.data_set, use.version, use.path) == (made, made.version, str(folder))
        return real.output(job)

    out = wait_for("slurmctld to know the member's groups", lambda: (seen := said()) and "trăm" in seen and seen, 90, 2)
    assert "no writing" in out
    assert not (folder / "b.txt").exists()

    # A stranger knows the path all the same.
    reads = f"#!/bin/bash\ncat {folder}/a.txt || echo no reading\n"
    other = as_researcher(stranger.unix_account, reads)
    assert "trăm" not in other
    assert "no reading" in other
    assert [problem.code for problem in refused(stranger, real, made)] != []

    project_member_remove(project=real.project, user=real.person, role="researcher", actor="test")
    groups_cycle(real.cluster.name, groups=host)
    assert grp.getgrnam(made.unix_group).gr_mem == []


def refused(person, real, made):
    with pytest.raises(JobRefused) as refusal:
        submit(person, real.allocation, data_sets=[made.pk], gpus_per_node=1, time_limit_s=300)
    return refusal.value.problems


def as_researcher(name: str, script: str) -> str:
    """In the groups that a job of theirs has."""
    entry = pwd.getpwnam(name)
    groups = os.getgrouplist(name, entry.pw_gid)
    done = subprocess.run(
        ["/bin/bash", "-s"], input=script, text=True, capture_output=True, check=False,
        user=entry.pw_uid, group=entry.pw_gid, extra_groups=groups, cwd="/",
    )  # fmt: skip
    return done.stdout + done.stderr


def test_the_worker_can_change_no_other_group_through_sudo(host):
    with pytest.raises(GroupRefused, match="saola-groups: group"):
        host.change(group="sudo", add=[LiveSlurm().researchers[0]])
