from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "scheduler.accounts"
    label = "accounts"
