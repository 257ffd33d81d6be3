"""Do the rows and the disk agree? Reads every stored file once."""

import time
from dataclasses import dataclass, field
from datetime import datetime

from portal.files import disk
from portal.files.models import StoredFile


@dataclass
class Findings:
    verified_at: datetime
    duration_s: float = 0.0
    uploads: int = 0
    contents: int = 0
    size_bytes: int = 0
    missing: list[str] = field(default_factory=list)  # hashes that a row refers to and that are not on the disk
    damaged: list[str] = field(default_factory=list)  # hashes whose bytes on the disk are others
    exposed: list[str] = field(default_factory=list)  # places that others than the portal's processes can reach
    orphaned: list[str] = field(default_factory=list)  # files without a row: dropped once they are a day old
    strange: list[str] = field(default_factory=list)  # what the portal did not put there

    @property
    def ok(self) -> bool:
        """Orphans are no fault: a crash leaves one, and they go away by themselves."""
        return not (self.missing or self.damaged or self.exposed or self.strange)


def files_findings(*, at: datetime) -> Findings:
    """Compares every row with its file and every file with its rows."""
    began = time.monotonic()
    findings = Findings(verified_at=at, uploads=StoredFile.objects.count())
    sizes = dict(StoredFile.objects.order_by("sha256").values_list("sha256", "size_bytes"))
    for sha256, size_bytes in sizes.items():
        try:
            path = disk.path_of(sha256)
            is_whole = path.stat().st_size == size_bytes and disk.sha256_of(path) == sha256
        except FileNotFoundError:
            if StoredFile.objects.filter(sha256=sha256).exists():  # else it was dropped while we looked
                findings.missing.append(sha256)
            continue
        findings.contents += 1
        findings.size_bytes += size_bytes
        if not is_whole:
            findings.damaged.append(sha256)
    _look_around(findings, set(sizes))
    findings.duration_s = time.monotonic() - began
    return findings


def _look_around(findings: Findings, known: set[str]) -> None:
    root = disk.root()
    folders = disk.folders()
    for folder in folders:
        for file in disk.found(folder):
            if not file.sha256:
                findings.strange.append(str(file.path.relative_to(root)))
            elif file.sha256 not in known and not StoredFile.objects.filter(sha256=file.sha256).exists():
                findings.orphaned.append(file.sha256)
    expected = {*folders, root / disk.INCOMING}
    findings.strange += [place.name for place in disk.places() if place not in expected]
    findings.exposed = [str(place.relative_to(root)) for place in disk.exposed()]
