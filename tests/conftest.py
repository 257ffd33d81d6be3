"""The cast. One organisation with a project that is tested, another that must never see it, and the centre's own
people.

Sao Mai AI (startup): Lan manages it, Hoa leads the project "Mô hình tiếng Việt", Minh and Tuấn do research in it.
Hồng Lam (university): Phương manages it, Quân does research in its project.
The centre: An and Bình are operators, Chi approves, Dũng reviews, Giang audits. Khánh has an account and no rights.
"""

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management.color import Style
from django.db import connection
from django.db.backends.postgresql.operations import DatabaseOperations
from django.test import Client
from django.utils.translation import trans_real
from pytest_django.fixtures import Settings
from pytest_django.plugin import DjangoDbBlocker

from portal.people.models import CentreRole, Membership, Organisation, Project, ProjectMembership, User
from tests import factories

pytest_plugins = ["tests.browsers"]


def pytest_configure() -> None:
    """Compiles catalogues that are older than their source: .mo files are never committed."""
    # Playwright's synchronous interface runs an event loop in the tests' thread; no ORM call here ever enters it.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    for source in Path(settings.BASE_DIR).glob("**/locale/*/LC_MESSAGES/django.po"):
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(["msgfmt", "-o", compiled, source], check=True)  # noqa: S607
            trans_real._translations.clear()  # models read texts as they load: what was read then is stale
    # Static files as they lie in the checkout, whatever an installed stack has collected.
    settings.STATIC_ROOT = str(Path(settings.BASE_DIR, "templates", "static"))
    # Looked up when asked for: each test client has the middleware made anew, and to list all files takes it 30 ms.
    settings.WHITENOISE_AUTOREFRESH = True
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }


def pytest_collection_finish() -> None:
    """What is there before the first test stays: looking at it again and again for garbage takes 7 % of the time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 50)


# Between transactional tests Django empties all tables. TRUNCATE makes every table and index anew, however little was
# in it, and triggers refuse it; here the tables that hold something are emptied, and their triggers step aside. What a
# reference still holds is emptied in a later round: not every one of them can be put off.
FLUSH = """
DO $$
DECLARE one regclass; filled boolean; found regclass[] := '{{}}'; left_ regclass[]; round_ regclass[];
BEGIN
  FOREACH one IN ARRAY ARRAY[{tables}]::regclass[] LOOP
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', one) INTO filled;
    IF filled THEN
      EXECUTE format('ALTER TABLE %s DISABLE TRIGGER USER', one);
      found := found || one;
    END IF;
  END LOOP;
  left_ := found;
  WHILE cardinality(left_) > 0 LOOP
    round_ := left_;
    left_ := '{{}}';
    FOREACH one IN ARRAY round_ LOOP
      BEGIN
        EXECUTE format('DELETE FROM %s', one);
      EXCEPTION WHEN foreign_key_violation THEN
        left_ := left_ || one;
      END;
    END LOOP;
    IF cardinality(left_) = cardinality(round_) THEN RAISE 'nothing of % can be emptied', left_; END IF;
  END LOOP;
  SET CONSTRAINTS ALL IMMEDIATE;
  FOREACH one IN ARRAY found LOOP EXECUTE format('ALTER TABLE %s ENABLE TRIGGER USER', one); END LOOP;
END $$
"""
KEPT = {"django_content_type", "auth_permission"}  # as the migrations left them; no test changes them


@pytest.fixture(scope="session", autouse=True)
def _quick_flush() -> Iterator[None]:
    plain = DatabaseOperations.sql_flush

    def sql_flush(self: DatabaseOperations, style: Style, tables: list[str], **options: bool) -> list[str]:
        names = ", ".join(f"'{self.quote_name(table)}'" for table in tables if table not in KEPT)
        return [FLUSH.format(tables=names)]

    DatabaseOperations.sql_flush = sql_flush
    yield
    DatabaseOperations.sql_flush = plain


# Whoever vacuums a table between two tests finds it empty and tells the planner so: a join of five tables of no rows is
# planned as one loop in another, and takes minutes where the next test has some hundred.
NO_AUTOVACUUM = """
DO $$
DECLARE one regclass;
BEGIN
  FOR one IN SELECT oid FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
    EXECUTE format('ALTER TABLE %s SET (autovacuum_enabled = false)', one);
  END LOOP;
END $$
"""


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute(NO_AUTOVACUUM)


@pytest.fixture(autouse=True)
def _quick_and_alone(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Weak password hashes (fast), an own cache, no message to a broker: tests do a worker's work themselves. Uploads
    go to a place that ends with the tests.
    """
    from portal.celery import app

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    local = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    settings.CACHES = {"default": local, "redis": local}
    settings.MEDIA_ROOT = str(tmp_path_factory.getbasetemp() / "media")
    settings.METRICS_TOKEN = "the-token-of-the-tests"
    app.conf.broker_url = "memory://localhost"


