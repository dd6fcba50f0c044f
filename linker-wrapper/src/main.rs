//! `solo5-cc`, `solo5-ld`, `solo5-objcopy` and their names with a triple: one program, told apart by
//! the name it is called by. As `solo5-toolchain TOOL ARGUMENT…` it takes the tool's name as its
//! first argument, `explain CODE`, `script ARCH TARGET` or `pkg-config ARCH TARGET`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

/// Programs start faster with it than with musl's allocator, which asks the kernel for a few pages at
/// a time.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    solo5_linker_wrapper::main(std::env::args_os())
}
