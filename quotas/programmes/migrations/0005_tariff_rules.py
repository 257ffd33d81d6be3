from pathlib import Path

from django.db import migrations

HERE = Path(__file__).parent


class Migration(migrations.Migration):
    dependencies = [("programmes", "0004_tariffs_of_clusters")]

    operations = [
        migrations.RunSQL((HERE / "0005_tariff_rules.sql").read_text(encoding="utf-8"), migrations.RunSQL.noop),
    ]
