from django.apps import AppConfig


class AllocationsConfig(AppConfig):
    name = "quotas.allocations"
    label = "allocations"
