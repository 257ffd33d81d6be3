"""The rules of tariffs, questions and criteria, in SQL: see 0003_rules.sql beside this file."""

from pathlib import Path

from django.db import migrations

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
SQL_BACK = Path(__file__).with_name("0003_rules_back.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("programmes", "0002_calls_and_tariffs"), ("proposals", "0002_rules")]
    operations = [migrations.RunSQL(SQL, SQL_BACK)]
