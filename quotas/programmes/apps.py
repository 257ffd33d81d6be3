from django.apps import AppConfig


class ProgrammesConfig(AppConfig):
    name = "quotas.programmes"
    label = "programmes"
