/* What the two halves of the library share: configuration, the counters that outlive a process, faults. */
#ifndef SAOLA_EMULATOR_H
#define SAOLA_EMULATOR_H

#include <stdint.h>

enum cycles { ACTIVE, MMA, DMMA, HMMA, IMMA, DFMA, INTEGER, FP64, FP32, FP16, CYCLES_KINDS };
enum { GPUS_MOST = 16, DEVICES_MOST = 128, LOADS_MOST = 32, WHOLE = -1, SLICES_WHOLE = 7, SHARE_ONE = 10000 };

/* A GPU, or a slice of one. */
struct device {
    char uuid[48], name[96];
    int gpu;      /* index of the GPU that it is or is part of */
    int instance; /* WHOLE, or the GPU instance of a slice */
    int index;    /* in emulated.devices */
    unsigned minor, slices, sms, memory_mib;
};

/* What a whole GPU does; shares are ten-thousandths. */
struct load {
    char name[32];
    unsigned utilisation, cycles[CYCLES_KINDS], occupancy, dram;
    unsigned memory_mib, clock_mhz, swing_mhz, power_mw, temperature_c; /* swing: of the clock, to both sides */
    unsigned long long reasons, nvlink_bytes_s, pcie_bytes_s;
};

/* The exact integral of one device's work, in 1e-9 of the unit (cycle, mJ, byte): a rate times nanoseconds. */
struct counted {
    unsigned __int128 elapsed, cycles[CYCLES_KINDS], occupied, dram, busy, energy, nvlink, pcie;
};

/* One device in the shared file. */
struct kept {
    struct counted counted;
    int load, load_before;
    int64_t load_since_ns;
    uint32_t job, uid;
    int64_t chosen_at_ns;
    uint32_t resets;
};

struct shared {
    uint32_t layout;
    int64_t at_ns; /* until when everything is counted */
    uint64_t spool_inode, spool_offset;
    uint32_t driver_starts;
    struct kept kept[DEVICES_MOST];
};

/* Faults of one GPU, as the control file has them now. */
struct fault {
    int lost, hung, nan, broken;
    unsigned slow_ms, costly_ms, resets;
    unsigned long long ecc_corrected, ecc_uncorrected;
};

struct emulated {
    char profile[32], driver[32], spool[256], jobs[256], state[256], control[256];
    int gpm, cumulative, counters_per_sm, default_load;
    unsigned sm_clock_mhz, memory_clock_mhz, reserved_mib;
    int gpus, devices_count, loads_count;
    struct device devices[DEVICES_MOST];
    struct load loads[LOADS_MOST];
    /* faults */
    int driver_gone, init_hung, old_driver;
    uint32_t driver_starts;
    struct fault faults[GPUS_MOST];
    struct { unsigned number, gpu, code; } xids[64];
    int xids_count;
};

extern struct emulated emulated;
extern struct shared *shared;

int configuration_read(void);            /* 0, or -1 where there is none */
void faults_read(void);                  /* the control file, when it has changed */
int64_t now_ns(void);
void counted_until_now(void);            /* bring the shared counters up to date with the clock and the jobs */
struct device *gpu_at(int index);        /* the whole GPU */
int has_slices(int gpu);
const struct load *load_of(const struct device *device);
unsigned power_mw_of(const struct device *device);
unsigned sm_clock_mhz_of(const struct device *device);
unsigned utilisation_of(const struct device *device); /* ten-thousandths, over the last second */

#endif
