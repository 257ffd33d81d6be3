/* libnvidia-ml.so.1: the calls of NVML that the exporter makes, with NVML's own numbers, structures and return values, for
 * GPUs that are not there. Every call goes through `entered`, where the faults are. `saola_emulator_profile` is there so
 * that nobody can take this library for the real one. */
#define _GNU_SOURCE
#include "emulator.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef int nvmlReturn_t;
typedef struct device *nvmlDevice_t;
enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, TIMEOUT = 10, GPU_IS_LOST = 15, ARGUMENT_VERSION_MISMATCH = 25, UNKNOWN = 999 };
enum { NAP_NS = 50 * 1000 * 1000, GPM_APART_NS = 100 * 1000 * 1000 };
static const unsigned __int128 UNIT = 1000000000;
static int users;
static uint32_t starts_seen;

static void nap(long ns) {
    struct timespec time = {ns / 1000000000, ns % 1000000000};
    nanosleep(&time, NULL);
}

static nvmlReturn_t entered(const struct device *device) {
    if (!users || !shared) return UNINITIALIZED;
    faults_read();
    if (emulated.driver_gone) return DRIVER_NOT_LOADED;
    if (emulated.driver_starts != starts_seen) return UNINITIALIZED; /* the driver was loaded anew since nvmlInit */
    if (!device) return SUCCESS;
    if (device < emulated.devices || device >= emulated.devices + emulated.devices_count) return INVALID_ARGUMENT;
    while (emulated.faults[device->gpu].hung) nap(NAP_NS), faults_read();
    if (emulated.faults[device->gpu].slow_ms) nap(emulated.faults[device->gpu].slow_ms * 1000000L);
    if (emulated.faults[device->gpu].lost) return GPU_IS_LOST;
    counted_until_now();
    return SUCCESS;
}

/* Where only the whole GPU is known, as nearly everywhere. */
static nvmlReturn_t entered_whole(const struct device *device) {
    nvmlReturn_t result = entered(device);
    return result || device->instance == WHOLE ? result : NOT_SUPPORTED;
}

static nvmlReturn_t text(char *to, unsigned room, const char *from) {
    if (strlen(from) >= room) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

const char *saola_emulator_profile(void) { return emulated.profile; }

/* ---- the library and the driver */

nvmlReturn_t nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (configuration_read()) return DRIVER_NOT_LOADED;
    faults_read();
    while (emulated.init_hung) nap(NAP_NS), faults_read();
    if (emulated.driver_gone) return DRIVER_NOT_LOADED;
    starts_seen = emulated.driver_starts;
    users++;
    counted_until_now();
    return SUCCESS;
}

nvmlReturn_t nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

nvmlReturn_t nvmlShutdown(void) {
    if (!users) return UNINITIALIZED;
    users--;
    return SUCCESS;
}

const char *nvmlErrorString(nvmlReturn_t result) {
    switch (result) {
    case SUCCESS: return "Success";
    case UNINITIALIZED: return "Uninitialized";
    case NOT_SUPPORTED: return "Not Supported";
    case DRIVER_NOT_LOADED: return "Driver Not Loaded";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *version, unsigned length) {
    nvmlReturn_t result = entered(NULL);
    return result ? result : text(version, length, emulated.driver);
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned *count) {
    nvmlReturn_t result = entered(NULL);
    if (!result) *count = emulated.gpus;
    return result;
}

/* ---- which device */

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned index, nvmlDevice_t *device) {
    nvmlReturn_t result = entered(NULL);
    if (result) return result;
    *device = gpu_at(index);
    return *device ? entered(*device) : INVALID_ARGUMENT;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *uuid, unsigned length) {
    nvmlReturn_t result = entered(device);
    return result ? result : text(uuid, length, device->uuid);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *name, unsigned length) {
    nvmlReturn_t result = entered(device);
    return result ? result : text(name, length, device->name);
}

