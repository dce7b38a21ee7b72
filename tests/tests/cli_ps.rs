//! `dbcc ps`: programs, maps and links are those that bpftool shows, and who holds them is told.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use dbcc_tests::dbcc::{self, Attached};
use dbcc_tests::need;
use dbcc_tests::process::{Running, run, wait_until};
use dbcc_tests::sites::{self, Sites};
use serde_json::{Value, json};

/// The records of a kind by their numbers.
type Objects = BTreeMap<u64, Value>;

fn ps(arguments: &[&str]) -> Result<Vec<Value>> {
    let finished = dbcc::run(["ps", "--json"].iter().chain(arguments))?;
    ensure!(finished.code() == Some(0) && finished.stderr().is_empty(), "{}", finished.stderr());
    finished.stdout().lines().map(|line| serde_json::from_str(line).with_context(|| line.to_owned())).collect()
}

fn of_kind(records: &[Value], kind: &str) -> Objects {
    let those = records.iter().filter(|record| record["kind"] == kind);
    those.filter_map(|record| Some((record["id"].as_u64()?, record.clone()))).collect()
}

/// What bpftool lists of a kind, by number.
fn bpftool(kind: &str) -> Result<Objects> {
    let mut command = Command::new("bpftool");
    command.args(["--json", kind, "show"]);
    let records: Vec<Value> = serde_json::from_str(&run(command)?.stdout())?;
    Ok(records.into_iter().filter_map(|record| Some((record.get("id")?.as_u64()?, record))).collect())
}

/// The records of objects that a process holds.
fn held_by(objects: &Objects, pid: u32) -> Objects {
    let holds =
        |record: &Value| record["processes"].as_array().is_some_and(|all| all.iter().any(|one| one["pid"] == pid));
    objects.iter().filter(|(_, record)| holds(record)).map(|(id, record)| (*id, record.clone())).collect()
}

/// Compares fields of our records with fields of bpftool's.
fn same(ours: &Objects, theirs: &Objects, fields: &[(&str, &str)]) -> Result<()> {
    for (id, our) in ours {
        let their = theirs.get(id).with_context(|| format!("bpftool does not show {our}"))?;
        for (field, name) in fields {
            ensure!(our[*field] == their[*name], "{field}: {} and {}\n{our}\n{their}", our[*field], their[*name]);
        }
    }
    Ok(())
}

#[test]
fn what_it_shows_is_what_bpftool_shows() -> Result<()> {
    need!(need::root());
    let attached = Attached::start(["execsnoop"])?;
    let records = ps(&["--now"])?;
    let (programs, maps, links) = (of_kind(&records, "program"), of_kind(&records, "map"), of_kind(&records, "link"));
    let own = held_by(&programs, attached.pid());
    let (own_maps, own_links) = (held_by(&maps, attached.pid()), held_by(&links, attached.pid()));
    assert!(!own.is_empty() && !own_maps.is_empty() && own.len() == own_links.len(), "{records:?}");

    let theirs = bpftool("prog")?;
    same(
        &own,
        &theirs,
        &[
            ("type", "type"),
            ("name", "name"),
            ("tag", "tag"),
            ("uid", "uid"),
            ("xlated", "bytes_xlated"),
            ("jited", "bytes_jited"),
            ("memory", "bytes_memlock"),
            ("maps", "map_ids"),
        ],
    )?;
    for (id, program) in &own {
        let (our, their) = (program["loaded_at"].as_u64(), theirs[id]["loaded_at"].as_u64());
        let (our, their) = (our.context("no time")?, their.context("no time")?);
        assert!(our.abs_diff(their) <= 1, "{our} and {their}");
        let link = program["links"][0].as_u64().and_then(|link| own_links.get(&link)).context("no link")?;
        assert_eq!(link["program"], *id);
        assert_eq!(program["attached_to"][0], link["attached_to"]);
        assert!(link["attached_to"].as_str().is_some_and(|place| place.starts_with("tracepoint ")), "{link}");
    }
    let fields = [
        ("type", "type"),
        ("name", "name"),
        ("key_size", "bytes_key"),
        ("value_size", "bytes_value"),
        ("max_entries", "max_entries"),
        ("memory", "bytes_memlock"),
    ];
    same(&own_maps, &bpftool("map")?, &fields)?;
    same(&own_links, &bpftool("link")?, &[("type", "type"), ("program", "prog_id")])?;

    // A map is told with the programs that use it, and the other way round.
    for (id, map) in &own_maps {
        let users = own
            .iter()
            .filter(|(_, program)| program["maps"].as_array().is_some_and(|maps| maps.contains(&(*id).into())));
        assert_eq!(map["programs"], json!(users.map(|(user, _)| *user).collect::<Vec<_>>()));
    }

    let mine = ps(&["--now", "--pid", &attached.pid().to_string()])?;
    assert_eq!(of_kind(&mine, "program").keys().collect::<Vec<_>>(), own.keys().collect::<Vec<_>>());
    assert_eq!(of_kind(&mine, "map").keys().collect::<Vec<_>>(), own_maps.keys().collect::<Vec<_>>());
    assert_eq!(of_kind(&mine, "link").keys().collect::<Vec<_>>(), own_links.keys().collect::<Vec<_>>());

    let text = dbcc::run(["ps", "--now"])?.stdout();
    let line = text.lines().find(|line| line.contains(&format!("dbcc({})", attached.pid()))).context("no line")?;
    assert!(line.contains("tracepoint"), "{text}");

    attached.interrupt()?;
    let left = of_kind(&ps(&["--now"])?, "program");
    assert!(own.keys().all(|id| !left.contains_key(id)), "{left:?}");
    Ok(())
}

