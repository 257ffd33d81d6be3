from scheduler.datasets.services.catalogue import (
    Described,
    data_set_change,
    data_set_create,
    data_set_offer,
    data_set_withdraw,
)

__all__ = ["Described", "data_set_change", "data_set_create", "data_set_offer", "data_set_withdraw"]
