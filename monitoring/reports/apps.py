from django.apps import AppConfig


class ReportsConfig(AppConfig):
    name = "monitoring.reports"
    label = "reports"
