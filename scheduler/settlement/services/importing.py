"""A centre brings its history: a sacct dump becomes records, grants of imported history and charges against them.

One transaction, set-based: the lines are copied into a temporary table and everything after that is a statement over
all of them, whatever their number. Nothing is written when anything fails.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from django.db import connection, transaction

from portal.clock import centre_date, now
from portal.locks import LockSpace
from portal.people.models import Organisation, Project
from portal.people.services import organisation_create, project_create
from quotas.allocations.models import Allocation
from quotas.allocations.services import correction_book, imported_grant, voucher_award
from quotas.ledger.services import Entry, accounts_lock, transfers_import
from quotas.programmes.services import imported_programme_ensure
from scheduler.clusters.models import Cluster
from scheduler.clusters.names import account_name
from scheduler.settlement.models import ImportedAccount, Record
from scheduler.settlement.sacct_file import Line, Reader

UNKNOWN_ACCOUNT = "unknown_account"
GPUS_APPEARED = "gpus_appeared"
SETTLED_BY_PORTAL = "settled_by_portal"  # an account that the portal runs is charged from slurmdbd, never from a file

_CHUNK = 20_000  # transfers handed to the ledger at once; bounds the memory

_STAGE = """
    CREATE TEMPORARY TABLE import_line (
        number bigserial, job_id_raw bigint, submit_epoch_s bigint, job_id text, account text, user_name text, qos text,
        partition text, state text, started_at timestamptz, ended_at timestamptz, elapsed_s bigint, gpu_type text,
        gpus bigint, charge uuid
    ) ON COMMIT DROP
"""
_COPY = """
    COPY import_line (job_id_raw, submit_epoch_s, job_id, account, user_name, qos, partition, state, started_at,
                      ended_at, elapsed_s, gpu_type, gpus, charge) FROM STDIN
"""
# A dump may hold a record twice (two files joined); the last line counts.
_DROP_REPEATED = """
    DELETE FROM import_line WHERE number IN (
        SELECT number FROM (SELECT number, row_number() OVER (PARTITION BY charge ORDER BY number DESC) AS place
                              FROM import_line) placed WHERE place > 1)
"""
_DROP_UNCHANGED = """
    DELETE FROM import_line USING settlement_record record
     WHERE record.charge = import_line.charge
       AND (NOT record.imported OR record.gpu_seconds = import_line.gpus * import_line.elapsed_s)
"""
_TAKE_CHANGED = """
    DELETE FROM import_line USING settlement_record record
     WHERE record.charge = import_line.charge
    RETURNING record.id, import_line.state, import_line.started_at, import_line.ended_at, import_line.elapsed_s,
              import_line.gpus
"""
# The same jobs at another hour: number, person, GPUs and time used of a record agree, and its submission lies a time
# zone's difference away. (A requeued job's runs share the number; that they last the same to the second is rare.)
_SHIFTED = """
    SELECT record.shift_s, count(*) FROM import_line line
      JOIN LATERAL (SELECT line.submit_epoch_s - extract(epoch FROM record.submit_at)::bigint AS shift_s
                      FROM settlement_record record
                     WHERE record.cluster_id = %s AND record.job_id_raw = line.job_id_raw AND record.imported
                       AND record."user" = line.user_name AND record.gpus = line.gpus
                       AND record.elapsed_s = line.elapsed_s) record ON true
     WHERE record.shift_s <> 0 AND record.shift_s %% 900 = 0 AND abs(record.shift_s) <= 26 * 3600
     GROUP BY record.shift_s ORDER BY 2 DESC
"""
_MAP_ACCOUNTS = "CREATE TEMPORARY TABLE import_account (account text PRIMARY KEY, project_id bigint) ON COMMIT DROP"
_COUNT_ACCOUNTS = "SELECT account, count(*) FROM import_line GROUP BY account ORDER BY account"
_DROP_UNMAPPED = "DELETE FROM import_line WHERE account NOT IN (SELECT account FROM import_account)"
_SUMS = """
    SELECT project_id, gpu_type, sum(gpus * elapsed_s)::bigint, min(coalesce(started_at, to_timestamp(submit_epoch_s))),
           max(ended_at)
      FROM import_line JOIN import_account USING (account)
     WHERE gpus * elapsed_s > 0 GROUP BY project_id, gpu_type ORDER BY project_id, gpu_type
"""
_MAP_ALLOCATIONS = """
    CREATE TEMPORARY TABLE import_allocation (
        project_id bigint, gpu_type text, allocation_id bigint, debit_id bigint, credit_id bigint
    ) ON COMMIT DROP
"""
_INSERT_RECORDS = """
    INSERT INTO settlement_record (
        cluster_id, job_id_raw, submit_at, charge, allocation_id, job_id, account, "user", qos, partition, state,
        started_at, ended_at, elapsed_s, gpu_type, gpus, gpu_seconds, charged_gpu_seconds, overrun_gpu_seconds,
        revision, is_final, imported, read_at)
    SELECT %s, job_id_raw, to_timestamp(submit_epoch_s), charge, allocation_id, job_id, account, user_name, qos,
           partition, state, started_at, ended_at, elapsed_s, gpu_type, gpus, gpus * elapsed_s, gpus * elapsed_s, 0,
           0, true, true, %s
      FROM import_line JOIN import_account USING (account) LEFT JOIN import_allocation USING (project_id, gpu_type)
