//! Recurses as deeply as the command line says. A stack that overflows ends in its guard, and the heap
//! stays as it is: safe code cannot damage it.

#![no_std]
#![no_main]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::vec;
use core::hint::black_box;

use solo5::{Start, println};

const _: &str = include_str!("../manifest.yaml"); // build again when it changes

solo5::main!(deep);

/// What the whole heap is filled with.
const PATTERN: u8 = 0x5a;

fn deep(start: &Start) -> Result<(), &'static str> {
    let line = start.command_line().map_err(|_| "not UTF-8")?;
    if line == "large" {
        println!("{}", large());
    }
    let depth = line.parse().map_err(|_| "give a depth")?;
    let heap = black_box(vec![PATTERN; 2 << 20]);
    println!("{}", recurse(depth));
    if heap.iter().any(|byte| *byte != PATTERN) {
        return Err("the heap was overwritten");
    }
    println!("SUCCESS");
    Ok(())
}

/// A frame that is larger than stack and guard together.
#[inline(never)]
fn large() -> u8 {
    black_box([PATTERN; 1 << 18])[black_box(0)]
}

/// Each call takes more than a kilobyte of stack.
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 128]);
    if depth == 0 { 0 } else { recurse(depth - 1) + u64::from(black_box(frame)[0] == depth) }
}
