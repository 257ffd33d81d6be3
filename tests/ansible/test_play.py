import subprocess

import pytest
from stack.build import failed_because, installed_files
from stack.layout import Stack, checkout_home

from tests.ansible.conftest import CHECKOUT


def test_the_playbook_is_valid() -> None:
    subprocess.run(
        [checkout_home() / "tools/bin/ansible-playbook", "one-machine.yml", "--syntax-check"],
        cwd=CHECKOUT / "ansible",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/nonexistent"},
        check=True,
        capture_output=True,
    )


def test_a_failure_is_told_by_its_last_line() -> None:
    line = 'fatal: [localhost]: FAILED! => {"msg": "non-zero return code", "stderr": "E: first\\nE: no such package"}'
    assert failed_because(line) == "E: no such package"


def test_what_is_made_is_not_installed() -> None:
    assert not [name for name in installed_files(("portal", "ansible")) if name.endswith((".pyc", ".mo"))]


@pytest.mark.slurm
def test_the_installed_code_belongs_to_root_and_is_closed_to_changes(stack: Stack) -> None:
    for place in (stack.install / "app", stack.install / "libexec", checkout_home() / "venv"):
        loose = subprocess.run(
            ["/usr/bin/find", "-L", place, "(", "-perm", "/022", "-o", "-not", "-user", "root", ")", "-print", "-quit"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert loose == ""


@pytest.mark.slurm
def test_slurm_runs_with_the_settings_that_budgets_need(stack: Stack) -> None:
    says = subprocess.run(
        ["/usr/bin/scontrol", "show", "config"],
        env={"PATH": "/usr/bin:/bin", "SLURM_CONF": str(stack.slurm_conf)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    settings = {key.strip(): value.strip() for key, _, value in (line.partition("=") for line in says.splitlines())}
    assert settings["AccountingStorageEnforce"] == "associations,limits,qos,safe"
    assert settings["PriorityType"] == "priority/multifactor"
    assert settings["PriorityDecayHalfLife"] == "00:00:00"
    assert settings["PriorityUsageResetPeriod"] == "NONE"
    assert settings["AccountingStoreFlags"] == "job_comment"
    assert {"gres/gpu", "gres/gpu:h100", "gres/gpu:h200"} <= set(settings["AccountingStorageTRES"].split(","))
    assert settings["PrivateData"] == "accounts,jobs,reservations,usage,users"
    assert settings["JobSubmitPlugins"] == "lua"
    assert settings["OverTimeLimit"].startswith("0")
