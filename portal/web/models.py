from django.db import models


class Heartbeat(models.Model):
    """When a worker last did what the beat asked of it: one row per queue. Both were alive then."""

    queue = models.CharField(max_length=60, primary_key=True)
    seen_at = models.DateTimeField()
