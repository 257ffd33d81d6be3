from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "scheduler.accounts"
    label = "accounts"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web import metrics as page  # noqa: PLC0415
        from portal.web.registry import home_cards, navigation  # noqa: PLC0415
        from scheduler.accounts.metrics import collect  # noqa: PLC0415

        page.register(collect)
        home_cards.register("accounts:card", order=5, wide=True, show=reads_everything)
        navigation.register(
            "accounts:clusters", label=_("Clusters"), icon="server-2", order=50, section="centre", show=reads_everything
        )
