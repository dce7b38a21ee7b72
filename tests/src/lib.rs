//! Shared parts of the tests that run dbcc from outside.
