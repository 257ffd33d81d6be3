from django.apps import AppConfig


class CanaryConfig(AppConfig):
    name = "monitoring.canary"
    label = "canary"
