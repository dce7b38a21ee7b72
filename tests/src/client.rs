//! A client of MySQL and MariaDB that counts every byte of its connection: the ground truth for probes that count bytes.
//!
//! It speaks just enough of the protocol for an account without password
//! (<https://dev.mysql.com/doc/dev/mysql-server/latest/PAGE_PROTOCOL.html>). The crates that speak all of it hide the
//! socket, so their bytes could only be counted by a proxy in between.

use std::io::{self, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context as _, Result, bail, ensure};

/// Bytes of TCP payload, from the client's side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From client to server.
    pub sent: u64,
    /// From server to client.
    pub received: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.received += other.received;
    }
}

/// A socket that counts.
#[derive(Debug)]
struct Counted {
    socket: TcpStream,
    traffic: Traffic,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.socket.read(buffer)?;
        self.traffic.received += read as u64;
        Ok(read)
    }
}

/// A row of a result: one value a column, `None` for NULL.
pub type Row = Vec<Option<Vec<u8>>>;

/// A connection that is logged in as root.
#[derive(Debug)]
pub struct Client {
    stream: BufReader<Counted>,
    sequence: u8,
}

// Capabilities that the client asks for (include/mysql_com.h).
const CLIENT_LONG_PASSWORD: u32 = 1;
const CLIENT_PROTOCOL_41: u32 = 1 << 9;
const CLIENT_SECURE_CONNECTION: u32 = 1 << 15;
const CLIENT_PLUGIN_AUTH: u32 = 1 << 19;
/// `utf8_general_ci`.
const CHARSET: u8 = 33;
const MAX_PACKET: u32 = 1 << 24;
/// How the packet begins that asks for another plugin: 0xfe and its name.
const AUTH_SWITCH_TO_SHA2: [u8; 23] = *b"\xfecaching_sha2_password\0";
const COM_QUIT: u8 = 1;
const COM_QUERY: u8 = 3;

