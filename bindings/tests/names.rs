//! The names of upstream's installed headers that a guest may use
//! (`docs/reference/toolchain.md#headers`): each header defines its names, with upstream's values,
//! sizes and types.

use std::fmt::Write as _;
use std::process::Command;

/// Names of one header.
struct Header {
    file: &'static str,
    /// Enumerators and macros, with their values.
    values: &'static [(&'static str, &'static str)],
    /// Types with their sizes.
    types: &'static [(&'static str, usize)],
    /// Fields: type, name, offset, size.
    fields: &'static [(&'static str, &'static str, usize, usize)],
    /// Functions, each with the type of a pointer to it; `@` stands for the pointer's name.
    functions: &'static [(&'static str, &'static str)],
    /// Macros without a value.
    macros: &'static [&'static str],
}

const HEADERS: &[Header] = &[
    Header {
        file: "solo5.h",
        values: &[
            ("SOLO5_R_OK", "0"),
            ("SOLO5_R_AGAIN", "1"),
            ("SOLO5_R_EINVAL", "2"),
            ("SOLO5_R_EUNSPEC", "3"),
            ("SOLO5_EXIT_SUCCESS", "0"),
            ("SOLO5_EXIT_FAILURE", "1"),
            ("SOLO5_EXIT_ABORT", "255"),
            ("SOLO5_SEED_SIZE", "32"),
            ("SOLO5_NET_ALEN", "6"),
            ("SOLO5_NET_HLEN", "14"),
        ],
        types: &[
            ("solo5_result_t", 4),
            ("solo5_time_t", 8),
            ("solo5_handle_t", 8),
            ("solo5_handle_set_t", 8),
            ("solo5_off_t", 8),
            ("struct solo5_start_info", 24),
            ("struct solo5_net_info", 16),
            ("struct solo5_net_frame", 16),
            ("struct solo5_block_info", 16),
        ],
        fields: &[
            ("struct solo5_start_info", "cmdline", 0, 8),
            ("struct solo5_start_info", "heap_start", 8, 8),
            ("struct solo5_start_info", "heap_size", 16, 8),
            ("struct solo5_net_info", "mac_address", 0, 6),
            ("struct solo5_net_info", "mtu", 8, 8),
            ("struct solo5_net_frame", "buf", 0, 8),
            ("struct solo5_net_frame", "size", 8, 8),
            ("struct solo5_block_info", "capacity", 0, 8),
            ("struct solo5_block_info", "block_size", 8, 8),
        ],
        functions: &[
            ("solo5_app_main", "int (*@)(const struct solo5_start_info *)"),
            ("solo5_exit", "void (*@)(int)"),
            ("solo5_abort", "void (*@)(void)"),
            ("solo5_set_tls_base", "solo5_result_t (*@)(uintptr_t)"),
            ("solo5_tls_size", "size_t (*@)(void)"),
            ("solo5_tls_tp_offset", "uintptr_t (*@)(uintptr_t)"),
            ("solo5_tls_init", "solo5_result_t (*@)(uintptr_t)"),
            ("solo5_clock_monotonic", "solo5_time_t (*@)(void)"),
            ("solo5_clock_wall", "solo5_time_t (*@)(void)"),
            ("solo5_seed", "solo5_result_t (*@)(uint8_t *, size_t)"),
            ("solo5_yield", "void (*@)(solo5_time_t, solo5_handle_set_t *)"),
            ("solo5_console_write", "void (*@)(const char *, size_t)"),
            (
                "solo5_net_acquire",
                "solo5_result_t (*@)(const char *, solo5_handle_t *, struct solo5_net_info *)",
            ),
            ("solo5_net_write", "solo5_result_t (*@)(solo5_handle_t, const uint8_t *, size_t)"),
            ("solo5_net_read", "solo5_result_t (*@)(solo5_handle_t, uint8_t *, size_t, size_t *)"),
            (
                "solo5_net_write_many",
                "solo5_result_t (*@)(solo5_handle_t, const struct solo5_net_frame *, size_t, size_t *)",
            ),
            (
                "solo5_net_read_many",
                "solo5_result_t (*@)(solo5_handle_t, struct solo5_net_frame *, size_t, size_t *)",
            ),
            (
                "solo5_block_acquire",
                "solo5_result_t (*@)(const char *, solo5_handle_t *, struct solo5_block_info *)",
            ),
            (
                "solo5_block_write",
                "solo5_result_t (*@)(solo5_handle_t, solo5_off_t, const uint8_t *, size_t)",
            ),
            (
                "solo5_block_read",
                "solo5_result_t (*@)(solo5_handle_t, solo5_off_t, uint8_t *, size_t)",
            ),
            ("solo5_block_flush", "solo5_result_t (*@)(solo5_handle_t)"),
            (
                "solo5_block_write_many",
                "solo5_result_t (*@)(solo5_handle_t, solo5_off_t, const uint8_t *, size_t)",
            ),
            (
                "solo5_block_read_many",
                "solo5_result_t (*@)(solo5_handle_t, solo5_off_t, uint8_t *, size_t)",
            ),
        ],
        macros: &["SOLO5_H_INCLUDED"],
    },
    Header {
        file: "elf_abi.h",
        values: &[
            ("HVT_ABI_TARGET", "1"),
            ("SPT_ABI_TARGET", "2"),
            ("VIRTIO_ABI_TARGET", "3"),
            ("MUEN_ABI_TARGET", "4"),
            ("GENODE_ABI_TARGET", "5"),
            ("XEN_ABI_TARGET", "6"),
            ("ABI1_NOTE_TYPE", "0x31494241"),
            ("ABI1_NOTE_ALIGN", "4"),
            ("ABI1_NOTE_MAX_SIZE", "32"),
            ("sizeof(ABI1_NOTE_NAME)", "6"),
        ],
        types: &[("enum abi_target", 4), ("struct abi1_info", 16)],
        fields: &[
            ("struct abi1_info", "abi_target", 0, 4),
            ("struct abi1_info", "abi_version", 4, 4),
            ("struct abi1_info", "reserved0", 8, 4),
            ("struct abi1_info", "reserved1", 12, 4),
        ],
        functions: &[],
        macros: &["ABI1_NOTE_DECLARE_BEGIN", "ABI1_NOTE_DECLARE_END"],
    },
    Header {
        file: "mft_abi.h",
        values: &[
            ("MFT_VERSION", "1"),
            ("MFT_MAX_ENTRIES", "64"),
            ("MFT_NAME_SIZE", "68"),
            ("MFT_NAME_MAX", "67"),
            ("MFT_DEV_BLOCK_BASIC", "1"),
            ("MFT_DEV_NET_BASIC", "2"),
            ("MFT_RESERVED_FIRST", "0x40000000"),
            ("MFT1_NOTE_TYPE", "0x3154464d"),
            ("MFT1_NOTE_ALIGN", "4"),
            ("MFT1_NOTE_MAX_SIZE", "6668"),
            ("sizeof(MFT1_NOTE_NAME)", "6"),
        ],
        types: &[("mft_type_t", 4), ("struct mft_entry", 104), ("struct mft", 8)],
        fields: &[
            ("struct mft", "version", 0, 4),
            ("struct mft", "entries", 4, 4),
            ("struct mft_entry", "name", 0, 68),
            ("struct mft_entry", "type", 68, 4),
            ("struct mft_entry", "u", 72, 16),
            ("struct mft_entry", "u.block_basic.capacity", 72, 8),
            ("struct mft_entry", "u.block_basic.block_size", 80, 2),
            ("struct mft_entry", "u.net_basic.mac", 72, 6),
            ("struct mft_entry", "u.net_basic.mtu", 78, 2),
            ("struct mft_entry", "b", 88, 8),
            ("struct mft_entry", "b.hostfd", 88, 4),
            ("struct mft_entry", "attached", 96, 1),
        ],
        functions: &[],
        macros: &[],
    },
    Header {
        file: "hvt_abi.h",
        values: &[
            ("HVT_ABI_TARGET", "1"),
            ("HVT_ABI_VERSION", "2"),
            ("HVT_GUEST_MIN_BASE", "0x100000"),
            ("HVT_HYPERCALL_PIO_BASE", "0x500"),
            ("HVT_HYPERCALL_WALLTIME", "1"),
            ("HVT_HYPERCALL_PUTS", "2"),
            ("HVT_HYPERCALL_POLL", "3"),
            ("HVT_HYPERCALL_BLOCK_WRITE", "4"),
            ("HVT_HYPERCALL_BLOCK_READ", "5"),
            ("HVT_HYPERCALL_NET_WRITE", "6"),
            ("HVT_HYPERCALL_NET_READ", "7"),
            ("HVT_HYPERCALL_HALT", "8"),
            ("HVT_HYPERCALL_MAX", "9"),
            ("HVT_CMDLINE_SIZE", "8192"),
            ("HVT_HALT_COOKIE_MAX", "512"),
            ("HVT_FEATURE_RING_IO", "1"),
        ],
        types: &[
            ("struct hvt_boot_info", 56),
            ("struct hvt_hc_walltime", 8),
            ("struct hvt_hc_puts", 16),
            ("struct hvt_hc_poll", 24),
            ("struct hvt_hc_halt", 16),
        ],
        fields: &[
            ("struct hvt_boot_info", "mem_size", 0, 8),
            ("struct hvt_boot_info", "kernel_end", 8, 8),
            ("struct hvt_boot_info", "cpu_cycle_freq", 16, 8),
            ("struct hvt_boot_info", "cmdline", 24, 8),
            ("struct hvt_boot_info", "mft", 32, 8),
            ("struct hvt_boot_info", "host_features", 40, 4),
            ("struct hvt_boot_info", "guest_features", 44, 4),
            ("struct hvt_boot_info", "net_ring", 48, 8),
            ("struct hvt_hc_walltime", "nsecs", 0, 8),
            ("struct hvt_hc_puts", "data", 0, 8),
            ("struct hvt_hc_puts", "len", 8, 8),
            ("struct hvt_hc_poll", "timeout_nsecs", 0, 8),
            ("struct hvt_hc_poll", "ready_set", 8, 8),
            ("struct hvt_hc_poll", "ret", 16, 4),
            ("struct hvt_hc_halt", "cookie", 0, 8),
            ("struct hvt_hc_halt", "exit_status", 8, 4),
        ],
        functions: &[],
        macros: &[],
    },
    Header {
        file: "spt_abi.h",
        values: &[
            ("SPT_ABI_TARGET", "2"),
            ("SPT_ABI_VERSION", "2"),
            ("SPT_GUEST_MIN_BASE", "0x100000"),
            ("SPT_HOST_MEM_BASE", "0x10000"),
            ("SPT_BOOT_INFO_BASE", "0x11000"),
            ("SPT_CMDLINE_SIZE", "8192"),
            ("SPT_INTERNAL_TIMERFD", "0xfffffffe"),
        ],
        types: &[("struct spt_boot_info", 40)],
        fields: &[
            ("struct spt_boot_info", "mem_size", 0, 8),
            ("struct spt_boot_info", "kernel_end", 8, 8),
            ("struct spt_boot_info", "cmdline", 16, 8),
            ("struct spt_boot_info", "mft", 24, 8),
            ("struct spt_boot_info", "epollfd", 32, 4),
            ("struct spt_boot_info", "timerfd", 36, 4),
        ],
        functions: &[],
        macros: &[],
    },
];

