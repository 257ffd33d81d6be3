from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ClustersConfig(AppConfig):
    name = "scheduler.clusters"
    label = "clusters"

    def ready(self) -> None:
        from portal.people.rules import reads_everything  # noqa: PLC0415  models must be ready first
        from portal.web.registry import home_cards, navigation, project_cards  # noqa: PLC0415
        from quotas.clusters import registry  # noqa: PLC0415
        from scheduler.clusters.keeping import clusters_known  # noqa: PLC0415

        registry.known = clusters_known

        home_cards.register("clusters:nodes_out_card", order=6, wide=True, show=reads_everything)
        project_cards.register("clusters:project_reservations", order=40)
        navigation.register("clusters:capacities", label=_("GPUs and queue"), icon="cpu", order=25)
