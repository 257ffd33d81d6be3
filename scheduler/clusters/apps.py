from django.apps import AppConfig


class ClustersConfig(AppConfig):
    name = "scheduler.clusters"
    label = "clusters"
