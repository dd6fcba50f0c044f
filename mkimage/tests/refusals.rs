//! What is refused: one clear error each, and nothing is left behind.

mod common;

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use common::{Workshop, text};
use solo5_abi::Target;
use solo5_signature::Digest;

#[test]
fn something_else_than_a_unikernel_is_refused() {
    let shop = Workshop::new();
    fs::write(shop.path("guest.text"), "#!/bin/sh\necho hello\n").unwrap();
    fs::copy("/bin/true", shop.path("guest.true")).unwrap();
    for (file, code) in [("guest.text", "error[S1"), ("guest.true", "error[S1")] {
        for format in ["raw", "oci"] {
            let said = shop.refused(&["-f", format, "disk.img", file]);
            assert!(said.starts_with(code), "{file}: {said}");
        }
    }
    let said = shop.refused(&["disk.img", "missing"]);
    assert!(said.starts_with("error[D601]: cannot read missing: No such file"), "{said}");
    assert!(shop.names().is_empty(), "{:?}", shop.names());
}

#[test]
fn disks_are_for_virtio_and_container_images_for_every_target() {
    let shop = Workshop::new();
    shop.guest("guest.spt", Target::Spt, 64);
    for format in ["raw", "tar", "qcow2", "vmdk", "vhd"] {
        let said = shop.refused(&["-f", format, "disk.img", "guest.spt"]);
        assert!(said.contains("guest.spt is for spt, and a disk boots only virtio"), "{said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
    }
    assert!(shop.names().is_empty());
    shop.make(&["-f", "oci", "image", "guest.spt"]);
}

#[test]
fn a_raw_kernel_is_for_aarch64_and_has_no_arguments() {
    let shop = Workshop::new();
    shop.guest("guest.spt", Target::Spt, 64);
    for (file, what) in [("guest.virtio", "virtio on x86_64"), ("guest.spt", "spt on x86_64")] {
        let said = shop.refused(&["-f", "kernel", "Image", file]);
        let text =
            format!("error[D602]: {file} is for {what}, and only virtio unikernels for aarch64");
        assert!(said.starts_with(&text), "{said}");
    }
    let said = shop.refused(&["-f", "kernel", "Image", "guest.virtio", "word"]);
    assert!(said.starts_with("error[D604]: a raw kernel has no place for arguments"), "{said}");
    let said = shop.refused(&["-f", "kernel", "--tag=a", "Image", "guest.virtio"]);
    assert!(said.starts_with("error[D607]: --tag is for container images"), "{said}");
    assert!(shop.names().is_empty(), "{:?}", shop.names());
}

#[test]
fn a_header_that_cannot_be_booted_is_refused() {
    let shop = Workshop::new();
    let mut bytes = fs::read(shop.path("guest.virtio")).unwrap();
    let magic = 0x1bad_b002_u32.to_le_bytes();
    let at = bytes.windows(4).position(|word| word == magic).unwrap();
    bytes[at] = 0;
    fs::write(shop.path("guest.blank"), &bytes).unwrap();
    let said = shop.refused(&["disk.img", "guest.blank"]);
    assert!(said.contains("D603") && said.contains("no Multiboot header"), "{said}");
    assert!(shop.names().is_empty());
}

/// Runs the program in a folder `small` of 64 KiB, which ends with it.
fn on_a_small_disk(shop: &Workshop, arguments: &[&str]) -> (Option<i32>, String, String) {
    fs::create_dir(shop.path("small")).unwrap();
    let script =
        "mount -t tmpfs -o size=64k none small && \"$@\"; status=$?; ls -A small; exit $status";
    let program = shop.program(arguments);
    let words = std::iter::once(program.get_program()).chain(program.get_args());
    let mut unshare = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        unshare.arg("--map-root-user");
    }
    unshare.args(["--mount", "sh", "-c", script, "sh"]).args(words).current_dir(shop.path(""));
    let output = unshare.output().unwrap();
    fs::remove_dir(shop.path("small")).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_full_disk_gets_nothing() {
    let shop = Workshop::new();
    shop.guest("guest.large", Target::Virtio, 400_000);
    for format in ["raw", "qcow2", "vhd", "oci"] {
        let arguments = ["-f", format, "small/image", "guest.large"];
        // The layers of a container image are compressed, so that needs something larger.
        if format == "oci" {
            let noise =
                (0..8000_u32).flat_map(|n| Digest::of(&n.to_le_bytes()).to_string().into_bytes());
            let mut bytes = fs::read(shop.path("guest.large")).unwrap();
            bytes.extend(noise);
            fs::write(shop.path("guest.large"), bytes).unwrap();
        }
        let (status, left, said) = on_a_small_disk(&shop, &arguments);
        assert_eq!(status, Some(1), "{format}: {said}");
        assert!(said.contains("D605") && said.contains("No space left"), "{format}: {said}");
        assert_eq!(said.matches("error[").count(), 1, "{said}");
        assert_eq!(left, "", "{format}");
    }
}

/// The kernel would end the program by a signal, and its temporary files would stay.
#[test]
fn a_limit_on_files_is_an_error() {
    let shop = Workshop::new();
    shop.guest("guest.large", Target::Virtio, 400_000);
    for format in ["raw", "tar", "qcow2", "vmdk", "vhd", "oci"] {
        let program = shop.program(&["-f", format, "image", "guest.large"]);
        let words = std::iter::once(program.get_program()).chain(program.get_args());
        let mut sh = Command::new("sh");
        // A unit is 512 bytes, or 1024 in some shells; no image is smaller.
        sh.args(["-c", "ulimit -f 2 && exec \"$@\"", "sh"]).args(words);
        let output = sh.current_dir(shop.path("")).output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{format}: {said}");
        assert!(said.contains("D605") && said.contains("`ulimit -f`"), "{format}: {said}");
        assert!(shop.names().is_empty(), "{format}: {:?}", shop.names());
    }
}

#[test]
fn an_unwritable_place_is_named() {
    let shop = Workshop::new();
    // The message names the user's file, and no temporary one.
    for format in ["raw", "oci"] {
        for (place, why) in [
            ("missing/disk.img", "No such file or directory"),
            ("guest.virtio/disk.img", "Not a directory"),
            ("/proc/disk.img", ""),
        ] {
            let said = shop.refused(&["-f", format, place, "guest.virtio"]);
            assert!(said.contains(&format!("cannot write {place}: {why}")), "{said}");
            assert!(!said.contains(".solo5-"), "{said}");
        }
    }
    fs::create_dir(shop.path("folder")).unwrap();
    let said = shop.refused(&["folder", "guest.virtio"]);
    assert!(said.contains("Is a directory"), "{said}");
    let said = shop.refused(&["/dev/full", "guest.virtio"]);
    assert!(said.contains("cannot write /dev/full: No space left"), "{said}");
    assert_eq!(shop.names(), ["folder"]);
}

#[test]
fn an_older_image_stays_if_there_is_no_new_one() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let old = fs::read(shop.path("disk.img")).unwrap();
    fs::write(shop.path("guest.text"), "x").unwrap();
    shop.refused(&["disk.img", "guest.text"]);
    // The record cannot be written: a folder is in its way.
    fs::remove_file(shop.path("disk.img.json")).unwrap();
    fs::create_dir(shop.path("disk.img.json")).unwrap();
    let said = shop.refused(&["disk.img", "guest.virtio", "other"]);
    assert!(said.contains("disk.img.json"), "{said}");
    assert!(fs::read(shop.path("disk.img")).unwrap() == old);
}

