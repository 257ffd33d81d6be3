"""What no person may do alone: one proposes, another approves, above a limit two approve. A conflict of interest bars.

That the people differ is the database's own rule: constraints here, triggers in migrations/0002_rules.sql.
"""

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from portal.audit.tracking import track
from portal.people.models import Organisation, User


@track()
class Proposal(models.Model):
    """A change that waits for other people. What it says never changes; it is carried out or sent back, once."""

    class State(models.TextChoices):
        WAITING = "waiting", _("Waits for approval")
        CARRIED_OUT = "carried_out", _("Carried out")
        SENT_BACK = "sent_back", _("Sent back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4)
    kind = models.CharField(_("kind"), max_length=40)  # of quotas.proposals.kinds
    facts = models.JSONField()  # what will be done: all that carrying out needs, as its kind defines it
    # Whose interest it touches; NULL: the centre's own. Who is bound to that organisation takes no part.
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, null=True, related_name="+")
    reason = models.TextField(_("reason"), max_length=4_000)
    approvals_needed = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=12, choices=State.choices, default=State.WAITING)
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    proposed_by_process = models.CharField(
        max_length=120, blank=True
    )  # instead of a person, e.g. a failed node's refund
    proposed_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)
    sent_back_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    sent_back_reason = models.TextField(max_length=4_000, blank=True)

    class Meta:
        verbose_name = _("proposal")
        ordering = ["-proposed_at", "id"]
        indexes = [models.Index(fields=["state", "proposed_at"]), models.Index(fields=["kind", "-proposed_at"])]
        constraints = [
            models.CheckConstraint(
                condition=Q(proposed_by__isnull=False, proposed_by_process="")
                | (Q(proposed_by__isnull=True) & ~Q(proposed_by_process="")),
                name="proposal_has_one_proposer",
            ),
            models.CheckConstraint(condition=Q(approvals_needed__in=[1, 2]), name="proposal_one_or_two_approvals"),
            models.CheckConstraint(
                condition=Q(state="waiting", closed_at__isnull=True, sent_back_by__isnull=True, sent_back_reason="")
                | Q(state="carried_out", closed_at__isnull=False, sent_back_by__isnull=True, sent_back_reason="")
                | (Q(state="sent_back", closed_at__isnull=False, sent_back_by__isnull=False) & ~Q(sent_back_reason="")),
                name="proposal_state_is_whole",
            ),
            # What an approval refers to, so that it cannot name another proposer than the proposal does.
            models.UniqueConstraint(fields=["id", "proposed_by"], name="proposal_and_its_proposer"),
        ]

    @property
    def decided_by(self) -> User:
        """Who gave the last approval: in whose name it is carried out. Raises Approval.DoesNotExist before."""
        return self.approvals.select_related("approver").latest("id").approver


@track()
class Approval(models.Model):
    """One other person's yes. Never changed, never deleted."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="approvals")
    # Copied, for the constraint below; (proposal, proposed_by) refers to the proposal's own pair.
    proposed_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")
    approver = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField()

    class Meta:
        verbose_name = _("approval")
        ordering = ["approved_at", "id"]
        constraints = [
            models.CheckConstraint(
                condition=Q(proposed_by__isnull=True) | ~Q(approver=F("proposed_by")), name="approval_another_person"
            ),
            models.UniqueConstraint(fields=["proposal", "approver"], name="approval_once_a_person"),
        ]


@track()
class Conflict(models.Model):
    """A person's interest in an organisation, beyond membership: declared by the person or named by either side."""

    person = models.ForeignKey(User, verbose_name=_("person"), on_delete=models.PROTECT, related_name="conflicts")
    organisation = models.ForeignKey(
        Organisation, verbose_name=_("organisation"), on_delete=models.PROTECT, related_name="conflicts"
    )
    declared_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    reason = models.CharField(_("reason"), max_length=400)
    declared_at = models.DateTimeField()

    class Meta:
        verbose_name = _("conflict of interest")
        ordering = ["-declared_at", "-id"]
        constraints = [models.UniqueConstraint(fields=["person", "organisation"], name="conflict_declared_once")]
