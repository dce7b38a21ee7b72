//! The dbcc binary.
fn main() {}
