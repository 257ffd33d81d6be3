"""What applications and reviewers have in common: sectors and product groups, in the applications' words."""

from quotas.applications.fields import COMMON

_CHOICES = {one.key: one.choices for one in COMMON}
SECTORS = _CHOICES["sector"]
PRODUCT_GROUPS = _CHOICES["product_group"]
