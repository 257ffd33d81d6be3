"""The `pyslurm` adapter in a process of its own, under the worker's uid: as in a prefork worker's child.

libslurm keeps one slurm.conf a process, and may end it: never load it into the process of the tests.
"""

import copyreg
import os
import pwd
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, cast

from scheduler.clusters.adapters.programs import Programs
from scheduler.clusters.adapters.protocol import ClusterAdapter, OutputRefused, SubmissionRefused
from scheduler.clusters.adapters.pyslurm_adapter import PyslurmAdapter
from tests.scheduler.live import LiveSlurm


def _made_again(kind: type[Exception], arguments: tuple[object, ...], fields: dict[str, object]) -> Exception:
    error = kind.__new__(kind)
    error.args = arguments
    error.__dict__.update(fields)
    return error


def _taken_apart(error: Exception) -> tuple[object, ...]:
    return _made_again, (type(error), error.args, error.__dict__)


for kind in (SubmissionRefused, OutputRefused):  # whose fields are more than an exception's arguments
    copyreg.pickle(kind, _taken_apart)


@contextmanager
def pyslurm_worker(slurm: LiveSlurm) -> Iterator[ClusterAdapter]:
    here, there = Pipe()
    pid = os.fork()
    if not pid:
        try:
            here.close()
            _serve(there, slurm)
        finally:
            os._exit(0)
    there.close()
    try:
        yield cast(ClusterAdapter, _Asking(here))
    finally:
        here.close()
        os.waitpid(pid, 0)


class _Asking:
    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:
            self._pipe.send((name, arguments, named))
            try:
                is_answer, found = self._pipe.recv()
            except EOFError:
                raise AssertionError(f"the worker's process ended in {name}") from None
            if is_answer:
                return found
            raise found

        return ask


def _serve(pipe: Connection, slurm: LiveSlurm) -> None:
    entry = pwd.getpwnam(slurm.worker)
    os.initgroups(entry.pw_name, entry.pw_gid)
    os.setresgid(entry.pw_gid, entry.pw_gid, entry.pw_gid)
    os.setresuid(entry.pw_uid, entry.pw_uid, entry.pw_uid)
    os.environ.update(SECRET_KEY="must-not-leak", DATABASE_URL="must-not-leak")
    adapter = PyslurmAdapter(
        cluster=slurm.cluster,
        programs=Programs(**slurm.programs),
        wrappers_dir=slurm.how["wrappers_dir"],
        sudo=slurm.how["sudo"],
    )
    while True:
        try:
            name, arguments, named = pipe.recv()
        except EOFError:
            return
        try:
            found = getattr(adapter, name)(*arguments, **named)
            pipe.send((True, list(found) if isinstance(found, Iterator) else found))
        except Exception as error:
            pipe.send((False, error))
