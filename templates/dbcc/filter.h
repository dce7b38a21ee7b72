// Which processes a probe looks at. The numbers are read-only data that is written between opening and loading, so one
// object serves every process, and the verifier takes them for constants.
#ifndef DBCC_FILTER_H
#define DBCC_FILTER_H

#define DBCC_MAX_FILTER_PIDS 64

struct dbcc_settings {
    __u32 filter_count;
    __u32 filter_pids[DBCC_MAX_FILTER_PIDS];
};

// Not `used`: the object has it only where the probe asks.
static const volatile struct dbcc_settings dbcc_settings __attribute__((section(".rodata.dbcc")));

// Whether there are processes to look at and this one is none of them.
static __always_inline bool dbcc_is_filtered_out(__u32 tgid)
{
    if (dbcc_settings.filter_count == 0)
        return 0;
    for (__u32 i = 0; i < DBCC_MAX_FILTER_PIDS && i < dbcc_settings.filter_count; i++) {
        if (dbcc_settings.filter_pids[i] == tgid)
            return 0;
    }
    return 1;
}

#define FILTER_PID (dbcc_is_filtered_out(bpf_get_current_pid_tgid() >> 32))
#define FILTER_PID_OF(tgid) (dbcc_is_filtered_out(tgid))

#endif