@pytest.fixture(scope="session")
def browser_type_launch_args() -> dict[str, object]:
    """For every browser test."""
    return {
        # Debian's, without windows and tabs around the pages: a quarter less processor time.
        "executable_path": "/usr/bin/chromium-headless-shell",
        "args": ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
    }


# --- organisations and projects -----------------------------------------------------------------------------------


@pytest.fixture
def organisation(db: None) -> Organisation:
    return factories.organisation("Công ty Sao Mai AI", "sao-mai", tax_code="0101234567")


@pytest.fixture
def other_organisation(db: None) -> Organisation:
    return factories.organisation(
        "Đại học Hồng Lam", "hong-lam", kind=Organisation.Kind.UNIVERSITY, tax_code="0107654321"
    )


@pytest.fixture
def project(organisation: Organisation) -> Project:
    return factories.project("Mô hình tiếng Việt", "mo-hinh-tieng-viet", of=organisation)


@pytest.fixture
def other_project(other_organisation: Organisation) -> Project:
    return factories.project("Ảnh vệ tinh", "anh-ve-tinh", of=other_organisation)


# --- people of the organisation -----------------------------------------------------------------------------------


@pytest.fixture
def organisation_manager(organisation: Organisation) -> User:
    lan = factories.person("lan@sao-mai.example", "Nguyễn Thị Lan")
    factories.member(lan, organisation, Membership.Role.MANAGER)
    return lan


@pytest.fixture
def pi(project: Project) -> User:
    hoa = factories.person("hoa@sao-mai.example", "Trần Thu Hoa", unix_account="hoa")
    factories.project_member(hoa, project, ProjectMembership.Role.PI)
    return hoa


@pytest.fixture
def researcher(project: Project) -> User:
    minh = factories.person("minh@sao-mai.example", "Lê Quang Minh", unix_account="minh")
    factories.project_member(minh, project)
    return minh


@pytest.fixture
def second_researcher(project: Project) -> User:
    tuan = factories.person("tuan@sao-mai.example", "Phạm Anh Tuấn", unix_account="tuan")
    factories.project_member(tuan, project)
    return tuan


@pytest.fixture
def organisation_member(organisation: Organisation) -> User:
    """A member of the organisation who is in none of its projects."""
    thao = factories.person("thao@sao-mai.example", "Đỗ Phương Thảo")
    factories.member(thao, organisation)
    return thao


# --- people of the other organisation -----------------------------------------------------------------------------


@pytest.fixture
def outsider(other_organisation: Organisation) -> User:
    """A manager of the other organisation."""
    phuong = factories.person("phuong@hong-lam.example", "Vũ Mai Phương")
    factories.member(phuong, other_organisation, Membership.Role.MANAGER)
    return phuong


@pytest.fixture
def other_researcher(other_project: Project) -> User:
    quan = factories.person("quan@hong-lam.example", "Bùi Minh Quân", unix_account="quan")
    factories.project_member(quan, other_project)
    return quan


# --- people of the centre -----------------------------------------------------------------------------------------


@pytest.fixture
def operator(db: None) -> User:
    return factories.person("an@centre.example", "Hoàng Văn An", centre_roles=(CentreRole.Role.OPERATOR,))


@pytest.fixture
def second_operator(db: None) -> User:
    return factories.person("binh@centre.example", "Đặng Thanh Bình", centre_roles=(CentreRole.Role.OPERATOR,))


@pytest.fixture
def approver(db: None) -> User:
    return factories.person("chi@centre.example", "Ngô Linh Chi", centre_roles=(CentreRole.Role.APPROVER,))


@pytest.fixture
def reviewer(db: None) -> User:
    return factories.person("dung@reviewers.example", "Lý Tiến Dũng", centre_roles=(CentreRole.Role.REVIEWER,))


@pytest.fixture
def auditor(db: None) -> User:
    return factories.person("giang@centre.example", "Hồ Hương Giang", centre_roles=(CentreRole.Role.AUDITOR,))


@pytest.fixture
def nobody(db: None) -> User:
    """A person with an account and no rights at all."""
    return factories.person("khanh@elsewhere.example", "Mai Gia Khánh")


# --- their browsers -----------------------------------------------------------------------------------------------

ClientOf = Callable[[User], Client]


@pytest.fixture
def client_of(db: None) -> ClientOf:
    """A browser in which the person is logged in: `client_of(researcher).get(…)`."""

    def make(user: User) -> Client:
        client = Client()
        client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
        return client

    return make