#[test]
fn no_input_and_no_other_file_is_replaced_by_a_slip() {
    let shop = Workshop::new();
    let guest = fs::read(shop.path("guest.virtio")).unwrap();
    symlink("guest.virtio", shop.path("link")).unwrap();
    for image in ["guest.virtio", "./guest.virtio", "link"] {
        let said = shop.refused(&[image, "guest.virtio"]);
        assert!(said.contains("D605") && said.contains("is the unikernel"), "{image}: {said}");
    }
    // The record's place is taken: by a manifest, by the unikernel, by a link to a disk.
    fs::write(shop.path("disk.json"), "{\"type\": \"solo5.manifest\"}").unwrap();
    fs::copy(shop.path("guest.virtio"), shop.path("other.json")).unwrap();
    fs::write(shop.path("data"), "data").unwrap();
    symlink("data", shop.path("third.json")).unwrap();
    for (image, unikernel) in
        [("disk", "guest.virtio"), ("other", "other.json"), ("third", "guest.virtio")]
    {
        for format in ["raw", "oci"] {
            let said = shop.refused(&["-f", format, image, unikernel]);
            assert!(said.contains(&format!("{image}.json")), "{image}: {said}");
            assert!(said.contains("--no-record"), "{image}: {said}");
            assert!(!shop.path(image).exists(), "{image}");
        }
        shop.make(&["--no-record", image, unikernel]);
    }
    assert_eq!(fs::read(shop.path("data")).unwrap(), b"data");
    assert!(fs::read(shop.path("guest.virtio")).unwrap() == guest);
    assert!(fs::read(shop.path("other.json")).unwrap() == guest);
    // Its own record is replaced.
    shop.make(&["again", "guest.virtio"]);
    shop.make(&["again", "guest.virtio", "argument"]);
    assert!(fs::read_to_string(shop.path("again.json")).unwrap().contains("argument"));
}

#[test]
fn a_folder_may_be_named_with_a_slash_at_its_end() {
    let shop = Workshop::new();
    shop.make(&["-f", "oci", "layout/", "guest.virtio"]);
    assert!(shop.path("layout/index.json").exists());
    assert_eq!(shop.names(), ["layout", "layout.json"]);
}

