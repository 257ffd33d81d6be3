"""The unix group of a data set. Everything else about a group's name follows from here, the wrapper's own check apart.

A group's name begins with the stack's own prefix (DATA_GROUP_PREFIX): the root-owned wrapper touches no other group.
"""

from hashlib import sha256

from django.conf import settings

GROUP_LENGTH = 32  # the kernel's and shadow's own bound
TAIL = 5


def group_name(slug: str) -> str:
    """The prefix and the short name; one that is too long ends with letters of its hash."""
    whole: str = settings.DATA_GROUP_PREFIX + slug
    if len(whole) <= GROUP_LENGTH:
        return whole
    return f"{whole[: GROUP_LENGTH - TAIL].rstrip('-')}-{sha256(slug.encode()).hexdigest()[: TAIL - 1]}"
