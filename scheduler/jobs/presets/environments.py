"""Where a job's programs come from: the system, environment modules, conda, an Apptainer or an Enroot image.

Each becomes the same two arrays of the script: `container`, options that srun itself gets (Pyxis extends srun), and
`inside`, what stands before the command in each task. Modules and conda change the shell's environment instead, which
srun hands to its tasks. Nothing is installed or initialised in a person's home.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.preflight import Problem
from scheduler.jobs.presets.values import ValueRefused, clean, word

MAX_ENTRIES = 20
ENVIRONMENT_TITLES: dict[str, str | Promise] = {
    "system": _("The cluster's programs"),
    "module": _("Modules"),
    "conda": _("conda"),
    "apptainer": _("Apptainer image"),
    "enroot": _("Enroot image"),
}

_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+/-]{0,100}")
_MOUNT = re.compile(r"/[^:,\\]{1,500}")
_CONDA = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9._-]{0,63}|/[A-Za-z0-9._/@+-]{1,300})")
_CONDA_BASE = re.compile(r"/[A-Za-z0-9._/@+-]{1,300}")
_APPTAINER = re.compile(
    r"(?:(?:docker|oras|library|shub)://[A-Za-z0-9][A-Za-z0-9._/:@-]{0,300}|/?[A-Za-z0-9][^:,\\]{0,400}\.sif)"
)
# A registry stands before “#”, as Enroot writes it; a squashed image is a path.
_ENROOT = re.compile(
    r"(?:[A-Za-z0-9][A-Za-z0-9.:-]{0,100}#)?[A-Za-z0-9][A-Za-z0-9._/:@-]{0,300}|/?[A-Za-z0-9][^:,\\]{0,400}\.sqsh"
)


@dataclass(frozen=True)
class Environment:
    """`modules` in the order in which they are loaded. `conda`: an environment's name, or its path; `conda_base`: where
    conda itself lies, "" if it is on the PATH. `image`: as Apptainer or Enroot write it. `mounts`: paths that an image
    is given read-only, under the same name, such as data sets.
    """

    kind: str = "system"
    modules: tuple[str, ...] = ()
    conda: str = ""
    conda_base: str = ""
    image: str = ""
    mounts: tuple[str, ...] = ()


SYSTEM = Environment()


def environment_lines(environment: Environment) -> list[str]:
    """Lines that make the environment and define `container` and `inside`. Of a checked one only."""
    return _LINES[environment.kind](environment)


def environment_problems(environment: Environment) -> Iterator[Problem]:
    """Everything that is wrong with it, each beside its field."""
    if environment.kind not in _LINES:
        yield Problem("environment", "environment", _("There is no such environment."))
        return
    for field, entries in (("modules", environment.modules), ("mounts", environment.mounts)):
        if len(entries) > MAX_ENTRIES:
            yield Problem("many", field, _("At most %(most)d are accepted."), (("most", MAX_ENTRIES),))
    # A module may be wanted beside any other kind (CUDA beside conda), so its names are looked at everywhere.
    for name in environment.modules:
        yield from _form("modules", name, _MODULE, _("“%(value)s” is no name of a module: cuda/12.4."))
    for mount in environment.mounts:
        text = _("“%(value)s” is no path that can be mounted: write it from “/”, without “:” and “,”.")
        yield from _form("mounts", mount, _MOUNT, text)
    if environment.kind == "module" and not environment.modules:
        yield Problem("required", "modules", _("Name at least one module."))
    yield from _place_problems(environment)


def _place_problems(environment: Environment) -> Iterator[Problem]:
    if environment.kind == "conda":
        text = _("Write a conda environment's name, or its whole path.")
        yield from _form("conda", environment.conda, _CONDA, text)
        if environment.conda_base:
            yield from _form("conda_base", environment.conda_base, _CONDA_BASE, _("Write conda's whole path."))
    if environment.kind == "apptainer":
        text = _("Write the path of a .sif file, or docker://name:tag.")
        yield from _form("image", environment.image, _APPTAINER, text)
    if environment.kind == "enroot":
        text = _("Write the path of a .sqsh file, or an image as Enroot does: nvcr.io#nvidia/pytorch:24.05-py3.")
        yield from _form("image", environment.image, _ENROOT, text)


def _form(field: str, value: str, form: re.Pattern[str], text: str | Promise) -> Iterator[Problem]:
    try:
        cleaned = clean(field, value)
    except ValueRefused as refused:
        yield refused.problem
        return
    # What would be changed by cleaning is refused: these values are written as they are.
    if cleaned != value or not form.fullmatch(value):
        yield Problem("form" if value else "required", field, text, (("value", value[:60]),))


def _modules(environment: Environment) -> list[str]:
    if not environment.modules:
        return []
    # A batch shell is no login shell and need not know `module`; these are where it comes from.
    return [
        "for start in /etc/profile.d/modules.sh /etc/profile.d/lmod.sh; do",
        "    # shellcheck source=/dev/null",
        '    if ! command -v module > /dev/null && [ -r "$start" ]; then source "$start" || true; fi',
        "done",
        *(f"module load {word(name)}" for name in environment.modules),
    ]


def _plain(environment: Environment) -> list[str]:
    return [*_modules(environment), "container=()", "inside=()"]


def _conda(environment: Environment) -> list[str]:
    # Neither needs `conda init`, which would rewrite the person's .bashrc.
    if environment.conda_base:
        base = environment.conda_base.rstrip("/")
        begin = ["# shellcheck source=/dev/null", f"source {word(base + '/etc/profile.d/conda.sh')}"]
    else:
        begin = ['eval "$(conda shell.bash hook)"']
    return [
        *_modules(environment),
        *begin,
        f"conda activate {word(environment.conda)}",
        "container=()",
        "inside=()",
    ]


def _apptainer(environment: Environment) -> list[str]:
    return [
        *_modules(environment),
        "container=()",
        'inside=(apptainer exec --nv --pwd "$PWD" --bind "$PWD" --bind "$project_dir" --bind "$output"',
        *(f"    --bind {word(f'{path}:{path}:ro')}" for path in environment.mounts),
        f"    {word(environment.image)})",
    ]


def _enroot(environment: Environment) -> list[str]:
    return [
        *_modules(environment),
        'mounts="$PWD:$PWD,$project_dir:$project_dir,$output:$output"',
        *(f"mounts+={word(f',{path}:{path}:ro')}" for path in environment.mounts),
        f"container=(--container-image={word(environment.image)} --container-mount-home",
        '    --container-mounts="$mounts" --container-workdir="$PWD")',
        "inside=()",
    ]


_LINES: dict[str, Callable[[Environment], list[str]]] = {
    "system": _plain,
    "module": _plain,
    "conda": _conda,
    "apptainer": _apptainer,
    "enroot": _enroot,
}
