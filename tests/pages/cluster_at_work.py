"""A cluster somebody worked on by hand, and whose slurmdbd was restored from a backup."""

from datetime import timedelta

from portal.clock import now
from scheduler.accounts.models import OutsideChange, StoredPlan
from scheduler.clusters.models import Cluster
from scheduler.settlement.models import Cursor, CycleStep, Kept, Reconciliation
from tests.scheduler.accounts.test_pages import ADD, CHANGE, REMOVE


def worked_on_by_hand(cluster: Cluster) -> None:
    moment = now()
    StoredPlan.objects.create(
        cluster=cluster,
        made_at=moment,
        actions=[ADD, CHANGE, REMOVE],
        removals_withheld=1,
        tree_faults=["sl-mo-hinh/minh/h100, sl-mo-hinh/hoa/h100: both have 84"],
        digest="d" * 64,
    )
    for number, facts in enumerate(
        [{"repaired_at": moment}, {}, {"differs": False, "verb": "Remove Associations", "what": "sl-mo-hinh/hoa/h100"}]
    ):
        OutsideChange.objects.create(
            **{
                "cluster": cluster,
                "number": number,
                "at": moment - timedelta(minutes=number),
                "actor": "root",
                "verb": "Modify QOS",
                "what": "(name='mo-hinh-h100-1a2b3c'): grp_jobs=4, grp_tres_mins=1001=999,1003=5",
                "names": ["mo-hinh-h100-1a2b3c"],
                "differs": True,
                "seen_at": moment,
                **facts,
            }
        )
    Cursor.objects.create(cluster=cluster, read_until=moment, updated_at=moment, clock_ahead_s=-40)
    CycleStep.objects.create(cluster=cluster, step="settle", ran_at=moment, succeeded_at=moment, duration_s=0.4)
    Kept.objects.create(
        cluster=cluster, kept_at=moment, actor="user:1", reason="Bản sao lưu", records_count=12, gpu_seconds=72_000
    )
    Reconciliation.objects.create(
        cluster=cluster,
        taken_at=moment,
        records=4_211,
        charged_gpu_seconds=9_000_000,
        slurmdbd_gpu_seconds=8_500_000,
        residual_gpu_seconds=28_000,
        imported_gpu_seconds=720_000,
        overrun_gpu_seconds=0,
        oldest_at=moment - timedelta(days=400),
        purged_before=moment - timedelta(days=365),
        purged_records=800,
        purged_gpu_seconds=400_000,
        kept_records=12,
        kept_gpu_seconds=72_000,
        missing_records=2,
        keepable_gpu_seconds=28_000,
        others_records=51,
        others_gpu_seconds=360_000,
        counter_gaps={"mo-hinh-h100-1a2b3c": 65, "mo-hinh-h200-4d5e6f": -40},
        differences=[
            {
                "kind": kind,
                "job": "4711",
                "account": "sl-mo-hinh",
                "qos": "mo-hinh-h100-1a2b3c",
                "submit_at": moment.isoformat(),
                "state": "COMPLETED",
                "slurmdbd_gpu_seconds": 0,
                "charged_gpu_seconds": 14_000,
            }
            for kind in ("not_in_slurmdbd", "reopened")
        ],
        differences_count=2,
        duration_s=1,
    )
