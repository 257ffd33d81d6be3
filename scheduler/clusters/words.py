"""What the pages call the classes of nodes (occupancy.node_class), and what Slurm's reasons for taking one out mean."""

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from scheduler.clusters.models import NodeOrder

NODE_CLASSES = {
    "idle": (_("Idle"), "good", "circle-check"),
    "mixed": (_("Partly used"), "busy", "player-play"),
    "allocated": (_("Fully used"), "busy", "player-play"),
    "draining": (_("Being emptied"), "warn", "clock"),
    "drained": (_("Taken out"), "warn", "player-pause"),
    "reserved": (_("Reserved"), "quiet", "clock"),
    "down": (_("Down"), "bad", "alert-triangle"),
}

_NODE_REASONS: dict[str, str | Promise] = {
    "Duplicate jobid": _(
        "slurmctld was killed and gave a number away again that a job on this node still had. The node itself is sound."
    ),
    "batch job complete failure": _("A job could not be launched here. Look at slurmd's log and at munge on the node."),
    "Prolog error": _("What runs there before each job failed. Look at slurmd's log."),
    "Epilog error": _("What runs there after each job failed. Look at slurmd's log."),
    "Kill task failed": _(
        "A process of a job did not end: often a GPU or a file system that hangs. Most nodes need to be started anew."
    ),
    "Not responding": _("Its slurmd did not answer for too long. Look at the node and its network."),
    "Node unexpectedly rebooted": _("It was started anew without anybody having asked Slurm for it."),
    "Low": _("It has less memory, disk or fewer CPUs than Slurm's configuration says."),
    "gres/gpu count": _("It shows fewer GPUs than Slurm's configuration says: one has most likely failed."),
}
_NOT_RESUMED: dict[str, str | Promise] = {
    "another_reason": _("it is out for another reason by now; nothing was done"),
    "no_such_node": _("Slurm has no node of this name any more"),
}


def node_reason_text(words: str) -> str:
    """What a reason of Slurm's means; "" for what a person wrote."""
    return next((str(text) for start, text in _NODE_REASONS.items() if words.startswith(start)), "")


def node_order_text(order: NodeOrder) -> str:
    if order.state == NodeOrder.State.DONE:
        return gettext("is taken out") if order.verb == NodeOrder.Verb.DRAIN else gettext("works again")
    return str(_NOT_RESUMED.get(order.reason) or gettext("Slurm refused: %(words)s") % {"words": order.reason})
