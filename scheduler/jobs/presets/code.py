"""Where a job's code comes from, if not from a folder: a git repository, fetched inside the job, as the person.

Only what can neither run a program on its way nor show a secret: https without a password in the address, and ssh with
the person's own key.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets.values import ValueRefused, clean, word

_HOST = r"[A-Za-z0-9][A-Za-z0-9.-]{0,200}"
_PATH = r"[A-Za-z0-9_~.][A-Za-z0-9._~/+-]{0,400}"
_REPOSITORY = re.compile(
    rf"https://{_HOST}(?::\d{{1,5}})?/{_PATH}|ssh://(?:[a-z_][a-z0-9_-]{{0,30}}@)?{_HOST}(?::\d{{1,5}})?/{_PATH}"
    rf"|[a-z_][a-z0-9_-]{{0,30}}@{_HOST}:{_PATH}"
)
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/+-]{0,200}")


@dataclass(frozen=True)
class Code:
    """`repository`: "" if the code lies in the working folder. `revision`: a branch, a tag or a whole commit id; "" is
    the repository's default branch."""

    repository: str = ""
    revision: str = ""


NO_CODE = Code()


def code_problems(code: Code) -> Iterator[Problem]:
    """Everything that is wrong with it, each beside its field."""
    if not code.repository:
        return
    text = _("Write the address as https://host/path or git@host:path, without a password.")
    yield from _form("repository", code.repository, _REPOSITORY, text)
    if code.revision:
        yield from _form("revision", code.revision, _REVISION, _("Write a branch, a tag or a whole commit id."))


def code_lines(code: Code) -> list[str]:
    """Lines that fetch it and go there, below the block of folders' `output`. Of checked code only."""
    if not code.repository:
        return []
    return [
        f"repository={word(code.repository)}",
        f"revision={word(code.revision or 'HEAD')}",
        'code="$output/code-$SLURM_JOB_ID"',
        "# A job that goes on after its time limit goes on with the code that it began with.",
        'if [ ! -e "$code/.git/fetched" ]; then',
        '    git init --quiet "$code"',
        "    # Nobody could answer a question here.",
        '    GIT_TERMINAL_PROMPT=0 git -C "$code" fetch --quiet --depth 1 -- "$repository" "$revision"',
        '    git -C "$code" checkout --quiet --detach FETCH_HEAD',
        '    touch "$code/.git/fetched"',
        "fi",
        'cd -- "$code"',
        'echo "code: $repository $(git rev-parse HEAD)"',
    ]


def _form(field: str, value: str, form: re.Pattern[str], text: str | Promise) -> Iterator[Problem]:
    try:
        cleaned = clean(field, value)
    except ValueRefused as refused:
        yield refused.problem
        return
    if cleaned != value or not form.fullmatch(value) or ".." in value:
        yield Problem("form", field, text)
