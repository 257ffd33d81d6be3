"""Numbers the vouchers that were awarded before vouchers had numbers, in the order of their awards."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import migrations


def number(apps, schema_editor):
    Voucher = apps.get_model("allocations", "Voucher")
    VoucherNumber = apps.get_model("allocations", "VoucherNumber")
    zone, last = ZoneInfo(settings.CENTRE_TIME_ZONE), {}
    for voucher in Voucher.objects.filter(number=None).order_by("created_at", "pk"):
        year = voucher.created_at.astimezone(zone).year
        last[year] = last.get(year, 0) + 1
        Voucher.objects.filter(pk=voucher.pk).update(number=f"PHT-{year}-{last[year]:05d}")
    for year, count in last.items():
        VoucherNumber.objects.create(year=year, last=count)


class Migration(migrations.Migration):
    dependencies = [("allocations", "0002_vouchers")]
    operations = [migrations.RunPython(number, migrations.RunPython.noop)]
