"""What a node's GPUs did, told to Prometheus and to the attribution. For GPU nodes, without the portal."""
