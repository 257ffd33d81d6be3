/* Configuration, faults, and the counters: exact integrals of what each GPU's load does, kept in a file that every process
 * maps, so that they go on when a process ends. Which job owns which GPU is read from the hooks' spool; which load a job
 * asked for from the file `emulator-load` in its own folder, believed only where it belongs to the job's user. */
#define _GNU_SOURCE
#include "emulator.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct emulated emulated;
struct shared *shared;
static int state_fd = -1;
static pthread_mutex_t one_thread = PTHREAD_MUTEX_INITIALIZER; /* flock keeps processes apart, not threads */

enum { LAYOUT = 2, LOOK_NS = 20 * 1000 * 1000, SWING_NS = 100 * 1000 * 1000, LINE_MOST = 4096 };
static const int64_t SECOND_NS = 1000000000;

int64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* ---- configuration */

static void device_add(const char *uuid, int gpu, int instance, unsigned slices, unsigned sms, unsigned memory_mib,
                       const char *name) {
    if (emulated.devices_count >= DEVICES_MOST || (instance == WHOLE && emulated.gpus >= GPUS_MOST)) return;
    struct device *device = &emulated.devices[emulated.devices_count];
    device->index = emulated.devices_count++;
    device->gpu = instance == WHOLE ? emulated.gpus++ : gpu;
    device->instance = instance;
    device->slices = slices, device->sms = sms, device->memory_mib = memory_mib;
    snprintf(device->uuid, sizeof device->uuid, "%s", uuid);
    snprintf(device->name, sizeof device->name, "%s", name);
}

static int load_named(const char *name) {
    for (int each = 0; each < emulated.loads_count; each++)
        if (!strcmp(emulated.loads[each].name, name)) return each;
    return -1;
}

static void load_add(const char *line) {
    if (emulated.loads_count >= LOADS_MOST) return;
    struct load *load = &emulated.loads[emulated.loads_count++];
    int at = 0, more = 0;
    sscanf(line, "%31s %u%n", load->name, &load->utilisation, &at);
    for (int kind = 0; kind < CYCLES_KINDS; kind++, at += more) sscanf(line + at, "%u%n", &load->cycles[kind], &more);
    sscanf(line + at, "%u %u %u %u %u %u %u %llu %llu %llu", &load->occupancy, &load->dram, &load->memory_mib,
           &load->clock_mhz, &load->swing_mhz, &load->power_mw, &load->temperature_c, &load->reasons,
           &load->nvlink_bytes_s, &load->pcie_bytes_s);
}

static void setting_read(const char *key, const char *value) {
    char uuid[48];
    unsigned minor, slices, sms, memory_mib;
    int gpu, instance, at = 0;
    if (!strcmp(key, "gpu") && sscanf(value, "%47s %u %u %u %n", uuid, &minor, &sms, &memory_mib, &at) == 4) {
        device_add(uuid, 0, WHOLE, SLICES_WHOLE, sms, memory_mib, value + at);
        emulated.devices[emulated.devices_count - 1].minor = minor;
    } else if (!strcmp(key, "slice") &&
               sscanf(value, "%47s %d %d %u %u %u %n", uuid, &gpu, &instance, &slices, &sms, &memory_mib, &at) == 6) {
        device_add(uuid, gpu, instance, slices, sms, memory_mib, value + at);
    } else if (!strcmp(key, "load")) load_add(value);
    else if (!strcmp(key, "profile")) snprintf(emulated.profile, sizeof emulated.profile, "%s", value);
    else if (!strcmp(key, "driver")) snprintf(emulated.driver, sizeof emulated.driver, "%s", value);
    else if (!strcmp(key, "spool")) snprintf(emulated.spool, sizeof emulated.spool, "%s", value);
    else if (!strcmp(key, "jobs")) snprintf(emulated.jobs, sizeof emulated.jobs, "%s", value);
    else if (!strcmp(key, "state")) snprintf(emulated.state, sizeof emulated.state, "%s", value);
    else if (!strcmp(key, "control")) snprintf(emulated.control, sizeof emulated.control, "%s", value);
    else if (!strcmp(key, "gpm")) emulated.gpm = atoi(value);
    else if (!strcmp(key, "cumulative")) emulated.cumulative = atoi(value);
    else if (!strcmp(key, "counters_per_sm")) emulated.counters_per_sm = atoi(value);
    else if (!strcmp(key, "reserved_mib")) emulated.reserved_mib = atoi(value);
    else if (!strcmp(key, "default")) emulated.default_load = load_named(value);
    else if (!strcmp(key, "clocks")) sscanf(value, "%u %u", &emulated.sm_clock_mhz, &emulated.memory_clock_mhz);
}