nvmlReturn_t nvmlDeviceGetMinorNumber(nvmlDevice_t device, unsigned *minor) {
    nvmlReturn_t result = entered_whole(device);
    if (!result) *minor = device->minor;
    return result;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned *current, unsigned *pending) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    if (!emulated.gpm && !has_slices(device->gpu)) return *current = *pending = 0, SUCCESS;
    *current = *pending = has_slices(device->gpu);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t device, unsigned *count) {
    nvmlReturn_t result = entered_whole(device);
    if (!result) *count = SLICES_WHOLE;
    return result;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t device, unsigned index, nvmlDevice_t *slice) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    for (int each = 0; each < emulated.devices_count; each++) {
        struct device *found = &emulated.devices[each];
        if (found->instance == WHOLE || found->gpu != device->gpu || index--) continue;
        *slice = found;
        return SUCCESS;
    }
    return NOT_FOUND;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t device, unsigned *instance) {
    nvmlReturn_t result = entered(device);
    if (result) return result;
    if (device->instance == WHOLE) return NOT_SUPPORTED;
    *instance = device->instance;
    return SUCCESS;
}

struct attributes { unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices; unsigned long long memory_mb; };

nvmlReturn_t nvmlDeviceGetAttributes_v2(nvmlDevice_t device, struct attributes *attributes) {
    nvmlReturn_t result = entered(device);
    if (result) return result;
    if (device->instance == WHOLE) return NOT_SUPPORTED;
    *attributes = (struct attributes){device->sms, device->slices, 0, 0, 0, 0, device->slices, device->slices, device->memory_mib};
    return SUCCESS;
}

/* ---- what it does now */

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, unsigned rates[2]) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    if (has_slices(device->gpu)) return NOT_SUPPORTED;
    rates[0] = (utilisation_of(device) + SHARE_ONE / 200) * 100 / SHARE_ONE;
    rates[1] = load_of(device)->dram * 100 / SHARE_ONE;
    return SUCCESS;
}

struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, struct memory_v2 *memory) {
    nvmlReturn_t result = entered(device);
    if (result) return result;
    if (memory->version != (sizeof *memory | 2u << 24)) return ARGUMENT_VERSION_MISMATCH;
    const struct device *gpu = gpu_at(device->gpu);
    unsigned used = 0;
    if (device->instance != WHOLE || !has_slices(device->gpu))
        used = (unsigned)((uint64_t)load_of(device)->memory_mib * device->memory_mib / gpu->memory_mib);
    memory->total = (uint64_t)device->memory_mib << 20;
    memory->reserved = device->instance == WHOLE ? (uint64_t)emulated.reserved_mib << 20 : 0;
    memory->used = (uint64_t)used << 20;
    memory->free = memory->total - memory->reserved - memory->used;
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    if (type > 2) return NOT_SUPPORTED;
    *mhz = type == 2 ? emulated.memory_clock_mhz : sm_clock_mhz_of(device);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t device, unsigned type, unsigned *mhz) {
    nvmlReturn_t result = entered_whole(device);
    if (!result) *mhz = type == 2 ? emulated.memory_clock_mhz : emulated.sm_clock_mhz;
    return result;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *reasons) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    *reasons = load_of(device)->reasons;
    for (int each = 0; has_slices(device->gpu) && each < emulated.devices_count; each++) {
        const struct device *slice = &emulated.devices[each];
        if (slice->instance != WHOLE && slice->gpu == device->gpu && load_of(slice)->reasons != 1)
            *reasons = (*reasons & ~1ull) | load_of(slice)->reasons;
    }
    return SUCCESS;
}

struct temperature { unsigned version, sensor; int degrees; };

nvmlReturn_t nvmlDeviceGetTemperatureV(nvmlDevice_t device, struct temperature *temperature) {
    nvmlReturn_t result = entered_whole(device);
    if (!result) temperature->degrees = load_of(device)->temperature_c;
    return result;
}

/* ---- field values: one batch, each with its own result */

struct field { unsigned id, scope; int64_t at_us, latency_us; unsigned type; nvmlReturn_t result;
    union { double number; unsigned ui; unsigned long long ull; } value; };
