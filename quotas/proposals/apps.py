from django.apps import AppConfig


class ProposalsConfig(AppConfig):
    name = "quotas.proposals"
    label = "proposals"
