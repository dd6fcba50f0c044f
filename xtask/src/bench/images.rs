//! Disks: how long one of hello takes to make, and how large it is.

use std::fs;
use std::process::Command;

use super::measure::{Bench, Row, median_time, row};
use crate::Result;

/// Images that the median is of.
const IMAGES: usize = 100;
/// Most milliseconds to make one.
const MILLISECONDS_MAX: u64 = 50;
/// Largest disk in bytes; one less than 2 MiB.
const SIZE_MAX: u64 = (2 << 20) - 1;

pub(super) fn rows(bench: &Bench) -> Result<Vec<Row>> {
    let source = crate::root().join("examples/hello/hello.c");
    let hello = bench.link_for("virtio", "", &bench.ours, &source, "hello.virtio")?;
    let disk = bench.work.join("hello.img");
    let mut mkimage = Command::new(bench.ours.join("bin/solo5-virtio-mkimage"));
    mkimage.arg(&disk).arg(hello);
    let mut times = || -> Result<f64> {
        // A disk that is there already would only be compared.
        let mut taken = Vec::new();
        for _ in 0..IMAGES {
            let _ = fs::remove_file(&disk);
            taken.push(median_time(&mut mkimage, 1)?);
        }
        Ok(super::measure::median(taken))
    };
    let taken = (times()? * 1e3).ceil() as u64;
    let size = fs::metadata(&disk)?.len();
    Ok(vec![
        row("raw disk of hello".to_owned(), taken, " ms", MILLISECONDS_MAX),
        row("size of that disk".to_owned(), size, " bytes", SIZE_MAX),
    ])
}
