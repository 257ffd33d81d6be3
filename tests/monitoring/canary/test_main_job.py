"""The main job as `make run` plays it: the demo's people, its deadlines, and the whole on the test stack."""

import json
import re
import stat

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.test import RequestFactory

from monitoring.canary import play
from monitoring.canary.demo import PEOPLE, demo_accounts, demo_ensure, demo_file
from monitoring.canary.errors import CanaryFailed
from portal.clock import centre_date, now
from portal.people.models import Organisation, User
from portal.people.rules import centre_roles
from portal.people.selectors import organisations_of
from quotas.programmes.models import Call, Programme, Tariff
from quotas.programmes.selectors import calls_open, tariff_on
from scheduler.clusters.models import Cluster

OK = re.compile(
    r"main job ok: job=(\d+) charged_gpu_seconds=(\d+) slurmdbd_gpu_seconds=(\d+) residual=0 url=(http://\S+)"
)


@pytest.fixture
def demo_stack(settings, tmp_path, db):
    settings.DEMO = True
    settings.STACK_DIR = tmp_path
    (tmp_path / "demo-unix-accounts.json").write_text(json.dumps(["demoa", "demob", "democ", "demod"]))
    return tmp_path


def test_there_is_no_demo_where_it_is_off(settings, db):
    settings.DEMO = False
    with pytest.raises(CommandError, match="not a demo"):
        call_command("main_job")
    assert not User.objects.exists()


def test_the_demo_has_people_of_every_role_and_one_with_none(demo_stack):
    demo_ensure()
    assert Organisation.objects.count() == 2
    roles = {role for user in User.objects.all() for role in centre_roles(user)}
    assert roles == {"operator", "approver", "auditor", "reviewer"}
    nobodies = [user for user in User.objects.all() if not centre_roles(user) and not organisations_of(user)]
    assert [user.email for user in nobodies] == ["linh@demo.example"]


def test_passwords_are_random_work_and_only_the_owner_of_the_file_reads_them(demo_stack):
    demo_ensure()
    assert stat.S_IMODE(demo_file().stat().st_mode) == 0o600
    accounts = demo_accounts()
    assert len({account["password"] for account in accounts}) == len(accounts) == len(PEOPLE)
    for account in accounts:
        assert len(account["password"]) >= 16
        found = authenticate(RequestFactory().get("/"), email=account["email"], password=account["password"])
        assert found is not None, account["email"]


def test_the_demo_has_an_open_call_and_prices_that_two_people_decided(demo_stack):
    demo = demo_ensure()
    assert [call.programme for call in calls_open(now())] == [demo.programme]
    for gpu_type in ("h100", "h200"):
        proposal = tariff_on(gpu_type, centre_date(now())).proposal
        assert (proposal.proposed_by, proposal.decided_by) == (demo.proposer, demo.confirmer)


def test_a_second_call_changes_nothing(demo_stack):
    def seen():
        counts = [model.objects.count() for model in (User, Programme, Call, Tariff)]
        return (demo_file().read_text(), *counts)

    demo_ensure()
    before = seen()
    demo_ensure()
    assert seen() == before


def test_who_came_with_a_later_version_joins_the_others(demo_stack, monkeypatch):
    later = [row for row in PEOPLE if row[0] in ("phuc", "duc")]  # a reviewer, and one with a unix account
    monkeypatch.setattr("monitoring.canary.demo.PEOPLE", [row for row in PEOPLE if row not in later])
    demo_ensure()
    before = demo_accounts()
    monkeypatch.undo()
    demo_ensure()
    assert demo_accounts()[: len(before)] == before
    new = {account["email"]: account for account in demo_accounts()[len(before) :]}
    assert set(new) == {"phuc@demo.example", "duc@demo.example"}
    assert new["duc@demo.example"]["unix_account"] not in ("", *(account["unix_account"] for account in before))


def test_without_the_unix_accounts_it_says_who_makes_them(demo_stack):
    (demo_stack / "demo-unix-accounts.json").unlink()
    with pytest.raises(CanaryFailed, match="make run"):
        demo_ensure()
    assert not User.objects.exists()


def test_a_step_that_takes_too_long_says_what_it_waited_for(monkeypatch):
    nudges = []
    monkeypatch.setattr(play, "POLL_S", 0.01)
    monkeypatch.setattr(play, "NUDGE_S", 0.02)
    monkeypatch.setattr(play, "_nudge", nudges.append)
    with pytest.raises(CanaryFailed, match=r"^Waited 0 s for the moon; `make status`"):
        play._wait("the moon", 0.2, lambda: False, cluster=Cluster(name="local"))
    assert len(nudges) > 2


def test_without_redis_the_wait_goes_on(monkeypatch, settings):
    from kombu.exceptions import OperationalError

    def refuse(**ignored):
        raise OperationalError("connection refused")

    monkeypatch.setattr(play.cluster_cycle, "apply_async", refuse)
    play._nudge(Cluster(name="local"))


@pytest.mark.stack
def test_it_plays_again_with_one_new_job_and_nothing_else(stack):
    first = OK.fullmatch(stack.command("main_job").splitlines()[-1])
    assert first
    demo, before = stack.demo, stack.reconciled()
    second = OK.fullmatch(stack.command("main_job").splitlines()[-1])
    assert second
    assert int(second[1]) > int(first[1])
    assert second[2] == second[3]
    after = stack.reconciled()
    assert (after["residual_gpu_seconds"], after["differences"]) == (0, [])
    assert after["records"] >= before["records"] + 1
    assert after["charged_gpu_seconds"] - before["charged_gpu_seconds"] >= int(second[2]) > 0
    assert stack.demo == demo
    assert stack.answer("cluster_plan", "--cluster", "local")["changes"] == []
