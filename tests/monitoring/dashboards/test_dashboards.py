"""Every expression of every dashboard finds data in the test stack's Prometheus, for a real cluster, node and job."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

import pytest
from django.conf import settings

from tests.scheduler.jobs.real import place_in_slurm
from tests.scheduler.live import LiveSlurm, wait_for

FILES = sorted((Path(__file__).parents[3] / "monitoring/dashboards").glob("*.json"))
BOARDS = {file.stem: json.loads(file.read_text()) for file in FILES}
EXPRESSIONS = sorted(
    {target["expr"] for board in BOARDS.values() for row in board["panels"] for target in row["targets"]}
)


def ask(expression: str) -> list[dict[str, object]]:
    where = urlsplit(settings.PROMETHEUS_URL)
    pair = base64.b64encode(f"{where.username}:{where.password}".encode()).decode()
    address = f"http://{where.hostname}:{where.port}/api/v1/query?{urlencode({'query': expression})}"
    with urlopen(Request(address, headers={"Authorization": f"Basic {pair}"}), timeout=20) as answer:
        found: list[dict[str, object]] = json.load(answer)["data"]["result"]
    return found


@pytest.fixture(scope="module")
def chosen() -> Iterator[dict[str, str]]:
    """The variables of the dashboards, while a job owns a GPU and says what it computes."""
    slurm = LiveSlurm()
    tools = Path(slurm.how["wrappers_dir"]).parent / "bin"
    with place_in_slurm() as place:
        answer = slurm.sbatch_unfenced(
            place.researcher,
            *(
                f"--account={place.account}",
                f"--qos={place.qos}",
                "--partition=h100",
                "--gpus-per-node=h100:1",
                "--time=5",
            ),
            script=f"#!/bin/bash\n{tools}/saola-report 1000000000000000 fp8 dense\nsleep 280\n",
        )
        assert not answer.code, answer
        job = answer.out.strip()
        owned = f'gpu_job_info{{cluster="local", jobid="{job}"}}'
        rows = wait_for("the job's GPU in Prometheus", lambda: ask(owned))
        yield {"$cluster": "local", "$jobid": job, "$node": str(rows[0]["metric"]["node"])}  # type: ignore[index]
        slurm.admin("scancel", job)


def test_each_dashboard_has_a_name_of_its_own_and_panels_that_say_what_they_show() -> None:
    assert len({board["uid"] for board in BOARDS.values()}) == len(BOARDS) == 3
    for board in BOARDS.values():
        names = {row["name"] for row in board["templating"]["list"]}
        assert len({row["id"] for row in board["panels"]}) == len(board["panels"])
        for row in board["panels"]:
            assert row["title"]
            assert row["fieldConfig"]["defaults"]["unit"]
            used = {
                word
                for target in row["targets"]
                for word in ("cluster", "node", "jobid")
                if f"${word}" in target["expr"]
            }
            assert used <= names


@pytest.mark.slurm
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_it_finds_data(expression: str, chosen: dict[str, str]) -> None:
    for name, value in chosen.items():
        expression = expression.replace(name, value)
    assert wait_for(expression, lambda: ask(expression))
