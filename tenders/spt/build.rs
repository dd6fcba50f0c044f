//! Where the program lies in memory.
//!
//! It is position-independent, so that the kernel puts it far above guest memory. On ppc64le no C
//! library makes static programs of that kind. There it is linked at an address that leaves 16 TiB for
//! guests; the usual address would leave them 256 MiB.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let has = |variable: &str, word: &str| {
        env::var(variable).is_ok_and(|value| value.split(',').any(|part| part == word))
    };
    if has("CARGO_CFG_TARGET_ARCH", "powerpc64")
        && has("CARGO_CFG_TARGET_ENV", "gnu")
        && has("CARGO_CFG_TARGET_FEATURE", "crt-static")
    {
        println!("cargo::rustc-link-arg-bins=-Wl,-Ttext-segment=0x100000000000");
    }
}
