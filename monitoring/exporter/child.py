"""The collecting process, the only one that speaks to the driver. It reads what it is asked and may be killed any time.

    standard input    one line a collection: {"gpus": [0, 1, …], "fully": [1]}, the GPUs to read, in this order, and
                      those of them of which also what costs much is to be read now
    standard output   one JSON object a line: {"hello": …} once; {"reading": …} or {"failed": index, "reason": …} for
                      each GPU, as soon as it is read; {"xid": code, "uuid": …}; {"driver": reason}, the end

It ends with its standard input.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from typing import Any

import pynvml

from monitoring.exporter.looks import look_always
from monitoring.exporter.reading import DRIVER_ERRORS, Gpu

XID_WAIT_MS = 5000
REASONS = {
    pynvml.NVML_ERROR_UNINITIALIZED: "uninitialized",
    pynvml.NVML_ERROR_NOT_SUPPORTED: "not_supported",
    pynvml.NVML_ERROR_NO_PERMISSION: "no_permission",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "driver_not_loaded",
    pynvml.NVML_ERROR_TIMEOUT: "timeout",
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "library_not_found",
    pynvml.NVML_ERROR_GPU_IS_LOST: "lost",
    pynvml.NVML_ERROR_RESET_REQUIRED: "reset_required",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "version_mismatch",
}


_one_line = threading.Lock()


def say(**what: Any) -> None:
    line = (json.dumps(what) + "\n").encode()
    with _one_line:
        while line:
            line = line[os.write(1, line) :]


def reason_of(error: pynvml.NVMLError) -> str:
    return REASONS.get(error.value, "unknown")


def profile() -> str | None:
    """The emulator's profile; None of a real driver, whose library has no such call."""
    call = getattr(pynvml.nvmlLib, "saola_emulator_profile", None)
    if call is None:
        return None
    call.restype = ctypes.c_char_p
    return str(call().decode())


def xids_tell(gpus: dict[int, Gpu]) -> None:
    """Until the process ends. A GPU that cannot tell is left out."""
    try:
        events = pynvml.nvmlEventSetCreate()
        for gpu in gpus.values():
            pynvml.nvmlDeviceRegisterEvents(gpu.handle, pynvml.nvmlEventTypeXidCriticalError, events)
        names = {int(ctypes.cast(gpu.handle, ctypes.c_void_p).value or 0): gpu.about["uuid"] for gpu in gpus.values()}
    except pynvml.NVMLError:
        return
    while True:
        try:
            event = pynvml.nvmlEventSetWait_v2(events, XID_WAIT_MS)
        except pynvml.NVMLError as error:
            if error.value == pynvml.NVML_ERROR_TIMEOUT:
                continue
            return
        uuid = names.get(int(ctypes.cast(event.device, ctypes.c_void_p).value or 0))
        if uuid and event.eventType == pynvml.nvmlEventTypeXidCriticalError:
            say(xid=int(event.eventData), uuid=uuid)


def collect(gpus: dict[int, Gpu], asked: dict[str, list[int]]) -> None:
    for index in asked["gpus"]:
        try:
            if index not in gpus:
                gpus[index] = Gpu(index)
            say(reading=gpus[index].read(fully=index in asked["fully"]))
        except pynvml.NVMLError as error:
            gpus.pop(index, None)
            if error.value in DRIVER_ERRORS:
                raise
            say(failed=index, reason=reason_of(error))


def main() -> None:
    gpus: dict[int, Gpu] = {}
    listening = False
    try:
        pynvml.nvmlInit()
        count, version = pynvml.nvmlDeviceGetCount(), pynvml.nvmlSystemGetDriverVersion()
        say(hello=count, driver=version, profile=profile())
        threading.Thread(target=look_always, args=(gpus,), daemon=True).start()
        for line in sys.stdin:
            collect(gpus, json.loads(line))
            if not listening and gpus:
                listening = True
                threading.Thread(target=xids_tell, args=(dict(gpus),), daemon=True).start()
    except pynvml.NVMLError as error:
        say(driver=reason_of(error))
    os._exit(0)  # whatever a thread is waiting for


if __name__ == "__main__":
    main()
