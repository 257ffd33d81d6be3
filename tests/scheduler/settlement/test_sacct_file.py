"""Reading a sacct dump, line by line."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.settlement import charges, sacct_file
from scheduler.settlement.sacct_file import Line, MissingColumns, Reader

HEADER = "JobIDRaw|JobID|Account|User|QOS|Partition|State|Submit|Start|End|ElapsedRaw|AllocTRES"
VALUES = {
    "JobIDRaw": "12",
    "JobID": "10_2",
    "Account": "vision",
    "User": "an",
    "QOS": "normal",
    "Partition": "h100",
    "State": "COMPLETED",
    "Submit": "2026-03-01T12:00:00",
    "Start": "2026-03-01T12:00:10",
    "End": "2026-03-01T12:01:10",
    "ElapsedRaw": "60",
    "AllocTRES": "billing=2,cpu=2,gres/gpu:h100=2,gres/gpu=2,mem=4G,node=1",
}


def read(text, header=HEADER, **options):
    options = {"cluster": "local", "zone": UTC, "partition_types": {}} | options
    return list(Reader(header, **options).read(text.splitlines(keepends=True)))


def row(**changed):
    return "|".join((VALUES | changed).values())


def test_it_reads_a_line():
    (line,) = read(row())
    assert line == Line(
        job_id_raw=12,
        submit_epoch_s=int(datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()),
        job_id="10_2",
        account="vision",
        user="an",
        qos="normal",
        partition="h100",
        state="COMPLETED",
        started_at=datetime(2026, 3, 1, 12, 0, 10, tzinfo=UTC),
        ended_at=datetime(2026, 3, 1, 12, 1, 10, tzinfo=UTC),
        elapsed_s=60,
        gpu_type="h100",
        gpus=2,
        charge=charges.charge_id("local", 12, datetime(2026, 3, 1, 12, tzinfo=UTC)),
    )


@pytest.mark.parametrize("name", sacct_file.NEEDED)
def test_it_names_a_missing_column(name):
    columns = [column for column in HEADER.split("|") if column != name]
    with pytest.raises(MissingColumns) as caught:
        Reader("|".join(columns), cluster="local", zone=UTC, partition_types={})
    assert caught.value.names == [name]


@pytest.mark.parametrize("header", ["", "nonsense", "JobIDRaw,Account,User"])
def test_it_names_all_columns_of_a_file_that_is_no_dump(header):
    with pytest.raises(MissingColumns):
        Reader(header, cluster="local", zone=UTC, partition_types={})


def test_columns_may_come_in_any_order_and_without_the_optional_ones():
    columns = list(reversed(sacct_file.NEEDED))
    (line,) = read("|".join(VALUES[name] for name in columns), header="|".join(columns))
    assert (line.job_id, line.qos, line.partition, line.gpus) == ("12", "", "", 2)


def test_it_bears_a_byte_order_mark_windows_line_ends_and_trailing_delimiters():
    (line,) = read(row() + "|\r\n", header="\ufeff" + HEADER + "|\r\n")
    assert line.gpus == 2


def test_times_are_read_in_the_zone_that_was_given():
    (line,) = read(row(), zone=ZoneInfo("Asia/Ho_Chi_Minh"))
    assert line.ended_at == datetime(2026, 3, 1, 5, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize("printed", ["1772366470", "2026-03-01T19:01:10+07:00", "2026-03-01T12:01:10Z"])
def test_times_that_say_their_zone_are_believed(printed):
    (line,) = read(row(End=printed), zone=ZoneInfo("America/New_York"))
    assert line.ended_at == datetime(2026, 3, 1, 12, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"JobIDRaw": "12.batch"}, sacct_file.STEP),
        ({"JobIDRaw": "12.0"}, sacct_file.STEP),
        ({"State": "RUNNING", "End": "Unknown"}, sacct_file.NOT_FINISHED),
        ({"State": "PENDING", "Start": "Unknown", "End": "Unknown"}, sacct_file.NOT_FINISHED),
        ({"State": "RUNNING"}, sacct_file.NOT_FINISHED),
        ({"State": "COMPLETED", "End": "Unknown"}, sacct_file.NOT_FINISHED),
        ({"AllocTRES": "gres/gpu:h100=1,gres/gpu:h200=1"}, sacct_file.SEVERAL_GPU_TYPES),
        ({"JobIDRaw": "x"}, sacct_file.UNREADABLE),
        ({"JobIDRaw": "²"}, sacct_file.UNREADABLE),
        ({"JobIDRaw": ""}, sacct_file.UNREADABLE),
        ({"JobIDRaw": "9" * 30}, sacct_file.UNREADABLE),
        ({"Submit": "Unknown"}, sacct_file.UNREADABLE),
        ({"Submit": "yesterday"}, sacct_file.UNREADABLE),
        ({"Submit": "99999999999999999999"}, sacct_file.UNREADABLE),
        ({"ElapsedRaw": ""}, sacct_file.UNREADABLE),
        ({"ElapsedRaw": "-5"}, sacct_file.UNREADABLE),
        ({"ElapsedRaw": "999999999999"}, sacct_file.UNREADABLE),
        ({"AllocTRES": "gres/gpu=many"}, sacct_file.UNREADABLE),
        ({"AllocTRES": "gres/gpu:h100=99999999"}, sacct_file.UNREADABLE),
        ({"AllocTRES": "gres/gpu:=1"}, sacct_file.UNREADABLE),
        ({"Account": ""}, sacct_file.UNREADABLE),
        ({"Account": "a" * 121}, sacct_file.UNREADABLE),
        ({"Account": "a\x00b"}, sacct_file.UNREADABLE),
        ({"State": ""}, sacct_file.UNREADABLE),
        ({"User": "a|b"}, sacct_file.UNREADABLE),
    ],
)
def test_it_says_why_a_line_is_left_out(changed, reason):
    assert read(row(**changed)) == [reason]


def test_a_job_cancelled_before_its_start_is_a_record_without_gpus():
    (line,) = read(row(State="CANCELLED by 1000", Start="None", ElapsedRaw="0", AllocTRES=""))
    assert (line.state, line.started_at, line.gpus, line.gpu_type) == ("CANCELLED", None, 0, "")


@pytest.mark.parametrize(
    ("alloc_tres", "gpu_type", "gpus"),
    [
        ("billing=2,cpu=2,gres/gpu:h100=2,gres/gpu=2,mem=4G,node=1", "h100", 2),
        ("billing=2,cpu=2,gres/gpu:h100=2,mem=4G,node=1", "h100", 2),
        ("billing=2,cpu=2,gres/gpu=2,mem=4G,node=1", "gpu", 2),
        ("gres/gpu:H100=1", "h100", 1),
        ("gres/gpu:1g.10gb=7,gres/gpu=7", "1g.10gb", 7),
        ("gres/gpumem=80G,gres/gpuutil=4,cpu=1", "", 0),
        ("gres/gpu=0", "", 0),
        ("billing=4,cpu=4,mem=8G,node=1", "", 0),
        ("", "", 0),
    ],
)
def test_it_counts_the_gpus_that_were_allocated(alloc_tres, gpu_type, gpus):
    (line,) = read(row(AllocTRES=alloc_tres))
    assert (line.gpu_type, line.gpus) == (gpu_type, gpus)


@pytest.mark.parametrize(
    ("partition_types", "gpu_type", "expected"),
    [({"h100": "h100"}, "v100", "h100"), ({"other": "h200"}, "v100", "v100"), ({}, "", "gpu")],
)
def test_a_generic_gpu_takes_its_partitions_type_then_the_option(partition_types, gpu_type, expected):
    (line,) = read(row(AllocTRES="cpu=1,gres/gpu=4"), partition_types=partition_types, gpu_type=gpu_type)
    assert (line.gpu_type, line.gpus) == (expected, 4)


def test_a_delimiter_in_the_one_free_text_column_does_no_harm():
    header = HEADER.replace("|User|", "|JobName|User|")
    (line,) = read(row().replace("|an|", "|a | b || c|an|"), header=header)
    assert (line.account, line.user, line.gpus) == ("vision", "an", 2)


def test_a_delimiter_with_two_free_text_columns_cannot_be_read():
    header = HEADER.replace("|User|", "|JobName|Comment|User|")
    assert read(row().replace("|an|", "|a|b|c|an|"), header=header) == [sacct_file.UNREADABLE]


def test_empty_lines_are_nothing():
    assert read("\n\r\n\n") == []


@given(st.text())
def test_no_text_breaks_it(text):
    for line in read(text):
        assert isinstance(line, Line | str)


@given(st.lists(st.text(st.characters(exclude_characters="|\n\r")), min_size=12, max_size=12))
def test_no_fields_break_it(fields):
    for line in read("|".join(fields)):
        assert isinstance(line, str) or line.elapsed_s >= 0
