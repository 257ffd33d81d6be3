"""What somebody should see to: jobs whose GPUs do nothing, figures that cannot be, sick GPUs, silent exporters."""
