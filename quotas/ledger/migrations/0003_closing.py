"""Closing: until when nothing is booked any more. The rules, in SQL: see 0003_closing.sql beside this file."""

from pathlib import Path

from django.db import migrations, models

SQL = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
SQL_BACK = Path(__file__).with_name("0003_closing_back.sql").read_text(encoding="utf-8")


class Migration(migrations.Migration):
    dependencies = [("ledger", "0002_rules")]
    operations = [
        migrations.CreateModel(
            name="Closing",
            fields=[
                ("id", models.PositiveSmallIntegerField(default=1, primary_key=True, serialize=False)),
                ("until", models.DateTimeField()),
                ("closed_at", models.DateTimeField()),
                ("actor", models.CharField(max_length=120)),
            ],
            options={
                "constraints": [models.CheckConstraint(condition=models.Q(id=1), name="ledger_closing_one_row")],
            },
        ),
        migrations.RunSQL(SQL, SQL_BACK),
    ]