enum { TYPE_UINT = 1, TYPE_ULL = 3 };

static void work(long ms) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    for (long until = now.tv_sec * 1000 + now.tv_nsec / 1000000 + ms; now.tv_sec * 1000 + now.tv_nsec / 1000000 < until;)
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
}

static void field_read(const struct device *device, struct field *field) {
    const struct counted *counted = &shared->kept[device->index].counted;
    const struct fault *fault = &emulated.faults[device->gpu];
    field->at_us = now_ns() / 1000, field->latency_us = 1, field->result = SUCCESS, field->type = TYPE_ULL;
    switch (field->id) {
    case 3: field->value.ull = fault->ecc_corrected; return;
    case 4: field->value.ull = fault->ecc_uncorrected; return;
    case 82: field->type = TYPE_UINT, field->value.ui = load_of(device)->temperature_c + 4; return;
    case 83: work(fault->costly_ms), field->value.ull = (uint64_t)(counted->energy / UNIT); return;
    case 138: case 139: field->value.ull = (uint64_t)(counted->nvlink / UNIT >> 10); return; /* KiB */
    case 143: field->value.ull = fault->ecc_uncorrected; return;
    case 142: case 144: case 145: field->value.ull = 0; return;
    case 186: field->type = TYPE_UINT, field->value.ui = power_mw_of(device); return;
    case 197: case 198: field->value.ull = (uint64_t)(counted->pcie / UNIT); return;
    default: field->result = NOT_SUPPORTED;
    }
    if (field->id >= 142 && field->id <= 145 && has_slices(device->gpu)) field->result = NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t device, int count, struct field *fields) {
    nvmlReturn_t result = entered_whole(device);
    for (int each = 0; !result && each < count; each++) field_read(device, &fields[each]);
    return result;
}

/* ---- XIDs */

struct event_set { unsigned last; };
struct event { nvmlDevice_t device; unsigned long long type, data; unsigned instance, compute; };

nvmlReturn_t nvmlEventSetCreate(struct event_set **set) {
    nvmlReturn_t result = entered(NULL);
    if (result) return result;
    *set = calloc(1, sizeof **set);
    for (int each = 0; each < emulated.xids_count; each++)
        if (emulated.xids[each].number > (*set)->last) (*set)->last = emulated.xids[each].number;
    return SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(struct event_set *set) {
    free(set);
    return SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, struct event_set *set) {
    (void)types, (void)set;
    return entered_whole(device);
}

nvmlReturn_t nvmlEventSetWait_v2(struct event_set *set, struct event *event, unsigned timeout_ms) {
    for (long waited_ms = 0; waited_ms <= (long)timeout_ms; waited_ms += 200) {
        nvmlReturn_t result = entered(NULL);
        if (result) return result;
        for (int each = 0; each < emulated.xids_count; each++) {
            if (emulated.xids[each].number <= set->last) continue;
            set->last = emulated.xids[each].number;
            *event = (struct event){gpu_at(emulated.xids[each].gpu), 8, emulated.xids[each].code, ~0u, ~0u};
            return event->device ? SUCCESS : UNKNOWN;
        }
        nap(200 * 1000000L);
    }
    return TIMEOUT;
}

/* ---- GPM: samples, and what two of them say */

struct sample { struct counted counted; int64_t at_ns; int device; };
struct support { unsigned version, supported; };
struct metric { unsigned id; nvmlReturn_t result; double value; const char *names[3]; };
struct metrics { unsigned version, count; struct sample *before, *after; struct metric metrics[]; };

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, struct support *support) {
    nvmlReturn_t result = entered_whole(device);
    if (!result) support->supported = emulated.gpm;
    return result;
}

nvmlReturn_t nvmlGpmSampleAlloc(struct sample **sample) {
    nvmlReturn_t result = entered(NULL);
    if (!result) *sample = calloc(1, sizeof **sample);
    return result;
}

