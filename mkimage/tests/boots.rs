//! Disks boot, and damaged ones say why they do not.

mod common;

use std::fs::{self, OpenOptions};
use std::io::{Seek, SeekFrom, Write};

use common::{BSS_END_AT, END_AT, ENDED, ENTRY_AT, LOAD_AT, SECTORS_AT, SUCCESS, Workshop};
use solo5_mkimage::layout::PAYLOAD_LBA;
use solo5_mkimage::layout::{LOADER_AT, LOADER_NAME, LOADER_NAME_AT, SECTOR};

/// A disk of this format at `-drive id=disk`, and the controller.
fn drive(file: &str, format: &str) -> String {
    format!("id=disk,if=none,file={file},format={format}")
}

#[test]
fn every_controller_boots_it() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio", "--hello", "a  b"]);
    let disk = drive("disk.img", "raw");
    for (machine, devices) in [
        ("pc", &["ide-hd,drive=disk"][..]),
        ("q35", &["ide-hd,drive=disk"]),
        ("pc", &["virtio-blk-pci,drive=disk"]),
        ("pc", &["virtio-scsi-pci", "scsi-hd,drive=disk"]),
        ("q35", &["nvme,drive=disk,serial=1"]),
        ("pc", &["usb-ehci", "usb-storage,drive=disk"]),
    ] {
        let mut arguments = vec!["-machine", machine, "-drive", &disk];
        arguments.extend(devices.iter().flat_map(|device| ["-device", device]));
        let (status, printed) = shop.boot(&arguments);
        let expected = "unikernel.bin --hello a  b\n";
        assert!(printed.starts_with(expected), "{machine} {devices:?}: {printed}");
        assert!(printed.ends_with(SUCCESS), "{machine} {devices:?}: {printed}");
        assert_eq!(status, Some(ENDED), "{machine} {devices:?}");
    }
}

#[test]
fn every_format_boots() {
    let shop = Workshop::new();
    // Larger than what the loader reads at once, and no whole number of sectors.
    shop.guest("guest.large", solo5_abi::Target::Virtio, 3_000_004);
    for (format, qemu) in [("qcow2", "qcow2"), ("vmdk", "vmdk"), ("vhd", "vpc"), ("raw", "raw")] {
        shop.make(&["--format", format, "disk", "guest.large"]);
        let (status, printed) = shop.boot(&["-drive", &format!("file=disk,format={qemu}")]);
        assert!(printed.ends_with(SUCCESS) && status == Some(ENDED), "{format}: {printed}");
    }
    shop.make(&["--format=tar", "disk.tar.gz", "guest.large"]);
    shop.tool(&["tar", "--extract", "--sparse", "--gzip", "--file=disk.tar.gz"]);
    assert_eq!(fs::metadata(shop.path("disk.raw")).unwrap().len(), 1 << 30);
    let (status, printed) = shop.boot(&["-drive", "file=disk.raw,format=raw"]);
    assert!(printed.ends_with(SUCCESS) && status == Some(ENDED), "tar: {printed}");
}

#[test]
fn the_longest_command_line_arrives_and_the_loader_names_the_disk() {
    let shop = Workshop::new();
    let long = "x".repeat(8191);
    shop.make(&["disk.img", "guest.virtio", &long]);
    let (_, printed) = shop.boot(&["-drive", "file=disk.img,format=raw"]);
    let mut lines = printed.lines();
    assert_eq!(lines.next(), Some(&*format!("unikernel.bin {long}")));
    let disk = fs::read(shop.path("disk.img")).unwrap();
    let id = u32::from_le_bytes(disk[440..444].try_into().unwrap());
    assert_eq!(lines.next(), Some(&*format!("{LOADER_NAME}{id:08x}")));
    assert!(shop.refused(&["x.img", "guest.virtio", &long, "y"]).contains("8191"));
}

/// Boots a disk in which one byte was changed.
fn damaged(shop: &Workshop, at: u64) -> String {
    shop.make(&["disk.img", "guest.virtio"]);
    let mut disk = OpenOptions::new().write(true).open(shop.path("disk.img")).unwrap();
    disk.seek(SeekFrom::Start(at)).unwrap();
    disk.write_all(&[0xf7]).unwrap();
    drop(disk);
    let (status, printed) = shop.boot(&["-drive", "file=disk.img,format=raw"]);
    assert_eq!(status, None, "it was not stopped: {printed}");
    printed
}

#[test]
fn damage_is_reported_and_not_entered() {
    let shop = Workshop::new();
    let payload = PAYLOAD_LBA * SECTOR;
    let loader = SECTOR;
    for at in [payload + 40, payload + 0x1234] {
        let said = damaged(&shop, at);
        assert_eq!(said, "Solo5: boot error 5: the unikernel on the disk is damaged\r\n");
    }
    for at in [loader + 5, loader + 0x123, loader + 0x1805, loader + 0x3fff] {
        assert_eq!(damaged(&shop, at), "Solo5: boot error 3\r\n", "byte {at}");
    }
}

