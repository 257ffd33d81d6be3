"""What was asked of a job and what came of it, in plain words of the active language. Pure."""

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from scheduler.jobs.durations import duration_text
from scheduler.jobs.models import Order
from scheduler.jobs.states import PORTAL_REASON

_UNDER_WAY: dict[str, str | Promise] = {
    Order.Verb.HOLD: gettext_lazy("Being put on hold …"),
    Order.Verb.RELEASE: gettext_lazy("Being released …"),
    Order.Verb.REQUEUE: gettext_lazy("Going back into the queue …"),
    Order.Verb.CANCEL_TASK: gettext_lazy("Being cancelled …"),
    Order.Verb.FREE: gettext_lazy("Being released by the centre …"),
}
_DONE: dict[str, str | Promise] = {
    Order.Verb.HOLD: gettext_lazy("Put on hold."),
    Order.Verb.RELEASE: gettext_lazy("Released."),
    Order.Verb.REQUEUE: gettext_lazy("Put back into the queue."),
    Order.Verb.CANCEL_TASK: gettext_lazy("Cancelled."),
    Order.Verb.FREE: gettext_lazy("Released by the centre."),
}
_REFUSED: dict[str, str | Promise] = {
    "verb_started": gettext_lazy("It had started by then: nothing was done."),
    "verb_ended": gettext_lazy("It had ended by then: nothing was done."),
    "extend_changed": gettext_lazy("Its time limit was changed in Slurm meanwhile: that one counts."),
}


def order_words(order: Order) -> str:
    if order.state == Order.State.REFUSED:
        return f"{order.get_verb_display()}: {_refused(order.reason)}"
    if order.verb == Order.Verb.EXTEND:
        time = {"time": duration_text(order.time_limit_s or 0)}
        if order.state == Order.State.ASKED:
            return _("Asking Slurm for a time limit of %(time)s; the hold for it is taken …") % time
        return _("The time limit is now %(time)s.") % time
    return str((_UNDER_WAY if order.state == Order.State.ASKED else _DONE)[order.verb])


def _refused(reason: str) -> str:
    if not reason.startswith(PORTAL_REASON):
        return reason
    first, _newline, words = reason.removeprefix(PORTAL_REASON).partition("\n")
    code, *pairs = first.split(" ")
    figures = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
    if code == "extend_no_room":
        return _no_room(int(figures["longest_s"]), int(figures["before_s"]))
    if code == "verb_refused":
        return _("Slurm refused: %(words)s") % {"words": words}
    return str(_REFUSED.get(code, code))


def _no_room(longest_s: int, before_s: int) -> str:
    text = _("Jobs that started meanwhile need what the allocation has in Slurm; the limit is as it was.")
    if longest_s > before_s:
        text += " " + _("The longest time limit that fits is %(longest)s.") % {"longest": duration_text(longest_s)}
    return text
