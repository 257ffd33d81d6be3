from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('jobs', '0009_places'),
    ]

    operations = [
        migrations.RemoveIndex(
            model_name='job',
            name='job_newest_of_person',
        ),
        migrations.AddIndex(
            model_name='job',
            index=models.Index(fields=['person', '-created_at', '-id'], include=('project',), name='job_newest_of_person'),
        ),
    ]
