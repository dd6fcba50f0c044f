//! Network interfaces, in a network namespace made for the test.

use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};

use rustix::fs::{Mode, OFlags};
use solo5_abi::mft2::tag;
use solo5_tender::sys::tap;

use crate::guest::{Code, Guest, NET, Ran, text};

/// Offset of the first device's manifest entry from the boot information.
const ENTRY: u8 = 40 + 8 + 104;

/// Runs `test` in a network namespace of its own, with a tap `tap7` that is up.
fn with_tap(name: &str, mtu: u32, test: impl FnOnce() + Send + 'static) {
    let name = name.to_owned();
    let in_namespace = move || {
        // SAFETY: the call changes the namespace of this thread only, and touches no memory.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return println!("skip: {name}: no right to make a network namespace");
        }
        let mtu = mtu.to_string();
        for arguments in [
            &["tuntap", "add", "mode", "tap", "name", "tap7"][..],
            &["link", "set", "tap7", "up", "mtu", &mtu],
        ] {
            match Command::new("ip").args(arguments).status() {
                Ok(status) if status.success() => {}
                _ => return println!("skip: {name}: `ip {}` failed", arguments.join(" ")),
            }
        }
        test();
    };
    std::thread::spawn(in_namespace).join().unwrap();
}

/// Sends a frame of `size` bytes, and exits with the result plus `shift`.
fn send(size: u32, shift: i32) -> Code {
    Code::new()
        .bytes(&[0x8b, 0xbf, ENTRY + 88, 0, 0, 0]) // mov edi, [rdi+entry+88]
        .bytes(&[0x48, 0xbe])
        .bytes(&0x180_0000u64.to_le_bytes())
        .bytes(&[0xba])
        .bytes(&size.to_le_bytes())
        .bytes(&[0xb8, 1, 0, 0, 0, 0x0f, 0x05])
        .exit_with_result(shift)
}

fn guest(code: Code) -> Guest {
    Guest::new(code, &[("service", NET)])
}

#[test]
fn a_tap_is_attached_by_its_name() {
    with_tap("a_tap_is_attached_by_its_name", 1500, || {
        guest(send(60, -60)).run(&["--net:service=tap7"]).gives(0);
        let info = guest(Code::new().print(0x11000 + u64::from(ENTRY) + 72, 8).exit(0));
        let ran = info.run(&["--net:service=tap7"]).gives(0);
        assert_eq!(ran.out[0] & 3, 2, "a random address is local and unicast: {ran:?}");
        assert_eq!(ran.out[6..8], 1500u16.to_le_bytes(), "MTU");
        let mac = "--net-mac:service=2:0:0:0:0:1";
        let ran = info.run(&[mac, "--net:service=tap7"]).gives(0);
        assert_eq!(ran.out[..6], [2, 0, 0, 0, 0, 1]);
        let mac = "--net-mac:service=01:00:00:00:00:01";
        info.run(&[mac, "--net:service=tap7"]).gives(0).mentions("warning[T413]");
    });
}

#[test]
fn interfaces_that_cannot_be_attached_are_refused_with_upstreams_texts() {
    with_tap("interfaces_that_cannot_be_attached_are_refused_with_upstreams_texts", 1500, || {
        let guest = guest(Code::new().exit(0));
        let refused = |interface: &str, error: &str| {
            guest
                .run(&[&format!("--net:service={interface}")])
                .gives(1)
                .says(&format!("Could not attach interface: {interface}: {error}"));
        };
        refused("tap8", "No such file or directory");
        refused("a234567890123456", "File name too long (ENAMETOOLONG)");
        refused("lo", "Network is down (ENETDOWN)");
        for options in [&["link", "set", "lo", "up"][..], &["link", "set", "tap7", "down"]] {
            assert!(Command::new("ip").args(options).status().unwrap().success());
        }
        refused("lo", "Invalid argument");
        refused("tap7", "Network is down (ENETDOWN)");
        refused("@99", "Bad file descriptor");
        // The number that the tender's own first file gets. A test that runs at the same time may have
        // left it open to all processes.
        let script = r#"exec "$0" --net:service=@3 "$1" 3>&-"#;
        let mut shell = Command::new("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_solo5-spt"), text(&guest.image)]);
        let closed = Ran::of(&mut shell).gives(1);
        closed.says("Could not attach interface: @3: Bad file descriptor");
        refused("@x", "Invalid argument");
        refused("@", "Invalid argument");
        refused("@2147483648", "Numerical result out of range");
        guest.run(&["--net:service=@1"]).gives(1).mentions("error[T411]");
    });
}

