"""Events are taken over once, in order, with the intervals that they make: one transaction for each page of a spool.

Where a process dies between two pages the next one asks for the same events again. What changed is left as `Change`
for whoever counted by the intervals.
"""

import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import transaction
from django.db.models import F, Q

from monitoring.attribution import core
from monitoring.attribution.asking import Page, Place, Refusal, Report, events_ask, places, reports_ask
from monitoring.attribution.errors import ExporterError
from monitoring.attribution.models import Change, Declared, Exporter, HookEvent, Interval, Progress, Refused
from portal.clock import centre_date, now
from scheduler.clusters.models import Cluster
from scheduler.jobs.models import Run
from scheduler.settlement.models import Record

logger = logging.getLogger(__name__)
AT_ONCE = 32  # exporters asked at the same time
JOBS_A_TIME = 500
EVENTS_KEPT = timedelta(days=400)  # a record may be corrected as long as its year is open
RECORDS_OVERLAP = timedelta(minutes=2)  # a transaction commits what it read a little earlier
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _moment(number: int | None) -> datetime | None:
    return None if number is None else _EPOCH + number * _MICROSECOND


# --- asking -------------------------------------------------------------------------------------------------------


def exporters_pull() -> int:
    """Asks every exporter for its events and reports and takes them over. Answers how many did not answer."""
    where = list(places())
    known = {(row.cluster_id, row.node): row for row in Exporter.objects.filter(cluster__in={p.cluster for p in where})}
    fresh = [Exporter(cluster=p.cluster, node=p.node) for p in where if (p.cluster.pk, p.node) not in known]
    for row in Exporter.objects.bulk_create(fresh):
        known[row.cluster_id, row.node] = row
    failed = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [(place, known[place.cluster.pk, place.node]) for place in where]
        answers = pool.map(lambda pair: _ask(pair[0], pair[1].read_n), asked)
        for (place, exporter), (page, reports, refused, error) in zip(asked, answers, strict=True):
            if page is None:
                failed += 1
                Exporter.objects.filter(pk=exporter.pk).update(failures=F("failures") + 1, error=error[:300])
                continue
            _take_all(place, exporter, page)
            reports_take(exporter=exporter, reports=reports, refused=refused)
    return failed


def _ask(place: Place, after: int) -> tuple[Page | None, list[Report], list[Refusal], str]:
    """No database in here: it runs in a thread of its own."""
    try:
        page = events_ask(place.url, after)
        return page, *reports_ask(place.url), ""
    except ExporterError as error:
        return None, [], [], str(error)


def _take_all(place: Place, exporter: Exporter, page: Page) -> None:
    """Page after page, until nothing is left or it no longer answers."""
    try:
        while events_take(exporter=exporter, page=page):
            page = events_ask(place.url, exporter.read_n)
    except ExporterError as error:
        logger.warning("attribution: %s: %s", exporter.node, error)


def events_take(*, exporter: Exporter, page: Page) -> bool:
    """Takes over one page. Answers whether there is more to ask for. Repeating it changes nothing."""
    with transaction.atomic():
        row = Exporter.objects.select_for_update().get(pk=exporter.pk)
        is_new = page.spool != row.spool
        if is_new and row.read_n:  # numbers begin anew: what was asked for was after a number of another spool
            row.spool, row.read_n, row.spools = page.spool, 0, row.spools + 1
            more = True
        else:
            if is_new:
                row.spool, row.spools = page.spool, row.spools + 1
            events = [event for event in page.events if event.n > row.read_n]
            first = events[0].n if events else page.newest + 1
            row.lost_events += max(0, first - row.read_n - 1)
            row.read_n = events[-1].n if events else max(row.read_n, page.newest)
            HookEvent.objects.bulk_create(
                [
                    HookEvent(
                        exporter=row,
                        cluster_id=row.cluster_id,
                        spool=row.spool,
                        n=event.n,
                        kind=event.kind,
                        job_id_raw=event.job,
                        uid=event.uid,
                        at=event.at,
                        gpus=list(event.gpus),
                    )
                    for event in events
                ],
                ignore_conflicts=True,
            )
            more = row.read_n < page.newest
            jobs_attribute(cluster=row.cluster, jobs={event.job for event in events})
        row.newest_n = page.newest
        row.answered_at, row.failures, row.error = now(), 0, ""
        row.save()
    for name in ("spool", "read_n", "spools", "lost_events", "answered_at", "failures", "error"):
        setattr(exporter, name, getattr(row, name))
    return more


