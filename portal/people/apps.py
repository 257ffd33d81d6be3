from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class PeopleConfig(AppConfig):
    name = "portal.people"
    label = "people"

    def ready(self) -> None:
        from portal.people.rules import is_in_a_project, reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415

        home_cards.register("people:projects_card", order=40, show=is_in_a_project)
        for order, (url_name, label, icon) in enumerate(
            [("people:organisations", _("Organisations"), "building-bank"), ("people:people", _("People"), "users")]
        ):
            navigation.register(
                url_name, label=label, icon=icon, order=60 + order, section="centre", show=reads_everything
            )