"""
# One account after the other: every batch leaves a version of each account that it touched, which nobody can clear away
# before the commit, and the next batches read past all of them.
_CHARGES = """
    DECLARE import_charge NO SCROLL CURSOR FOR
    SELECT charge, debit_id, credit_id, gpus * elapsed_s, job_id, state, ended_at
      FROM import_line JOIN import_account USING (account) JOIN import_allocation USING (project_id, gpu_type)
     WHERE gpus * elapsed_s > 0
     ORDER BY debit_id
"""


class TwoTimeZones(Exception):
    """Most lines are records that were imported before, some hours earlier or later: the same history in another zone.

    Booked, it would be charged twice. `shift_s`: by how much the lines are later.
    """

    def __init__(self, *, count: int, shift_s: int) -> None:
        super().__init__(f"{count} records were imported before, {shift_s} s away")
        self.count = count
        self.shift_s = shift_s


Progress = Callable[[str, int, int], None]  # what is being done, how much of it, of how much


def no_progress(doing: str, done: int, total: int) -> None:
    """Says nothing."""


@dataclass
class Imported:
    """What an import did. records = new + unchanged + changed + everything skipped."""

    records: int = 0
    new: int = 0
    unchanged: int = 0
    changed: int = 0
    charged_gpu_seconds: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    unknown_accounts: dict[str, int] = field(default_factory=dict)  # account: lines left out


def history_import(
    *,
    cluster: Cluster,
    header: str,
    lines: Iterable[str],
    zone: tzinfo,
    create_missing: bool,
    actor: str,
    gpu_type: str = "",
    progress: Progress = no_progress,
) -> Imported:
    """Charges every finished record of a dump that was not charged yet, to its account's imported allocation.

    `zone` is that of the dump's naive times. An unknown account is left out, or with `create_missing` becomes an
    organisation with a project. Raises sacct_file.MissingColumns and TwoTimeZones; nothing is written then.
    """
    types = dict(cluster.partitions.exclude(gpu_type="").values_list("name", "gpu_type"))
    reader = Reader(header, cluster=cluster.name, zone=zone, partition_types=types, gpu_type=gpu_type.lower())
    done = Imported()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LockSpace.IMPORT, cluster.pk])
        cursor.execute(_STAGE)
        with cursor.copy(_COPY) as copy:
            for line in _counted(reader.read(lines), done):
                copy.write_row(line)
        cursor.execute(_DROP_REPEATED)
        done.unchanged += cursor.rowcount
        cursor.execute(_DROP_UNCHANGED)
        done.unchanged += cursor.rowcount
        cursor.execute(_TAKE_CHANGED)
        _changed_book(cursor.fetchall(), done, actor)
        _zones_compare(cursor, cluster)
        _accounts_map(cursor, cluster, create_missing, done, actor)
        _allocations_map(cursor, cluster, done, actor)
        cursor.execute("ANALYZE import_line")
        cursor.execute(_INSERT_RECORDS, [cluster.pk, now()])
        done.new = cursor.rowcount
        _charges_book(cursor, cluster, actor, progress)
        cursor.execute("CLOSE import_charge; DROP TABLE import_line, import_account, import_allocation")
    return done


def _counted(lines: Iterable[Line | str], done: Imported) -> Iterator[Line]:
    for line in lines:
        done.records += 1
        if isinstance(line, str):
            done.skipped[line] += 1
        else:
            yield line


def _zones_compare(cursor: Any, cluster: Cluster) -> None:
    """Raises TwoTimeZones where more than half of the new lines are old ones at another hour."""
    cursor.execute("SELECT count(*) FROM import_line")
    (lines,) = cursor.fetchone()
    if not lines or not Record.objects.filter(cluster=cluster, imported=True).exists():
        return
    cursor.execute("ANALYZE import_line")
    cursor.execute(_SHIFTED, [cluster.pk])
    found = cursor.fetchall()
    count = sum(row[1] for row in found)
    if count * 2 > lines:
        raise TwoTimeZones(count=count, shift_s=found[0][0])


def _changed_book(rows: list[Any], done: Imported, actor: str) -> None:
    """A record that an earlier dump showed otherwise: one correction each; there are few."""
    for pk, state, started_at, ended_at, elapsed_s, gpus in rows:
        record = (
            Record.objects.select_related("allocation__voucher__programme").select_for_update(of=["self"]).get(pk=pk)
        )
        difference = gpus * elapsed_s - record.gpu_seconds
        if record.allocation is None:
            # It had no GPU and now has some: of which type, and so of which allocation, its first line did not say.
            done.skipped[GPUS_APPEARED] += 1
            continue
        if difference > 0:
            imported_grant(allocation=record.allocation, amount_gpu_seconds=difference, actor=actor)
        record.revision += 1
        correction_book(
            allocation_id=record.allocation.pk,
            record_charge_id=record.charge,
            revision=record.revision,
            difference_gpu_seconds=difference,
            event_at=ended_at,
            reason=f"slurm {record.job_id} changed (imported)",
            actor=actor,
        )
        done.changed += 1
        done.charged_gpu_seconds[record.gpu_type] += difference
        record.state, record.started_at, record.ended_at, record.elapsed_s = state, started_at, ended_at, elapsed_s
        record.gpus, record.gpu_seconds, record.charged_gpu_seconds = gpus, gpus * elapsed_s, gpus * elapsed_s
        record.read_at = now()
        record.save()


def _accounts_map(cursor: Any, cluster: Cluster, create_missing: bool, done: Imported, actor: str) -> None:
    """Whose history it is: import_account gets a row for each account that is taken; the others' lines go."""
    cursor.execute(_COUNT_ACCOUNTS)
    counts: dict[str, int] = dict(cursor.fetchall())
    projects = dict(
        ImportedAccount.objects.filter(cluster=cluster, account__in=counts).values_list("account", "project_id")
    )
    projects = dict(Project.objects.filter(slug__in=counts).values_list("slug", "pk")) | projects
    own = {account_name(cluster, slug) for slug in Project.objects.values_list("slug", flat=True)}
    for account, count in counts.items():
        if account in own and account not in projects:
            done.skipped[SETTLED_BY_PORTAL] += count
        elif account not in projects and create_missing:
            projects[account] = _project_create(account, actor).pk
            ImportedAccount.objects.create(cluster=cluster, account=account, project_id=projects[account])
        elif account not in projects:
            done.skipped[UNKNOWN_ACCOUNT] += count
            done.unknown_accounts[account] = count
    cursor.execute(_MAP_ACCOUNTS)
    with cursor.copy("COPY import_account (account, project_id) FROM STDIN") as copy:
        for row in projects.items():
            copy.write_row(row)
    cursor.execute(_DROP_UNMAPPED)


