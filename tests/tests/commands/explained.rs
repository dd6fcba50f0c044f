//! What the pages of `docs/codes` and `docs/rules` need. `explain` prints those pages, so this is here and
//! not in comments.

/// Commands that are run before a page's own.
const SETUPS: &[(&str, &str)] = &[
    (
        "L508",
        "mkdir -p ../zlib/build && echo 'int z;' > z.c && solo5-cc -c z.c && ar rc ../zlib/build/libz.a z.o",
    ),
    (
        "L509",
        "echo 'long getrandom(void) { return 0; }' > g.c && solo5-cc -c g.c && mkdir -p ../nolibc && \
              ar rc ../nolibc/libnolibc.a g.o && rm g.* && sed -i 's/(void)start;/return getrandom();/; \
              1s/$/\\nint getrandom(void);/' app.c && solo5-cc -c app.c",
    ),
    ("P202", "own /etc && mkdir -p /etc/solo5/policy.d && echo > /etc/solo5/policy.d/a.yaml"),
    ("P313", "tap tap-7 && ip link add br-public type bridge"),
    ("P314", "tap tap-7 && image router.spt 'name: service, type: NET_BASIC'"),
    (
        "P324",
        "own /srv && truncate -s 1M /srv/a.img && image app.spt 'name: data, type: BLOCK_BASIC'",
    ),
    ("P352", "own /etc && mkdir -p /etc/solo5 && rm router.spt unikernel.spt"),
    ("P353", "own /etc && mkdir -p /etc/solo5 && echo > /etc/solo5/admitted.json"),
    ("T410", "image unikernel.spt 'name: service, type: NET_BASIC'"),
    ("T412", "tap tap100"),
    ("T422", "image unikernel.spt 'name: storage, type: BLOCK_BASIC'"),
    ("T424", "truncate -s 1M shared.img && image reader.spt 'name: data, type: BLOCK_BASIC'"),
    ("T425", "image unikernel.spt 'name: storage, type: BLOCK_BASIC'"),
    (
        "T426",
        "truncate -s 1M one.img two.img && \
              image unikernel.spt 'name: a, type: BLOCK_BASIC' 'name: b, type: BLOCK_BASIC'",
    ),
    ("T427", "image unikernel.spt 'name: storage, type: BLOCK_BASIC'"),
    ("T432", "cp app.spt jit.spt"),
    ("T434", "image unikernel.spt 'name: storage, type: BLOCK_BASIC'"),
    ("T435", "tap tap100"),
    ("T443", "cp app.spt unikernel.spt"),
    ("T444", "cp app.spt image.spt"),
    ("S101", "head -c 100 app.spt > half-downloaded.spt"),
    ("S110", "own /mnt && mkdir /mnt/usb && cp app.spt /mnt/usb"),
    ("S112", "echo 'int foo;' > foo.c && solo5-cc -c foo.c && ar rc libfoo.a foo.o"),
    (
        "S115",
        "solo5-ld -z solo5-abi=spt -z solo5-audit=off --emit-relocs app.o manifest.o -o app.spt",
    ),
    (
        "S302",
        "objcopy --dump-section .note.solo5.abi=abi app.spt && printf c | \
              dd of=abi bs=1 seek=20 conv=notrunc && objcopy --update-section .note.solo5.abi=abi app.spt app.bin",
    ),
    (
        "S303",
        "objcopy --dump-section .note.solo5.abi=abi app.spt && printf '\\001' | \
              dd of=abi bs=1 seek=24 conv=notrunc && objcopy --update-section .note.solo5.abi=abi app.spt",
    ),
    ("S304", "ar rc libmanifest.a manifest.o"),
    ("S402", "cargo init --quiet --vcs none --name app ."),
    ("S408", "mkdir zlib && echo 'int z;' > zlib/z.c && echo 'all: z.o' > zlib/Makefile"),
];

/// The first words of a block, its page, and why the block is not run.
const SKIPS: &[(&str, &str, &str)] = &[
    ("L504", "SOLO5_CC", "needs bindings for another architecture"),
    ("S103", "$ aarch64", "needs bindings for another architecture"),
    ("S113", "$ readelf", "shows an image that no linker here makes"),
    ("S114", "$ nm", "shows an image that no linker here makes"),
    ("T407", "cargo build", "builds a tender again"),
];

/// The code that the page explains.
fn code(page: &str) -> Option<&str> {
    let (folder, name) = page.rsplit_once('/')?;
    ["docs/codes", "docs/rules"].contains(&folder).then(|| name.trim_end_matches(".md"))
}

pub(crate) fn setup(page: &str) -> Option<&'static str> {
    let code = code(page)?;
    SETUPS.iter().find(|(name, _)| *name == code).map(|(_, commands)| *commands)
}

pub(crate) fn skip(page: &str, first: &str) -> Option<&'static str> {
    let code = code(page)?;
    let found = SKIPS.iter().find(|(name, start, _)| *name == code && first.starts_with(start));
    found.map(|(_, _, reason)| *reason)
}
