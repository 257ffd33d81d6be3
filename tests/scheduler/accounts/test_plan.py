"""The difference between two states. Pure; the same on a real Slurm is in test_apply.py."""

from scheduler.accounts.plan import (
    AccountState,
    AssociationState,
    Note,
    Owned,
    QosState,
    State,
    Verb,
    plan,
)

OURS = Owned(accounts=frozenset({"sl-org", "sl-proj"}), qos=frozenset({"q1", "q2"}))
Q1 = QosState.of_allocation(gpu_type="h100", minutes=100, is_open=True)
MINH = ("sl-proj", "minh", "h100")


def state(**changed: object) -> State:
    whole = {
        "accounts": {"sl-org": AccountState("root"), "sl-proj": AccountState("sl-org")},
        "qos": {"q1": Q1},
        "associations": {MINH: AssociationState(("q1",), "q1")},
    }
    return State(**{**whole, **changed})  # type: ignore[arg-type]


def steps(desired: State, actual: State, owned: Owned = OURS) -> list[tuple[str, str]]:
    return [(row.verb, row.name) for row in plan(desired, actual, owned).actions]


def test_the_same_twice_is_nothing_to_do() -> None:
    assert plan(state(), state(), OURS).changes == []


def test_everything_new_comes_parents_first() -> None:
    assert steps(state(), State(), Owned()) == [
        ("add", "q1"),
        ("add", "sl-org"),
        ("add", "sl-proj"),
        ("add", "sl-proj/minh/h100"),
    ]


def test_removals_come_last_and_children_first() -> None:
    desired = state(accounts={"sl-new": AccountState("root")}, associations={}, qos={"q1": Q1, "q2": Q1})
    assert steps(desired, state()) == [
        ("add", "q2"),
        ("add", "sl-new"),
        ("remove", "sl-proj/minh/h100"),
        ("remove", "sl-proj"),
        ("remove", "sl-org"),
    ]


def test_a_changed_field_is_one_change_with_both_values() -> None:
    lower = QosState.of_allocation(gpu_type="h100", minutes=40, is_open=False)
    found = [change.as_json() for change in plan(state(qos={"q1": lower}), state(), OURS).changes]
    assert found == [
        {
            "object": "qos",
            "name": "q1",
            "field": "grp_tres_mins",
            "from": {"gres/gpu": 100, "gres/gpu:h100": 100},
            "to": {"gres/gpu": 40, "gres/gpu:h100": 40},
        },
        {"object": "qos", "name": "q1", "field": "grp_jobs", "from": None, "to": 0},
        {"object": "qos", "name": "q1", "field": "grp_submit_jobs", "from": None, "to": 0},
    ]


def test_a_removed_member_is_in_the_changes() -> None:
    made = plan(state(associations={}), state(), OURS)
    assert [(change.field, change.before, change.after) for change in made.changes] == [
        ("qos", ("q1",), None),
        ("default_qos", "q1", None),
    ]
    assert len(made.removals) == 1


def test_a_member_already_without_access_counts_no_more_as_a_removal() -> None:
    blocked = state(associations={MINH: AssociationState(("q1",), "q1", max_jobs=0, max_submit_jobs=0)})
    made = plan(state(associations={}), blocked, OURS)
    assert (len(made.of(Verb.REMOVE)), made.removals) == (1, [])


def test_others_names_are_left_alone_and_noted() -> None:
    nobody = Owned()
    made = plan(state(associations={}), state(), nobody)
    assert made.actions == ()
    assert {(note.code, note.name) for note in made.notes} == {
        ("foreign_name", "sl-org"),
        ("foreign_name", "sl-proj"),
        ("foreign_name", "q1"),
    }


def test_below_a_foreign_account_nothing_is_made() -> None:
    actual = State(accounts={"sl-org": AccountState("root")})
    made = plan(state(), actual, Owned())
    assert [(row.verb, row.name) for row in made.actions] == [("add", "q1")]


def test_a_foreign_qos_is_not_given_to_members() -> None:
    desired = state(qos={"q1": Q1, "theirs": Q1}, associations={MINH: AssociationState(("q1", "theirs"), "theirs")})
    made = plan(desired, state(qos={"q1": Q1, "theirs": Q1}), OURS)
    assert made.changes == []
    assert made.desired.associations[MINH] == AssociationState(("q1",), "q1")


def test_others_accounts_below_ours_keep_ours_alive() -> None:
    accounts = {**state().accounts, "theirs": AccountState("sl-proj")}
    made = plan(State(), state(accounts=accounts), OURS)
    assert {(row.verb, row.name) for row in made.actions} == {("change", "q1"), ("remove", "sl-proj/minh/h100")}


def test_a_qos_is_shut_and_never_removed() -> None:
    made = plan(state(qos={}), state(), OURS)
    assert {(change.name, change.field, change.after) for change in made.changes} == {
        ("q1", "grp_jobs", 0),
        ("q1", "grp_submit_jobs", 0),
    }
    shut = QosState(Q1.flags, Q1.grp_tres_mins, Q1.min_tres_per_job, 0, 0)
    assert plan(state(qos={}), state(qos={"q1": shut}), OURS).changes == []


def test_an_association_bound_to_no_partition_is_removed() -> None:
    loose = {**state().associations, ("sl-proj", "minh", ""): AssociationState(("normal",), "")}
    assert steps(state(), state(associations=loose)) == [("remove", "sl-proj/minh/")]


def test_notes_are_kept() -> None:
    note = Note("waits_for_unix_account", "hoa", "sl-proj")
    assert plan(state(), state(), OURS, [note]).notes == (note,)
