//! What rustc inlines: functions into each other, generics, methods, closures. Compiled by tests/inlined.rs; it needs no
//! library.
#![no_std]
#![crate_type = "cdylib"]

use core::hint::black_box;
use core::sync::atomic::{AtomicI32, Ordering};

static SINK: AtomicI32 = AtomicI32::new(1);

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[inline(always)]
fn leaf(a: i32) -> i32 {
    SINK.store(a, Ordering::Relaxed);
    SINK.load(Ordering::Relaxed).wrapping_add(a)
}

mod deep {
    #[inline(always)]
    pub(crate) fn middle(a: i32) -> i32 {
        let inner = super::leaf(a.wrapping_add(1));
        if inner > 4 { super::leaf(inner).wrapping_add(super::leaf(a)) } else { inner }
    }
}

struct Shape<T> {
    width: T,
}

trait Area {
    fn area(&self) -> i32;
    #[inline(always)]
    fn doubled(&self) -> i32 {
        self.area().wrapping_mul(2)
    }
}

impl Area for Shape<i32> {
    #[inline(always)]
    fn area(&self) -> i32 {
        leaf(self.width)
    }
}

impl<T: Copy + Into<i64>> Shape<T> {
    #[inline(always)]
    fn wide(&self) -> i64 {
        let sum = self.width.into().wrapping_add(i64::from(leaf(3)));
        black_box(sum)
    }

    #[inline(never)]
    fn slow(&self) -> i64 {
        self.wide() ^ i64::from(deep::middle(5))
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn rust_entry(a: i32) -> i64 {
    let shape = Shape { width: a };
    let closure = |x: i32| deep::middle(x) ^ a;
    let sum = closure(a).wrapping_add(closure(7)).wrapping_add(shape.doubled());
    shape.slow().wrapping_add(Shape { width: 9_u8 }.slow()).wrapping_add(i64::from(sum))
}
