"""What `sacctmgr show transactions` prints, read into plain values. Pure, like parse.py."""

import re
from collections.abc import Iterable
from dataclasses import replace

from scheduler.clusters.adapters.parse import required_moment, rows
from scheduler.clusters.adapters.protocol import AccountingChange

CHANGE_FIELDS = ("id", "timestamp", "action", "actor", "where", "info", "account", "user", "cluster")


def changes(text: str, cluster: str) -> list[AccountingChange]:
    """From `sacctmgr show transactions withassoc`. Those of other clusters of the same slurmdbd are left out."""
    found = []
    text = text.replace(" || ", " or ")  # slurmdbd's SQL, not the end of a field
    for number, at, verb, actor, where, info, account, user, clusters in rows(text, len(CHANGE_FIELDS)):
        if (clusters and cluster not in clusters.split(",")) or verb == "Remove Account Coords":
            continue  # coordinators: a part of every removal of an account
        objects = " ".join(filter(None, (user, account and f"in {account}"))) or where
        found.append(
            AccountingChange(
                number=int(number),
                at=required_moment(at),
                actor=actor,
                verb=verb,
                what=": ".join(filter(None, (objects, _set_plainly(info)))),
                words=frozenset(_NAME.findall(f"{where} {info} {account.replace(',', ' ')} {user.replace(',', ' ')}")),
            )
        )
    return found


def changes_named(found: Iterable[AccountingChange], made: str) -> list[AccountingChange]:
    """Associations that are gone, of which slurmdbd shows numbers only, with the names they were made with."""
    names = {}
    for where, info in rows(made, 2):
        known = dict(re.findall(r"\b(acct|user|partition)`?='([^']*)'", info))
        names[where] = "/".join(filter(None, (known.get(key, "") for key in ("acct", "user", "partition"))))
    named = []
    for change in found:
        gone = [names[one] for one in re.findall(r"id_assoc=\d+", change.what) if one in names]
        if gone:
            words = {word for name in gone for word in name.split("/")}
            _, _, was_set = change.what.partition(": ")
            shown = ", ".join(gone) + (f": {was_set}" if was_set else "")
            change = replace(change, what=shown, words=change.words | words)
        named.append(change)
    return named


# Which objects, and what every addition sets.
_SAID_BY_OTHERS = {"mod_time", "acct", "user", "parent_acct", "partition", "shares", "delta_qos"}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def _set_plainly(info: str) -> str:
    """What was set, from the SQL that slurmdbd writes down: "grp_jobs=4, grp_tres_mins=1001=999, qos"."""
    shown = []
    # Commas inside brackets and quotes belong to a value.
    for part in re.findall(r"(?:[^,('\"]|'[^']*'|\((?:[^()']|'[^']*'|\((?:[^()']|'[^']*'|\([^()]*\))*\))*\))+", info):
        name, _, value = (text.strip() for text in part.partition("="))
        name = name.strip("`")
        if value in {"NULL", "''", ""} or name in _SAID_BY_OTHERS:
            continue
        tres_set = re.match(r"if \(id=\d+, '([^']*)'", value)
        if tres_set:
            value = tres_set[1]
        elif value.startswith("if"):
            value = ""  # a list that SQL makes from the old one
        shown.append(f"{name}={value.strip(chr(39))}" if value else name)
    return ", ".join(shown)
