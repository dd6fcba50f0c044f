//! `configure.sh`: its options, what it writes, and what it says is missing.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

/// A folder with what the script reads.
fn sources() -> tempfile::TempDir {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folder = tempfile::tempdir().unwrap();
    for name in ["configure.sh", "Cargo.toml"] {
        fs::copy(root.join(name), folder.path().join(name)).unwrap();
    }
    folder
}

fn configure(at: &Path, from: &Path, options: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut shell = Command::new("sh");
    shell.arg(at.join("configure.sh")).args(options).current_dir(from);
    for variable in ["TARGET_CC", "TARGET_LD", "TARGET_OBJCOPY"] {
        shell.env_remove(variable);
    }
    shell.envs(variables.iter().copied()).output().unwrap()
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]].map(String::from_utf8_lossy).concat()
}

#[test]
fn tools_may_have_arguments_and_settings_a_folder() {
    let sources = sources();
    let at = sources.path();
    let options = ["--prefix=/opt/solo5", "--sysconfdir=/etc/opt"];
    let tools = [("TARGET_CC", "cc -m64"), ("TARGET_LD", "ld -z now")];
    let done = configure(at, at, &options, &tools);
    let text = said(&done);
    assert!(done.status.success(), "{text}");
    for line in [
        "Policies of the host: /etc/opt/solo5/policy.d.",
        "Enabled tools: solo5-elftool solo5-mft solo5-virtio-mkimage.",
        "Now run make, then make install.",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let made = fs::read_to_string(at.join("Makeconf")).unwrap();
    for line in ["SYSCONFDIR=/etc/opt", "TARGET_CC=cc -m64", "TARGET_LD=ld -z now"] {
        assert!(made.contains(&format!("CONFIG_{line}\n")), "{line}: {made}");
    }
    assert!(fs::read_to_string(at.join("Makeconf.sh")).unwrap().contains("'cc -m64'"));
}

#[test]
fn another_folder_is_told_where_to_run_make() {
    let (sources, elsewhere) = (sources(), tempfile::tempdir().unwrap());
    let done = configure(sources.path(), elsewhere.path(), &["--disable-elftool"], &[]);
    let text = said(&done);
    assert!(done.status.success(), "{text}");
    let place = fs::canonicalize(sources.path()).unwrap();
    assert!(text.contains(&format!("make install, in {}", place.display())), "{text}");
    assert!(!text.contains("Enabled tools"), "{text}");
    assert!(!elsewhere.path().join("Makeconf").exists());
}

/// Options, variables, and what is said.
type Case<'c> = (&'c [&'c str], &'c [(&'c str, &'c str)], &'c str);

#[test]
fn what_is_wrong_is_said() {
    let sources = sources();
    let at = sources.path();
    // A compiler that does not answer.
    let script = at.join("cc");
    fs::write(&script, "#!/bin/sh\nexit 1\n").unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let cases: [Case; 8] = [
        (&["--prefix", "/opt"], &[], "write --prefix=DIR, with = and no blank"),
        (&["--sysconfdir", "/etc"], &[], "write --sysconfdir=DIR, with = and no blank"),
        (&["--sysconfdir=etc"], &[], "the folder of settings 'etc' is not an absolute path"),
        (&[], &[("TARGET_CC", "nosuch/clang-99 -m64")], "'nosuch/clang-99'; Debian: clang"),
        (&[], &[("TARGET_LD", "nosuch/ld.lld")], "'nosuch/ld.lld'; Debian: lld"),
        (&[], &[("TARGET_OBJCOPY", "nosuch/objcopy")], "'nosuch/objcopy'; Debian: binutils"),
        (&[], &[("TARGET_CC", "cc '-DX=$Y'")], "has characters that make cannot take"),
        (&[], &[("TARGET_CC", script.to_str().unwrap())], "-dumpmachine' fails"),
    ];
    for (options, variables, expected) in cases {
        let done = configure(at, at, options, variables);
        let text = said(&done);
        assert_eq!(done.status.code(), Some(1), "{expected}: {text}");
        assert!(text.contains(expected), "{expected}: {text}");
        assert!(!at.join("Makeconf").exists());
    }
}

/// A script of this name, which can be run.
fn script(at: &Path, name: &str, text: &str) -> String {
    let path = at.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn another_architecture_gets_the_toolchain_only() {
    let sources = sources();
    let at = sources.path();
    let rust = |library: &str| {
        let text = format!("case $1 in --version) echo rustc 1.99.0;; *) echo '{library}';; esac");
        script(at, "rustc", &text)
    };
    // Both hvt and virtio exist, or neither.
    for (machine, arch, both, library) in [
        ("aarch64-linux-gnu", "aarch64", "1", "aarch64-unknown-none"),
        ("powerpc64le-linux-gnu", "ppc64le", "", "powerpc64le-unknown-linux-gnu"),
    ] {
        let cc = script(at, "cross-cc", &format!("[ \"$1\" != -dumpmachine ] || echo {machine}"));
        let rustc = rust(at.to_str().unwrap());
        let variables = [("TARGET_CC", cc.as_str()), ("RUSTC", rustc.as_str())];
        let done = configure(at, at, &[], &variables);
        assert!(done.status.success(), "{}", said(&done));
        assert!(!said(&done).contains("Enabled tenders"), "{}", said(&done));
        let made = fs::read_to_string(at.join("Makeconf")).unwrap();
        for (name, value) in
            [("CROSS", arch), ("TARGET_ARCH", arch), ("HVT", both), ("SPT", "1"), ("VIRTIO", both)]
        {
            assert!(made.contains(&format!("CONFIG_{name}={value}\n")), "{name}: {made}");
        }
        let done = configure(at, at, &["--only-tools"], &variables);
        assert!(said(&done).contains("only the toolchain, which was disabled"), "{}", said(&done));
        let rustc = rust("/nonexistent");
        let done = configure(at, at, &[], &[("TARGET_CC", &cc), ("RUSTC", &rustc)]);
        assert!(said(&done).contains(&format!("rustup target add {library}")), "{}", said(&done));
    }
    let cc = script(at, "cross-cc", "[ \"$1\" != -dumpmachine ] || echo riscv64-linux-gnu");
    let done = configure(at, at, &[], &[("TARGET_CC", &cc)]);
    assert!(said(&done).contains("Unsupported target: riscv64-linux-gnu"), "{}", said(&done));
}
