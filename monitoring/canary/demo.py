"""The demo's people, organisations and programme, made through the services like anybody's.

Passwords are random and stand only in the stack's `demo.json`, readable by its owner alone. Nothing here runs on a site
that is not a demo (settings.DEMO).
"""

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import transaction

from monitoring.canary.data_set import data_set_ensure
from monitoring.canary.errors import CanaryFailed
from monitoring.canary.programme import ACTOR, PROGRAMME, programme_furnish, programme_make
from portal.people.models import CentreRole, Membership, Organisation, User
from portal.people.services import centre_role_grant, membership_add, organisation_create, user_create
from quotas.programmes.models import Programme
from scheduler.clusters.models import Cluster, QosRule
from scheduler.clusters.services import cluster_register, gpu_slice_add, qos_rule_set

PASSWORD_BYTES = 12

# e-mail name, full name, centre roles, (organisation, role), takes a unix account
Person = tuple[str, str, tuple[CentreRole.Role, ...], tuple[str, Membership.Role] | None, bool]
PEOPLE: list[Person] = [
    ("mai", "Nguyễn Thị Mai", (), ("nom-ai", Membership.Role.MANAGER), True),
    ("long", "Trần Văn Long", (), ("nom-ai", Membership.Role.MEMBER), True),
    ("ha", "Phạm Thu Hà", (), ("sao-mai", Membership.Role.MANAGER), False),
    ("duc", "Lê Minh Đức", (), ("sao-mai", Membership.Role.MEMBER), True),
    ("oanh", "Võ Kim Oanh", (CentreRole.Role.OPERATOR,), None, False),
    ("quan", "Đỗ Anh Quân", (CentreRole.Role.OPERATOR, CentreRole.Role.APPROVER), None, False),
    ("chi", "Ngô Linh Chi", (CentreRole.Role.APPROVER,), None, False),
    ("thao", "Bùi Phương Thảo", (CentreRole.Role.REVIEWER,), None, False),
    ("phuc", "Lý Hoàng Phúc", (CentreRole.Role.REVIEWER,), None, False),
    ("kiet", "Huỳnh Tuấn Kiệt", (CentreRole.Role.AUDITOR,), None, False),
    ("linh", "Đặng Mỹ Linh", (), None, False),
]
ORGANISATIONS = [
    ("nom-ai", "Nôm AI", Organisation.Kind.STARTUP, "0101234567"),
    ("sao-mai", "Viện Tin học Y tế Sao Mai", Organisation.Kind.INSTITUTE, "0107654321"),
]


@dataclass(frozen=True)
class Demo:
    programme: Programme
    organisation: Organisation
    manager: User
    researcher: User
    proposer: User
    confirmer: User


def demo_ensure() -> Demo:
    """The demo's people and programme, made on the first call. Raises CanaryFailed where there must be no demo."""
    if not settings.DEMO:
        raise CanaryFailed("This site is not a demo (DEMO is off): the main job plays only on a demo stack.")
    with transaction.atomic():
        if not Programme.objects.filter(slug=PROGRAMME).exists():
            _demo_create()
        if missing := [row for row in PEOPLE if not User.objects.filter(email=_email(row[0])).exists()]:
            made = _people_create(missing)
            known = [one for one in demo_accounts() if one["email"] not in {new["email"] for new in made}]
            # Written before the commit: people whose passwords nobody knows would be worse than a file without people.
            _file_write([*known, *made])
        programme, proposer, confirmer = Programme.objects.get(slug=PROGRAMME), _person("oanh"), _person("quan")
        programme_furnish(programme=programme, proposer=proposer, approver=confirmer)
        data_set_ensure(operator=proposer)
        _places_furnish()
    return Demo(
        programme=programme,
        organisation=Organisation.objects.get(slug="nom-ai"),
        manager=_person("mai"),
        researcher=_person("long"),
        proposer=proposer,
        confirmer=confirmer,
    )


def _places_furnish() -> None:
    """What is the centre's to say and no cluster's: the share of a slice, and what a person has without GPU-hours."""
    gpu_slice_add(gpu_type="h100_1g.10gb", parent="h100", parts=1, whole=7)
    cluster = Cluster.objects.get(name=settings.CLUSTERS[0])
    if not QosRule.objects.filter(cluster=cluster).exists():
        qos_rule_set(cluster=cluster, kind=QosRule.Kind.CPU, time_limit_s=12 * 3_600, jobs=4, queued=20, cpus=16)
        qos_rule_set(cluster=cluster, kind=QosRule.Kind.SANDBOX, time_limit_s=4 * 3_600, jobs=2, queued=4, gpus=1)


def _email(name: str) -> str:
    return f"{name}@demo.example"


def _person(name: str) -> User:
    return User.objects.get(email=_email(name))


def _demo_create() -> None:
    cluster_register(name=settings.CLUSTERS[0], title="Cụm máy mô phỏng (demo)")
    for slug, name, kind, tax_code in ORGANISATIONS:
        organisation_create(
            name=name,
            slug=slug,
            kind=kind,
            tax_code=tax_code,
            verification=Organisation.Verification.VERIFIED,
            actor=ACTOR,
        )
    programme_make()


def _people_create(people: list[Person]) -> list[dict[str, str]]:
    """Those who are not there yet: on a stack that an earlier version built, the ones that came with this one."""
    organisations = {organisation.slug: organisation for organisation in Organisation.objects.all()}
    taken = set(User.objects.values_list("unix_account", flat=True))
    unix_accounts = iter([name for name in _unix_accounts() if name not in taken])
    accounts = []
    for name, full_name, centre_roles, membership, takes_unix_account in people:
        password = secrets.token_urlsafe(PASSWORD_BYTES)
        unix_account = next(unix_accounts, None) if takes_unix_account else None
        user = user_create(
            email=_email(name), full_name=full_name, password=password, unix_account=unix_account, actor=ACTOR
        )
        for centre_role in centre_roles:
            centre_role_grant(user=user, role=centre_role, actor=ACTOR)
        if membership:
            membership_add(organisation=organisations[membership[0]], user=user, role=membership[1], actor=ACTOR)
        roles = [*centre_roles, *([f"{membership[1]} of {membership[0]}"] if membership else [])]
        accounts.append(
            {
                "email": user.email,
                "password": password,
                "name": full_name,
                "roles": ", ".join(str(role) for role in roles) or "no rights",
                "unix_account": unix_account or "",
            }
        )
    return accounts


def _unix_accounts() -> list[str]:
    """The researchers' unix accounts that the set-up made on this host."""
    path = settings.STACK_DIR / "demo-unix-accounts.json"
    try:
        return list(json.loads(path.read_text()))
    except OSError as error:
        raise CanaryFailed(f"{path} is missing: `make run` writes it; run the main job through `make run`.") from error


def demo_file() -> Path:
    return Path(settings.STACK_DIR, "demo.json")


def _file_write(accounts: list[dict[str, str]]) -> None:
    path = demo_file()
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump({"url": settings.SITE_URL, "accounts": accounts}, file, ensure_ascii=False, indent=1)
    new.replace(path)


def demo_accounts() -> list[dict[str, str]]:
    """What `demo.json` says, for the lines that `main_job` prints; empty where the file is gone."""
    try:
        return list(json.loads(demo_file().read_text())["accounts"])
    except OSError:
        return []
