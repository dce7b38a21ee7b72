"""In place of the bindings of libbcc: names that modules import, which nothing here calls."""

import ctypes


class _Library:
    def __getattr__(self, name):
        return lambda *arguments: 0


lib = _Library()
bcc_symbol = bcc_symbol_option = bcc_stacktrace_build_id = bcc_usdt = bcc_usdt_argument = bcc_usdt_location = ctypes.Structure
