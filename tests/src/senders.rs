//! Driving the program `senders`: a process that sends known numbers of bytes when it is told to.

use std::process::Command;

use anyhow::{Context as _, Result};

use crate::process::Running;

/// A running `senders`; dropping it ends it.
#[derive(Debug)]
pub struct Senders {
    process: Running,
    sent: u64,
}

impl Senders {
    /// Starts it with so many idle threads.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(threads: u64) -> Result<Self> {
        // Beside this program, or in the folder above where this is a test.
        let this = std::env::current_exe().context("cannot find this program")?;
        let mut places = this.ancestors().skip(1).take(2).map(|folder| folder.join("senders"));
        let mut command = Command::new(places.find(|path| path.is_file()).context("senders has not been built")?);
        command.arg(threads.to_string());
        let mut senders = Self { process: Running::start_listening(command)?, sent: 0 };
        senders.expect("ready")?;
        Ok(senders)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Makes more idle threads.
    ///
    /// # Errors
    /// It cannot.
    pub fn add_threads(&mut self, count: u64) -> Result<()> {
        self.process.tell(&format!("more {count}"))?;
        self.expect("more")
    }

    /// Has every thread block in a send that does not return any more.
    ///
    /// # Errors
    /// One does not.
    pub fn block(&mut self) -> Result<()> {
        self.process.tell("block")?;
        self.expect("blocked")
    }

    /// Makes `count` sends of `size` bytes, and waits until all have returned and every byte has been received, by another
    /// thread of the process.
    ///
    /// # Errors
    /// A send fails, or is cut short.
    pub fn send(&mut self, count: u64, size: u64) -> Result<()> {
        self.process.tell(&format!("send {count} {size}"))?;
        self.sent += count * size;
        self.expect(&format!("sent {}", self.sent))
    }

    fn expect(&mut self, answer: &str) -> Result<()> {
        self.process.wait_for(answer, |line| (line.text == answer).then_some(()))
    }
}
