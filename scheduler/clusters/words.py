"""What the pages call the classes of nodes (occupancy.node_class), and how bad each is."""

from django.utils.translation import gettext_lazy as _

NODE_CLASSES = {
    "idle": (_("Idle"), "good", "circle-check"),
    "mixed": (_("Partly used"), "busy", "player-play"),
    "allocated": (_("Fully used"), "busy", "player-play"),
    "draining": (_("Being emptied"), "warn", "clock"),
    "drained": (_("Taken out"), "warn", "player-pause"),
    "reserved": (_("Reserved"), "quiet", "clock"),
    "down": (_("Down"), "bad", "alert-triangle"),
}
