"""Accounts, associations and QOS through sacctmgr, usage counters through scontrol.

sacctmgr ends with status 0 for some changes that it did not make, and with 1 where there was nothing to do. Whoever
writes here reads back.
"""

import pwd
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Unpack

from scheduler.clusters.adapters import parse, parse_changes, parse_limits
from scheduler.clusters.adapters.limits import QosFields, QosInfo, QosUsage
from scheduler.clusters.adapters.programs import Answer, Programs, failure
from scheduler.clusters.adapters.protocol import (
    AccountInfo,
    AccountingChange,
    AssociationBusy,
    AssociationInfo,
    TreeNode,
)

_NAMES_A_CALL = 500
_NOTHING_TO_DO = ("Nothing new added", "Nothing modified", "Nothing deleted")
_ALREADY_THERE = "Already existing account"  # 25.11's word for "Nothing new added"


class AccountCommands:
    cluster: str
    programs: Programs

    # ---- reading

    def accounts(self) -> list[AccountInfo]:
        shown = self.programs.read("sacctmgr", "-nP", "show", "account", f"format={','.join(parse.ACCOUNT_FIELDS)}")
        return parse.accounts(shown, self._associations())

    def associations(self) -> list[AssociationInfo]:
        return parse.associations(self._associations())

    def _associations(self) -> str:
        fields = f"format={','.join(parse.ASSOCIATION_FIELDS)}"
        return self.programs.read("sacctmgr", "-nP", "show", "assoc", "where", f"cluster={self.cluster}", fields)

    def tree(self) -> list[TreeNode] | None:
        fields = f"format={','.join(parse.TREE_FIELDS)}"
        answer = self.programs.ask("sacctmgr", "-nP", "show", "assoc", "where", f"cluster={self.cluster}", fields)
        if answer.code and "Unknown field" in answer.error:
            return None
        if answer.code:
            raise failure("sacctmgr", answer)
        return parse.tree(answer.out)

    def changes_by_others(self, *, since: datetime) -> list[AccountingChange]:
        start = since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        fields = f"format={','.join(parse_changes.CHANGE_FIELDS)}"
        shown = self.programs.read("sacctmgr", "-nP", "show", "transactions", f"start={start}", "withassoc", fields)
        theirs = [row for row in parse_changes.changes(shown, self.cluster) if row.actor != self.programs.identity]
        if any("id_assoc=" in row.what for row in theirs):
            # Of what is gone slurmdbd shows numbers only; what they meant stands where it was made.
            made = self.programs.read(
                "sacctmgr", "-nP", "show", "transactions", "action=Add Associations", "format=where,info"
            )
            theirs = parse_changes.changes_named(theirs, made)
        return theirs

    def qos(self) -> list[QosInfo]:
        return parse_limits.qos(
            self.programs.read("sacctmgr", "-nP", "show", "qos", f"format={','.join(parse_limits.QOS_FIELDS)}")
        )

    def qos_usage(self, names: Iterable[str]) -> dict[str, QosUsage]:
        wanted = sorted(set(names))
        found: dict[str, QosUsage] = {}
        for begin in range(0, len(wanted), _NAMES_A_CALL):
            some = ",".join(wanted[begin : begin + _NAMES_A_CALL])
            found |= parse_limits.qos_usage(
                self.programs.read("scontrol", "show", "assoc_mgr", "flags=qos", f"qos={some}")
            )
        return {name: usage for name, usage in found.items() if name in set(wanted)}

    def unix_account_exists(self, name: str) -> bool:
        """Asks this host's name service (getent passwd). An association made before the account exists would make
        slurmctld remember the failed look-up and refuse every job."""
        try:
            pwd.getpwnam(name)
        except KeyError:
            return False
        return True

    # ---- writing

    def account_create(self, *, name: str, parent: str, organisation: str, description: str) -> None:
        about = [f"organization={organisation}", f"description={description}"]
        self._tree_change(["add", "account", f"name={name}", f"cluster={self.cluster}", f"parent={parent}", *about])

    def account_move(self, *, name: str, parent: str) -> None:
        self._tree_change(
            ["modify", "account", "where", f"name={name}", f"cluster={self.cluster}", "set", f"parent={parent}"]
        )

    def account_remove(self, *, name: str) -> None:
        self._tree_change(["delete", "account", "where", f"name={name}", f"cluster={self.cluster}"])

    def association_create(
        self, *, account: str, user: str, partition: str, qos: Sequence[str], default_qos: str
    ) -> None:
        self.associations_create(account=account, users=[user], partition=partition, qos=qos, default_qos=default_qos)

    def associations_create(
        self, *, account: str, users: Sequence[str], partition: str, qos: Sequence[str], default_qos: str
    ) -> None:
        place = self._association(account, ",".join(users), partition)
        addition = ["add", "user", *place, f"qos={','.join(qos)}", f"defaultqos={default_qos}"]
        answer = self.programs.change_tree(*addition)
        if (
            "Nothing added" in answer.error + answer.out
        ):  # 25.11's word where all are there, and where the account is not
            there = {row.user for row in self.associations() if (row.account, row.partition) == (account, partition)}
            if there.issuperset(users):
                return
        _raise_unless_made(addition, answer)

    def association_modify(
        self, *, account: str, user: str, partition: str, qos: Sequence[str], default_qos: str
    ) -> None:
        # Both in one change: sacctmgr refuses a list without the present default, and ends with status 0 all the same.
        self._association_set(account, user, partition, [f"qos={','.join(qos)}", f"defaultqos={default_qos}"])

    def association_block(self, *, account: str, user: str, partition: str) -> None:
        self._association_set(account, user, partition, ["maxjobs=0", "maxsubmitjobs=0"])

    def association_unblock(self, *, account: str, user: str, partition: str) -> None:
        self._association_set(account, user, partition, ["maxjobs=-1", "maxsubmitjobs=-1"])

    def association_remove(self, *, account: str, user: str, partition: str) -> None:
        self._default_account_move(account, user)
        removal = ["delete", "user", "where", *self._association(account, user, partition)]
        answer = self.programs.change_tree(*removal)
        if "can not remove the default account" in answer.error + answer.out:
            # Slurm 25.11 marks one partition's association as the default. All of the account's may be: say it again.
            where = ["where", f"name={user}", f"cluster={self.cluster}"]
            self._tree_change(["modify", "user", *where, "set", f"defaultaccount={account}"])
            answer = self.programs.change_tree(*removal)
        _raise_unless_made(removal, answer)

    def _default_account_move(self, account: str, user: str) -> None:
        """slurmdbd refuses to take a person's default account away while they have others: make one of those it."""
        where = ["where", f"name={user}", f"cluster={self.cluster}"]
        shown = self.programs.read("sacctmgr", "-nP", "show", "user", *where, "format=defaultaccount")
        gone = {account}
        while account in shown.split():
            others = sorted({row.account for row in self.associations() if row.user == user} - gone)
            if not others:
                return
            change = ["modify", "user", *where, "set", f"defaultaccount={others[0]}"]
            answer = self.programs.change_tree(*change)
            if "aren't associated with new default account" not in answer.error + answer.out:
                return _raise_unless_made(change, answer)
            gone.add(others[0])  # somebody else took them out of it just now

    def _association_set(self, account: str, user: str, partition: str, fields: Sequence[str]) -> None:
        self._tree_change(["modify", "user", "where", *self._association(account, user, partition), "set", *fields])

    def _association(self, account: str, user: str, partition: str) -> list[str]:
        # An empty partition= names the association without one, not all of them (tried).
        return [f"name={user}", f"account={account}", f"partition={partition}", f"cluster={self.cluster}"]

    def qos_create(self, *, name: str, description: str, **fields: Unpack[QosFields]) -> None:
        # In one command: a QOS without limits must not be usable between two.
        shut: QosFields = {"grp_tres_mins": {"gres/gpu": 0}, "grp_jobs": 0, "grp_submit_jobs": 0}
        words = _qos_words({"flags": ("NoDecay", "DenyOnLimit"), **shut, **fields})
        self._qos_change(["add", "qos", f"name={name}", f"description={description}", *words])

    def qos_modify(self, *, name: str, **fields: Unpack[QosFields]) -> None:
        if words := _qos_words(fields):
            self._qos_change(["modify", "qos", "where", f"name={name}", "set", *words])

    def _tree_change(self, arguments: Sequence[str]) -> None:
        _raise_unless_made(arguments, self.programs.change_tree(*arguments))

    def _qos_change(self, arguments: Sequence[str]) -> None:
        _raise_unless_made(arguments, self.programs.ask("sacctmgr", "-i", *arguments))


