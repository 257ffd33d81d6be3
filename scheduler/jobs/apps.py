from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class JobsConfig(AppConfig):
    name = "scheduler.jobs"
    label = "jobs"

    def ready(self) -> None:
        from portal.people.rules import is_in_a_project, manages_any, reads_everything  # noqa: PLC0415  models first
        from portal.web.registry import home_cards, navigation, project_cards  # noqa: PLC0415
        from scheduler.jobs.starts import tasks  # noqa: F401, PLC0415  Celery finds only the app's own by itself

        home_cards.register("jobs:card", order=20, show=is_in_a_project)
        home_cards.register("jobs:left_card", order=7, wide=True, show=reads_everything)
        project_cards.register("jobs:project_card", order=20)
        project_cards.register("jobs:project_shell", order=60)
        navigation.register(
            "jobs:list",
            label=_("Jobs"),
            icon="terminal-2",
            order=20,
            show=is_in_a_project | manages_any | reads_everything,
        )