impl Client {
    /// Connects to a server on this machine and logs in as root without password.
    ///
    /// # Errors
    /// The server cannot be reached, or refuses.
    pub fn connect(port: u16) -> Result<Self> {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))
            .with_context(|| format!("cannot connect to port {port}"))?;
        socket.set_nodelay(true)?;
        socket.set_read_timeout(Some(crate::process::patience()))?;
        let counted = Counted { socket, traffic: Traffic::default() };
        let mut client = Self { stream: BufReader::new(counted), sequence: 0 };
        let greeting = client.read_packet().context("no greeting")?;
        client.refusal(&greeting)?;
        ensure!(greeting.first() == Some(&10), "unknown protocol: the greeting begins with {:?}", greeting.first());
        let mut answer = Vec::new();
        let capabilities = CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH;
        answer.extend(capabilities.to_le_bytes());
        answer.extend(MAX_PACKET.to_le_bytes());
        answer.push(CHARSET);
        answer.extend([0; 23]);
        // The name, an empty answer to the challenge, and the plugin that takes it for "no password".
        answer.extend(b"root\0\0mysql_native_password\0");
        client.write_packet(&answer)?;
        let mut verdict = client.read_packet().context("no answer to the login")?;
        if verdict.starts_with(&AUTH_SWITCH_TO_SHA2) {
            // MySQL 9 knows this plugin alone, for which no password is one NUL.
            client.write_packet(&[0])?;
            verdict = client.read_packet().context("no answer to the login")?;
        }
        client.refusal(&verdict)?;
        ensure!(verdict.first() == Some(&0), "the server asks for another way to log in: {verdict:?}");
        Ok(client)
    }

    /// Runs a statement and reads its whole result.
    ///
    /// # Errors
    /// The server refuses it, or the connection breaks.
    pub fn query(&mut self, statement: &str) -> Result<Vec<Row>> {
        self.sequence = 0;
        self.write_packet(&[&[COM_QUERY], statement.as_bytes()].concat())?;
        let head = self.read_packet()?;
        self.refusal(&head)?;
        if head.first() == Some(&0) {
            return Ok(Vec::new());
        }
        let columns = Fields(&head).length()?.context("no number of columns")?;
        for _ in 0..columns {
            self.read_packet()?;
        }
        ensure!(is_eof(&self.read_packet()?), "no end of the column definitions");
        let mut rows = Vec::new();
        loop {
            let packet = self.read_packet()?;
            self.refusal(&packet)?;
            if is_eof(&packet) {
                return Ok(rows);
            }
            let mut fields = Fields(&packet);
            rows.push((0..columns).map(|_| fields.value()).collect::<Result<Row>>()?);
        }
    }

    /// Says goodbye and waits until the server has closed the connection. By then its thread has left every system
    /// call of this connection, so that a probe has counted all of it.
    ///
    /// # Errors
    /// The server sends something instead of closing.
    pub fn close(mut self) -> Result<Traffic> {
        self.sequence = 0;
        self.write_packet(&[COM_QUIT])?;
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).context("the server does not close the connection")?;
        ensure!(rest.is_empty(), "{} bytes after the goodbye", rest.len());
        Ok(self.stream.get_ref().traffic)
    }

    /// What went through this connection until now.
    pub fn traffic(&self) -> Traffic {
        self.stream.get_ref().traffic
    }

    fn write_packet(&mut self, payload: &[u8]) -> Result<()> {
        let length = u32::try_from(payload.len()).ok().filter(|length| *length < MAX_PACKET - 1);
        let [low, middle, high, _] = length.context("too long for one packet")?.to_le_bytes();
        let packet = [&[low, middle, high, self.sequence], payload].concat();
        let counted = self.stream.get_mut();
        counted.socket.write_all(&packet).context("cannot send")?;
        counted.traffic.sent += packet.len() as u64;
        self.sequence = self.sequence.wrapping_add(1);
        Ok(())
    }

    fn read_packet(&mut self) -> Result<Vec<u8>> {
        let mut head = [0; 4];
        self.stream.read_exact(&mut head).context("cannot receive")?;
        let [low, middle, high, sequence] = head;
        let length = u32::from_le_bytes([low, middle, high, 0]);
        ensure!(length < MAX_PACKET - 1, "a result that needs several packets is not supported");
        let mut payload = vec![0; usize::try_from(length)?];
        self.stream.read_exact(&mut payload).context("cannot receive")?;
        self.sequence = sequence.wrapping_add(1);
        Ok(payload)
    }

    /// An error where the packet is one of the server's.
    fn refusal(&self, packet: &[u8]) -> Result<()> {
        if packet.first() == Some(&0xff) {
            let text = packet.get(3..).unwrap_or_default();
            bail!("the server refuses: {}", String::from_utf8_lossy(text));
        }
        Ok(())
    }
}

/// A packet that ends a list (`EOF_Packet`).
fn is_eof(packet: &[u8]) -> bool {
    packet.first() == Some(&0xfe) && packet.len() < 9
}

/// The rest of a packet of length-encoded values.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// A length; `None` for NULL.
    fn length(&mut self) -> Result<Option<u64>> {
        let [first] = *self.take(1)? else { bail!("empty packet") };
        let bytes = match first {
            0..=0xfa => return Ok(Some(u64::from(first))),
            0xfb => return Ok(None),
            0xfc => 2,
            0xfd => 3,
            0xfe => 8,
            0xff => bail!("an error in the place of a length"),
        };
        let little_endian = self.take(bytes)?;
        Ok(Some(little_endian.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte))))
    }

    /// A value; `None` for NULL.
    fn value(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(length) = self.length()? else { return Ok(None) };
        Ok(Some(self.take(usize::try_from(length)?)?.to_vec()))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length).context("a packet that is too short")?;
        self.0 = rest;
        Ok(taken)
    }
}