#[test]
fn only_a_layout_of_one_image_is_replaced() {
    let shop = Workshop::new();
    let folder = |name: &str| {
        fs::create_dir_all(shop.path(name).join("blobs/sha256")).unwrap();
        fs::write(shop.path(name).join("index.json"), r#"{"manifests": [{}]}"#).unwrap();
        fs::write(shop.path(name).join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#)
            .unwrap();
    };
    folder("good");
    shop.make(&["-f", "oci", "good", "guest.virtio"]);
    shop.make(&["-f", "oci", "good", "guest.virtio", "again"]);
    for (file, content) in [
        ("main.c", "code"),
        ("blobs/notes", "mine"),
        ("blobs/sha256/main.c", "code"),
        ("oci-layout", ""),
        ("index.json", "{}"),
        ("index.json", r#"{"manifests": [{}, {}]}"#),
    ] {
        folder("other");
        fs::write(shop.path("other").join(file), content).unwrap();
        let said = shop.refused(&["-f", "oci", "other", "guest.virtio"]);
        assert!(said.contains("one image and nothing else"), "{file}: {said}");
        assert_eq!(fs::read_to_string(shop.path("other").join(file)).unwrap(), content);
        fs::remove_dir_all(shop.path("other")).unwrap();
    }
}

#[test]
fn the_working_folder_is_not_replaced() {
    let shop = Workshop::new();
    fs::create_dir_all(shop.path("here/below")).unwrap();
    for image in [".", "./", "..", "../../here"] {
        let mut program = shop.program(&["-f", "oci", image]);
        program.arg(shop.path("guest.virtio")).current_dir(shop.path("here/below"));
        let output = program.output().unwrap();
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{image}: {said}");
        assert!(said.contains("the working folder is in it"), "{image}: {said}");
    }
    assert!(shop.path("here/below").is_dir());
}

#[test]
fn a_record_is_no_more_open_than_its_image() {
    let shop = Workshop::new();
    fs::write(shop.path("disk.img"), "").unwrap();
    fs::set_permissions(shop.path("disk.img"), Permissions::from_mode(0o600)).unwrap();
    shop.make(&["disk.img", "guest.virtio", "--password=secret"]);
    for name in ["disk.img", "disk.img.json"] {
        let mode = fs::metadata(shop.path(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name}");
    }
}

#[test]
fn a_record_has_the_arguments_or_there_is_none() {
    let shop = Workshop::new();
    let mut program = shop.program(&["disk.img", "guest.virtio"]);
    let output = program.arg(OsStr::from_bytes(b"\xff")).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("D604") && said.contains("--no-record"), "{said}");
    assert_eq!(shop.names(), [""; 0]);
    let mut program = shop.program(&["--no-record", "disk.img", "guest.virtio"]);
    assert!(program.arg(OsStr::from_bytes(b"\xff")).status().unwrap().success());
}

#[test]
fn files_without_write_permission_are_not_replaced() {
    let shop = Workshop::new();
    if rustix::process::geteuid().is_root() {
        // Root may write everything; what is checked here is the writer's, tested in crate output.
        return;
    }
    fs::write(shop.path("disk.img"), "mine").unwrap();
    fs::set_permissions(shop.path("disk.img"), fs::Permissions::from_mode(0o444)).unwrap();
    shop.refused(&["disk.img", "guest.virtio"]);
}

#[test]
fn a_wrong_command_line_has_status_1_as_with_solo5_0_12() {
    let shop = Workshop::new();
    for arguments in [
        &[][..],
        &["disk.img"],
        &["-f", "floppy", "disk.img", "guest.virtio"],
        &["--tag=x", "a", "guest.virtio"],
    ] {
        shop.refused(arguments);
    }
    let output = shop.program(&["--help"]).output().unwrap();
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("solo5-virtio-mkimage disk.img"));
    for words in ["--help", "--version", "--man"] {
        let mut shell = std::process::Command::new("sh");
        let program = env!("CARGO_BIN_EXE_solo5-virtio-mkimage");
        let output = shell.args(["-c", &format!("'{program}' {words} >&-")]).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words}");
        assert!(text(&output.stderr).contains("standard output: Bad file descriptor"), "{words}");
    }
    assert!(shop.names().is_empty());
}

#[test]
fn upstreams_command_lines_work() {
    let shop = Workshop::new();
    shop.make(&["-f", "raw", "--", "disk.img", "guest.virtio", "--ipv4=10.0.0.2/24"]);
    let with_end = fs::read(shop.path("disk.img")).unwrap();
    shop.make(&["-d", "other.img", "guest.virtio", "--ipv4=10.0.0.2/24"]);
    assert!(with_end == fs::read(shop.path("other.img")).unwrap());
    shop.make(&["other.img", "guest.virtio", "--", "--ipv4=10.0.0.2/24"]);
    assert!(with_end == fs::read(shop.path("other.img")).unwrap());
}

#[test]
fn standard_output_takes_a_disk() {
    let shop = Workshop::new();
    shop.make(&["disk.img", "guest.virtio"]);
    let output = shop.program(&["-", "guest.virtio"]).stdout(Stdio::piped()).output().unwrap();
    assert!(output.stdout == fs::read(shop.path("disk.img")).unwrap());
    assert_eq!(shop.names(), ["disk.img", "disk.img.json"]);
    let said = shop.refused(&["-f", "oci", "-", "guest.virtio"]);
    assert!(said.contains("is a folder"), "{said}");
}
