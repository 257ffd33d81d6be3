"""The shell: base layout, landing page, home pages, health and metrics."""
