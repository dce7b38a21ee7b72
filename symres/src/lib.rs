//! From a binary and a function name to addresses and file offsets.