/// A traced program does something all the time; what `ps` shows lies between what bpftool shows before and afterwards.
#[test]
fn runs_are_those_that_the_kernel_counted() -> Result<()> {
    need!(need::root());
    let folder = tempfile::tempdir()?;
    let path = sites::compile(folder.path(), "sites", &[])?;
    let mut traced = Sites::start(Command::new(&path))?;
    // Programs that write nothing, so that nobody has to read.
    let probe = folder.path().join("idle.c");
    std::fs::write(
        &probe,
        "int idle(struct pt_regs *ctx) { return 0; }\nint still(struct pt_regs *ctx) { return 0; }\n",
    )?;
    let (probe, process) = (probe.display().to_string(), traced.pid().to_string());
    let attaches = ["usdt:sites:values=idle", "usdt:sites:text=still"].map(|point| ["--attach", point]).concat();
    let attached = Attached::start([probe.as_str(), "--pid", &process].iter().chain(&attaches))?;
    let pid = attached.pid().to_string();
    let shown = wait_until("runs that are counted", || {
        let before = bpftool("prog")?;
        let mut command = dbcc::command()?;
        command.args(["ps", "--json", "--interval", "1s", "--pid", &pid]);
        let mut counting = Running::start(command)?;
        while counting.is_running()? {
            traced.come_by(500)?;
        }
        let finished = counting.finish()?;
        let shown: Vec<Value> = finished.stdout().lines().map(serde_json::from_str).collect::<Result<_, _>>()?;
        let shown = of_kind(&shown, "program");
        let all = shown.values().all(|program| program["runs"].as_u64() > Some(0));
        Ok((all && !shown.is_empty()).then_some((before, shown, bpftool("prog")?)))
    })?;
    let (before, shown, after) = shown;
    for (id, program) in &shown {
        let number = |record: &Value, field: &str| record[field].as_u64().unwrap_or(0);
        let theirs = |field: &str| (number(&before[id], field), number(&after[id], field));
        let ours = |field: &str| number(program, field);
        let (counts, times) = (theirs("run_cnt"), theirs("run_time_ns"));
        assert!((counts.0 + ours("runs")..=counts.1).contains(&ours("run_count")), "{counts:?} {program}");
        assert!((times.0..=times.1).contains(&ours("run_time_ns")), "{times:?} {program}");
        assert!(
            ours("ns_per_run") > 0 && ours("ns_per_run") * ours("runs") <= times.1 - times.0,
            "{times:?} {program}"
        );
    }
    attached.interrupt()?;
    Ok(())
}

#[test]
fn without_rights_it_says_what_is_missing() -> Result<()> {
    need!(need::root());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(dbcc::binary()?).args(["ps", "--now"]);
    let finished = run(command)?;
    assert_eq!((finished.code(), finished.stdout().as_str()), (Some(2), ""));
    assert!(finished.stderr().contains("lacks CAP_SYS_ADMIN; run it as root"), "{}", finished.stderr());
    Ok(())
}