/* Call `each(key, rest)` for every line of a small text file; returns -1 where it cannot be opened. */
static int lines_read(const char *path, void (*each)(const char *, const char *)) {
    FILE *file = fopen(path, "re");
    char line[LINE_MOST];
    if (!file) return -1;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        char *rest = strchr(line, ' ');
        if (rest) *rest++ = 0;
        each(line, rest ? rest : "");
    }
    fclose(file);
    return 0;
}

static int state_map(void) {
    state_fd = open(emulated.state, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (state_fd < 0 || flock(state_fd, LOCK_EX)) return -1;
    if (!ftruncate(state_fd, sizeof *shared))
        shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, state_fd, 0);
    if (!shared || shared == MAP_FAILED) return -1;
    if (shared->layout != LAYOUT) {
        memset(shared, 0, sizeof *shared);
        shared->layout = LAYOUT;
        shared->at_ns = now_ns();
    }
    flock(state_fd, LOCK_UN);
    return 0;
}

int configuration_read(void) {
    const char *path = getenv("SAOLA_EMULATOR");
    if (shared) return 0;
    if (!path || lines_read(path, setting_read) || !emulated.gpus || !emulated.loads_count) return -1;
    if (emulated.default_load < 0) emulated.default_load = 0;
    return state_map();
}

/* ---- faults: lines `lost 3`, `hang 5`, `hang-init`, `xid NUMBER GPU CODE`, `ecc GPU CORRECTED UNCORRECTED`,
 * `reset GPU TIMES`, `nan GPU`, `broken GPU` (each metric fails by itself), `slow GPU MS`, `costly GPU MS` (of
 * CPU, to read its energy), `old-driver`, `driver-gone`, `driver-starts TIMES` */

static struct fault *fault_of(unsigned gpu) { return gpu < GPUS_MOST ? &emulated.faults[gpu] : NULL; }

static void fault_read(const char *key, const char *value) {
    unsigned gpu = 0, first = 0, second = 0;
    int given = sscanf(value, "%u %u %u", &gpu, &first, &second);
    struct fault *fault = fault_of(gpu);
    if (!strcmp(key, "hang-init")) emulated.init_hung = 1;
    else if (!strcmp(key, "old-driver")) emulated.old_driver = 1;
    else if (!strcmp(key, "driver-gone")) emulated.driver_gone = 1;
    else if (!strcmp(key, "driver-starts")) emulated.driver_starts = gpu;
    else if (!strcmp(key, "xid") && given == 3 && emulated.xids_count < 64) {
        emulated.xids[emulated.xids_count].number = gpu;
        emulated.xids[emulated.xids_count].gpu = first;
        emulated.xids[emulated.xids_count++].code = second;
    } else if (!fault || given < 1) return;
    else if (!strcmp(key, "lost")) fault->lost = 1;
    else if (!strcmp(key, "hang")) fault->hung = 1;
    else if (!strcmp(key, "nan")) fault->nan = 1;
    else if (!strcmp(key, "broken")) fault->broken = 1;
    else if (!strcmp(key, "slow")) fault->slow_ms = first;
    else if (!strcmp(key, "costly")) fault->costly_ms = first;
    else if (!strcmp(key, "reset")) fault->resets = first;
    else if (!strcmp(key, "ecc")) fault->ecc_corrected = first, fault->ecc_uncorrected = second;
}

void faults_read(void) {
    static struct stat seen;
    struct stat status;
    memset(&status, 0, sizeof status);
    if (stat(emulated.control, &status)) status.st_ino = 0;
    pthread_mutex_lock(&one_thread);
    if (status.st_ino == seen.st_ino && status.st_mtim.tv_nsec == seen.st_mtim.tv_nsec &&
        status.st_mtim.tv_sec == seen.st_mtim.tv_sec && status.st_size == seen.st_size)
        goto done;
    seen = status;
    memset(emulated.faults, 0, sizeof emulated.faults);
    emulated.driver_gone = emulated.init_hung = emulated.old_driver = emulated.xids_count = 0;
    lines_read(emulated.control, fault_read);
done:
    pthread_mutex_unlock(&one_thread);
}

/* ---- counting */

struct device *gpu_at(int index) {
    for (int each = 0; each < emulated.devices_count; each++)
        if (emulated.devices[each].instance == WHOLE && emulated.devices[each].gpu == index) return &emulated.devices[each];
    return NULL;
}

