"""Windows are counted: what Prometheus has of a quarter of an hour becomes rows, replaced as a whole each time.

A window is due while it runs, every few minutes; when it has ended and the last scrapes are in; and whenever an
interval in it changed (`Change`). Prometheus away leaves it due: what was not asked is not a gap.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import F, Q

from monitoring.attribution import core
from monitoring.attribution.models import Change, Interval
from monitoring.attribution.services import micros
from monitoring.rollups.models import Window, WindowRun
from monitoring.rollups.peaks import peaks_keep
from monitoring.rollups.prometheus import Info, Prometheus, PrometheusError
from monitoring.rollups.runs import Key, runs_refresh
from monitoring.rollups.stretches import Amounts, Owner, Readings, fold
from monitoring.rollups.times import WINDOW, kept_since, window_of
from monitoring.rollups.whole import whole_read
from portal.clock import now

logger = logging.getLogger(__name__)
LIVE_EVERY = timedelta(minutes=5)  # while it runs and nothing changes
RETRY_AFTER = timedelta(minutes=1)
REST = 6  # a window is not counted again before so many times what the last counting took
REST_CHANGED = 2  # the same where something changed in it: the summary of a job that ended waits for it
# After a job's end its last stretch is in, unless a scrape failed: that the window's end catches up.
SETTLED_SCRAPES = 2
NAMED_MOST = 500  # GPUs of one request
BEYOND_SCRAPES = 4  # read beyond both edges: above the longest stretch (2.5), and the age of a reading

_FIGURES = [
    *("observed_us", "outside_us", "two_owners_us", "unread_us", "counter_us", "gauge_us", "busy_us"),
    *("tensor_busy_us", "throttled_us", "tensor_clock_cycles", "energy_j"),
]


def scrape() -> timedelta:
    return timedelta(seconds=settings.GPU_SCRAPE_INTERVAL_S)


# --- what is due --------------------------------------------------------------------------------------------------


def windows_due(began_at: datetime, ended_at: datetime) -> None:
    """The windows that these times touch are to be counted: now, or when the last scrape in these times is in.

    One beyond each edge is touched too: a stretch may reach into it. What comes later than that is counted at the end
    of the window, which is after it.
    """
    margin = BEYOND_SCRAPES * scrape()
    moment = now()
    first = window_of(max(began_at - margin, kept_since()))
    last = window_of(min(ended_at + margin, moment))
    starts = [first + number * WINDOW for number in range((last - first) // WINDOW + 1)]
    if not starts:
        return
    due_at = min(max(moment, ended_at + SETTLED_SCRAPES * scrape()), moment + LIVE_EVERY)
    Window.objects.bulk_create([Window(starts_at=one, due_at=due_at) for one in starts], ignore_conflicts=True)
    late = Q(due_at=None) | Q(due_at__gt=due_at)
    Window.objects.filter(late, starts_at__in=starts).update(due_at=due_at)


def changes_note() -> int:
    """What attribution changed becomes due. Answers how many changes there were."""
    with transaction.atomic():
        rows = list(Change.objects.select_for_update(skip_locked=True).order_by("id")[:10_000])
        spans: dict[tuple[datetime, datetime], tuple[datetime, datetime]] = {}
        for row in rows:  # the changes of a fine day lie in a handful of windows
            key = window_of(row.began_at), window_of(row.ended_at)
            before = spans.get(key, (row.began_at, row.ended_at))
            spans[key] = min(before[0], row.began_at), max(before[1], row.ended_at)
        for began_at, ended_at in spans.values():
            windows_due(began_at, ended_at)
        Change.objects.filter(pk__in=[row.pk for row in rows]).delete()
    return len(rows)


def live_open() -> None:
    """While anything runs, there is a window for the time that it runs in."""
    moment = now()
    if Interval.objects.filter(ended_at=None, charged_from__isnull=False).exists():
        Window.objects.get_or_create(starts_at=window_of(moment), defaults={"due_at": moment + RETRY_AFTER})


# --- counting -----------------------------------------------------------------------------------------------------


def windows_count(prometheus: Prometheus, budget_s: float) -> int:
    """Counts due windows, the newest first, for about so long. Answers how many were counted."""
    began, counted = time.monotonic(), 0
    for window in Window.objects.filter(due_at__lte=now()).order_by("-starts_at"):
        if time.monotonic() - began > budget_s:
            break
        if window.counted_at and now() < window.counted_at + REST_CHANGED * timedelta(seconds=window.duration_s):
            continue
        try:
            window_count(window, prometheus)
        except PrometheusError as error:
            logger.warning("rollup: %s: %s", window.starts_at, error)
            Window.objects.filter(pk=window.pk).update(
                due_at=now() + RETRY_AFTER, failures=F("failures") + 1, error=str(error)[:300]
            )
            break  # the next one would wait for the same timeout
        counted += 1
    return counted


def window_count(window: Window, prometheus: Prometheus) -> None:
    """Reads, counts and replaces one window and the figures of its runs. Raises PrometheusError."""
    began, moment = time.monotonic(), now()
    ends_at, beyond = window.starts_at + WINDOW, BEYOND_SCRAPES * scrape()
    owners = _owners(window.starts_at - beyond, ends_at + beyond, moment)
    readings: dict[str, Readings] = {}
    infos: dict[str, Info] = {}
    if owners:
        span = (window.starts_at - beyond).timestamp(), min(ends_at + beyond, moment).timestamp()
        readings, infos = _read(prometheus, owners, *span), prometheus.infos(*span)
    rows = _counted(window, owners, readings, infos)
    with transaction.atomic():
        touched = _replace(window, rows)
        runs_refresh(touched)
        complete = moment >= ends_at + beyond
        wait = max(LIVE_EVERY, timedelta(seconds=REST * (time.monotonic() - began)))
        next_at = None if complete else min(moment + wait, ends_at + beyond)
        noted = {
            "counted_at": moment,
            "duration_s": time.monotonic() - began,
            "gpus": len(owners),
            "silent_gpus": len(owners.keys() - readings.keys()),
            "failures": 0,
            "error": "",
        }
        Window.objects.filter(pk=window.pk).update(**noted)
        # Only what was due when the counting began is done: a change since then is due again.
        Window.objects.filter(pk=window.pk, due_at=window.due_at).update(due_at=next_at)
    settled = (moment - SETTLED_SCRAPES * scrape()).timestamp()
    peaks_keep(
        prometheus,
        owners,
        window.starts_at.timestamp(),
        min(ends_at.timestamp(), settled),
        settings.GPU_SCRAPE_INTERVAL_S,
    )


def _read(prometheus: Prometheus, owners: dict[str, list[Owner]], began: float, ended: float) -> dict[str, Readings]:
    """What Prometheus has of GPUs that had an owner: of most the edges, where that says everything; of the rest all."""
    scrape_s = settings.GPU_SCRAPE_INTERVAL_S
    found = {
        uuid: Readings(series, scrape_s, is_whole=True)
        for uuid, series in whole_read(prometheus, owners, began, ended, scrape_s).items()
    }
    rest = sorted(owners.keys() - found.keys())
    if not found:  # one look at everything
        parts: list[list[str]] = [[]]
    else:
        parts = [rest[first : first + NAMED_MOST] for first in range(0, len(rest), NAMED_MOST)]
    for part in parts:
        for uuid, series in prometheus.series(began, ended, part).items():
            if uuid in owners:
                found[uuid] = Readings(series, scrape_s)
    return found


def _owners(began: datetime, ended: datetime, moment: datetime) -> dict[str, list[Owner]]:
    """By UUID, whoever may have been on it in these times, open intervals until their next owner, or until now."""
    by_gpu: dict[str, list[core.Interval]] = defaultdict(list)
    runs: dict[tuple[str, int, int | None], object] = {}
    rows = Interval.objects.filter(Q(ended_at=None) | Q(ended_at__gte=began), started_at__lt=ended)
    for row in rows.iterator(chunk_size=5_000):
        one = core.Interval(
            gpu=row.uuid,
            job=row.job_id_raw,
            run=_micros(row.submit_at),
            started=micros(row.started_at),
            ended=_micros(row.ended_at),
            charged_from=_micros(row.charged_from),
            charged_to=_micros(row.charged_to),
            start_known=core.Known(row.start_known),
            end_known=core.Known(row.end_known),
        )
        by_gpu[row.uuid].append(one)
        runs[row.uuid, row.job_id_raw, one.run] = Key(row.cluster_id, row.job_id_raw, row.submit_at)
    until = moment.timestamp() + core.HOOK_US / core.SECOND
    return {
        gpu: [_owner(one, runs[gpu, one.job, one.run], until) for one in core.owners_settle(intervals)]
        for gpu, intervals in by_gpu.items()
    }


def _owner(one: core.Interval, run: object, until: float) -> Owner:
    charged_to = until if one.charged_to is None else one.charged_to / core.SECOND
    charged = (None, None) if one.charged_from is None else (one.charged_from / core.SECOND, charged_to)
    return Owner(run, one.started / core.SECOND, until if one.ended is None else one.ended / core.SECOND, *charged)


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _counted(
    window: Window, owners: dict[str, list[Owner]], readings: dict[str, Readings], infos: dict[str, Info]
) -> list[WindowRun]:
    totals: dict[Key, WindowRun] = {}
    span = window.starts_at.timestamp(), (window.starts_at + WINDOW).timestamp()
    for uuid, known in readings.items():
        info = infos.get(uuid)
        for run, amounts in fold(known, owners[uuid], *span).items():
            assert isinstance(run, Key)
            if run.submit_at is None:
                continue  # nobody of ours: it owned the GPU, no more
            row = totals.setdefault(run, _window_run(window, run))
            _add(row, amounts)
            row.emulated |= info is None or info.emulated
    return list(totals.values())


def _window_run(window: Window, run: Key) -> WindowRun:
    assert run.submit_at is not None
    return WindowRun(
        starts_at=window.starts_at, cluster_id=run.cluster, job_id_raw=run.job_id_raw, submit_at=run.submit_at
    )


def _add(row: WindowRun, amounts: Amounts) -> None:
    for name in _FIGURES:
        setattr(row, name, getattr(row, name) + getattr(amounts, name))


def _replace(window: Window, rows: Iterable[WindowRun]) -> set[Key]:
    """Answers the runs that were in it or are now."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rollups_partition_ensure(%s)", [window.starts_at])
    old = WindowRun.objects.filter(starts_at=window.starts_at)
    touched = {Key(*key) for key in old.values_list("cluster_id", "job_id_raw", "submit_at")}
    old.delete()
    fresh = WindowRun.objects.bulk_create(rows, batch_size=1_000)
    return touched | {Key(row.cluster_id, row.job_id_raw, row.submit_at) for row in fresh}


def windows_forget() -> None:
    """Drops whole months of windows that are no longer kept."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT rollups_partitions_drop(%s)", [kept_since()])
    Window.objects.filter(starts_at__lt=kept_since()).delete()
