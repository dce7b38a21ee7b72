//! `dbcc run`: a program runs on data of the user's, and what it returns and leaves is shown.

use std::fs;
use std::io::Write;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::time::Instant;

use anyhow::Context as _;
use serde_json::json;

use crate::bpf::test_run::{self, Answer, RUNNABLE, Request};
use crate::bpf::{Error, inventory, pin};
use crate::cli::RunOnceArgs;
use crate::config::CompileSettings;
use crate::kernel::Kernel;
use crate::loading;
use crate::pipeline::Failure;

/// The most bytes of a file that is taken for data.
const MOST_DATA: u64 = 16 << 20;

/// Runs a program and shows what came of it.
///
/// # Errors
/// When there is no such program, it cannot be run, or files cannot be read or written.
pub fn run(args: &RunOnceArgs, out: &mut dyn Write, err: &mut dyn Write) -> Result<(), Failure> {
    let read = |given: &Option<String>, name| match given {
        Some(text) => bytes(text).with_context(|| format!("{name}: cannot use `{text}`")).map_err(Failure::Unusable),
        None => Ok(Vec::new()),
    };
    let (data, context) = (read(&args.data, "--data")?, read(&args.ctx, "--ctx")?);
    let path = Path::new(&args.program);
    if pin::is_in_bpffs(path).unwrap_or(false) {
        let fd = inventory::open_pinned(path).map_err(|error| Failure::Unusable(error.into()))?;
        return on(fd.as_fd(), args, data, context, out);
    }
    let kernel = Kernel::new();
    let settings = CompileSettings::of_load(&args.compile, args.kind.as_deref())?;
    let prepared = loading::prepare(&args.program, &settings, &kernel, err)?;
    let loaded = loading::load(&prepared, &settings, &kernel, false, false)?;
    let chosen = match (&args.function, loaded.programs()) {
        (Some(name), programs) => programs.iter().find(|program| program.function == *name),
        (None, [one]) => Some(one),
        (None, _) => None,
    };
    let Some(chosen) = chosen else {
        let names: Vec<&str> = loaded.programs().iter().map(|program| program.function.as_str()).collect();
        let message = format!("choose a program by --function; {} has {}", args.program, names.join(", "));
        return Err(Failure::Unusable(anyhow::anyhow!(message)));
    };
    let program = loaded.object().program(&chosen.program);
    let fd = program.as_ref().and_then(|program| program.fd());
    match fd {
        Some(fd) => on(fd, args, data, context, out),
        None => Err(Failure::Run(anyhow::anyhow!("`{}` is not loaded", chosen.function))),
    }
}

/// How runs are repeated, and which of data and context a type takes and gives back.
struct Manner {
    /// Whether the kernel repeats and measures runs of this type.
    repeats: bool,
    gives_data: bool,
    gives_context: bool,
}

impl Manner {
    /// By the functions with `test_run` in their names of net/bpf/test_run.c and kernel/bpf.
    fn of(kind: &str) -> Self {
        match kind {
            "raw_tracepoint" | "raw_tracepoint_writable" | "tracing" | "syscall" | "struct_ops" => {
                Self { repeats: false, gives_data: false, gives_context: kind == "syscall" }
            }
            "sk_lookup" | "flow_dissector" | "netfilter" => {
                Self { repeats: true, gives_data: kind == "flow_dissector", gives_context: false }
            }
            _ => Self { repeats: true, gives_data: true, gives_context: true },
        }
    }
}

fn on(
    fd: BorrowedFd<'_>,
    args: &RunOnceArgs,
    data: Vec<u8>,
    context: Vec<u8>,
    out: &mut dyn Write,
) -> Result<(), Failure> {
    let info = inventory::program(fd).map_err(|error| Failure::Unusable(error.into()))?;
    let manner = Manner::of(&info.kind);
    let request = Request {
        repeat: if manner.repeats { args.repeat } else { 0 },
        wants_data: manner.gives_data,
        // Only who gives one gets one.
        wants_context: manner.gives_context && !context.is_empty(),
        data,
        context,
    };
    let failed = |error: Error| explain(error, &info.kind, &info.name, &request);
    let times = if manner.repeats { 1 } else { args.repeat };
    let began = Instant::now();
    let mut answer = test_run::run(fd, &request).map_err(failed)?;
    for _ in 1..times {
        answer = test_run::run(fd, &request).map_err(failed)?;
    }
    let each = began.elapsed().as_nanos() / u128::from(args.repeat.max(1));
    for (bytes, file) in [(&answer.data, &args.data_out), (&answer.context, &args.ctx_out)] {
        if let Some(file) = file {
            let written = fs::write(file, bytes).with_context(|| format!("cannot write {}", file.display()));
            written.map_err(Failure::Unusable)?;
        }
    }
    let nanoseconds = if manner.repeats { u128::from(answer.duration) } else { each };
    if args.json {
        let line = json!({"kind": "run", "type": info.kind, "name": info.name, "returned": answer.returned,
            "runs": args.repeat, "ns_per_run": nanoseconds, "with_system_call": !manner.repeats,
            "data": hex(&answer.data), "ctx": hex(&answer.context)});
        writeln!(out, "{line}")?;
        return Ok(());
    }
    show(&answer, args, nanoseconds, manner.repeats, out)?;
    Ok(())
}

