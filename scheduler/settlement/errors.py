class MoreMissing(Exception):
    """More is missing from slurmdbd than the person saw when they said that the charges stand."""

    def __init__(self, gpu_seconds: int) -> None:
        super().__init__(f"{gpu_seconds} GPU-seconds are missing now")
        self.gpu_seconds = gpu_seconds
