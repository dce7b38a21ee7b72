//! Events that are read in place are written without allocating for each.

#![allow(unsafe_code, reason = "an allocator that counts is unsafe by its trait")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::SystemTime;

use dbcc::bpf::btf::{Array, Btf, Kind, Writer};
use dbcc::decode::{EventType, Types};
use dbcc::event::Batch;
use dbcc::output::{Body, Events, Output};
use dbcc::render;

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ALLOCATIONS.with(|count| count.set(count.get() + 1));
}

// SAFETY: all is handed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: by the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: by the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A record of so many events of 40 bytes: numbers, a text, an enum, a pointer.
fn events(count: u64) -> Output {
    let mut writer = Writer::new();
    let (u32, u64) = (writer.int("unsigned int", 4, 32), writer.int("unsigned long long", 8, 64));
    let char = writer.int("char", 1, 8);
    let comm = writer.array(Array { element: char, index: u32, length: 12 });
    let state = writer.enumeration("state", Kind::Enum, false, 4, &[("RUNNING".into(), 1)]);
    let void = writer.plain("", Kind::Pointer, false, u32.0);
    let fields = [
        ("number".into(), u64, 0),
        ("pid".into(), u32, 64),
        ("state".into(), state, 96),
        ("comm".into(), comm, 128),
        ("tid".into(), u32, 224),
        ("address".into(), void, 256),
    ];
    let id = writer.record("event", Kind::Struct, false, 40, &fields);
    let types = Types::from_btf(Btf::parse(writer.finish()).unwrap());
    let kinds: Arc<[EventType]> = [EventType::new("event".into(), types.layout(id))].into();
    let bytes: Vec<Vec<u8>> = (0..count)
        .map(|number| {
            let mut bytes = number.to_ne_bytes().to_vec();
            bytes.extend([4711_u32, 1].iter().flat_map(|word| word.to_ne_bytes()));
            bytes.extend(*b"mysqld\0\0\0\0\0\0");
            bytes.extend(42_u32.to_ne_bytes());
            bytes.extend(0xffff_8000_1234_5678_u64.to_ne_bytes());
            bytes
        })
        .collect();
    let batch = Arc::new(Batch::of("events", SystemTime::now(), bytes.iter().map(Vec::as_slice)));
    assert!(kinds.iter().all(|kind| kind.is_whole(40)));
    let range = 0..batch.len();
    Output { time: SystemTime::now(), body: Body::Events(Events::new(batch, range, kinds)) }
}

/// Allocations while one record is written.
fn allocations(renderer: &mut dyn render::Renderer, output: &Output) -> u64 {
    let (mut out, mut err) = (Vec::with_capacity(1 << 20), Vec::new());
    let before = ALLOCATIONS.with(Cell::get);
    renderer.record(output, &mut out, &mut err).unwrap();
    let counted = ALLOCATIONS.with(Cell::get) - before;
    let lines = out.iter().filter(|byte| **byte == b'\n').count();
    let Body::Events(events) = &output.body else { panic!() };
    assert!(lines >= events.iter().count() && err.is_empty());
    counted
}

#[test]
fn the_number_of_allocations_does_not_depend_on_the_number_of_events() {
    let (few, many) = (events(10), events(4000));
    for format in ["text", "json"] {
        let mut renderer = render::by_name(format).unwrap();
        // Its memory grows once to what a record of so many needs.
        allocations(&mut *renderer, &many);
        let (few, many) = (allocations(&mut *renderer, &few), allocations(&mut *renderer, &many));
        // What is allowed is what a record costs, and what a new second costs if the clock moves on.
        assert!(few <= 40 && many <= 40, "{format}: {few} allocations for 10 events, {many} for 4000");
    }
}
