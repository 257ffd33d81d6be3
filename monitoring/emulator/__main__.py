import sys
from pathlib import Path

from monitoring.emulator.profiles import configuration_write

configuration_write(node=sys.argv[1], of=sys.argv[2], gpus=int(sys.argv[3]), directory=Path(sys.argv[4]))
