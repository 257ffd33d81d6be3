from django.apps import AppConfig


class LedgerConfig(AppConfig):
    name = "quotas.ledger"
    label = "ledger"
