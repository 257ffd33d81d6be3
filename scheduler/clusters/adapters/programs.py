"""Running Slurm's programs: argument vectors, a clean environment, timeouts, typed errors. No shell anywhere."""

import codecs
import os
import pwd
import secrets
import selectors
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from scheduler.clusters.adapters.protocol import ClusterError, ClusterUnreachable

# Above the 9 s that a client takes to give a dead slurmctld up, and the 10 s (MessageTimeout) of a hung one. A hung
# slurmdbd keeps sacctmgr waiting for ever.
READ_TIMEOUT_S = 30
STREAM_TIMEOUT_S = 600  # sacct over a wide window, read as it comes
LOCK_TIMEOUT_S = 30  # a change takes a fifth of a second
_LOCK_NOT_HAD = 75
_CHUNK_BYTES = 65_536
_PIPE_BYTES = 65_536  # the kernel takes so much from a writer before anybody reads
_UNREACHABLE = (
    "Unable to contact slurm controller",
    "Connection refused",
    "Connection timed out",
    "Problem talking to the database",
    "Socket timed out",
    "Zero Bytes were transmitted",
    "Slurm backup controller in standby mode",
    "Munge encode failed",
)


@dataclass(frozen=True, slots=True)
class Answer:
    code: int
    out: str
    error: str


@dataclass(frozen=True, slots=True)
class RawAnswer:
    code: int
    out: bytes
    error: str


