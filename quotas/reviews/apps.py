from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ReviewsConfig(AppConfig):
    name = "quotas.reviews"
    label = "reviews"

    def ready(self) -> None:
        from portal.people.rules import is_reviewer, reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415
        from quotas.applications.registry import (  # noqa: PLC0415
            application_cards,
            resubmissions,
            returns,
            withdrawals,
        )
        from quotas.applications.rules import readers_register  # noqa: PLC0415
        from quotas.reviews import kinds  # noqa: PLC0415
        from quotas.reviews.selectors import reviewed_by  # noqa: PLC0415
        from quotas.reviews.services.assignments import (  # noqa: PLC0415
            reviews_reopen,
            reviews_resume,
            reviews_withdrawn,
        )
        from quotas.reviews.services.decisions import decision_fall  # noqa: PLC0415

        kinds.register()
        withdrawals.register(decision_fall)
        withdrawals.register(reviews_withdrawn)
        returns.register(reviews_reopen)
        resubmissions.register(reviews_resume)
        readers_register(reviewed_by)
        application_cards.register("reviews:application_card", order=10)
        home_cards.register("reviews:card", order=10, wide=True, show=reads_everything)
        home_cards.register("reviews:reviewer_card", order=12, wide=True, show=is_reviewer)
        navigation.register("reviews:list", label=_("My reviews"), icon="clipboard-check", order=32, show=is_reviewer)
        navigation.register(
            "reviews:queue", label=_("To decide"), icon="gavel", order=50, section="centre", show=reads_everything
        )
        navigation.register(
            "reviews:calls", label=_("Reviews"), icon="list-check", order=51, section="centre", show=reads_everything
        )
