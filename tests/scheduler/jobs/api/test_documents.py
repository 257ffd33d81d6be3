"""docs/api.md keeps its word: its commands run as they stand there. And saola-balance, as it is installed, against
the portal itself over HTTP."""

import json
import os
import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.core.cache import caches

from portal.api.models import Token
from portal.api.services import token_make, token_revoke
from portal.clock import now
from scheduler.jobs.chaining import Chaining
from scheduler.jobs.models import Job
from tests.portal.api.programs import token_for
from tests.quotas.makers import balance
from tests.scheduler.jobs.makers import submit

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(settings.BASE_DIR)
BALANCE = ROOT / "ansible/roles/login/files/saola-balance"


@pytest.fixture(autouse=True)
def _empty_cache() -> None:
    caches["redis"].clear()


def examples() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "docs/api.md").read_text(), re.DOTALL)
    return [command for block in blocks for command in re.split(r"(?m)^(?=curl )", block) if command.strip()]


def test_the_examples_of_the_documentation_run(live_server, submitter, allocation, asked):
    job = submit(submitter, allocation)
    array = submit(submitter, allocation, gpus_per_node=1, chaining=Chaining(array="0-3"))
    known = {
        "PATH": "/usr/bin:/bin",
        "SAOLA_URL": live_server.url,
        "SAOLA_TOKEN": token_for(submitter),
        "ALLOCATION": str(allocation.pk),
        "JOB": str(job.pk),
        "ARRAY": str(array.pk),
        "PROJECT": allocation.project.slug,
    }
    answers = []
    for command in examples():
        assert "$SAOLA_TOKEN" in command
        done = subprocess.run(
            ["/bin/sh", "-euc", command.replace("curl -sS", "curl -sS --fail-with-body")],
            env=known,
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        answers.append(json.loads(done.stdout))
    assert len(answers) >= 11
    assert answers[0]["email"] == submitter.email
    assert answers[2]["fits"] is True
    assert Job.objects.get(pk=answers[3]["id"]).name == "try"
    tasks, _task, cancelled, gpus = answers[-4:]
    assert [row["task"] for row in tasks["results"]] == [0, 1, 2, 3]
    assert cancelled["state"] == "cancelled"
    assert gpus["by_type"] == []


# --- saola-balance ------------------------------------------------------------------------------------------------


@pytest.fixture
def installed(tmp_path, live_server) -> Path:
    """As the play installs it: saola.json beside the program, a link to it on the PATH."""
    folder = tmp_path / "login"
    folder.mkdir()
    program = folder / "saola-balance"
    program.write_bytes(BALANCE.read_bytes())
    program.chmod(0o755)
    (folder / "saola.json").write_text(json.dumps({"url": live_server.url}))
    link = tmp_path / "saola-balance"
    link.symlink_to(program)
    return link


def run(program: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    home = program.parent / "home"
    home.mkdir(exist_ok=True)
    known = {"HOME": str(home), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"} | environment
    return subprocess.run([program, *words], env=known, capture_output=True, text=True, timeout=30)


def test_it_prints_what_is_left_in_two_languages(installed, submitter, allocation):
    submit(submitter, allocation)
    secret = token_for(submitter, "read")
    known = balance(allocation)
    english = run(installed, SAOLA_TOKEN=secret)
    assert english.returncode == 0, english.stderr
    row = next(line for line in english.stdout.splitlines() if allocation.project.slug in line).split()
    assert row[1:7] == ["H100", "local", "100.00", "0.00", "2.03", "97.96"]
    vietnamese = run(installed, SAOLA_TOKEN=secret, LANG="vi_VN.UTF-8").stdout
    assert "Còn lại" in vietnamese
    assert "97,96" in vietnamese
    [figures] = json.loads(run(installed, "--json", SAOLA_TOKEN=secret).stdout)
    assert figures["balance"]["free"] == known.free
    assert figures["balance"]["held"] == known.held > 0


def test_it_reads_the_token_from_a_file_that_is_ones_own(installed, submitter, allocation):
    file = installed.parent / "home/.config/saola/token"
    missing = run(installed)
    assert (missing.returncode, "/profile/tokens/" in missing.stderr) == (2, True)
    file.parent.mkdir(parents=True)
    file.write_text(token_for(submitter, "read") + "\n")
    file.chmod(0o600)
    assert run(installed).returncode == 0
    for mode in (0o640, 0o604, 0o660):
        file.chmod(mode)
        open_to_others = run(installed)
        assert (open_to_others.returncode, "chmod 600" in open_to_others.stderr) == (2, True)
    file.unlink()
    os.mkfifo(file, 0o600)
    assert run(installed).returncode == 2  # nothing is waited for
    file.unlink()
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    assert run(installed).returncode == 2


def test_it_says_what_is_wrong(installed, submitter, allocation, monkeypatch):
    row, secret = token_make(person=submitter, name="x", scopes=["read"], life=timedelta(days=1))
    token_revoke(token=row, actor=submitter)
    revoked = run(installed, SAOLA_TOKEN=secret)
    assert (revoked.returncode, "bị thu hồi" in revoked.stderr) == (2, True)
    moment = now()
    Token.objects.filter(pk=row.pk).update(
        revoked_at=None, created_at=moment - timedelta(days=3), expires_at=moment - timedelta(days=1)
    )
    expired = run(installed, SAOLA_TOKEN=secret)
    assert (expired.returncode, "hết hạn" in expired.stderr) == (2, True)
    no_scope = run(installed, SAOLA_TOKEN=token_for(submitter, "submit"))
    assert (no_scope.returncode, "read" in no_scope.stderr) == (2, True)
    away = run(installed, SAOLA_TOKEN=secret, SAOLA_URL="http://127.0.0.1:9")
    assert (away.returncode, "does not answer" in away.stderr) == (1, True)
    plain = run(installed, SAOLA_TOKEN=secret, SAOLA_URL="http://portal.example")
    assert (plain.returncode, "not encrypted" in plain.stderr) == (1, True)
    for one in (revoked, expired, no_scope, away, plain):
        assert secret not in one.stdout + one.stderr
        assert "Traceback" not in one.stderr
