//! Assembles the boot sector and the loader, compiles the loader for UEFI, and makes the system partition
//! that the latter is in. [`boot`](src/boot.rs) includes all of them.

#[path = "src/layout.rs"]
#[allow(dead_code, missing_docs, unreachable_pub)]
mod layout;

use std::env;
use std::fs;
use std::io::{self, Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use fatfs::{Date, DateTime, Time, TimeProvider};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions};

fn main() {
    println!("cargo::rerun-if-changed=boot");
    println!("cargo::rerun-if-changed=src/layout.rs");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    assemble("sector", layout::BOOT_SECTOR_AT, &out);
    assemble("loader", layout::LOADER_AT, &out);
    let uefi = compile_uefi(0, &out);
    // It has no relocations, so it must not depend on its address.
    assert!(uefi == compile_uefi(0x40_0000, &out), "the loader for UEFI depends on its address");
    let partition = system_partition(&uefi).expect("the file system has room for the loader");
    for (name, bytes) in [("uefi.bin", uefi), ("system-partition.bin", partition)] {
        fs::write(out.join(name), bytes).expect("OUT_DIR can be written to");
    }
}

/// Makes `NAME.bin` of `boot/NAME.S`, to lie at `address`.
fn assemble(name: &str, address: usize, out: &Path) {
    let object = out.join(format!("{name}.o"));
    let linked = out.join(format!("{name}.elf"));
    run(source(&format!("{name}.S")).arg("-o").arg(&object));
    let mut ld = linker();
    ld.arg(format!("-Ttext={address:#x}"));
    run(ld.arg(&object).arg("-o").arg(&linked));
    let mut objcopy = tool("objcopy", "objcopy");
    objcopy.args(["-O", "binary", "-j", ".text"]).arg(&linked);
    run(objcopy.arg(out.join(format!("{name}.bin"))));
}

/// The loader for UEFI, a PE file, linked to lie at `address`.
fn compile_uefi(address: usize, out: &Path) -> Vec<u8> {
    // Code that stands alone in memory, wherever that is, and leaves the registers of vectors to the
    // firmware.
    const FLAGS: [&str; 12] = [
        "-std=gnu11",
        "-Os",
        "-g0",
        "-ffreestanding",
        "-fpie",
        "-fno-stack-protector",
        "-fcf-protection=none",
        "-fno-asynchronous-unwind-tables",
        "-fno-strict-aliasing",
        "-fno-jump-tables",
        "-mno-red-zone",
        "-mgeneral-regs-only",
    ];
    let file = |name: &str| out.join(format!("uefi-{name}"));
    run(source("uefi.S").arg("-o").arg(file("enter.o")));
    run(source("uefi.c").args(FLAGS).args(["-Wall", "-Wextra", "-o"]).arg(file("main.o")));
    let mut ld = linker();
    ld.args(["-T", "boot/uefi.ld", &format!("--defsym=IMAGE_BASE={address:#x}")]);
    run(ld.arg(file("enter.o")).arg(file("main.o")).arg("-o").arg(file("elf")));
    let mut objcopy = tool("objcopy", "objcopy");
    objcopy.args(["-O", "binary"]).arg(file("elf"));
    run(objcopy.arg(file("bin")));
    fs::read(file("bin")).expect("objcopy wrote it")
}

/// The EFI system partition with the loader in the place where firmware looks for one on a disk that it
/// does not know; without the sectors of zeros at its end.
fn system_partition(loader: &[u8]) -> io::Result<Vec<u8>> {
    let sectors = u32::try_from(layout::SYSTEM_PARTITION_SECTORS).map_err(io::Error::other)?;
    let size = layout::SYSTEM_PARTITION_SECTORS * layout::SECTOR;
    let mut disk = Cursor::new(vec![0; usize::try_from(size).map_err(io::Error::other)?]);
    // One sector in a cluster: the fewest sectors with anything in them.
    let options = FormatVolumeOptions::new()
        .fat_type(FatType::Fat12)
        .total_sectors(sectors)
        .bytes_per_cluster(512)
        .max_root_dir_entries(16)
        .drive_num(0x80)
        .volume_id(0);
    fatfs::format_volume(&mut disk, options)?;
    let volume = FileSystem::new(&mut disk, FsOptions::new().time_provider(&Beginning))?;
    let folder = volume.root_dir().create_dir("EFI")?.create_dir("BOOT")?;
    folder.create_file("BOOTX64.EFI")?.write_all(loader)?;
    drop(folder);
    volume.unmount()?;
    let mut bytes = disk.into_inner();
    // The crate does not know of the disk around it: how many sectors are in front.
    let before = u32::try_from(layout::SYSTEM_PARTITION_LBA).map_err(io::Error::other)?;
    bytes[28..32].copy_from_slice(&before.to_le_bytes());
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(used.next_multiple_of(512));
    Ok(bytes)
}

/// The time in the system partition: the first that the file system can express.
#[derive(Debug)]
struct Beginning;

impl TimeProvider for Beginning {
    fn get_current_date(&self) -> Date {
        Date { year: 1980, month: 1, day: 1 }
    }

    fn get_current_date_time(&self) -> DateTime {
        let time = Time { hour: 0, min: 0, sec: 0, millis: 0 };
        DateTime { date: self.get_current_date(), time }
    }
}

/// The compiler, for a file in `boot`, with the constants of `layout.rs`.
fn source(name: &str) -> Command {
    let language = if name.ends_with(".S") { "assembler-with-cpp" } else { "c" };
    let mut cc = tool("cc", "gcc");
    cc.args(["-c", "-x", language, "-Iboot"]).arg(format!("boot/{name}"));
    for (name, value) in layout::NAMES {
        cc.arg(format!("-D{name}={value:#x}"));
    }
    cc.arg(format!("-DLOADER_NAME=\"{}00000000\"", layout::LOADER_NAME));
    cc
}

fn linker() -> Command {
    let mut ld = tool("ld", "ld");
    ld.args(["-m", "elf_x86_64", "--build-id=none"]);
    ld
}

/// A tool that makes code for x86_64: this machine's own, or a cross tool.
fn tool(own: &str, cross: &str) -> Command {
    let host = env::var("HOST").expect("cargo sets it");
    if host.starts_with("x86_64-") {
        Command::new(own)
    } else {
        Command::new(format!("x86_64-linux-gnu-{cross}"))
    }
}

fn run(command: &mut Command) {
    let status = command.status();
    let done = status.as_ref().is_ok_and(|status| status.success());
    assert!(done, "{command:?}: {status:?}; it needs a compiler and binutils for x86_64");
}