def _raise_unless_made(arguments: Sequence[str], answer: Answer) -> None:
    words = answer.error + answer.out
    if not answer.code or words.strip(" .\n") in _NOTHING_TO_DO or words.strip().startswith(_ALREADY_THERE):
        return
    if "Job(s) active" in words:
        raise AssociationBusy(" ".join(words.split())[:500])
    error = failure("sacctmgr", answer)
    raise type(error)(f"{error} ({' '.join(arguments[:4])})")


_QOS_WORDS = {
    "flags": "flags",
    "grp_tres_mins": "GrpTRESMins",
    "min_tres_per_job": "MinTRESPerJob",
    "grp_jobs": "GrpJobs",
    "grp_submit_jobs": "GrpSubmitJobs",
    "max_tres_per_job": "MaxTRESPerJob",
    "max_tres_per_user": "MaxTRESPerUser",
    "max_wall_minutes": "MaxWallDurationPerJob",
    "max_jobs_per_user": "MaxJobsPerUser",
    "max_submit_per_user": "MaxSubmitJobsPerUser",
}


def _qos_words(fields: QosFields) -> list[str]:
    return [f"{_QOS_WORDS[name]}={text}" for name, value in fields.items() if (text := _qos_text(value))]


def _qos_text(value: object) -> str:
    """ "" for an empty list of limits: sacctmgr adds to one, and what shall go is named with -1."""
    if isinstance(value, Mapping):
        return _tres(value)
    return ",".join(value) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _tres(values: Mapping[str, int]) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items())
