//! Names of every kind that Rust has. Compiled in both manglings by tests/names_oracle.rs.
#![crate_type = "lib"]

use std::collections::HashMap;
use std::fmt::{self, Debug, Display};

pub trait Shape {
    const SIDES: usize;
    fn area(&self) -> u64;
    fn named<T: Debug>(&self, name: T) -> String {
        format!("{name:?} {}", Self::SIDES)
    }
}

pub struct Square<T>(T);
pub struct Matrix<T, const N: usize, const FLAG: bool>([T; N]);

impl Shape for Square<u32> {
    const SIDES: usize = 4;
    #[inline(never)]
    fn area(&self) -> u64 {
        u64::from(self.0) * 2
    }
}

impl<T: Debug> Square<T> {
    #[inline(never)]
    pub fn show(&self) -> String {
        format!("{:?}", self.0)
    }
}

impl<T: Copy, const N: usize, const FLAG: bool> Matrix<T, N, FLAG> {
    #[inline(never)]
    pub fn first(&self) -> T {
        self.0[0]
    }
}

impl<T: Debug> Display for Square<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{:?}>", self.0)
    }
}

impl<'a, T> From<&'a [T]> for Square<usize> {
    #[inline(never)]
    fn from(list: &'a [T]) -> Self {
        Square(list.len())
    }
}

pub struct Owned(String);

impl Drop for Owned {
    fn drop(&mut self) {
        self.0.clear();
    }
}

pub mod inner {
    pub mod größe {
        #[inline(never)]
        pub fn länge(text: &str) -> usize {
            text.len()
        }
    }
    #[inline(never)]
    pub fn generic<A, B: Fn(A) -> u8>(a: A, b: B) -> u8 {
        b(a)
    }
}

#[inline(never)]
fn pointers(a: *const u8, b: *mut i128, c: &mut dyn Fn(u8) -> u8, d: extern "C" fn(f64, char) -> !) -> bool {
    inner::generic((a, b), |(a, b)| u8::from(a.is_null() && b.is_null())) == c(1) && d as usize == 0
}

#[no_mangle]
pub extern "C" fn plain_rust(a: u32) -> u32 {
    a
}

pub fn use_all(map: &mut HashMap<String, Vec<Option<(u8, i16)>>>, text: &str) -> String {
    map.entry(text.to_owned()).or_default().push(Some((1, 2)));
    let mut twice = |a: u8| a.wrapping_mul(2);
    extern "C" fn never(_: f64, _: char) -> ! {
        std::process::abort()
    }
    let square = Square(3_u32);
    let matrix = Matrix::<i8, 5, true>([1; 5]);
    let big = Matrix::<Square<char>, 1, false>([Square('x')]);
    let nested = || {
        let deeper = |c: char| c.is_ascii();
        inner::generic('c', move |c| u8::from(deeper(c)))
    };
    let boxed: Box<dyn Shape2> = Box::new(Square(1_u8));
    format!(
        "{} {} {} {} {} {} {:?} {} {} {}",
        pointers(std::ptr::null(), std::ptr::null_mut(), &mut twice, never),
        square.area(),
        square.named([1_i64; 2]),
        square,
        Square("text").show(),
        matrix.first(),
        big.0.len(),
        inner::größe::länge(text),
        Square::<usize>::from(text.as_bytes()).show(),
        nested() + boxed.twice(2),
    )
}

pub trait Shape2 {
    fn twice(&self, by: u8) -> u8;
}

impl<T> Shape2 for Square<T> {
    fn twice(&self, by: u8) -> u8 {
        by * 2
    }
}
