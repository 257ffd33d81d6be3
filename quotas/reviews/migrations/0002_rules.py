"""The rules of reviews and decisions, in SQL: see 0002_rules.sql beside this file."""

from pathlib import Path

from django.conf import settings
from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8").replace("{zone}", settings.CENTRE_TIME_ZONE)
SQL_BACK = Path(__file__).with_name("0002_rules_back.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [
        ("reviews", "0001_initial"),
        ("proposals", "0002_rules"),
        ("programmes", "0003_rules"),
    ]
    operations = [migrations.RunSQL(SQL, SQL_BACK)]
