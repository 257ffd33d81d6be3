"""What no sum can say, asked once when a run has ended: the most memory that one of its GPUs held.

One figure beside many: where Prometheus does not answer it stays unknown, and nothing else waits for it.
"""

import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import isfinite

from django.db.models import Q

from monitoring.rollups.models import MemoryPeak
from monitoring.rollups.prometheus import JOB, Prometheus, PrometheusError
from monitoring.rollups.runs import Key
from monitoring.rollups.stretches import MEMORY_TOTAL, MEMORY_USED, Owner

logger = logging.getLogger(__name__)
SAMPLES_MOST = 5_000_000  # read for one answer; Prometheus' own bound is ten times that
GPUS_MOST = 500  # named in one question
Owned = list[tuple[str, float, float]]  # UUID, from, to


def peaks_keep(
    prometheus: Prometheus, owners: Mapping[str, Sequence[Owner]], began: float, ended: float, scrape_s: float
) -> int:
    """Of every run that ended in [began, ended) and has none yet. Answers how many were kept."""
    found = _without(_ended(owners, began, ended))
    kept = 0
    for key, owned in found.items():
        try:
            peak = _asked(prometheus, key, owned, scrape_s)
        except PrometheusError as error:
            logger.warning("memory of job %s: %s", key.job_id_raw, error)
            return kept
        if peak is not None:
            MemoryPeak.objects.bulk_create([peak], ignore_conflicts=True)
            kept += 1
    return kept


def _ended(owners: Mapping[str, Sequence[Owner]], began: float, ended: float) -> dict[Key, Owned]:
    """By run, its GPUs and when they were charged to it. One whose end lies elsewhere is another window's."""
    found: dict[Key, Owned] = defaultdict(list)
    for uuid, of_gpu in owners.items():
        for one in of_gpu:
            if isinstance(one.run, Key) and one.run.submit_at and one.charged_from is not None:
                assert one.charged_to is not None
                found[one.run].append((uuid, one.charged_from, one.charged_to))
    return {key: owned for key, owned in found.items() if began <= max(to for _uuid, _from, to in owned) < ended}


def _without(found: dict[Key, Owned]) -> dict[Key, Owned]:
    which = Q(pk=None)
    for cluster in {key.cluster for key in found}:
        which |= Q(cluster=cluster, job_id_raw__in=[key.job_id_raw for key in found if key.cluster == cluster])
    known = set(MemoryPeak.objects.filter(which).values_list("cluster_id", "job_id_raw", "submit_at"))
    return {key: owned for key, owned in found.items() if key not in known}


def _asked(prometheus: Prometheus, key: Key, owned: Owned, scrape_s: float) -> MemoryPeak | None:
    """None: it was never measured. Raises PrometheusError."""
    assert key.submit_at is not None
    began, ended = min(at for _uuid, at, _to in owned), max(to for _uuid, _at, to in owned)
    length = max(1, round((ended - began) * 1_000))
    at_once = max(1, min(GPUS_MOST, round(SAMPLES_MOST * scrape_s * 1_000 / length)))
    most: dict[str, float] = {}
    for first in range(0, len(owned), at_once):
        uuids = "|".join(uuid for uuid, _at, _to in owned[first : first + at_once])
        for name in (MEMORY_USED, MEMORY_TOTAL):
            query = f'max(max_over_time({name}{{job="{JOB}",uuid=~"{uuids}"}}[{length}ms]))'
            for row in prometheus.at(query, ended):
                value = float(row["value"][1])
                most[name] = max(most.get(name, 0.0), value if isfinite(value) else 0.0)
    if MEMORY_USED not in most:
        return None
    total = int(most[MEMORY_TOTAL]) if MEMORY_TOTAL in most else None
    return MemoryPeak(
        cluster_id=key.cluster,
        job_id_raw=key.job_id_raw,
        submit_at=key.submit_at,
        used_bytes=int(most[MEMORY_USED]),
        total_bytes=total,
    )
