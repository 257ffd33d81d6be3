from django.apps import AppConfig


class SettlementConfig(AppConfig):
    name = "scheduler.settlement"
    label = "settlement"