fn show(
    answer: &Answer,
    args: &RunOnceArgs,
    nanoseconds: u128,
    measured: bool,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let Answer { returned, data, context, .. } = answer;
    let signed = i32::from_ne_bytes(returned.to_ne_bytes());
    let shown = if signed < 0 { format!("{returned} ({signed})") } else { returned.to_string() };
    let took = match args.repeat {
        1 => format!("1 run, {nanoseconds} ns"),
        runs => format!("{runs} runs, {nanoseconds} ns each on average"),
    };
    let how = if measured { "" } else { ", with the system call" };
    writeln!(out, "returned {shown}; {took}{how}")?;
    for (bytes, heading) in [(data, "data"), (context, "ctx")] {
        if !bytes.is_empty() {
            writeln!(out, "{heading}, {} bytes:", bytes.len())?;
            dump(bytes, out)?;
        }
    }
    Ok(())
}

/// Sixteen bytes a line, with their offset and the characters that they are.
fn dump(bytes: &[u8], out: &mut dyn Write) -> std::io::Result<()> {
    for (line, bytes) in bytes.chunks(16).enumerate() {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let shown = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        let text: String = bytes.iter().map(shown).collect();
        writeln!(out, "  {:04x}  {:47}  {text}", line * 16, digits.join(" "))?;
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that a file holds or that hexadecimal digits are, with or without blanks, colons and `0x`.
fn bytes(given: &str) -> anyhow::Result<Vec<u8>> {
    if let Ok(file) = fs::File::open(given) {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MOST_DATA), &mut bytes)?;
        return Ok(bytes);
    }
    let digits: Vec<u8> =
        given.replace("0x", "").bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b':').collect();
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some((digit(*high)? << 4) | digit(*low)?),
        _ => None,
    };
    let bytes: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    bytes.context("there is no such file, and it is not made of pairs of hexadecimal digits")
}

/// What the kernel's number means for a run.
fn explain(error: Error, kind: &str, name: &str, request: &Request) -> Failure {
    const WITH_PACKET: [&str; 6] = ["xdp", "sched_cls", "sched_act", "socket_filter", "cgroup_skb", "flow_dissector"];
    let advice = match error.errno {
        524 | libc::EOPNOTSUPP => {
            format!(
                "the kernel does not run programs of the type {kind} on request; it does for {}",
                RUNNABLE.join(", ")
            )
        }
        // The least is an Ethernet header (net/bpf/test_run.c: bpf_test_init).
        libc::EINVAL if WITH_PACKET.contains(&kind) && request.data.len() < 14 => {
            "it wants a packet of 14 bytes or more: give --data".to_owned()
        }
        libc::EINVAL if kind.starts_with("raw_tracepoint") && !request.data.is_empty() => {
            "programs of this type take no packet: leave --data out".to_owned()
        }
        libc::EINVAL if kind.starts_with("raw_tracepoint") => {
            "it reads more of its context than it was given: give up to 96 bytes, 8 for each argument, by --ctx"
                .to_owned()
        }
        libc::EINVAL => "the size of --data or --ctx is not one that the type takes".to_owned(),
        _ if error.is_permission() => "run it as root".to_owned(),
        _ => return Failure::Run(error.into()),
    };
    Failure::Run(anyhow::anyhow!("cannot run `{name}`: {error}: {advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_digits_in_pairs_or_a_file() {
        assert_eq!(bytes("00ff 0x10:A0").unwrap(), [0, 255, 16, 160]);
        assert!(bytes("").unwrap().is_empty());
        for wrong in ["0", "zz", "/nonexistent"] {
            assert!(bytes(wrong).is_err(), "{wrong}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), b"ab").unwrap();
        assert_eq!(bytes(file.path().to_str().unwrap()).unwrap(), b"ab");
    }

    #[test]
    fn a_dump_has_sixteen_bytes_a_line() {
        let mut text = Vec::new();
        dump(b"0123456789abcdefg\n", &mut text).unwrap();
        insta::assert_snapshot!(String::from_utf8(text).unwrap(), @r"
          0000  30 31 32 33 34 35 36 37 38 39 61 62 63 64 65 66  0123456789abcdef
          0010  67 0a                                            g.
        ");
    }
}
