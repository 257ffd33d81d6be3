"""Who did it, as the ledger keeps it: a text that outlives the person's row, e.g. "user:17" or
"worker:cluster.local"."""

from collections.abc import Iterable

from portal.people.models import User

Actor = User | str


def actor_key(actor: Actor) -> str:
    return actor if isinstance(actor, str) else f"user:{actor.pk}"


def actor_names(keys: Iterable[str]) -> dict[str, str]:
    """The names behind such texts, in one query; a process stays as it is written."""
    ids = {int(number) for key in keys if (number := key.removeprefix("user:")) != key and number.isdigit()}
    people = User.objects.in_bulk(ids) if ids else {}
    return {f"user:{pk}": str(person) for pk, person in people.items()}
