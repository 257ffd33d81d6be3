from django.apps import AppConfig


class ApplicationsConfig(AppConfig):
    name = "quotas.applications"
    label = "applications"
