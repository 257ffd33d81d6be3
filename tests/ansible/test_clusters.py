"""A centre with two clusters: each worker has a queue, an account, an environment and wrappers of its own. The role's
own templates are rendered by Ansible; what they give for one cluster is what every stack runs on."""

import json
import subprocess
from pathlib import Path

import pytest
from stack.layout import checkout_home

from tests.ansible.conftest import CHECKOUT

VALUES = """
role_path: {role}
stack_name: saola
checkout_dir: /srv/saola
secrets_dir: {out}
metrics_token: x
postgresql_passwords: {{owner: x, web: x, worker: x}}
postgresql_url: "@db/saola"
redis_passwords: {{manage: x, web: x, worker: x, cluster: x}}
redis_port: 6379
prometheus_password: x
prometheus_port: 9090
exporter_nodes: [{{node: gpu1}}, {{node: gpu2}}]
exporter_first_port: 9445
exporter_token: token-of-the-exporters
exporter_scrape_interval_s: 15
slurm_cluster_name: north
portal_installed: {{stdout: digest}}
portal_venv: {out}/venv
south:
  slurm_conf: /etc/slurm-south/slurm.conf
  accounting_lock: /var/lib/slurm-south/sacctmgr.lock
  bin_dir: /opt/slurm/bin
  wrappers_dir: /opt/saola/libexec-south
  sudo: /usr/bin/sudo
  researchers_group: south-researchers
portal_clusters:
  - {{name: north, role: cluster, user: saola-north, database: worker, redis: cluster,
      slurm: {{north: "{{{{ portal_own_slurm }}}}"}}}}
  - {{name: south, role: cluster-south, user: saola-south, database: worker, redis: cluster,
      slurm: {{south: "{{{{ south }}}}"}}}}
"""
PLAY = """
- hosts: localhost
  gather_facts: false
  connection: local
  vars_files: [{role}/defaults/main.yml, {slurm}/defaults/main.yml]
  tasks:
    - copy:
        dest: "{out}/{{{{ item }}}}"
        content: "{{{{ lookup('ansible.builtin.template', item + '.j2') }}}}"
      loop: [services.yml, configure.sh, install.sh]
"""


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("clusters")
    (out / "venv").mkdir()
    (out / "venv/.installed-base").write_text("x")
    roles = CHECKOUT / "ansible/roles"
    (out / "templates").symlink_to(roles / "portal/templates")  # where a play beside it looks for them
    places = {"role": roles / "portal", "slurm": roles / "slurm", "out": out}
    (out / "play.yml").write_text(PLAY.format(**places))
    (out / "values.yml").write_text(VALUES.format(**places))
    done = subprocess.run(
        [
            checkout_home() / "tools/bin/ansible-playbook",
            "-i",
            "localhost,",
            "-e",
            f"@{out}/values.yml",
            out / "play.yml",
        ],
        cwd=CHECKOUT / "ansible",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "HOME": str(out)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stdout + done.stderr
    return {name: (out / name).read_text() for name in ("services.yml", "configure.sh", "install.sh")}


def environment(configure: str, role: str) -> dict[str, str]:
    text = configure.split(f"/etc/saola/env/{role}.env <<'END'\n", 1)[1].split("\nEND\n", 1)[0]
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_each_cluster_has_a_worker_of_its_own(rendered: dict[str, str]) -> None:
    programs = rendered["services.yml"].split("- name: ")
    for name, role in (("north", "cluster"), ("south", "cluster-south")):
        [program] = [one for one in programs if one.startswith(f"worker-cluster-{name}\n")]
        assert f"--queues cluster.{name} " in program
        assert f"user: saola-{name}\n" in program
        assert f'SAOLA_ENV_FILE: "/etc/saola/env/{role}.env"' in program


def test_a_worker_is_told_of_its_own_slurm_only(rendered: dict[str, str]) -> None:
    known = {
        role: set(json.loads(environment(rendered["configure.sh"], role).get("SLURM", "{}")))
        for role in ("manage", "web", "worker", "cluster", "cluster-south")
    }
    assert known == {
        "manage": {"north", "south"},
        "web": set(),
        "worker": set(),
        "cluster": {"north"},
        "cluster-south": {"south"},
    }
    assert environment(rendered["configure.sh"], "worker")["CLUSTERS"] == "north,south", "for the beat"
    assert "chown saola-south: /etc/saola/env/cluster-south.env" in rendered["configure.sh"]


def test_wrappers_and_sudo_are_each_clusters_own(rendered: dict[str, str], tmp_path: Path) -> None:
    script = rendered["install.sh"]
    for place, conf in (
        ("/opt/saola/libexec", "/etc/slurm/slurm.conf"),
        ("/opt/saola/libexec-south", "/etc/slurm-south/slurm.conf"),
    ):
        believed = script.split(f"cat > {place}/wrappers.json <<'END'\n", 1)[1].split("\n", 1)[0]
        assert json.loads(believed)["slurm_conf"] == conf
    text = script.split("cat > \"$new\" <<'END'\n", 1)[1].split("\nEND\n", 1)[0]
    assert 'saola-south ALL=(%south-researchers) NOPASSWD: /opt/saola/libexec-south/submit ""' in text
    assert 'saola-north ALL=(%saola-researchers) NOPASSWD: /opt/saola/libexec/submit ""' in text
    assert not [line for line in text.splitlines() if "south" in line and "libexec/" in line]
    (tmp_path / "sudoers").write_text(text)
    subprocess.run(["/usr/sbin/visudo", "-cqf", tmp_path / "sudoers"], check=True)


def test_the_worker_and_nobody_on_the_web_is_told_of_the_exporters(rendered: dict[str, str]) -> None:
    files = rendered["configure.sh"].split("cat > ")[1:]
    told = {one.split(".env")[0].rpartition("/")[2] for one in files if "token-of-the-exporters" in one}
    assert told == {"manage", "worker"}
    wanted = '{"north": {"gpu1": "http://gpu1:9445", "gpu2": "http://gpu2:9445"}}'
    assert f"EXPORTERS={wanted}" in rendered["configure.sh"]
