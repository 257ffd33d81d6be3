"""What writes: who reviews (`reviewers`, `assignments`), what they find (`scoring`), the decision (`decisions`)."""

from quotas.reviews.services.assignments import (
    assign_by_expertise,
    assignment_make,
    assignment_remove,
    reviews_end,
    reviews_reopen,
)
from quotas.reviews.services.decisions import decision_confirm, decision_propose, decision_reject
from quotas.reviews.services.reviewers import (
    conflict_name,
    expertise_set,
    reviewer_add,
    reviewer_leave,
)
from quotas.reviews.services.scoring import conflict_own_declare, review_accept, review_save, review_submit

__all__ = [
    "assign_by_expertise",
    "assignment_make",
    "assignment_remove",
    "conflict_name",
    "conflict_own_declare",
    "decision_confirm",
    "decision_propose",
    "decision_reject",
    "expertise_set",
    "review_accept",
    "review_save",
    "review_submit",
    "reviewer_add",
    "reviewer_leave",
    "reviews_end",
    "reviews_reopen",
]
