"""What applications and reviewers have in common: sectors and product groups, in the applications' words."""

from django.utils.translation import gettext_lazy as _

SECTORS = (
    ("health", _("Health")),
    ("smart_cities", _("Smart cities")),
    ("environment", _("Environment")),
    ("finance", _("Finance")),
    ("education", _("Education")),
    ("other", _("Another sector")),
)
PRODUCT_GROUPS = (
    ("language_model", _("Vietnamese language model")),
    ("assistant", _("Virtual assistant")),
    ("vertical", _("Specialised (vertical) AI")),
    ("analytical", _("Analytical AI")),
    ("other", _("Another product")),
)