def reports_take(*, exporter: Exporter, reports: Iterable[Report], refused: Iterable[Refusal]) -> None:
    """The highest figure of each day. A figure that fell (a folder made anew) changes nothing."""
    rows = {}
    for one in reports:
        row = Declared(
            cluster_id=exporter.cluster_id,
            node=exporter.node,
            job_id_raw=one.job,
            began_at=one.began,
            precision=one.precision,
            sparsity=one.sparsity,
            day=centre_date(one.at),
            flop_total=Decimal(one.flop_total),
            at=one.at,
        )
        rows[row.job_id_raw, row.began_at, row.precision, row.sparsity, row.day] = row
    with transaction.atomic():
        known = {
            (row.job_id_raw, row.began_at, row.precision, row.sparsity, row.day): row.flop_total
            for row in Declared.objects.filter(
                cluster=exporter.cluster_id, node=exporter.node, job_id_raw__in={key[0] for key in rows}
            )
        }
        grown = [row for key, row in rows.items() if row.flop_total > known.get(key, Decimal(-1))]
        Declared.objects.bulk_create(
            grown,
            update_conflicts=True,
            unique_fields=["cluster", "node", "job_id_raw", "began_at", "precision", "sparsity", "day"],
            update_fields=["flop_total", "at"],
        )
        for job in {row.job_id_raw for row in grown}:
            times = [row.at for row in grown if row.job_id_raw == job]
            Change.objects.create(began_at=min(times), ended_at=max(times))
        Refused.objects.bulk_create(
            [
                Refused(
                    cluster_id=exporter.cluster_id,
                    node=exporter.node,
                    job_id_raw=one.job,
                    uid=one.uid,
                    reason=one.reason,
                    at=one.at,
                )
                for one in refused
            ],
            ignore_conflicts=True,
        )


# --- intervals ----------------------------------------------------------------------------------------------------


def intervals_follow() -> int:
    """Makes anew the intervals of what still runs, and of jobs whose records changed. Answers how many jobs."""
    began = now()
    done = 0
    for cluster in Cluster.objects.filter(exporters__isnull=False).distinct():
        unsure = Q(charged_to=None) | Q(end_known__in=[core.Known.OPEN, core.Known.NEXT])
        young = Q(submit_at__isnull=False) | Q(started_at__gte=began - timedelta(days=2))
        jobs = set(Interval.objects.filter(unsure, young, cluster=cluster).values_list("job_id_raw", flat=True))
        jobs |= _records_changed(cluster)
        done += len(jobs)
        for part in _parts(sorted(jobs)):
            with transaction.atomic():
                jobs_attribute(cluster=cluster, jobs=part)
        Progress.objects.update_or_create(name=f"intervals {cluster.pk}", defaults={"until": began})
    return done


def _records_changed(cluster: Cluster) -> set[int]:
    progress = Progress.objects.filter(name=f"intervals {cluster.pk}").first()
    records = Record.objects.filter(cluster=cluster)
    if progress is not None:
        records = records.filter(read_at__gte=progress.until - RECORDS_OVERLAP)
    with_events = HookEvent.objects.filter(cluster=cluster, job_id_raw__in=records.values("job_id_raw"))
    return set(with_events.values_list("job_id_raw", flat=True).distinct())


def _parts(jobs: Sequence[int]) -> Iterable[Sequence[int]]:
    return (jobs[first : first + JOBS_A_TIME] for first in range(0, len(jobs), JOBS_A_TIME))


def jobs_attribute(*, cluster: Cluster, jobs: Collection[int]) -> None:
    """The intervals of these job numbers, from all their events and all their runs. In the caller's transaction."""
    if not jobs:
        return
    node_of: dict[str, str] = {}
    events = _events(cluster, jobs, node_of)
    runs = runs_read(cluster, jobs)
    stored: dict[int, dict[tuple[str, datetime | None, datetime | None], Interval]] = defaultdict(dict)
    for row in Interval.objects.select_for_update().filter(cluster=cluster, job_id_raw__in=jobs):
        stored[row.job_id_raw][row.uuid, row.submit_at, None if row.submit_at else row.started_at] = row
    fresh: list[Interval] = []
    changed: list[Interval] = []
    gone: list[Interval] = []
    changes: list[tuple[datetime, datetime]] = []
    for job in jobs:
        wanted = {}
        for found in core.intervals_of(events.get(job, ()), list(runs.get(job, {}).values())):
            row = _row(cluster, node_of[found.gpu], found)
            wanted[row.uuid, row.submit_at, None if row.submit_at else row.started_at] = row
        for key, row in wanted.items():
            before = stored[job].pop(key, None)
            if before is None:
                fresh.append(row)
                changes.append(_span(row))
            elif _facts(before) != _facts(row):
                row.pk = before.pk
                changed.append(row)
                changes += _differences(before, row)
        gone += stored[job].values()
    changes += [_span(row) for row in gone]
    Interval.objects.filter(pk__in=[row.pk for row in gone]).delete()
    Interval.objects.bulk_update(changed, _FACTS, batch_size=500)
    Interval.objects.bulk_create(fresh, batch_size=1_000)
    Change.objects.bulk_create(Change(began_at=began, ended_at=ended) for began, ended in set(changes))


