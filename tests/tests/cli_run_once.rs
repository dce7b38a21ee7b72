//! `dbcc run`: what a program returns and leaves is what `bpftool prog run` shows.

#![allow(clippy::indexing_slicing, reason = "a field of JSON that is not there is null, and no panic")]

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::bpffs::Bpffs;
use dbcc_tests::process::run;
use dbcc_tests::{dbcc, need};
use serde_json::Value;

/// Packets are answered by their first byte, and get another one; the raw tracepoint adds its arguments.
const PROGRAMS: &str = "int packet(struct xdp_md *ctx)\n{\n    unsigned char *at = (void *)(long)ctx->data;\n\n    \
                        if ((void *)(at + 2) > (void *)(long)ctx->data_end)\n        return 0;\n    at[1] = at[0] + 1;\n    \
                        return at[0];\n}\n\
                        //@ attach raw_tracepoint:sys_enter = sum\n\
                        int sum(struct bpf_raw_tracepoint_args *ctx)\n{\n    return ctx->args[0] + ctx->args[1];\n}\n\
                        //@ attach raw_tracepoint:sys_exit = seven\n\
                        int seven(void *ctx) { return 7; }\n\
                        //@ attach tc:lo:ingress = marked\n\
                        int marked(struct __sk_buff *skb) { skb->mark += 1; return skb->mark; }\n\
                        //@ attach uprobe:/bin/true:main = probed\n\
                        int probed(struct pt_regs *ctx) { return 0; }\n";

fn once(arguments: &[&str]) -> Result<Value> {
    let finished = dbcc::run(["run", "--json"].iter().chain(arguments))?;
    ensure!(finished.code() == Some(0), "{}{}", finished.stdout(), finished.stderr());
    Ok(serde_json::from_str(&finished.stdout())?)
}