def _project_create(account: str, actor: str) -> Project:
    name, number = account, 2
    while Organisation.objects.filter(name=name).exists():
        name, number = f"{account} ({number})", number + 1
    organisation = organisation_create(name=name, kind=Organisation.Kind.INSTITUTE, imported=True, actor=actor)
    return project_create(organisation=organisation, title=account, imported=True, actor=actor)


def _allocations_map(cursor: Any, cluster: Cluster, done: Imported, actor: str) -> None:
    """For each project and GPU type an imported allocation, granted exactly what is about to be charged to it."""
    cursor.execute(_SUMS)
    sums = cursor.fetchall()
    programme = imported_programme_ensure(gpu_types=sorted({row[1] for row in sums}), actor=actor) if sums else None
    cursor.execute(_MAP_ALLOCATIONS)
    rows = []
    for project_id, gpu_type, amount_gpu_seconds, first_at, last_at in sums:
        imported = Allocation.objects.filter(project=project_id, cluster=cluster.name, gpu_type=gpu_type, imported=True)
        allocation = imported.select_related("voucher__programme").first()
        if allocation is not None:
            imported_grant(allocation=allocation, amount_gpu_seconds=amount_gpu_seconds, actor=actor)
        else:
            assert programme is not None
            project = Project.objects.select_related("organisation").get(pk=project_id)
            allocation = voucher_award(
                organisation=project.organisation,
                project=project,
                programme=programme,
                gpu_type=gpu_type,
                amount_gpu_seconds=amount_gpu_seconds,
                cluster=cluster.name,
                starts_on=centre_date(first_at),
                ends_on=max(centre_date(first_at), centre_date(last_at)),
                actor=actor,
                imported=True,
            )
        rows.append((project_id, gpu_type, allocation.pk, allocation.account_id, allocation.consumed_account_id))
        done.charged_gpu_seconds[gpu_type] += amount_gpu_seconds
    with cursor.copy("COPY import_allocation FROM STDIN") as copy:
        for row in rows:
            copy.write_row(row)
    # Several batches follow in this transaction: all locks first, in the ledger's order.
    accounts_lock(account_ids=[account for row in rows for account in row[3:]])


def _charges_book(cursor: Any, cluster: Cluster, actor: str, progress: Progress) -> None:
    cursor.execute("SELECT count(*) FROM import_line WHERE gpus * elapsed_s > 0")
    (total,) = cursor.fetchone()
    cursor.execute(_CHARGES)
    booked = 0
    while True:
        cursor.execute(f"FETCH {_CHUNK} FROM import_charge")
        rows = cursor.fetchall()
        if not rows:
            return
        entries = (
            Entry.direct(
                id=charge,
                debit=debit_id,
                credit=credit_id,
                amount=amount_gpu_seconds,
                reason=f"slurm {cluster.name} {job_id} {state} (imported)",
                event_at=ended_at,
            )
            for charge, debit_id, credit_id, amount_gpu_seconds, job_id, state, ended_at in rows
        )
        transfers_import(rows=entries, booked_at=now(), actor=actor)
        booked += len(rows)
        progress("charging", booked, total)
