//! The dbcc library: the pipeline from a probe in C to what comes out of it.
