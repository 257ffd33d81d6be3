"""One settings file, driven by the environment.

A process is given SAOLA_ENV_FILE (KEY=VALUE lines, readable by its own user only). Without it, commands run by hand
find the stack that runs beside this code: `.stack/env/manage.env`.
"""

import os
import sys
from pathlib import Path

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
_env_file = Path(os.environ.get("SAOLA_ENV_FILE", BASE_DIR / ".stack" / "env" / "manage.env"))
if _env_file.is_file() and os.access(_env_file, os.R_OK):
    env.read_env(str(_env_file))
elif "SAOLA_ENV_FILE" in os.environ:
    raise ImproperlyConfigured(f"SAOLA_ENV_FILE names {_env_file}, which this user cannot read.")
STACK_DIR = _env_file.parent.parent  # of the stack that this process belongs to

DEFAULT_SECRET_KEY = "insecure-default-for-checks-only"  # noqa: S105 - the web server refuses it (wsgi.py)
DEBUG = env.bool("DEBUG", False)
SECRET_KEY = env("SECRET_KEY", default=DEFAULT_SECRET_KEY)
DEMO = env.bool("DEMO", False)  # demo people with printed passwords exist only where this is on
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1"])
SITE_URL = env("SITE_URL", default="http://localhost:8000")

INSTALLED_APPS = [
    "portal.people",
    "portal.audit",
    "portal.outbox",
    "portal.files",
    "portal.web",
    "portal.api",
    "quotas.ledger",
    "quotas.proposals",
    "quotas.estimator",
    "quotas.programmes",
    "quotas.allocations",
    "quotas.applications",
    "quotas.reviews",
    "quotas.statements",
    "scheduler.clusters",
    "scheduler.datasets",
    "scheduler.accounts",
    "scheduler.jobs.library",
    "scheduler.jobs",
    "scheduler.settlement",
    "monitoring.attribution",
    "monitoring.rollups",
    "monitoring.gpus",
    "monitoring.reports",
    "monitoring.watching",
    "monitoring.canary",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "allauth",
    "allauth.account",
    "pgtrigger",
    "pghistory",
    "django_htmx",
    "django_tables2",
    "csp",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "portal.web.middleware.LanguageMiddleware",
    "portal.files.middleware.BodyLimitMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "portal.web.middleware.RolesMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "portal.audit.middleware.HistoryMiddleware",
]

ROOT_URLCONF = "portal.urls"
WSGI_APPLICATION = "portal.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "portal.web.context.shell",
            ],
        },
    }
]

