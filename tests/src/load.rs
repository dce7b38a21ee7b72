//! Load on a server, from many threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anyhow::{Context as _, Result, anyhow, ensure};

use crate::client::{Client, Traffic};

/// What to do.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Threads that run at the same time.
    pub threads: u32,
    /// Connections, all threads together. Each thread opens the next one when the server has closed its last.
    pub connections: u32,
    /// Statements on each connection.
    pub queries: u32,
}

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Connections that were opened, used and closed by the server.
    pub connections: u64,
    /// Statements that were answered in full.
    pub queries: u64,
    /// All bytes.
    pub traffic: Traffic,
}

impl Load {
    /// Runs it against the server on `port`; returns when the server has closed every connection.
    ///
    /// Requests and answers have many sizes: from a few bytes to 600 kB, which does not fit into a socket's buffer, so
    /// that the server also sends in parts and waits for the client.
    ///
    /// # Errors
    /// A connection or statement failed.
    pub fn run(self, port: u16) -> Result<Done> {
        let next = Arc::new(AtomicU32::new(0));
        let start = || {
            let next = Arc::clone(&next);
            thread::spawn(move || self.one_thread(port, &next))
        };
        let threads: Vec<_> = (0..self.threads).map(|_| start()).collect();
        let mut done = Done::default();
        // All are joined before the first error is returned: none is left behind that still makes traffic.
        let results: Vec<_> = threads.into_iter().map(thread::JoinHandle::join).collect();
        for result in results {
            let one = result.map_err(|_| anyhow!("a thread of the load panicked"))??;
            done.connections += one.connections;
            done.queries += one.queries;
            done.traffic += one.traffic;
        }
        Ok(done)
    }

    fn one_thread(self, port: u16, next: &AtomicU32) -> Result<Done> {
        let mut done = Done::default();
        loop {
            let connection = next.fetch_add(1, Ordering::Relaxed);
            if connection >= self.connections {
                return Ok(done);
            }
            let mut client = Client::connect(port)?;
            for query in 0..self.queries {
                let (statement, answer) = statement(connection.wrapping_add(query * 7));
                let rows = client.query(&statement).with_context(|| format!("statement {query}"))?;
                let value = rows.first().and_then(|row| row.first()).and_then(Option::as_ref);
                ensure!(value.is_some_and(|value| value.len() == answer), "an answer of the wrong length");
                done.queries += 1;
            }
            done.traffic += client.close()?;
            done.connections += 1;
        }
    }
}

/// The statement of a number, and how many bytes its answer has.
fn statement(number: u32) -> (String, usize) {
    let answer = match number % 8 {
        7 => 600_000,
        5 | 6 => 20_000 + number as usize % 1_000,
        _ => 1 + number as usize % 900,
    };
    let padding = "p".repeat(number as usize * 37 % 5_000);
    (format!("select /* {padding} */ repeat('x', {answer})"), answer)
}
