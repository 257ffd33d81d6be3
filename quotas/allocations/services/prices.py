"""What a voucher's GPU-hours cost on another cluster: the same, or they do not go there."""

from django.utils.translation import gettext as _

from portal.clock import centre_date, now
from quotas.allocations.errors import ClusterClosed, TariffsDiffer
from quotas.allocations.models import Voucher
from quotas.clusters import cluster_is_open, cluster_title
from quotas.programmes.selectors import tariffs_on
from quotas.units import vnd_text


def home_cluster(voucher: Voucher) -> str:
    """The cluster that the voucher was awarded for, at whose tariff."""
    return voucher.allocations.order_by("pk").values_list("cluster", flat=True).first() or ""


def price_check(voucher: Voucher, here: str, there: str) -> None:
    """Whether GPU-hours of the voucher can be used on another cluster: it takes them, and they cost the same there.

    Raises ClusterClosed, TariffsDiffer (only of a voucher with money: where nothing was paid, nothing is gained).
    """
    if not cluster_is_open(there):
        raise ClusterClosed(cluster_title(there))
    if not voucher.has_money or here == there:
        return
    today = centre_date(now())
    rows = [tariffs_on(today, cluster).get(voucher.gpu_type) for cluster in (here, there)]
    here_vnd, there_vnd = (row.vnd_per_gpu_hour if row else None for row in rows)
    if here_vnd != there_vnd:
        raise TariffsDiffer(
            gpu_type=voucher.gpu_type,
            here=cluster_title(here),
            here_vnd=here_vnd,
            there=cluster_title(there),
            there_vnd=there_vnd,
        )


def price_rule(voucher: Voucher) -> str:
    """The price of a move between clusters, in a sentence."""
    if not voucher.has_money:
        return _("Price: this voucher has none, so a GPU-hour stays a GPU-hour.")
    text = _(
        "Price: a GPU-hour stays a GPU-hour, at the voucher's own %(vnd)s VND. Both clusters have the same tariff "
        "today."
    )
    return text % {"vnd": vnd_text(voucher.tariff_vnd_per_gpu_hour or 0)}
