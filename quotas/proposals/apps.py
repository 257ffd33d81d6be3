from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ProposalsConfig(AppConfig):
    name = "quotas.proposals"
    label = "proposals"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415

        home_cards.register("proposals:card", order=12, wide=True, show=reads_everything)
        navigation.register(
            "proposals:list",
            label=_("Second approval"),
            icon="shield-check",
            order=52,
            section="centre",
            show=reads_everything,
        )
