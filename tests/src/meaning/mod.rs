//! Whether BCC's tools mean the same under dbcc: the text that a tool hands to BCC, run by BCC and by dbcc at the same time
//! on the same work, must record the same.

pub mod capture;
pub mod case;
pub mod compare;
pub mod kprobes;
pub mod native;
pub mod pair;
pub mod run;
pub mod work;
