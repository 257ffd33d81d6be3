from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReviewsConfig(AppConfig):
    name = "quotas.reviews"
    label = "reviews"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415
        from quotas.applications.registry import application_cards, withdrawals  # noqa: PLC0415
        from quotas.reviews.services import decision_fall  # noqa: PLC0415

        withdrawals.register(decision_fall)
        application_cards.register("reviews:application_card", order=10)
        home_cards.register("reviews:card", order=10, wide=True, show=reads_everything)
        navigation.register(
            "reviews:queue",
            label=_("To decide"),
            icon="gavel",
            order=50,
            section="centre",
            show=reads_everything,
        )