impl Header {
    /// A C file that compiles only if the header, included alone, defines all of this.
    fn probe(&self) -> String {
        let mut c = format!("#include \"{}\"\n#include <stddef.h>\n", self.file);
        for name in self.macros {
            let _ = writeln!(c, "#ifndef {name}\n#error {name} is missing\n#endif");
        }
        for (name, value) in self.values {
            let _ = writeln!(c, "_Static_assert(({name}) == ({value}), \"{name}\");");
        }
        for (name, size) in self.types {
            let _ = writeln!(c, "_Static_assert(sizeof({name}) == {size}, \"{name}\");");
        }
        for (of, name, offset, size) in self.fields {
            let _ = writeln!(c, "_Static_assert(offsetof({of}, {name}) == {offset}, \"{name}\");");
            let _ =
                writeln!(c, "_Static_assert(sizeof((({of} *)0)->{name}) == {size}, \"{name}\");");
        }
        for (name, pointer) in self.functions {
            let _ = writeln!(c, "{} = {name};", pointer.replace('@', &format!("p_{name}")));
        }
        c
    }
}

#[test]
fn each_header_has_upstreams_names() {
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/include");
    let folder = tempfile::tempdir().unwrap();
    for header in HEADERS {
        let path = folder.path().join("probe.c");
        std::fs::write(&path, header.probe()).unwrap();
        for compiler in ["gcc", "clang"] {
            let compile = Command::new(compiler)
                .args(["-std=c11", "-ffreestanding", "-Werror", "-fsyntax-only", "-I", include])
                .arg(&path)
                .output();
            let Ok(output) = compile else {
                println!("skip: names with {compiler}: it is not installed");
                continue;
            };
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{} with {compiler}: {errors}", header.file);
        }
    }
}
