class ExporterError(Exception):
    """A node's exporter did not answer, or answered something that it never writes."""