/// What bpftool shows of a run of a pinned program.
fn bpftool(program: &str, arguments: &[&str]) -> Result<Value> {
    let mut command = Command::new("bpftool");
    command.args(["--json", "prog", "run", "pinned", program]).args(arguments);
    let finished = run(command)?;
    serde_json::from_str(&finished.stdout()).with_context(|| format!("{}{}", finished.stdout(), finished.stderr()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn pinned(bpffs: &Bpffs, folder: &Path) -> Result<String> {
    let file = folder.join("programs.c");
    fs::write(&file, PROGRAMS)?;
    let file = file.display().to_string();
    let loaded = dbcc::run(["load", &file, "--pin", &bpffs.place("all")])?;
    ensure!(loaded.code() == Some(0), "{}{}", loaded.stdout(), loaded.stderr());
    Ok(file)
}

#[test]
fn results_and_data_are_those_that_bpftool_shows() -> Result<()> {
    need!(need::root());
    let (bpffs, folder) = (Bpffs::mount()?, tempfile::tempdir()?);
    let file = pinned(&bpffs, folder.path())?;
    let at = |name: &str| folder.path().join(name).display().to_string();

    let (packet, data) = (bpffs.place("all/packet"), (1..=64).collect::<Vec<u8>>());
    fs::write(at("in"), &data)?;
    let theirs = bpftool(&packet, &["data_in", &at("in"), "data_out", &at("theirs"), "repeat", "10"])?;
    let left = fs::read(at("theirs"))?;
    let ours = once(&[&packet, "--data", &at("in"), "--data-out", &at("ours"), "--repeat", "10"])?;
    assert_eq!(
        (&ours["returned"], &ours["runs"], &ours["with_system_call"]),
        (&theirs["retval"], &10.into(), &false.into())
    );
    assert_eq!((fs::read(at("ours"))?, ours["data"].as_str()), (left.clone(), Some(hex(&left).as_str())));
    assert_eq!((ours["returned"].as_u64(), left.get(..3)), (Some(1), Some(&[1, 2, 3][..])));
    // Digits are data too, and a file is loaded for the run alone.
    let digits = once(&[&file, "--function", "packet", "--data", &hex(&data)])?;
    assert_eq!((&digits["returned"], &digits["data"]), (&ours["returned"], &ours["data"]));

    let (sum, context) = (bpffs.place("all/sum"), [30_u64, 12].map(u64::to_ne_bytes).concat());
    fs::write(at("ctx"), &context)?;
    let ours = once(&[&sum, "--ctx", &at("ctx"), "--repeat", "3"])?;
    assert_eq!((&ours["returned"], &ours["runs"], &ours["with_system_call"]), (&42.into(), &3.into(), &true.into()));
    let (seven, ours) = (bpffs.place("all/seven"), once(&[&bpffs.place("all/seven")])?);
    assert_eq!((&ours["returned"], &bpftool(&seven, &["repeat", "0"])?["retval"]), (&7.into(), &7.into()));

    // The context of a packet comes back: its mark (include/uapi/linux/bpf.h: the third number of `struct __sk_buff`).
    let (mut mark, marked) = (vec![0_u8; 192], bpffs.place("all/marked"));
    mark.splice(8..12, 41_u32.to_ne_bytes());
    fs::write(at("mark"), &mark)?;
    let files = [("data_in", at("in")), ("ctx_in", at("mark")), ("data_out", at("left")), ("ctx_out", at("theirs"))];
    let arguments: Vec<&str> = files.iter().flat_map(|(word, file)| [*word, file.as_str()]).collect();
    let theirs = bpftool(&marked, &arguments)?;
    let ours = once(&[&marked, "--data", &at("in"), "--ctx", &at("mark"), "--ctx-out", &at("ours")])?;
    assert_eq!((&ours["returned"], &theirs["retval"]), (&42.into(), &42.into()));
    assert_eq!(fs::read(at("ours"))?, fs::read(at("theirs"))?);

    let several = dbcc::run(["run", &packet, "--data", &at("in"), "--repeat", "3"])?.stdout();
    let first = several.lines().next().unwrap_or_default();
    assert!(first.starts_with("returned 1; 3 runs, ") && first.ends_with(" ns each on average"), "{several}");
    let text = dbcc::run(["run", &packet, "--data", &at("in")])?.stdout();
    let first = text.lines().next().unwrap_or_default();
    assert!(first.starts_with("returned 1; 1 run, ") && first.ends_with(" ns"), "{text}");
    assert!(text.contains("\ndata, 64 bytes:\n  0000  01 02 03 04 "), "{text}");
    Ok(())
}

#[test]
fn what_cannot_be_run_is_said_with_what_can() -> Result<()> {
    need!(need::root());
    let (bpffs, folder) = (Bpffs::mount()?, tempfile::tempdir()?);
    let file = pinned(&bpffs, folder.path())?;
    let place = |name: &str| bpffs.place(name);
    let (probed, packet, sum, nothing) =
        (place("all/probed"), place("all/packet"), place("all/sum"), place("all/nothing"));
    for (arguments, code, expected) in [
        (&[probed.as_str()] as &[&str], 1, "the type kprobe on request; it does for socket_filter, "),
        (&[&packet], 1, "it wants a packet of 14 bytes or more: give --data"),
        (&[&sum], 1, "it reads more of its context than it was given"),
        (&[&sum, "--data", "00"], 1, "take no packet"),
        (&[&nothing], 2, "no such file"),
        (&[&packet, "--data", "0"], 2, "pairs of hexadecimal digits"),
        (&[&file], 2, "choose a program by --function; "),
    ] {
        let finished = dbcc::run(["run"].iter().chain(arguments))?;
        assert_eq!(finished.code(), Some(code), "{arguments:?}: {}{}", finished.stdout(), finished.stderr());
        assert!(finished.stderr().contains(expected), "{expected:?} is not in {}", finished.stderr());
    }
    Ok(())
}