# --- data ---------------------------------------------------------------------------------------------------------
DATABASES = {"default": env.db("DATABASE_URL", default="postgres:///saola")}
DATABASES["default"]["CONN_MAX_AGE"] = 600  # a new one costs the server 20 ms of CPU: as much as a request
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
# PostgreSQL keeps the plan of what a connection asks again and again: a fifth of a submission's time.
# Beside what the address says (sslmode).
DATABASES["default"].setdefault("OPTIONS", {}).update(server_side_binding=True, prepare_threshold=5)
# Several groups of tests run on one server: each names a database of its own, copied from one that was migrated.
DATABASES["default"]["TEST"] = {
    "NAME": "test_saola" + env("TEST_DB_SUFFIX", default=""),
    "TEMPLATE": env("TEST_DB_TEMPLATE", default="") or None,
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
REDIS_URL = env("REDIS_URL", default="redis://127.0.0.1:6379/0")
CACHES = {
    # Login counts attempts here, in PostgreSQL: while Redis is away people still come in, at the same limits.
    "default": {"BACKEND": "django.core.cache.backends.db.DatabaseCache", "LOCATION": "web_cache"},
    "redis": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "saola",
        "OPTIONS": {
            "socket_timeout": 1,
            "socket_connect_timeout": 1,
            "serializer": "portal.redis_json.JsonSerializer",
        },
    },
}
SESSION_ENGINE = "django.contrib.sessions.backends.db"  # Redis may be restarted; nobody is logged out by that
STATIC_URL = "/static/"
STATIC_ROOT = env("STATIC_ROOT", default=str(BASE_DIR / "static-root"))
STATICFILES_DIRS = [BASE_DIR / "templates" / "static"]
# Uploads: portal/files. No address serves this directory.
MEDIA_ROOT = env("MEDIA_ROOT", default=str(BASE_DIR / "media"))
FILES_LIMIT_BYTES = env.int("FILES_LIMIT_BYTES", 20 * 1024 * 1024)  # of one file
# Of a whole request: so far, a file that is too large is read and thrown away, for an answer beside its field.
FILES_BODY_LIMIT_BYTES = 128 * 1024 * 1024
# Of the files of all applications together that an organisation is writing.
DRAFT_FILES_LIMIT_BYTES = env.int("DRAFT_FILES_LIMIT_BYTES", 500 * 1024 * 1024)
FILE_UPLOAD_HANDLERS = ["portal.files.uploads.LimitedUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FILES = 10
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if Path(STATIC_ROOT, "staticfiles.json").exists()
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# --- people -------------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "people.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"  # accounts are made by operators and managers; there is no self sign-up yet
ACCOUNT_ADAPTER = "portal.people.adapter.AccountAdapter"
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGOUT_REDIRECT_URL = "/"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # a reset for an unknown address sends nothing

# --- language and time --------------------------------------------------------------------------------------------
LANGUAGE_CODE = "vi"
LANGUAGES = [("vi", _("Vietnamese")), ("en", _("English"))]
FORMAT_MODULE_PATH = ["portal.web.formats"]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"  # what the database session and Slurm's commands speak
CENTRE_TIME_ZONE = env("CENTRE_TIME_ZONE", default="Asia/Ho_Chi_Minh")  # what a person and a report speak

# --- workers ------------------------------------------------------------------------------------------------------
CENTRE_GPUS = env.int("CENTRE_GPUS", 10_240)  # in all clusters; estimates speak of shares of it
CLUSTERS = env.list("CLUSTERS", default=["local"])
CLUSTER_CYCLE_S = env.int("CLUSTER_CYCLE_S", 30)
# Per cluster: slurm_conf, bin_dir, wrappers_dir, sudo, researchers_group; perhaps adapter ("commands", "pyslurm").
SLURM = env.json("SLURM", default={})
DATA_GROUP_PREFIX = env("DATA_GROUP_PREFIX", default="sd-")  # of the unix groups that keep data sets
PROMETHEUS_URL = env("PROMETHEUS_URL", default="")
METRICS_TOKEN = env("METRICS_TOKEN", default="")
# Of each cluster the address of every node's exporter, or one for all of them: "http://{node}:9445".
EXPORTERS = env.json("EXPORTERS", default={})
EXPORTER_TOKEN = env("EXPORTER_TOKEN", default="")
GPU_SCRAPE_INTERVAL_S = env.float("GPU_SCRAPE_INTERVAL_S", 15.0)  # Prometheus' own, of the job "gpu"
# How long what was counted window by window is kept: as long as it may be counted anew. Sums by run and day stay.
WINDOWS_KEPT_DAYS = env.int("WINDOWS_KEPT_DAYS", 92)
# Findings (monitoring/watching): a job whose GPUs do nothing for so long; a node or GPU that is sick for so long; and
# how long whoever was told of an idle job has before the next step.
WATCH_IDLE_WINDOW_S = env.float("WATCH_IDLE_WINDOW_S", 1_800.0)
WATCH_NODE_WINDOW_S = env.float("WATCH_NODE_WINDOW_S", 300.0)
WATCH_STEP_S = env.float("WATCH_STEP_S", 3_600.0)
# The nation's public figures show nothing that fewer organisations stand behind.
PUBLIC_LEAST_ORGANISATIONS = env.int("PUBLIC_LEAST_ORGANISATIONS", 5)
CONTACT_EMAIL = env("CONTACT_EMAIL", default="")  # where an organisation without an account asks for one
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True  # every task here is idempotent: its truth lies in PostgreSQL
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 7200,  # above the longest task
    # A Redis that hangs is one that is away: nobody's form waits for it. A worker asks for one second at a time.
    "socket_connect_timeout": 2,
    "socket_timeout": 5,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None  # Redis may be away for any time
CELERY_TASK_PUBLISH_RETRY_POLICY = {"max_retries": 1, "interval_start": 0, "interval_step": 0.1, "interval_max": 0.2}
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = (
    {
        "outbox-relay": {"task": "portal.outbox.tasks.relay", "schedule": 5.0, "options": {"expires": 5}},
        "ledger-verify": {
            "task": "quotas.allocations.tasks.ledger_verify",
            "schedule": 600.0,
            "options": {"expires": 600},
        },
        "files-drop-unused": {
            "task": "portal.files.tasks.files_drop_unused",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "files-verify": {"task": "portal.files.tasks.files_verify", "schedule": 86_400.0, "options": {"expires": 3600}},
        "allocations-expire": {
            "task": "quotas.allocations.tasks.expire_ended",
            "schedule": 300.0,
            "options": {"expires": 300},
        },
        "applications-drop-attachments": {
            "task": "quotas.applications.tasks.attachments_drop",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        "reviews-remind": {
            "task": "quotas.reviews.tasks.remind_due",
            "schedule": 3600.0,
            "options": {"expires": 3600},
        },
        # Asked every ten minutes and idempotent: what is due on a day is done in its first minutes in the centre.
        "vouchers-follow": {
            "task": "quotas.allocations.tasks.vouchers_follow",
            "schedule": 600.0,
            "options": {"expires": 600},
        },
        "figures-publish": {
            "task": "monitoring.reports.tasks.publish",
            "schedule": 21_600.0,
            "options": {"expires": 3600},
        },
        "exporters-pull": {
            "task": "monitoring.attribution.tasks.exporters_pull",
            "schedule": 15.0,
            "options": {"expires": 15},
        },
        "attribution-forget": {
            "task": "monitoring.attribution.tasks.forget",
            "schedule": 86_400.0,
            "options": {"expires": 3600},
        },
        "rollup": {
            "task": "monitoring.rollups.tasks.rollup",
            "schedule": 15.0,  # a job's summary is there within a minute after its end
            "options": {"expires": 15},
        },
        "watch": {
            "task": "monitoring.watching.tasks.watch",
            "schedule": 60.0,
            "options": {"expires": 60},
        },
        "rollup-forget": {
            "task": "monitoring.rollups.tasks.forget",
            "schedule": 86_400.0,
            "options": {"expires": 3600},
        },
        "submission-keys-forget": {
            "task": "scheduler.jobs.tasks.submission_keys_forget",
            "schedule": 86_400.0,
            "options": {"expires": 3600},
        },
        "statements-issue": {
            "task": "quotas.statements.tasks.last_month_issue",
            "schedule": 600.0,
            "options": {"expires": 600},
        },
        "statements-verify": {
            "task": "quotas.statements.tasks.verify",
            "schedule": 86_400.0,
            "options": {"expires": 3_600},
        },
    }
    | {
        f"heartbeat-{queue}": {
            "task": "portal.web.tasks.heartbeat",
            "args": [queue],
            "schedule": 10.0,
            "options": {"queue": queue, "expires": 10},
        }
        for queue in ["default", *(f"cluster.{name}" for name in CLUSTERS)]
    }
    | {
        f"cluster-cycle-{name}": {
            "task": "scheduler.settlement.tasks.cluster_cycle",
            "args": [name],
            "schedule": float(CLUSTER_CYCLE_S),
            "options": {"queue": f"cluster.{name}", "expires": CLUSTER_CYCLE_S},
        }
        for name in CLUSTERS
    }
)

# --- mail ---------------------------------------------------------------------------------------------------------
vars().update(env.email("EMAIL_URL", default="consolemail://"))
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", default="Saola <no-reply@localhost>")

# --- browser security ---------------------------------------------------------------------------------------------
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "font-src": [SELF],
        "img-src": [SELF, "data:"],  # Bootstrap's own stylesheet carries its small icons as data: addresses
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SITE_URL.startswith("https://")
CSRF_FAILURE_VIEW = "portal.web.views.csrf_failure"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_621_440  # bytes, without files; a job script is at most 1 MiB

# --- the API ------------------------------------------------------------------------------------------------------
# A token is the only way in and JSON the only language: no session, no form, no page. The framework is no installed
# app, so that neither its pages nor their files exist here.
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["portal.api.access.Bearer"],
    "DEFAULT_PERMISSION_CLASSES": ["portal.api.access.Scoped"],
    "DEFAULT_THROTTLE_CLASSES": ["portal.api.access.PerToken"],
    "DEFAULT_PARSER_CLASSES": ["portal.api.access.StrictJson"],
    "DEFAULT_RENDERER_CLASSES": ["portal.api.shapes.ShapesAsJson"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "portal.api.shapes.Negotiation",
    "EXCEPTION_HANDLER": "portal.api.errors.answered",
}
API_REQUESTS_A_MINUTE = env.int("API_REQUESTS_A_MINUTE", 300)  # of one token

DJANGO_TABLES2_TEMPLATE = "components/table.html"
FORM_RENDERER = "portal.web.forms.Renderer"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "stream": sys.stderr, "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", default="INFO")},
}