int has_slices(int gpu) {
    for (int each = 0; each < emulated.devices_count; each++)
        if (emulated.devices[each].instance != WHOLE && emulated.devices[each].gpu == gpu) return 1;
    return 0;
}

const struct load *load_of(const struct device *device) { return &emulated.loads[shared->kept[device->index].load]; }

/* A GPU in slices draws what idles, and each slice's share of what its load adds. */
unsigned power_mw_of(const struct device *device) {
    if (device->instance != WHOLE || !has_slices(device->gpu)) return load_of(device)->power_mw;
    unsigned idle = emulated.loads[0].power_mw, power = idle;
    for (int each = 0; each < emulated.devices_count; each++) {
        const struct device *slice = &emulated.devices[each];
        if (slice->instance != WHOLE && slice->gpu == device->gpu)
            power += (load_of(slice)->power_mw - idle) * slice->slices / SLICES_WHOLE;
    }
    return power;
}

/* A GPU's slices share its clock: that of the fastest. */
static const struct load *fastest_on(const struct device *device) {
    const struct load *fastest = load_of(device);
    for (int each = 0; each < emulated.devices_count; each++) {
        const struct device *other = &emulated.devices[each];
        if (other->gpu == device->gpu && load_of(other)->clock_mhz > fastest->clock_mhz) fastest = load_of(other);
    }
    return fastest;
}

/* A clock that swings is higher for SWING_NS, then lower for as long. */
unsigned sm_clock_mhz_of(const struct device *device) {
    const struct load *load = fastest_on(device);
    return shared->at_ns / SWING_NS % 2 ? load->clock_mhz - load->swing_mhz : load->clock_mhz + load->swing_mhz;
}

/* By how many ns it was higher for longer than lower, since it was last both for as long. */
static int64_t higher_ns(int64_t at_ns) {
    int64_t phase_ns = at_ns % (2 * SWING_NS);
    return phase_ns < SWING_NS ? phase_ns : 2 * SWING_NS - phase_ns;
}

static unsigned __int128 clocks_between(const struct device *device, int64_t from_ns, int64_t until_ns) {
    const struct load *load = fastest_on(device);
    __int128 swung = (__int128)load->swing_mhz * (higher_ns(until_ns) - higher_ns(from_ns));
    return (unsigned __int128)((__int128)load->clock_mhz * (until_ns - from_ns) + swung) * 1000000;
}

unsigned utilisation_of(const struct device *device) {
    const struct kept *kept = &shared->kept[device->index];
    int64_t lasted = shared->at_ns - kept->load_since_ns;
    if (lasted >= SECOND_NS || lasted < 0) return emulated.loads[kept->load].utilisation;
    return (unsigned)((emulated.loads[kept->load].utilisation * lasted +
                       emulated.loads[kept->load_before].utilisation * (SECOND_NS - lasted)) / SECOND_NS);
}

static void count_until(int64_t until_ns) {
    int64_t passed = until_ns - shared->at_ns;
    if (passed <= 0) return;
    for (int each = 0; each < emulated.devices_count; each++) {
        const struct device *device = &emulated.devices[each];
        const struct load *load = load_of(device);
        struct counted *counted = &shared->kept[each].counted;
        uint64_t units = emulated.counters_per_sm ? 1 : device->sms;
        unsigned __int128 elapsed = clocks_between(device, shared->at_ns, until_ns) * units;
        counted->elapsed += elapsed;
        for (int kind = 0; kind < CYCLES_KINDS; kind++) counted->cycles[kind] += elapsed * load->cycles[kind] / SHARE_ONE;
        counted->occupied += elapsed * load->occupancy / SHARE_ONE;
        counted->dram += elapsed * load->dram / SHARE_ONE;
        counted->busy += (unsigned __int128)load->utilisation * passed / SHARE_ONE;
        counted->energy += (unsigned __int128)power_mw_of(device) * passed;
        counted->nvlink += (unsigned __int128)load->nvlink_bytes_s * passed;
        counted->pcie += (unsigned __int128)load->pcie_bytes_s * passed;
    }
    shared->at_ns = until_ns;
}

static void load_set(struct kept *kept, int load, int64_t at_ns) {
    if (kept->load == load) return;
    count_until(at_ns);
    kept->load_before = kept->load;
    kept->load = load;
    kept->load_since_ns = shared->at_ns;
}