@dataclass(frozen=True)
class Programs:
    """Slurm's programs on this host, as the process's own user. Nothing of the portal's environment reaches them."""

    slurm_conf: str
    accounting_lock: str
    bin_dir: str = "/usr/bin"

    @property
    def identity(self) -> str:
        """The unix account under which they run: whom Slurm writes down as the actor."""
        return pwd.getpwuid(os.geteuid()).pw_name

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": "/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TZ": "UTC",  # Slurm prints naive local times
            "SLURM_CONF": self.slurm_conf,
            "SLURM_TIME_FORMAT": "standard",
            "SLURM_BITSTR_LEN": "0",  # the whole list of an array's tasks, not its first 64 characters
        }

    def ask(self, program: str, *arguments: str, timeout_s: float = READ_TIMEOUT_S, stdin: str | None = None) -> Answer:
        """Runs it to its end. Raises ClusterUnreachable after the timeout, ClusterError where it cannot be started."""
        return self.ask_vector([f"{self.bin_dir}/{program}", *arguments], timeout_s=timeout_s, stdin=stdin)

    def change_tree(self, *arguments: str) -> Answer:
        """A change to the tree of accounts and users by sacctmgr, after those that others on this host are making.

        slurmdbd up to 23.02 keeps the tree as nested intervals and gives two changes at once the same numbers. The
        next removal then takes away other accounts than those named, and reading a child whose parent is gone kills
        slurmdbd, again after every start: four processes that add and remove had it there within a minute (22.05.8).
        flock keeps the lock until sacctmgr itself ends, also where the worker that started it was killed.
        """
        lock = ["flock", f"--wait={LOCK_TIMEOUT_S}", f"--conflict-exit-code={_LOCK_NOT_HAD}", self.accounting_lock]
        vector = [*lock, f"{self.bin_dir}/sacctmgr", "-i", *arguments]
        answer = self.ask_vector(vector, timeout_s=LOCK_TIMEOUT_S + READ_TIMEOUT_S)
        if answer.code == _LOCK_NOT_HAD:
            who = f"somebody else, who holds {self.accounting_lock}"
            raise ClusterUnreachable(f"accounts were being changed for {LOCK_TIMEOUT_S} s by {who}")
        return answer

    def ask_vector(self, vector: Sequence[str], *, timeout_s: float, stdin: str | None = None) -> Answer:
        try:
            done = subprocess.run(
                vector,
                input=(stdin or "").encode(),
                capture_output=True,
                timeout=timeout_s,
                env=self.environment,
                cwd="/",
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise ClusterUnreachable(f"{vector[0]} did not answer within {timeout_s:.0f} s") from error
        except OSError as error:
            raise ClusterError(f"{vector[0]} cannot be run: {error.strerror}") from error
        return Answer(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))

    def ask_untrusted(self, vector: Sequence[str], *, stdin: bytes, limit_bytes: int, timeout_s: float) -> RawAnswer:
        """Runs a program that a researcher can meddle with: it runs under their uid. So no more than `limit_bytes` of
        its output are kept, and it is waited for no longer than `timeout_s`, not even for its death: this process may
        not kill it. Raises ClusterUnreachable where either is exceeded, ClusterError where it cannot be started.
        """
        assert len(stdin) <= _PIPE_BYTES, "more could block before it is read"
        try:
            process = subprocess.Popen(
                vector,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=self.environment,
                cwd="/",
                bufsize=0,
            )
        except OSError as error:
            raise ClusterError(f"{vector[0]} cannot be run: {error.strerror}") from error
        assert process.stdin is not None
        with suppress(OSError):  # it ended without reading
            process.stdin.write(stdin)
        process.stdin.close()
        deadline = time.monotonic() + timeout_s
        try:
            out, said = _both_read(process, limit_bytes, deadline)
            code = process.wait(max(0.1, deadline - time.monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired) as failure:
            with suppress(OSError, subprocess.TimeoutExpired):
                process.kill()
                process.wait(1)
            raise ClusterUnreachable(f"{vector[-1]} did not end as it should: {failure}") from failure
        finally:
            for pipe in (process.stdout, process.stderr):
                assert pipe is not None
                pipe.close()  # whatever it still writes breaks
        return RawAnswer(code, out, said.decode(errors="replace"))

    def read(self, program: str, *arguments: str, timeout_s: float = READ_TIMEOUT_S) -> str:
        """Standard output of a call that must succeed. Raises ClusterUnreachable or ClusterError with Slurm's words."""
        answer = self.ask(program, *arguments, timeout_s=timeout_s)
        if answer.code:
            raise failure(program, answer)
        return answer.out

    def stream(self, program: str, *arguments: str, timeout_s: float = STREAM_TIMEOUT_S) -> Iterator[str]:
        """Standard output in pieces as it comes. What was read before an error may be used: the error still comes."""
        return self.stream_vector([f"{self.bin_dir}/{program}", *arguments], timeout_s=timeout_s)

    def stream_vector(self, vector: Sequence[str], *, timeout_s: float) -> Iterator[str]:
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    vector,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=self.environment,
                    cwd="/",
                    bufsize=0,  # a read returns what there is
                )
            except OSError as error:
                raise ClusterError(f"{vector[0]} cannot be run: {error.strerror}") from error
            watch = threading.Timer(timeout_s, process.kill)
            watch.daemon = True
            watch.start()
            try:
                assert process.stdout is not None
                decoder = codecs.getincrementaldecoder("utf-8")("replace")
                while piece := process.stdout.read(_CHUNK_BYTES):
                    yield decoder.decode(piece)
                code = process.wait()
            finally:  # also where the reader stops early
                watch.cancel()
                process.kill()
                process.wait()
                assert process.stdout is not None
                process.stdout.close()
            if code:
                errors.seek(0)
                program = vector[0].rpartition("/")[2]
                raise failure(program, Answer(code, "", errors.read(2_000).decode(errors="replace")))


def _both_read(process: "subprocess.Popen[bytes]", limit_bytes: int, deadline: float) -> tuple[bytes, bytes]:
    """All that a program writes, until it closes both. Raises TimeoutError where that is too much or takes too long."""
    found = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as waiting:
        for pipe in found:
            assert pipe is not None
            waiting.register(pipe, selectors.EVENT_READ)
        while waiting.get_map():
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("it took too long")
            for key, _events in waiting.select(left_s):
                piece = os.read(key.fd, _CHUNK_BYTES)
                if not piece:
                    waiting.unregister(key.fileobj)
                found[key.fileobj] += piece  # type: ignore[index]
                if len(found[key.fileobj]) > limit_bytes:  # type: ignore[index]
                    raise TimeoutError("it wrote too much")
    return bytes(found[process.stdout]), bytes(found[process.stderr])


def separator() -> str:
    """A field separator that no job's name or comment can hold: it is made up for this call."""
    return f"\x1f{secrets.token_hex(8)}\x1f"


def failure(program: str, answer: Answer) -> ClusterError:
    words = " ".join((answer.error or answer.out).split())[:500]
    message = f"{program}: {words or f'ended with status {answer.code}'}"
    if answer.code < 0 or any(text in words for text in _UNREACHABLE):
        return ClusterUnreachable(message)
    return ClusterError(message)
