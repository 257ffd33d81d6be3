"""The submit wrapper as the play installs it, with an sbatch beside it that only tells what it was given."""

import json
import pwd
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from scheduler.clusters.adapters.commands_jobs import _body
from scheduler.jobs.models import Job
from scheduler.jobs.worker.submission import _request
from tests.scheduler.jobs.test_many import WRAPPER
from tests.scheduler.live import LiveSlurm

TELLS = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done
printf '\\0'
exec cat
"""


@dataclass(frozen=True)
class Given:
    words: list[str]
    script: str


class Recorder:
    def __init__(self) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="wrapper-"))
        self.place.chmod(0o755)
        shutil.copy(WRAPPER, self.place / "submit")
        (self.place / "sbatch").write_text(TELLS)
        (self.place / "sbatch").chmod(0o755)
        (self.place / "wrappers.json").write_text(
            json.dumps({"slurm_conf": "/run/x/slurm.conf", "bin_dir": str(self.place)})
        )
        self.researcher = pwd.getpwnam(LiveSlurm().researchers[-1])

    def given(self, job: Job) -> Given:
        """What sbatch gets for a job of the portal."""
        done = subprocess.run(
            [self.place / "submit"],
            input=json.dumps(_body(_request(job))).encode(),
            user=self.researcher.pw_uid,
            group=self.researcher.pw_gid,
            extra_groups=[],
            env={},
            capture_output=True,
            timeout=30,
        )
        shutil.rmtree(Path(self.researcher.pw_dir, "saola/jobs", str(job.pk)), ignore_errors=True)
        assert done.returncode == 0, done.stderr
        words, _separator, script = done.stdout.partition(b"\0\0")
        return Given(words.decode().split("\0"), script.decode())

    def close(self) -> None:
        shutil.rmtree(self.place)
