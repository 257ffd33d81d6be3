"""What a node's GPUs did, told to Prometheus and to the attribution. For GPU nodes, without the portal."""

VERSION = "1.1"  # of what it exports: raised when a series is added or means something else
