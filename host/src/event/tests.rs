//! Reading events, on this kernel.

use std::time::SystemTime;

use super::*;
use crate::attach::{Attached, attach};
use crate::bpf::testing::{Victim, compile, compiled, eventually, fact, ready};
use crate::facts::{MapRole, PRINT_MAP};
use crate::kernel::Kernel;
use crate::load;

/// Every call of `victim` writes an event to a perf buffer and a record to a ring buffer: thread and argument. What the
/// ring buffer does not take is counted as the rewriter has it counted.
const REPORT: &str = "
    struct { __uint(type, 4); __uint(key_size, 4); __uint(value_size, 4); } events SEC(\".maps\");
    struct { __uint(type, 27); __uint(max_entries, RING); } ring SEC(\".maps\");
    struct { __uint(type, 27); __uint(max_entries, RING); } dbcc_prints SEC(\".maps\");
    struct { __uint(type, 2); __uint(max_entries, 256); __type(key, __u32); __type(value, __u64); } dbcc_losses SEC(\".maps\");
    struct event { __u64 thread; __u64 number; __u32 tail; };
    static __always_inline void lost(__u32 from) {
        __u64 *count = bpf_map_lookup_elem(&dbcc_losses, &from);
        if (count) __sync_fetch_and_add(count, 1);
    }
    SEC(\"uprobe\") int hit(struct pt_regs *ctx) {
        struct event event = {};
        event.thread = (__u32)bpf_get_current_pid_tgid();
        event.number = ctx->di;
        event.tail = 7;
        bpf_perf_event_output(ctx, &events, 0xffffffffULL, &event, sizeof(event));
        if (bpf_ringbuf_output(&ring, &event, sizeof(event), 0)) lost(2);
        if (bpf_ringbuf_output(&dbcc_prints, &event, sizeof(event), 0)) lost(0);
        return 0;
    }";

struct Running {
    victim: Victim,
    attached: Attached,
    events: Events,
}

fn start(ring: u32, settings: Settings) -> Running {
    let victim = Victim::start();
    let roles = [("events", MapRole::PerfEvents(vec![])), ("ring", MapRole::RingEvents(vec![]))];
    let object = compile(&REPORT.replace("RING", &ring.to_string()));
    let compiled = compiled(object, vec![fact("hit", "uprobe", None, &[("uprobe", "hit")])], &roles);
    let targets = [victim.target(Some(victim.pid()))];
    let kernel = Kernel::new();
    let loaded = load::load(&compiled, [(0, targets.as_slice())], &kernel, &load::Settings::default()).unwrap();
    let events = Events::start(&loaded, &compiled.facts, settings).unwrap();
    let mut attached = attach(loaded, &kernel, &[]).unwrap();
    events.watch(attached.take_counters());
    Running { victim, attached, events }
}

/// Perf buffers of so many pages for each CPU.
fn pages(pages: u64) -> Settings {
    Settings { buffer: Some(BufferSize::Pages(pages)), ..Settings::default() }
}

impl Running {
    /// Detaches and returns everything that was not received.
    fn finish(mut self) -> Vec<Record> {
        self.attached.detach();
        self.events.finish()
    }
}

/// Thread and number of events from a map (`dbcc_prints` for trace lines), in order.
fn of(records: &[Record], wanted: &str) -> Vec<(u64, u64)> {
    let decode = |bytes: &[u8]| {
        let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap());
        assert_eq!(bytes[16..20], 7_u32.to_ne_bytes());
        (word(0), word(8))
    };
    let batches = records.iter().filter_map(|record| match record {
        Record::Events(batch) if **batch.map() == *wanted => Some(batch),
        Record::Prints(batch) if wanted == PRINT_MAP => Some(batch),
        _ => None,
    });
    batches.flat_map(Batch::iter).map(|event| decode(event.bytes)).collect()
}

fn lost(records: &[Record], wanted_what: &str, wanted_from: &str) -> u64 {
    let counts = records.iter().filter_map(|record| match record {
        Record::Lost { what, from, count, .. } if *what == wanted_what && **from == *wanted_from => Some(*count),
        _ => None,
    });
    counts.sum()
}

#[test]
fn every_event_is_delivered_once() {
    if !ready() {
        return;
    }
    let mut running = start(1 << 20, Settings::default());
    running.victim.call(4, 500);
    let records = running.finish();
    for map in ["events", "ring", PRINT_MAP] {
        let mut found = of(&records, map);
        assert_eq!(found.len(), 2000, "{map}");
        // Each thread's numbers rise from 0 in the order of delivery: events of a thread that moves to another CPU too.
        found.sort_by_key(|(thread, _)| *thread);
        for thread in found.chunks(500) {
            assert!(thread.iter().map(|(_, number)| *number).eq(0..500), "{map}");
        }
    }
    let notes: Vec<_> =
        records.iter().filter(|record| matches!(record, Record::Lost { .. } | Record::Note { .. })).collect();
    assert!(notes.is_empty(), "{notes:?}");
}

#[test]
fn events_come_while_the_probe_runs_with_the_time_at_which_they_were_written() {
    if !ready() {
        return;
    }
    let mut running = start(1 << 16, Settings::default());
    for _ in 0..5 {
        let before = SystemTime::now();
        running.victim.call(1, 1);
        let after = SystemTime::now();
        let mut seen = 0;
        while seen < 3 {
            let record = running.events.records().recv_timeout(std::time::Duration::from_secs(60)).unwrap();
            match record {
                Record::Events(batch) if &**batch.map() == "events" => {
                    for Event { time, cpu, .. } in batch.iter() {
                        // The two clocks may be read a moment apart.
                        let slack = std::time::Duration::from_millis(10);
                        assert!(time + slack >= before && time <= after + slack, "{before:?} {time:?} {after:?}");
                        assert!(cpu.is_some());
                        seen += 1;
                    }
                }
                Record::Events(batch) | Record::Prints(batch) => seen += batch.len(),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn what_is_lost_is_counted_to_the_last_event() {
    if !ready() {
        return;
    }
    // Nobody receives until everything is written, and the buffers are as small as they can be.
    let mut running = start(4096, pages(1));
    let calls = 20_000;
    running.victim.call(4, calls / 4);
    let records = running.finish();
    for (map, what, from) in [("events", "events", "events"), ("ring", "events", "ring"), (PRINT_MAP, "lines", "")] {
        let (found, lost) = (u64::try_from(of(&records, map).len()).unwrap(), lost(&records, what, from));
        assert!(lost > 0, "{map}: nothing was lost, so nothing is tested");
        let incomplete =
            |record: &Record| matches!(record, Record::Note { message } if message.contains("not counted"));
        if map == "events" && records.iter().any(incomplete) {
            assert!(found + lost <= calls, "{map}: {found} found, {lost} lost");
        } else {
            assert_eq!(found + lost, calls, "{map}: {found} found, {lost} lost");
        }
    }
}

#[test]
fn losses_are_told_while_the_probe_runs() {
    if !ready() {
        return;
    }
    let mut running = start(4096, pages(1));
    let received = running.events.records().clone();
    eventually("the channel to be full", || {
        running.victim.call(1, 100);
        received.is_full()
    });
    // More than any of the buffers holds. Nothing is written behind it, so that no event can tell what was lost before it.
    running.victim.call(1, 5000);
    let mut records = Vec::new();
    eventually("losses to be told", || {
        records.extend(received.try_iter());
        lost(&records, "events", "events") > 0
            && lost(&records, "events", "ring") > 0
            && lost(&records, "lines", "") > 0
    });
}

#[test]
fn dropping_ends_the_thread_while_nobody_receives() {
    if !ready() {
        return;
    }
    let mut running = start(1 << 20, Settings::default());
    // Somebody holds the channel's end and does not receive.
    let records = running.events.records().clone();
    eventually("the channel to be full", || {
        running.victim.call(1, 100);
        records.is_full()
    });
    drop(running.events);
    assert_eq!(records.iter().count(), WAITING);
}

#[test]
fn what_a_slow_receiver_leaves_stays_in_the_buffers_and_what_they_do_not_take_is_counted() {
    if !ready() {
        return;
    }
    let mut running = start(1 << 16, pages(4));
    let records = running.events.records().clone();
    let mut calls = 0;
    eventually("the channel to be full", || {
        calls += 100;
        running.victim.call(1, 100);
        records.is_full()
    });
    // More than any of the buffers holds, while nobody receives.
    running.victim.call(1, 10_000);
    calls += 10_000;
    let records = running.finish();
    for (map, what, from) in [("events", "events", "events"), ("ring", "events", "ring"), (PRINT_MAP, "lines", "")] {
        let (found, lost) = (u64::try_from(of(&records, map).len()).unwrap(), lost(&records, what, from));
        assert!(lost > 0, "{map}: nothing was lost, so nothing is tested");
        assert_eq!(found + lost, calls, "{map}: {found} found, {lost} lost");
    }
}

#[test]
fn memory_is_used_again_and_no_event_comes_twice() {
    if !ready() {
        return;
    }
    let mut running = start(1 << 20, Settings::default());
    for calls in [1, 2, 1, 3] {
        running.victim.call(1, calls);
        let mut records = Vec::new();
        let maps = ["events", "ring", PRINT_MAP];
        while maps.iter().any(|map| of(&records, map).len() < usize::try_from(calls).unwrap()) {
            records.push(running.events.records().recv_timeout(std::time::Duration::from_secs(60)).unwrap());
        }
        for map in maps {
            let found = of(&records, map);
            assert!(found.iter().map(|(_, number)| *number).eq(0..calls), "{map}: {found:?}");
        }
    }
    assert!(running.finish().iter().all(|record| matches!(record, Record::Lost { .. } | Record::Note { .. })));
}

#[test]
fn a_map_is_read_whole_while_it_changes() {
    if !ready() {
        return;
    }
    let text = "
        SEC(\"uprobe\") int hit(struct pt_regs *ctx) {
            __u32 key = 1000 + ctx->di % 2000;
            if (ctx->di % 2) count(key, 1); else bpf_map_delete_elem(&counts, &key);
            return 0;
        }";
    let mut victim = Victim::start();
    let compiled = compiled(compile(text), vec![fact("hit", "uprobe", None, &[("uprobe", "hit")])], &[]);
    let targets = [victim.target(Some(victim.pid()))];
    let kernel = Kernel::new();
    let loaded = load::load(&compiled, [(0, targets.as_slice())], &kernel, &load::Settings::default()).unwrap();
    let map = loaded.map("counts").unwrap().clone();
    for key in 0..1000_u32 {
        map.update(&key.to_ne_bytes(), &u64::from(key).to_ne_bytes()).unwrap();
    }
    let attached = attach(loaded, &kernel, &[]).unwrap();
    victim.begin(2, 100_000);
    for _ in 0..50 {
        let entries = map.entries().unwrap();
        assert_eq!(entries.incomplete, None);
        let key = |row: &(Vec<u8>, Vec<u8>)| u32::from_ne_bytes(row.0.as_slice().try_into().unwrap());
        let mut keys: Vec<u32> = entries.rows.iter().map(key).filter(|key| *key < 1000).collect();
        keys.sort_unstable();
        assert!(keys.into_iter().eq(0..1000), "what is there all the time is found exactly once");
        let walked = map.entries_by_key().unwrap();
        let found = walked.rows.iter().map(key).filter(|key| *key < 1000).count();
        assert!(found == 1000 || walked.incomplete.is_some(), "{found} found");
    }
    victim.wait();
    drop(attached);
}

#[test]
fn arrays_and_per_cpu_values_are_read() {
    if !ready() {
        return;
    }
    let text = "
        struct { __uint(type, 5); __uint(max_entries, 8); __type(key, __u32); __type(value, __u32); } each SEC(\".maps\");
        struct { __uint(type, 2); __uint(max_entries, 3); __type(key, __u32); __type(value, __u32); } some SEC(\".maps\");
        SEC(\"uprobe\") int hit(struct pt_regs *ctx) {
            __u32 key = 1, one = 1, *value = bpf_map_lookup_elem(&each, &key);
            if (value) *value += 1; else bpf_map_update_elem(&each, &key, &one, 0);
            value = bpf_map_lookup_elem(&some, &key);
            if (value) __sync_fetch_and_add(value, 1);
            return 0;
        }";
    let mut victim = Victim::start();
    let compiled = compiled(compile(text), vec![fact("hit", "uprobe", None, &[("uprobe", "hit")])], &[]);
    let targets = [victim.target(Some(victim.pid()))];
    let kernel = Kernel::new();
    let loaded = load::load(&compiled, [(0, targets.as_slice())], &kernel, &load::Settings::default()).unwrap();
    let (each, some) = (loaded.map("each").unwrap().clone(), loaded.map("some").unwrap().clone());
    let attached = attach(loaded, &kernel, &[]).unwrap();
    victim.call(1, 100);
    drop(attached);
    let rows = each.entries().unwrap().rows;
    let [(_, values)] = rows.as_slice() else { panic!("{rows:?}") };
    assert!(each.is_per_cpu() && each.value_stride() == 8);
    assert_eq!(values.len(), 8 * crate::bpf::map::possible_cpus().unwrap());
    let sum: u32 = values.chunks(8).map(|value| u32::from_ne_bytes(value[..4].try_into().unwrap())).sum();
    assert_eq!(sum, 100);
    let rows: Vec<u32> = some
        .entries()
        .unwrap()
        .rows
        .iter()
        .map(|(_, value)| u32::from_ne_bytes(value.as_slice().try_into().unwrap()))
        .collect();
    assert_eq!(rows, [0, 100, 0]);
    let ring = start(4096, Settings::default());
    assert!(ring.attached.loaded().map("ring").unwrap().entries().is_err());
}