nvmlReturn_t nvmlGpmSampleFree(struct sample *sample) {
    free(sample);
    return SUCCESS;
}

static void sample_take(const struct device *device, struct sample *sample) {
    sample->counted = shared->kept[device->index].counted;
    sample->at_ns = shared->at_ns;
    sample->device = device->index;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, struct sample *sample) {
    nvmlReturn_t result = entered_whole(device);
    if (result) return result;
    if (!emulated.gpm || has_slices(device->gpu)) return NOT_SUPPORTED;
    sample_take(device, sample);
    return SUCCESS;
}

nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned instance, struct sample *sample) {
    nvmlReturn_t result = entered_whole(device);
    for (int each = 0; !result && each < emulated.devices_count; each++) {
        struct device *slice = &emulated.devices[each];
        if (slice->gpu != device->gpu || slice->instance != (int)instance) continue;
        sample_take(slice, sample);
        return SUCCESS;
    }
    return result ? result : NOT_FOUND;
}

static double share(unsigned __int128 part, unsigned __int128 whole) { return whole ? 100.0 * (double)part / (double)whole : NAN; }

static nvmlReturn_t metric_read(const struct sample *before, const struct sample *after, unsigned id, double *value) {
    static const int gauges[] = {[2] = ACTIVE, [4] = INTEGER, [5] = MMA, [6] = DFMA, [7] = HMMA, [8] = DMMA, [9] = IMMA,
                                 [11] = FP64, [12] = FP32, [13] = FP16};
    static const int counters[] = {ACTIVE, MMA, DMMA, HMMA, IMMA, DFMA, -1, -1, INTEGER, FP64, FP32, FP16};
    const struct counted *from = &before->counted, *to = &after->counted;
    unsigned __int128 elapsed = to->elapsed - from->elapsed;
    double seconds = (double)(after->at_ns - before->at_ns) / 1e9;
    if (id >= 248 && id <= 260) {
        if (!emulated.cumulative || emulated.old_driver) return INVALID_ARGUMENT; /* as driver 580 does */
        if (id == 255 || id == 256) *value = (double)(to->pcie / UNIT);
        else *value = (double)((id == 248 ? to->elapsed : to->cycles[counters[id - 249]]) / UNIT);
        return SUCCESS;
    }
    *value = NAN;
    if (after->at_ns - before->at_ns < GPM_APART_NS) return id < 100 ? SUCCESS : NOT_SUPPORTED;
    if (id == 1) *value = share(to->busy - from->busy, (unsigned __int128)(after->at_ns - before->at_ns));
    else if (id == 3) *value = share(to->occupied - from->occupied, elapsed);
    else if (id == 10) *value = share(to->dram - from->dram, elapsed);
    else if (id == 20 || id == 21) *value = (double)((to->pcie - from->pcie) / UNIT) / 1048576 / seconds;
    else if (id == 60 || id == 61) *value = (double)((to->nvlink - from->nvlink) / UNIT) / 1048576 / seconds;
    else if (id < sizeof gauges / sizeof *gauges && id > 1) *value = share(to->cycles[gauges[id]] - from->cycles[gauges[id]], elapsed);
    else return NOT_SUPPORTED;
    return SUCCESS;
}

nvmlReturn_t nvmlGpmMetricsGet(struct metrics *asked) {
    nvmlReturn_t result = entered(NULL);
    if (result) return result;
    if (asked->version != 1) return ARGUMENT_VERSION_MISMATCH;
    if (!asked->before || !asked->after || asked->before->device != asked->after->device) return INVALID_ARGUMENT;
    const struct fault *fault = &emulated.faults[emulated.devices[asked->after->device].gpu];
    for (unsigned each = 0; each < asked->count; each++) {
        struct metric *metric = &asked->metrics[each];
        metric->result = metric_read(asked->before, asked->after, metric->id, &metric->value);
        if (fault->nan) metric->value = NAN;
        if (fault->broken) metric->result = UNKNOWN, metric->value = 12345;
    }
    return SUCCESS;
}