#[test]
fn a_deleted_tap_can_be_removed_from_the_epoll_set() {
    with_tap("a_deleted_tap_can_be_removed_from_the_epoll_set", 1500, || {
        let wait = |timeout: i32| {
            Code::new()
                .bytes(&[0x8b, 0x7b, 32]) // mov edi, [rbx+32]
                .bytes(&[0x48, 0xbe])
                .bytes(&0x180_0000u64.to_le_bytes())
                .bytes(&[0xba, 1, 0, 0, 0, 0x49, 0xc7, 0xc2]) // mov edx, 1; mov r10, timeout
                .bytes(&timeout.to_le_bytes())
                .bytes(&[0x45, 0x31, 0xc0, 0x45, 0x31, 0xc9]) // no signal mask
                .bytes(&[0xb8, 25, 1, 0, 0, 0x0f, 0x05]) // epoll_pwait
        };
        let code = Code::new()
            .bytes(&[0x48, 0x89, 0xfb]) // mov rbx, rdi
            .print(0x11000 + u64::from(ENTRY) + 97, 1)
            .append(wait(-1))
            .bytes(&[0x8b, 0x7b, 32, 0xbe, 2, 0, 0, 0]) // mov edi, [rbx+32]; mov esi, DEL
            .bytes(&[0x8b, 0x93, ENTRY + 88, 0, 0, 0]) // mov edx, [rbx+entry+88]
            .bytes(&[0x45, 0x31, 0xd2, 0xb8, 233, 0, 0, 0, 0x0f, 0x05]) // epoll_ctl
            .append(wait(0))
            .exit_with_result(3);
        let guest = guest(code);
        let mut command = guest.command(&["--net:service=tap7"]);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut flag = [0];
        child.stdout.as_mut().unwrap().read_exact(&mut flag).unwrap();
        assert_eq!(flag, [1], "the guest is told that it may");
        let deleted = Command::new("ip").args(["link", "del", "tap7"]).status().unwrap();
        assert!(deleted.success());
        Ran::from(child.wait_with_output().unwrap()).gives(3);
    });
}

#[test]
fn an_interface_that_is_not_a_tap_is_named() {
    with_tap("an_interface_that_is_not_a_tap_is_named", 1500, || {
        let guest = guest(Code::new().exit(0));
        for (name, make, what) in [
            ("br0", &["link", "add", "br0", "type", "bridge"][..], "a bridge, not a tap"),
            (
                "one",
                &["link", "add", "one", "type", "veth", "peer", "other"],
                "an interface of the driver veth",
            ),
            ("tun0", &["tuntap", "add", "mode", "tun", "name", "tun0"], "a tun, which has no"),
            (
                "many",
                &["tuntap", "add", "mode", "tap", "name", "many", "multi_queue"],
                "a multi-queue tap",
            ),
        ] {
            if !Command::new("ip").args(make).status().unwrap().success() {
                println!("skip: refusing {name}: this kernel cannot make one");
                continue;
            }
            let up = Command::new("ip").args(["link", "set", name, "up"]).status().unwrap();
            assert!(up.success());
            let option = format!("--net:service={name}");
            guest
                .run(&[&option])
                .gives(1)
                .says(&format!("Could not attach interface: {name}: Invalid argument"))
                .mentions(&format!("not started: {name} is {what}"));
            if name != "many" {
                guest.run(&["--explain", &option]).gives(1).mentions(what);
            }
        }
    });
}

