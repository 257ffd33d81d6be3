"""Durable side effects. A service writes a message in the transaction of its cause; the relay delivers it after commit.

Delivery is at least once: every handler is idempotent on the message's id. A message for a cluster (`queue`
cluster.NAME) is delivered by that cluster's worker only, because no other process may talk to that Slurm.
"""

from django.db import models


class Message(models.Model):
    topic = models.CharField(max_length=60)  # names the handler, e.g. "jobs.submit", "mail.send"
    queue = models.CharField(max_length=60, default="default")
    key = models.CharField(max_length=120)  # what it is about; unique per topic: the same effect is asked for once
    payload = models.JSONField(default=dict)
    created_at = models.DateTimeField()
    due_at = models.DateTimeField()  # not before; moved on by back-off
    delivered_at = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["topic", "key"], name="outbox_effect_once")]
        indexes = [
            models.Index(
                fields=["queue", "due_at", "id"],
                condition=models.Q(delivered_at__isnull=True),
                name="outbox_undelivered",
            )
        ]