/* One line as the hook writes it; keys in any order would be for somebody else's spool. */
static void event_take(const char *line, int64_t until_ns) {
    const char *what = strstr(line, "\"event\": \""), *job = strstr(line, "\"job\": "), *uid = strstr(line, "\"uid\": ");
    const char *at = strstr(line, "\"at\": "), *gpus = strstr(line, "\"gpus\": [");
    if (!what || !job || !uid || !at || !gpus) return;
    uint32_t number = strtoul(job + 7, NULL, 10), owner = strtoul(uid + 7, NULL, 10);
    int64_t at_ns = (int64_t)(strtod(at + 6, NULL) * 1e9);
    int begins = !strncmp(what + 10, "start", 5), anywhere = gpus[9] == ']';
    count_until(at_ns < until_ns ? at_ns : until_ns);
    for (int each = 0; each < emulated.devices_count; each++) {
        struct kept *kept = &shared->kept[each];
        if (!strstr(gpus, emulated.devices[each].uuid) && !(anywhere && kept->job == number)) continue;
        if (begins) {
            kept->job = number, kept->uid = owner, kept->chosen_at_ns = 0;
            load_set(kept, emulated.default_load, shared->at_ns);
        } else if (kept->job == number) {
            kept->job = 0;
            load_set(kept, 0, shared->at_ns);
        }
    }
}

static void events_from(int fd, int64_t until_ns) {
    char text[LINE_MOST + 1];
    ssize_t length;
    while ((length = pread(fd, text, LINE_MOST, shared->spool_offset)) > 0) {
        text[length] = 0;
        char *line = text, *end;
        while ((end = strchr(line, '\n'))) {
            *end = 0;
            event_take(line, until_ns);
            shared->spool_offset += end + 1 - line;
            line = end + 1;
        }
        if (line == text) return; /* half a line, or one that no hook wrote */
    }
}

static void events_take(int64_t until_ns) {
    char before[300];
    struct stat status;
    int fd = open(emulated.spool, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &status)) goto done;
    if (status.st_ino != shared->spool_inode) {
        snprintf(before, sizeof before, "%s.1", emulated.spool);
        int old = open(before, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        struct stat older;
        if (old >= 0 && !fstat(old, &older) && older.st_ino == shared->spool_inode) events_from(old, until_ns);
        if (old >= 0) close(old);
        shared->spool_inode = status.st_ino;
        shared->spool_offset = 0;
    }
    events_from(fd, until_ns);
done:
    if (fd >= 0) close(fd);
}

/* What the job asked for: a name of a load in a file of its own user, in force from when it was written. */
static void choice_take(struct kept *kept, int64_t until_ns) {
    char path[400], name[32] = "";
    struct stat status;
    snprintf(path, sizeof path, "%s/%u/emulator-load", emulated.jobs, kept->job);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return;
    if (!fstat(fd, &status) && S_ISREG(status.st_mode) && status.st_uid == kept->uid) {
        int64_t at_ns = status.st_mtim.tv_sec * SECOND_NS + status.st_mtim.tv_nsec;
        if (at_ns != kept->chosen_at_ns && read(fd, name, sizeof name - 1) > 0) {
            name[strcspn(name, " \t\r\n")] = 0;
            int load = load_named(name);
            if (load >= 0) load_set(kept, load, at_ns < until_ns ? at_ns : until_ns);
            kept->chosen_at_ns = at_ns;
        }
    }
    close(fd);
}

static void resets_take(void) {
    for (int each = 0; each < emulated.devices_count; each++) {
        struct kept *kept = &shared->kept[each];
        const struct fault *fault = fault_of(emulated.devices[each].gpu);
        int driver = shared->driver_starts != emulated.driver_starts;
        if (kept->resets == fault->resets && !driver) continue;
        memset(&kept->counted, 0, sizeof kept->counted);
        kept->resets = fault->resets;
    }
    shared->driver_starts = emulated.driver_starts;
}

void counted_until_now(void) {
    static int64_t looked_ns;
    int64_t until_ns = now_ns();
    pthread_mutex_lock(&one_thread);
    flock(state_fd, LOCK_EX);
    if (until_ns - looked_ns > LOOK_NS || until_ns < looked_ns) {
        looked_ns = until_ns;
        events_take(until_ns);
        for (int each = 0; each < emulated.devices_count; each++)
            if (shared->kept[each].job) choice_take(&shared->kept[each], until_ns);
        count_until(until_ns);
        resets_take();
    }
    count_until(until_ns);
    flock(state_fd, LOCK_UN);
    pthread_mutex_unlock(&one_thread);
}
