"""The test stack's MariaDB under slurmdbd: for records that come late, change, or are lost. Only a test's own jobs."""

import subprocess
from pathlib import Path

from django.conf import settings


def sql(statement: str, *values: object) -> list[list[str]]:
    place = Path(settings.SLURM["local"]["slurm_conf"]).parent / "slurmdbd.conf"
    conf = dict(line.split("=", 1) for line in place.read_text().splitlines() if "=" in line)
    done = subprocess.run(
        [
            "/usr/bin/mariadb",
            "--no-defaults",
            "-NB",
            "-h",
            "127.0.0.1",
            "-P",
            conf["StoragePort"],
            "-u",
            "slurm",
            "slurm_acct_db",
        ],
        input=statement % values,
        env={"PATH": "/usr/bin:/bin", "MYSQL_PWD": conf["StoragePass"]},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def record_copy(job_id: int, *, days_earlier: int, elapsed_s: int) -> None:
    """Another job that had the number of this one so many days before: as if its record came only now."""
    names = [row[0] for row in sql("SHOW COLUMNS FROM local_job_table") if row[0] != "job_db_inx"]
    earlier = {name: f"{name} - {days_earlier * 86_400}" for name in ("time_submit", "time_eligible", "time_start")}
    earlier["time_end"] = f"time_start - {days_earlier * 86_400} + {elapsed_s}"
    values = ", ".join(earlier.get(name, f"`{name}`") for name in names)
    quoted = ", ".join(f"`{name}`" for name in names)
    sql(
        "INSERT INTO local_job_table (%s) SELECT %s FROM local_job_table WHERE id_job = %s LIMIT 1",
        quoted,
        values,
        job_id,
    )