#[test]
fn an_inherited_descriptor_of_a_tap_is_attached() {
    with_tap("an_inherited_descriptor_of_a_tap_is_attached", 9000, || {
        let open = || rustix::fs::open(c"/dev/net/tun", OFlags::RDWR, Mode::empty()).unwrap();
        let fd = open();
        tap::attach(fd.as_fd(), b"tap7").unwrap();
        let option = format!("--net:service=@{}", fd.as_raw_fd());
        guest(send(9014, -9014)).run(&[&option]).gives(0);
        let info = guest(Code::new().print(0x11000 + u64::from(ENTRY) + 78, 2).exit(0));
        assert_eq!(info.run(&[&option]).gives(0).out, 9000u16.to_le_bytes());
        let unattached = open();
        let option = format!("--net:service=@{}", unattached.as_raw_fd());
        info.run(&[&option]).gives(1).mentions("not an attached tap");
    });
}

/// A descriptor that is attached to the tap `name` with these flags. A test attaches a tap only
/// once, because processes of other tests may keep its descriptor open for a while.
fn attached(name: &str, flags: libc::c_int) -> OwnedFd {
    let tun = rustix::fs::open(c"/dev/net/tun", OFlags::RDWR, Mode::empty()).unwrap();
    // SAFETY: `ifreq` consists of integers, pointers and unions of these, so all zeros is a valid
    // value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.as_bytes()) {
        *to = *from as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: the call reads and writes one `ifreq`, which outlives it.
    let result = unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    tun
}

#[test]
fn an_inherited_tap_with_a_header_before_its_frames_is_refused() {
    with_tap("an_inherited_tap_with_a_header_before_its_frames_is_refused", 1500, || {
        for (name, flags, what) in [
            ("tap8", libc::IFF_TAP, "its frames start with packet information"),
            (
                "tap9",
                libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR,
                "start with a virtio header",
            ),
        ] {
            let fd = attached(name, flags);
            let option = format!("--net:service=@{}", fd.as_raw_fd());
            let guest = guest(Code::new().exit(0));
            for explain in [&[][..], &["--explain"]] {
                let ran = guest.run(&[&[option.as_str()], explain].concat()).gives(1);
                ran.mentions("error[T411]").mentions(what);
            }
        }
        // The check can be repeated, and a tap with bare frames passes it.
        let fd = attached("tap7", libc::IFF_TAP | libc::IFF_NO_PI);
        let option = format!("--net:service=@{}", fd.as_raw_fd());
        for _ in 0..2 {
            guest(send(60, -60)).run(&[&option]).gives(0);
        }
    });
}

#[test]
fn one_tap_for_two_interfaces_is_refused() {
    with_tap("one_tap_for_two_interfaces_is_refused", 1500, || {
        let guest = Guest::new(Code::new().exit(0), &[("a", NET), ("b", NET)]);
        let one = attached("tap7", libc::IFF_TAP | libc::IFF_NO_PI);
        let other = rustix::io::dup(&one).unwrap();
        let [one, other] = [&one, &other].map(|fd| format!("@{}", fd.as_raw_fd()));
        let run = |a: &str, b: &str, more: &[&str]| {
            let (a, b) = (format!("--net:a={a}"), format!("--net:b={b}"));
            let ran = guest.run(&[&[a.as_str(), b.as_str()], more].concat()).gives(1);
            ran.mentions("error[T411]").mentions("'a' and 'b' are the same tap")
        };
        run(&one, &one, &[]);
        run(&one, &one, &["--explain"]);
        run(&one, &other, &[]);
    });
}

#[test]
fn a_manifests_mtu_is_a_minimum() {
    with_tap("a_manifests_mtu_is_a_minimum", 1280, || {
        let least = |mtu: u32| {
            let properties: &[(u32, u16, &[u8])] = &[(1, tag::MTU_MINIMUM, &mtu.to_le_bytes())];
            Guest::with_properties(Code::new().exit(0), &[("service", NET)], properties)
                .run(&["--net:service=tap7"])
        };
        least(1280).gives(0);
        least(1281).gives(1).mentions("error[T435]");
    });
}

