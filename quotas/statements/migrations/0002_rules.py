"""What cannot be changed, in SQL: see 0002_rules.sql beside this file."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
SQL_BACK = Path(__file__).with_name("0002_rules_back.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("statements", "0001_initial"), ("ledger", "0003_closing")]
    operations = [migrations.RunSQL(SQL, SQL_BACK)]
