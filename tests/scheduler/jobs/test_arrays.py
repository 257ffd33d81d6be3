import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.arrays import LARGEST_INDEX, MOST_TASKS, Array, ArrayInvalid, array_parse, tasks_shown


@pytest.mark.parametrize(
    ("text", "tasks", "at_once", "written"),
    [
        ("0-3", (0, 1, 2, 3), 0, "0-3"),
        ("0-9%2", tuple(range(10)), 2, "0-9%2"),
        (" 1, 3 ,7 ", (1, 3, 7), 0, "1,3,7"),
        ("3,1-2,2", (1, 2, 3), 0, "1-3"),
        ("0-8:4", (0, 4, 8), 0, "0,4,8"),
        ("7", (7,), 0, "7"),
        (f"1-{LARGEST_INDEX}", tuple(range(1, LARGEST_INDEX + 1)), 0, f"1-{LARGEST_INDEX}"),
    ],
)
def test_it_reads_what_people_write(text, tasks, at_once, written):
    array = array_parse(text)
    assert (array.tasks, array.at_once, str(array)) == (tasks, at_once, written)


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "a", "1-", "-1", "5-3", "0-9:0", "0-9%", "0-9%0", "0-9%x", "1;id", "0-9 %2 --uid=0", "٣"),
        *(f"0-{LARGEST_INDEX}", f"0-{LARGEST_INDEX + 1}", "0-9999999999", "0-9%99999999999"),
    ],
)
def test_it_refuses_the_rest_in_words(text):
    with pytest.raises(ArrayInvalid) as invalid:
        array_parse(text)
    assert str(invalid.value)


@given(
    st.builds(
        Array,
        st.sets(st.integers(0, LARGEST_INDEX), min_size=1, max_size=40).map(lambda tasks: tuple(sorted(tasks))),
        st.integers(0, MOST_TASKS),
    )
)
def test_what_is_written_is_read_back(array):
    assert array_parse(str(array)) == array
    assert tasks_shown(f"25_[{array}]") == tasks_shown(str(array)) == array.tasks


@given(st.text(max_size=60))
def test_any_text_is_an_array_or_is_refused(text):
    try:
        array = array_parse(text)
    except ArrayInvalid:
        return
    assert set(str(array)) <= set("0123456789-,%")


def test_it_reads_what_slurm_shows():
    assert tasks_shown("25_7") == (7,)
    assert tasks_shown("25") == (25,)  # of squeue's own column, which has no number before it
    assert tasks_shown("0-2,4-9%2") == (0, 1, 2, 4, 5, 6, 7, 8, 9)
    assert tasks_shown("0-2,4-...") == (0, 1, 2)