#[test]
fn the_tap_a_policy_judges_is_the_one_attached() {
    with_tap("the_tap_a_policy_judges_is_the_one_attached", 1500, || {
        let guest = guest(Code::new().exit(3));
        let policy = |interface: &str| {
            let text = format!(
                "type: solo5.policy\nversion: 1\nname: node\notherwise: allow\n\
                 net: {{ allow: [ {{ name: \"*\", interface: \"{interface}\" }} ] }}\n"
            );
            let path = guest.file("node.yaml", text.as_bytes());
            format!("--policy={}", path.display())
        };
        let run = |policy: &str| guest.run(&[policy, "--net:service=tap7"]);
        run(&policy("tap*")).gives(3);
        run(&policy("vif*")).gives(60).mentions("denied: P311").mentions("not started: ");
        let bridge = "type: solo5.policy\nversion: 1\nname: node\notherwise: allow\n\
            net: { allow: [ { name: \"*\", bridge: br0 } ] }\n";
        let path = guest.file("bridge.yaml", bridge.as_bytes());
        let policy = format!("--policy={}", path.display());
        run(&policy).gives(60).mentions("denied: P3");
        for options in [
            &["link", "add", "br0", "type", "bridge"][..],
            &["link", "set", "tap7", "master", "br0"],
        ] {
            if !Command::new("ip").args(options).status().unwrap().success() {
                return println!("skip: the bridge of a tap: this kernel has no bridges");
            }
        }
        run(&policy).gives(3);
    });
}

/// Runs `ip`; returns whether it succeeded.
fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).status().unwrap().success()
}

/// An option with a policy that requires the bridge `name`.
fn wants_bridge(guest: &Guest, name: &str) -> String {
    let text = format!(
        "type: solo5.policy\nversion: 1\notherwise: allow\n\
         net: {{ allow: [ {{ name: \"*\", bridge: {name} }} ] }}\n"
    );
    format!("--policy={}", guest.file(&format!("{name}.yaml"), text.as_bytes()).display())
}

/// Another network namespace can have a tap of the same name on another bridge. The tender must not
/// confuse the two.
#[test]
fn a_taps_bridge_is_looked_up_in_its_own_namespace() {
    let name = "a_taps_bridge_is_looked_up_in_its_own_namespace";
    with_tap(name, 9000, move || {
        if !ip("link add br-one type bridge") || !ip("link set tap7 master br-one") {
            return println!("skip: {name}: this kernel has no bridges");
        }
        let there = rustix::fs::open(c"/dev/net/tun", OFlags::RDWR, Mode::empty()).unwrap();
        tap::attach(there.as_fd(), b"tap7").unwrap();
        let guest = guest(Code::new().exit(3));
        let [one, two] = ["br-one", "br-two"].map(|bridge| wants_bridge(&guest, bridge));
        let by_fd = format!("--net:service=@{}", there.as_raw_fd());
        guest.run(&[&one, &by_fd]).gives(3);
        guest.run(&[&two, &by_fd]).gives(60).mentions("denied: P3");

        // `/sys` still shows the first namespace. SAFETY: the call changes the mount namespace of
        // this thread only.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNS) }, 0);
        for arguments in ["--make-rprivate /", "-t sysfs sysfs /sys"] {
            let status = Command::new("mount").args(arguments.split(' ')).status().unwrap();
            assert!(status.success(), "mount {arguments}");
        }
        // SAFETY: the call changes the network namespace of this thread only.
        assert_eq!(unsafe { libc::unshare(libc::CLONE_NEWNET) }, 0);
        assert!(ip("tuntap add mode tap name tap7") && ip("link add br-two type bridge"));
        assert!(ip("link set tap7 master br-two") && ip("link set tap7 up mtu 1280"));
        assert!(std::path::Path::new("/sys/class/net/br-one").exists());
        for explain in [&[][..], &["--explain"]] {
            let run = |options: &[&str]| guest.run(&[options, explain].concat());
            run(&[&one, "--net:service=tap7"]).gives(60).mentions("denied: P3");
            run(&[&two, "--net:service=tap7"]).gives(if explain.is_empty() { 3 } else { 0 });
            // The first namespace's tap is on neither of the bridges here, whatever its name.
            for policy in [&one, &two] {
                run(&[policy, &by_fd]).gives(60).mentions("in another network namespace");
            }
        }
        // Its MTU must not come from the tap of the same name either.
        let info = Guest::new(
            Code::new().print(0x11000 + u64::from(ENTRY) + 78, 2).exit(0),
            &[("service", NET)],
        );
        assert_eq!(info.run(&[&by_fd]).gives(0).out, 1500u16.to_le_bytes());
    });
}
