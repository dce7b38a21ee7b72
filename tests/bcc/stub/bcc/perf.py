"""Numbers of enum perf_type_id, perf_hw_id and perf_sw_ids of include/uapi/linux/perf_event.h, under BCC's names."""


class PerfType:
    HARDWARE, SOFTWARE, TRACEPOINT, HW_CACHE, RAW, BREAKPOINT = range(6)


class PerfHWConfig:
    (CPU_CYCLES, INSTRUCTIONS, CACHE_REFERENCES, CACHE_MISSES, BRANCH_INSTRUCTIONS, BRANCH_MISSES, BUS_CYCLES,
     STALLED_CYCLES_FRONTEND, STALLED_CYCLES_BACKEND, REF_CPU_CYCLES) = range(10)


class PerfSWConfig:
    (CPU_CLOCK, TASK_CLOCK, PAGE_FAULTS, CONTEXT_SWITCHES, CPU_MIGRATIONS, PAGE_FAULTS_MIN, PAGE_FAULTS_MAJ,
     ALIGNMENT_FAULTS, EMULATION_FAULTS, DUMMY, BPF_OUTPUT) = range(11)


class Perf:
    class perf_event_attr:
        pass

    @staticmethod
    def perf_custom_event_open(*arguments, **options):
        pass

    @staticmethod
    def perf_event_open(*arguments, **options):
        pass