_FACTS = ["node", "started_at", "ended_at", "charged_from", "charged_to", "start_known", "end_known"]


def _events(cluster: Cluster, jobs: Collection[int], node_of: dict[str, str]) -> dict[int, list[core.Event]]:
    """By job. An end without GPUs is that of every GPU which the job had begun on with the same exporter."""
    found: dict[int, list[core.Event]] = defaultdict(list)
    had: dict[tuple[int, int], set[str]] = defaultdict(set)
    rows = HookEvent.objects.filter(cluster=cluster, job_id_raw__in=jobs).select_related("exporter")
    for row in rows.order_by("exporter_id", "id"):
        mine = had[row.exporter_id, row.job_id_raw]
        mine.update(row.gpus)
        for gpu in row.gpus or sorted(mine):
            node_of[gpu] = row.exporter.node
            found[row.job_id_raw].append(core.Event(micros(row.at), row.kind, gpu, row.job_id_raw))
    return found


def runs_read(cluster: Cluster, jobs: Collection[int]) -> dict[int, dict[int, core.RunTimes]]:
    """Runs of these numbers by their submit time: slurmdbd's records, and what squeue shows of those without one."""
    found: dict[int, dict[int, core.RunTimes]] = defaultdict(dict)
    seen = Run.objects.filter(cluster=cluster, job_id_raw__in=jobs, submit_at__isnull=False, started_at__isnull=False)
    for job, submit_at, started_at, ended_at in seen.values_list("job_id_raw", "submit_at", "started_at", "ended_at"):
        if job is not None and submit_at is not None and started_at is not None:
            _times_add(found[job], submit_at, started_at, ended_at)
    records = Record.objects.filter(cluster=cluster, job_id_raw__in=jobs, started_at__isnull=False)
    names = ("job_id_raw", "submit_at", "started_at", "ended_at", "is_final")
    for job, submit_at, started_at, ended_at, is_final in records.values_list(*names):
        _times_add(found[job], submit_at, started_at, ended_at if is_final else None)
    return found


def _times_add(runs: dict[int, core.RunTimes], submit_at: datetime, started: datetime, ended: datetime | None) -> None:
    key = micros(submit_at)
    end = None if ended is None else max(micros(ended), micros(started))
    runs[key] = core.RunTimes(key, micros(started), end)


def _row(cluster: Cluster, node: str, found: core.Interval) -> Interval:
    started_at = _moment(found.started)
    assert started_at is not None
    return Interval(
        cluster=cluster,
        node=node,
        uuid=found.gpu,
        job_id_raw=found.job,
        submit_at=_moment(found.run),
        started_at=started_at,
        ended_at=_moment(found.ended),
        charged_from=_moment(found.charged_from),
        charged_to=_moment(found.charged_to),
        start_known=found.start_known,
        end_known=found.end_known,
    )


def _facts(row: Interval) -> list[object]:
    return [getattr(row, name) for name in _FACTS]


def _span(row: Interval) -> tuple[datetime, datetime]:
    return row.started_at, row.ended_at or max(now(), row.started_at)


def _differences(before: Interval, after: Interval) -> list[tuple[datetime, datetime]]:
    """The times in which two states of an interval say different things: usually its last seconds."""
    found = []
    for name in ("started_at", "ended_at", "charged_from", "charged_to"):
        one, other = getattr(before, name), getattr(after, name)
        if one != other:
            known = [moment for moment in (one, other) if moment is not None]
            begun = after.started_at if name in ("started_at", "charged_from") else None
            ends = [*known, begun or now()] if len(known) == 1 else known
            found.append((min(ends), max(ends)))
    return found


def forget() -> None:
    """Drops what nothing is made from any more."""
    HookEvent.objects.filter(at__lt=now() - EVENTS_KEPT).delete()
    Refused.objects.filter(at__lt=now() - EVENTS_KEPT).delete()
