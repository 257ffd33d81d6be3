"""What the web server takes of its environment: no secret that everybody knows, the database's address as a whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def served(tmp_path: Path, *, then: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """What importing the server's entry point does with exactly these settings, and `then` behind it."""
    env_file = tmp_path / "web.env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    return subprocess.run(
        [sys.executable, "-c", f"import portal.wsgi\n{then}"],
        cwd=CHECKOUT,
        env={"PATH": os.environ["PATH"], "SAOLA_ENV_FILE": str(env_file)},
        capture_output=True,
        text=True,
    )


def test_it_refuses_the_default_secret_while_debug_is_off(tmp_path: Path) -> None:
    done = served(tmp_path, DEBUG="0")
    assert done.returncode != 0
    assert "refuses to start without a SECRET_KEY" in done.stderr


@pytest.mark.parametrize("environment", [{"SECRET_KEY": "one of its own", "DEBUG": "0"}, {"DEBUG": "1"}])
def test_it_starts_with_a_secret_or_for_a_developer(tmp_path: Path, environment: dict[str, str]) -> None:
    done = served(tmp_path, **environment)
    assert done.returncode == 0, done.stderr


def test_what_the_database_s_address_asks_for_is_kept(tmp_path: Path) -> None:
    done = served(
        tmp_path,
        then="from django.conf import settings; print(settings.DATABASES['default']['OPTIONS']['sslmode'])",
        DEBUG="1",
        DATABASE_URL="postgres://saola@db.example/saola?sslmode=verify-full",
    )
    assert done.stdout == "verify-full\n", done.stderr
