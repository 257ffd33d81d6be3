from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class StatementsConfig(AppConfig):
    name = "quotas.statements"
    label = "statements"

    def ready(self) -> None:
        from portal.people.rules import manages_any, reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import navigation, organisation_cards  # noqa: PLC0415

        organisation_cards.register("statements:organisation_card", order=30, wide=True)
        navigation.register(
            "statements:list",
            label=_("Statements"),
            icon="receipt",
            order=45,
            show=manages_any | reads_everything,
        )
