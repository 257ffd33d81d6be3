"""Loading pyslurm, and libslurm with it, into this process: late, once, and only where it fits.

The only module that imports pyslurm. A process that has not asked a cluster through it has no libslurm inside: the web
process never does, a prefork worker's children do after the fork.
"""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from typing import Any

from scheduler.clusters.adapters.programs import Answer, Programs, failure
from scheduler.clusters.adapters.protocol import ClusterError

_loaded: dict[str, Any] = {}  # at most one: slurm.conf's path, the module


def bound(programs: Programs) -> Any:
    """pyslurm, set up for this slurm.conf. Raises ClusterError where it is not installed, or for another Slurm."""
    if programs.slurm_conf not in _loaded:
        if _loaded:
            raise ClusterError(
                f"pyslurm speaks to one Slurm a process, here that of {next(iter(_loaded))}: give the cluster of "
                f"{programs.slurm_conf} a worker of its own, or the adapter `commands`."
            )
        _versions_check(programs)
        _loaded[programs.slurm_conf] = _imported(programs.slurm_conf)
    return _loaded[programs.slurm_conf]


@contextmanager
def answering(pyslurm: Any, what: str) -> Iterator[None]:
    """Slurm's errors as the commands' adapter raises them: ClusterUnreachable or ClusterError, with Slurm's words."""
    try:
        yield
    except pyslurm.PyslurmError as error:
        raise failure(what, Answer(1, "", str(error))) from error


def _versions_check(programs: Programs) -> None:
    """By a program of the same Slurm first: over a slurm.conf that it cannot read, libslurm ends the whole process."""
    try:
        binding = metadata.version("pyslurm")
    except metadata.PackageNotFoundError as error:
        raise ClusterError(
            "The cluster's adapter is `pyslurm`, and pyslurm is not installed for this process: see CONTRIBUTING.md, "
            "or choose `commands`."
        ) from error
    found = re.search(r"^SLURM_VERSION *= *(\S+)", programs.read("scontrol", "show", "config"), re.MULTILINE)
    slurm = found[1] if found else "of an unknown version"
    if binding.split(".")[:2] != slurm.split(".")[:2]:
        raise ClusterError(
            f"pyslurm {binding} does not fit Slurm {slurm}: the first two numbers must be the same. Install the "
            "pyslurm of that Slurm, or choose the adapter `commands`, which works with every version."
        )


def _imported(slurm_conf: str) -> Any:
    # Set up below, for the right slurm.conf: by itself the import would look for one, and end the process without.
    os.environ["PYSLURM_DISABLE_AUTO_INIT"] = "1"
    os.environ["SLURM_CONF"] = slurm_conf
    os.environ["SLURM_BITSTR_LEN"] = "0"  # the whole list of an array's tasks, not its first 64 characters
    flags = sys.getdlopenflags()
    try:
        import pyslurm  # noqa: PLC0415  # only where a cluster asks for it
    except ImportError as error:
        raise ClusterError(f"pyslurm cannot be loaded: {error}") from error
    finally:
        sys.setdlopenflags(flags)  # it changes them for every library that is loaded after it
    pyslurm.slurm_init(slurm_conf)
    return pyslurm