#[test]
fn parameters_that_cannot_be_are_reported_although_their_sum_is_right() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let made = fs::read(shop.path("disk.img")).unwrap();
    let [sectors, load, end, bss_end] =
        [SECTORS_AT, LOAD_AT, END_AT, BSS_END_AT].map(|at| shop.parameter(at));
    let small = "7: there is too little memory for the unikernel\r\n";
    for (at, value, error) in [
        (LOAD_AT, 0x7c00, "3\r\n"),
        (LOAD_AT, end, "3\r\n"),
        (LOAD_AT, end + 1, "3\r\n"),
        (END_AT, bss_end + 1, "3\r\n"),
        (END_AT, 0, "3\r\n"),
        (BSS_END_AT, end - 1, "3\r\n"),
        (BSS_END_AT, u32::MAX, small),
        (ENTRY_AT, load - 1, "3\r\n"),
        (ENTRY_AT, end, "3\r\n"),
        (SECTORS_AT, 0, "3\r\n"),
        (SECTORS_AT, sectors - 1, "3\r\n"),
        // Bytes of which a register of 32 bits keeps the lower part.
        (SECTORS_AT, (1 << 23) + sectors, small),
        (SECTORS_AT, (1 << 23) - 1, small),
        (SECTORS_AT, u32::MAX, small),
    ] {
        fs::write(shop.path("disk.img"), &made).unwrap();
        shop.set_parameter(at, value);
        let (status, printed) = shop.boot(&["-drive", "file=disk.img,format=raw"]);
        assert_eq!(printed, format!("Solo5: boot error {error}"), "{value:#x} at {at}");
        assert_eq!(status, None, "{value:#x} at {at}");
    }
    // What was changed is all that was wrong.
    fs::write(shop.path("disk.img"), &made).unwrap();
    shop.set_parameter(SECTORS_AT, sectors + 1);
    let (status, printed) = shop.boot(&["-drive", "file=disk.img,format=raw"]);
    assert!(printed.ends_with(SUCCESS) && status == Some(ENDED), "{printed}");
}

#[test]
fn a_disk_that_is_too_short_is_reported() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    for (length, error) in
        [(PAYLOAD_LBA * SECTOR, "4: the disk cannot be read\r\n"), (SECTOR, "2\r\n")]
    {
        let disk = OpenOptions::new().write(true).open(shop.path("disk.img")).unwrap();
        disk.set_len(length).unwrap();
        let (_, printed) = shop.boot(&["-drive", "file=disk.img,format=raw"]);
        assert_eq!(printed, format!("Solo5: boot error {error}"), "{length} bytes");
    }
}

#[test]
fn a_machine_that_cannot_run_it_is_told_why() {
    let shop = Workshop::new();
    shop.guest("guest.large", solo5_abi::Target::Virtio, 12 << 20);
    shop.make(&["disk.img", "guest.large"]);
    let disk = "file=disk.img,format=raw";
    let (_, printed) = shop.boot(&["-m", "8", "-drive", disk]);
    assert_eq!(printed, "Solo5: boot error 7: there is too little memory for the unikernel\r\n");
    let (_, printed) = shop.boot(&["-cpu", "qemu32", "-drive", disk]);
    assert_eq!(printed, "Solo5: boot error 9: the processor has no 64-bit mode\r\n");
}

#[test]
fn the_screen_shows_the_error_too() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    // In the video memory of text mode, each character has an attribute behind it.
    let monitor = format!("unix:{},server=on,wait=off", shop.path("monitor").display());
    let disk = OpenOptions::new().write(true).open(shop.path("disk.img")).unwrap();
    disk.set_len(PAYLOAD_LBA * SECTOR).unwrap();
    let screen = screen(&shop, &monitor);
    assert!(screen.contains("Solo5: boot error 4: the disk cannot be read"), "{screen}");
}

/// What is on the screen of a machine once it prints an error.
fn screen(shop: &Workshop, monitor: &str) -> String {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};
    use std::time::{Duration, Instant};

    let serial = shop.path("serial.bin");
    let mut qemu = Command::new("qemu-system-x86_64");
    qemu.args(["-accel", "tcg", "-nodefaults", "-display", "none", "-vga", "std"])
        .args(["-drive", "file=disk.img,format=raw", "-monitor", monitor])
        .arg("-serial")
        .arg(format!("file:{}", serial.display()))
        .current_dir(shop.path(""))
        .stdout(Stdio::null());
    let mut child = qemu.spawn().unwrap();
    let start = Instant::now();
    let ended = || fs::read(&serial).is_ok_and(|bytes| bytes.ends_with(b"\r\n"));
    while !ended() && start.elapsed() < Duration::from_secs(60) {
        std::thread::sleep(Duration::from_millis(20));
    }
    let dump = shop.path("screen.bin"); // named below without its folder: a slash would divide
    let mut stream = UnixStream::connect(shop.path("monitor")).unwrap();
    write!(stream, "pmemsave 0xb8000 4000 screen.bin\nquit\n").unwrap();
    let mut said = Vec::new();
    let _ = stream.read_to_end(&mut said);
    child.wait().unwrap();
    let bytes = fs::read(dump).unwrap_or_else(|_| panic!("{}", common::text(&said)));
    bytes.iter().step_by(2).map(|byte| char::from(*byte)).collect()
}

#[test]
fn names_in_the_loader_are_where_the_documentation_says() {
    assert_eq!((LOADER_AT, LOADER_NAME_AT), (0x8000, 44));
}
