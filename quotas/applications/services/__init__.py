"""Writing an application, submitting it, and what happens to it until it is decided."""

from quotas.applications.services.attaching import attachment_add, attachment_remove, attachments_drop
from quotas.applications.services.drafting import (
    answer_save,
    answers_save,
    application_begin,
    questions_adopt,
    writer_add,
    writer_remove,
)
from quotas.applications.services.states import application_state_move
from quotas.applications.services.submission import (
    application_return,
    application_submit,
    application_withdraw,
    comment_resolve,
    draft_submit,
)

__all__ = [
    "answer_save",
    "answers_save",
    "application_begin",
    "application_return",
    "application_state_move",
    "application_submit",
    "application_withdraw",
    "attachment_add",
    "attachment_remove",
    "attachments_drop",
    "comment_resolve",
    "draft_submit",
    "questions_adopt",
    "writer_add",
    "writer_remove",
]
