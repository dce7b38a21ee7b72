"""USDT probes that a tool enables: recorded, not looked up."""


class USDTException(Exception):
    pass


class Probe:
    """What listing the probes of a binary gives for each."""

    def __init__(self, path, name):
        self.provider, self.name, self.bin_path = b"libpthread", name, path
        self.num_locations, self.num_arguments, self.semaphore = 1, 6, 0

    def short_name(self):
        return self.provider + b":" + self.name

    def get_location(self, index):
        return self


class USDT:
    def __init__(self, pid=None, path=None):
        self.pid, self.path, self.enabled = pid, path, []

    def enable_probe(self, probe, fn_name):
        name = lambda value: value.decode() if isinstance(value, bytes) else str(value)
        provider, _, probe = name(probe).rpartition(":")
        path = name(self.path) if self.path else ""
        self.enabled.append({"path": path, "pid": self.pid or -1, "provider": provider, "probe": probe, "function": name(fn_name)})

    enable_probe_or_bail = enable_probe

    def get_probe_arg_ctype(self, probe, index):
        return "uint64_t"

    def get_text(self):
        return b""

    def get_context(self):
        return self

    def enumerate_probes(self):
        return [Probe(self.path or b"", name) for name in (b"pthread_create", b"mutex_acquired")]

    enumerate_active_probes = enumerate_probes

    def attach_uprobes(self, *arguments):
        pass
