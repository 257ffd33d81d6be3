from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class WatchingConfig(AppConfig):
    name = "monitoring.watching"
    label = "watching"

    def ready(self) -> None:
        from monitoring.watching.metrics import collect  # noqa: PLC0415  models must be ready first
        from portal.people.rules import is_in_a_project, reads_everything  # noqa: PLC0415
        from portal.web import metrics as page  # noqa: PLC0415
        from portal.web.registry import home_cards, job_list_cards, job_notes, navigation  # noqa: PLC0415

        page.register(collect)
        job_notes.register("watching:job", order=10)
        job_list_cards.register("watching:mine", order=10, show=is_in_a_project)
        home_cards.register("watching:card", order=8, wide=True, show=reads_everything)
        navigation.register(
            "watching:list", label=_("Findings"), icon="eye", order=55, section="centre", show=reads_everything
        )
