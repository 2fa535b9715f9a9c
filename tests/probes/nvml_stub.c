/* A stand-in for NVIDIA's libnvidia-ml.so.1, so that the real binding runs where there is no GPU.
 * NVML_STUB holds words that say what it does: no_driver, not_supported, no_pids, throttled.
 * Memory in use grows by 1 MiB with each look, from 1 GiB, up to 64 MiB more. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, INSUFFICIENT_SIZE = 7, DRIVER_NOT_LOADED = 9 };
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } Process;

static unsigned long long looks, energy_mj = 5000;

static int says(const char *word) {
    const char *all = getenv("NVML_STUB");
    return all && strstr(all, word);
}
static unsigned long long used(void) {
    unsigned long long grown = looks < 64 ? looks : 64;
    return (1024 + grown) << 20;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    return says("no_driver") ? DRIVER_NOT_LOADED : SUCCESS;
}
int nvmlShutdown(void) { return SUCCESS; }
const char *nvmlErrorString(int code) {
    return code == NOT_SUPPORTED ? "Not Supported"
         : code == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Unknown Error";
}
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 1; return SUCCESS; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
    *device = (void *)(size_t)(index + 1);
    return SUCCESS;
}
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) {
    *device = (void *)1;
    return strncmp(uuid, "GPU-", 4) ? NOT_SUPPORTED : SUCCESS;
}
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
    (void)device;
    snprintf(name, length, "Stub GPU");
    return SUCCESS;
}
int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    snprintf(version, length, "1.2.3");
    return SUCCESS;
}
int nvmlDeviceGetMemoryInfo(void *device, Memory *memory) {
    (void)device;
    if (says("not_supported")) return NOT_SUPPORTED;
    looks++;
    memory->total = 16ULL << 30;
    memory->used = used();
    memory->free = memory->total - memory->used;
    return SUCCESS;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, Process *list) {
    (void)device;
    if (says("not_supported")) return NOT_SUPPORTED;
    if (*count < 1) { *count = 1; return INSUFFICIENT_SIZE; }
    *count = 1;
    const char *pid = getenv("NVML_STUB_PID");
    list[0] = (Process){says("no_pids") || !pid ? 1u : (unsigned)atoi(pid), used() / 2, 0, 0};
    return SUCCESS;
}
int nvmlDeviceGetClockInfo(void *device, int type, unsigned *mhz) {
    (void)device; (void)type;
    if (says("not_supported")) return NOT_SUPPORTED;
    *mhz = says("throttled") ? 900 : 1800;
    return SUCCESS;
}
int nvmlDeviceGetCurrentClocksThrottleReasons(void *device, unsigned long long *reasons) {
    (void)device;
    if (says("not_supported")) return NOT_SUPPORTED;
    *reasons = says("throttled") ? 0x4 | 0x40 : 0x1;
    return SUCCESS;
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    (void)device;
    if (says("not_supported")) return NOT_SUPPORTED;
    *mj = energy_mj += 2500;
    return SUCCESS;
}
