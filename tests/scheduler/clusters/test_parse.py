"""Reading what Slurm 22.05.8 printed, recorded from a real one (`recorded/`), and lines that others print."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from scheduler.clusters.adapters import parse, parse_limits
from scheduler.clusters.adapters.protocol import ClusterError

RECORDED = Path(__file__).parent / "recorded"
READ_AT = datetime(2026, 11, 22, 3, 45, 20, tzinfo=UTC)
CUT = "\x1f0123456789abcdef\x1f"


def recorded(name: str) -> str:
    return (RECORDED / name).read_bytes().decode()


def queue():
    rows = parse.records_split([recorded("squeue.txt")], CUT, len(parse.SQUEUE_FIELDS))
    return {job.job_id: job for job in map(parse.queue_job, rows)}


def records():
    rows = parse.records_split([recorded("sacct.txt")], CUT, len(parse.SACCT_FIELDS))
    return [parse.accounting_record(row, read_at=READ_AT) for row in rows]


# ---- GPUs


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("billing=2,cpu=16,gres/gpu:h100=2,gres/gpu=2,mem=240000M,node=1", {"h100": 2}),  # both: the same two
        ("cpu=16,gres/gpu:h100=2,node=1", {"h100": 2}),  # typed only
        ("cpu=16,gres/gpu=2,node=1", {"gpu": 2}),  # untyped only
        ("gres/gpu=4,gres/gpu:h100=2", {"h100": 2, "gpu": 2}),  # two of a type that slurm.conf does not track
        ("gres/gpu=6,gres/gpu:h100=2,gres/gpu:h200=4", {"h100": 2, "h200": 4}),
        ("gres/gpu:H100=2", {"h100": 2}),
        ("gres/gpu:h100=0,gres/gpu=0", {}),
        ("cpu=4,gres/gpumem=80G,gres/shard=2,mem=10G", {}),
        ("", {}),
    ],
)
def test_typed_and_untyped_counts_are_never_added(line: str, gpus: dict[str, int]) -> None:
    assert parse.gpus(line) == gpus


@pytest.mark.parametrize(
    ("line", "gpus"),
    [
        ("gpu:h100:8", {"h100": 8}),
        ("gpu:h100:8(S:0-1)", {"h100": 8}),
        ("gpu:h100:4(S:0),gpu:h200:4(S:1),mps:100", {"h100": 4, "h200": 4}),
        ("gpu:8", {"gpu": 8}),
        ("(null)", {}),
    ],
)
def test_a_nodes_gres_is_read_by_type(line: str, gpus: dict[str, int]) -> None:
    assert parse.gres(line) == gpus


# ---- times, states, arrays


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("5:00", 300),
        ("1:00:00", 3_600),
        ("2-00:00:00", 172_800),
        ("1-00:05:00", 86_700),
        ("0:30", 30),
        ("2-03", 183_600),
        ("UNLIMITED", None),
        ("INVALID", None),
        ("NOT_SET", None),
        ("", None),
    ],
)
def test_durations(text: str, seconds: int | None) -> None:
    assert parse.duration_s(text) == seconds


def test_times_are_utc_and_unknown_ones_none() -> None:
    assert parse.moment("2026-11-22T03:45:07") == datetime(2026, 11, 22, 3, 45, 7, tzinfo=UTC)
    assert [parse.moment(text) for text in ("Unknown", "None", "N/A", "")] == [None] * 4
    with pytest.raises(ClusterError):
        parse.required_moment("Unknown")


@pytest.mark.parametrize(
    ("text", "state"),
    [("CANCELLED by 0", "CANCELLED"), ("RUNNING", "RUNNING"), ("CANCELLED+", "CANCELLED"), ("NODE_FAIL", "NODE_FAIL")],
)
def test_a_states_suffix_is_removed(text: str, state: str) -> None:
    assert parse.state(text) == state


@pytest.mark.parametrize(
    ("tasks", "count"), [("", 1), ("7", 1), ("4-9%2", 6), ("0,4,8,20", 4), ("0-8:4,20", 4), ("1-3,5", 4)]
)
def test_tasks_of_an_array_are_counted(tasks: str, count: int) -> None:
    assert parse.array_task_count(tasks) == count


# ---- records as they come


def test_a_separator_nobody_can_guess_keeps_bars_and_newlines_in_a_comment() -> None:
    job = queue()[136]
    assert (job.comment, job.name) == ("a|b\nc, d=e", 'we|ird "n" é')
    assert (job.user, job.account, job.qos, job.partition, job.state) == (
        "minh",
        "zz-proj2",
        "zz-q3",
        "h100",
        "RUNNING",
    )
    assert job.submit_at == datetime(2026, 11, 22, 3, 45, 7, tzinfo=UTC)
    assert (job.gpus, job.nodes, job.time_limit_s, job.restarts) == ({"h100": 2}, 1, 300, 0)
    assert (job.array_job_id, job.array_tasks, job.array_task_count, job.het_job_id) == (None, "", 1, None)


def test_a_pending_array_is_one_line_with_its_tasks() -> None:
    job = queue()[137]
    assert (job.array_job_id, job.array_tasks, job.array_task_count) == (137, "0,4,8,20", 4)
    assert (job.nodes, job.gpus, job.reason) == (3, {"h100": 24}, "Resources")


def test_untyped_requests_show_as_such_while_they_wait() -> None:
    jobs = queue()
    assert (jobs[140].gpus, jobs[141].gpus) == ({"gpu": 2}, {"gpu": 5})


def test_both_components_of_a_het_job_name_it() -> None:
    jobs = queue()
    assert (jobs[138].het_job_id, jobs[139].het_job_id) == (138, 138)
    assert jobs[138].eligible_at is None


def test_a_requeued_job_has_a_record_for_each_run() -> None:
    runs = [record for record in records() if record.job_id_raw == 136]
    assert [(run.state, run.elapsed_s, run.submit_at.second) for run in runs] == [
        ("REQUEUED", 4, 7),
        ("CANCELLED", 0, 11),
    ]
    assert all(run.is_final for run in runs)
    assert runs[0].gpus == {"h100": 2}
    assert runs[1].gpus == {}  # it never started again
    assert runs[0].comment == "a|b\nc, d=e"


def test_a_record_whose_qos_slurmdbd_does_not_know_yet_is_not_final() -> None:
    line = recorded("sacct.txt").replace(f"{CUT}zz-q3{CUT}", f"{CUT}Unknown{CUT}")
    rows = list(parse.records_split([line], CUT, len(parse.SACCT_FIELDS)))
    soon = [parse.accounting_record(row, read_at=READ_AT) for row in rows]
    assert not any(record.is_final for record in soon)
    assert {record.qos for record in soon} == {""}
    later = [parse.accounting_record(row, read_at=READ_AT + timedelta(minutes=10)) for row in rows]
    assert all(record.is_final for record in later)  # slurmctld was killed before it could say: charged all the same


def test_array_tasks_keep_both_of_their_ids() -> None:
    by_id = {record.job_id: record for record in records()}
    assert (by_id["137_0"].job_id_raw, by_id["137_0"].gpus, by_id["137_0"].elapsed_s) == (142, {"h100": 24}, 8)
    assert by_id["137_[4,8,20]"].job_id_raw == 137
    assert by_id["137_[4,8,20]"].start_at is None


def test_records_are_the_same_however_the_stream_is_cut() -> None:
    text = recorded("sacct.txt")
    whole = records()
    for size in (1, 7, 64):
        pieces = (text[begin : begin + size] for begin in range(0, len(text), size))
        rows = parse.records_split(pieces, CUT, len(parse.SACCT_FIELDS))
        assert [parse.accounting_record(row, read_at=READ_AT) for row in rows] == whole


def test_an_answer_that_ends_in_the_middle_is_an_error() -> None:
    text = recorded("sacct.txt")
    with pytest.raises(ClusterError, match="ends in the middle"):
        list(parse.records_split([text[:-30]], CUT, len(parse.SACCT_FIELDS)))


# ---- scontrol


def test_nodes_show_what_they_have_and_why_they_are_away() -> None:
    nodes = {node.name: node for node in parse.nodes(recorded("nodes.txt"))}
    assert sorted(nodes) == ["gpu001", "gpu002", "gpu003", "gpu004"]
    assert (nodes["gpu001"].gpus, nodes["gpu004"].gpus) == ({"h100": 8}, {"h200": 8})
    assert nodes["gpu003"].reason == "bad fan, see ticket=17 [root@2026-11-22T03:00:00]"
    assert nodes["gpu003"].state.startswith("IDLE+DRAIN")
    assert nodes["gpu001"].partitions == ("h100",)


def test_a_partitions_type_is_its_nodes() -> None:
    nodes = parse.nodes(recorded("nodes.txt"))
    h100, h200 = parse.partitions(recorded("partitions.txt"), nodes)
    assert (h100.name, h100.gpu_type, h100.nodes, h100.gpus_per_node) == ("h100", "h100", 3, 8)
    assert (h100.max_time_s, h100.default_time_s, h100.is_up) == (172_800, 3_600, True)
    assert (h200.name, h200.gpu_type, h200.nodes) == ("h200", "h200", 1)


def test_a_partition_with_two_types_has_none() -> None:
    text = recorded("nodes.txt").replace("Partitions=h200", "Partitions=h100,h200")
    h100, h200 = parse.partitions(recorded("partitions.txt"), parse.nodes(text))
    assert (h100.gpu_type, h200.gpu_type) == ("", "h200")


def test_the_controllers_boot_queue_and_periods() -> None:
    asked = datetime(2026, 11, 22, 3, 46, tzinfo=UTC)
    status = parse.controller_status(recorded("config.txt"), recorded("sdiag.txt"), asked)
    assert status.booted_at == datetime(2026, 11, 22, 3, 10, 4, tzinfo=UTC)
    assert (status.dbd_queue, status.priority_calc_period_s, status.message_timeout_s) == (0, 60, 10)
    with pytest.raises(ClusterError):
        parse.controller_status(recorded("config.txt"), "", asked)


def test_the_usage_counter_and_the_limit_in_minutes() -> None:
    usage = parse_limits.qos_usage(recorded("assoc_mgr.txt"))
    assert (usage["zz-q1"].limit_minutes, usage["zz-q1"].used_minutes) == (50, 28)
    assert usage["zz-q1"].usage_raw_gpu_seconds == 1_681
    assert parse_limits.qos_usage("Current Association Manager state\n\nNo QOS currently cached in Slurm.\n\n") == {}


# ---- sacctmgr


def test_accounts_come_from_the_tree_whatever_their_descriptions_hold() -> None:
    accounts = {row.name: row for row in parse.accounts(recorded("accounts.txt"), recorded("associations.txt"))}
    assert (accounts["zz-org"].parent, accounts["zz-proj2"].parent) == ("root", "zz-org")
    assert accounts["zz-org"].description == ""  # it holds a bar: unreadable, and not worth failing for
    assert "root" not in accounts
    assert "zz-proj" not in accounts  # in slurmdbd, but with no place on this cluster any more


def test_associations_are_users_with_partition_and_qos() -> None:
    rows = {(row.account, row.user, row.partition): row for row in parse.associations(recorded("associations.txt"))}
    assert rows["zz-proj2", "tuan", "h200"].qos == ("zz-q2",)
    assert rows["zz-proj2", "minh", "h100"].default_qos == "zz-q3"
    assert rows["root", "cluster-worker", ""].max_submit_jobs == 0
    assert rows["zz-proj2", "minh", "h100"].max_jobs is None


def test_qos_limits_by_tres() -> None:
    rows = {row.name: row for row in parse_limits.qos(recorded("qos.txt"))}
    assert rows["zz-q2"].grp_tres_mins == {"gres/gpu": 30, "gres/gpu:h200": 30}
    assert rows["zz-q2"].flags == {"NoDecay", "DenyOnLimit"}
    assert rows["zz-q2"].min_tres_per_job == {"gres/gpu": 1}
    assert (rows["zz-q2"].grp_jobs, rows["normal"].grp_tres_mins) == (None, {})
