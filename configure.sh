#!/bin/sh
# Prepares `make` with the options that Solo5's packages have always used, and says early what is missing.
# Writes Makeconf (for make) and Makeconf.sh (the same for shells).
set -u

say() { echo "configure.sh: $*"; }
warn() { echo "configure.sh: WARNING: $*" >&2; }
die() { echo "configure.sh: ERROR: $*" >&2; exit 1; }

usage() {
    cat >&2 <<'END'
Usage: configure.sh [ OPTIONS ]

    --prefix=DIR
        Install to DIR (default: /usr/local).

    --sysconfdir=DIR
        Policies of the host are in DIR/solo5/policy.d (default: /etc).

    --enable-toolchain, --disable-toolchain
        Whether to build the toolchain: wrappers, bindings and headers.
        --only-tools is another name for --disable-toolchain.

    --enable-elftool, --disable-elftool
        Whether to build solo5-elftool, solo5-mft and solo5-virtio-mkimage.

    --enable-tenders, --disable-tenders
        Whether to build solo5-spt, solo5-hvt and solo5-hvt-debug.

    --help
        This text.

Variables: CARGO and RUSTC (cargo, rustc), TARGET_CC, TARGET_LD and
TARGET_OBJCOPY (cc, ld, objcopy). Arguments may follow the name of one of
the last three, as in TARGET_CC="gcc -m64".
END
    exit 1
}

here=$PWD
cd "$(dirname "$0")" || exit 1

prefix=/usr/local sysconfdir=/etc toolchain=1 elftool=1 tenders=1
for option in "$@"; do
    case $option in
        --prefix=*) prefix=${option#*=} ;;
        --sysconfdir=*) sysconfdir=${option#*=} ;;
        --prefix|--sysconfdir) die "write $option=DIR, with = and no blank" ;;
        --enable-toolchain) toolchain=1 ;;
        --disable-toolchain|--only-tools) toolchain= ;;
        --enable-elftool) elftool=1 ;;
        --disable-elftool) elftool= ;;
        --enable-tenders) tenders=1 ;;
        --disable-tenders) tenders= ;;
        --help) usage ;;
        *) echo "configure.sh: ERROR: Unknown option: '$option'" >&2; usage ;;
    esac
done
folder() {
    case $2 in
        /*) ;;
        *) die "$1 '$2' is not an absolute path" ;;
    esac
    case $2 in
        *[!A-Za-z0-9/._+:@%,=~-]*) die "$1 '$2' has characters that make cannot take" ;;
    esac
}
folder "the prefix" "$prefix"
folder "the folder of settings" "$sysconfdir"

[ "$(uname -s)" = Linux ] || die "Unsupported host: $(uname -s); the suite is built on Linux"
arch=$(uname -m)
[ "$arch" = x86_64 ] || die "Unsupported host: $arch; tenders and bindings are for x86_64 so far"

# --- Rust ---
CARGO=${CARGO:-cargo} RUSTC=${RUSTC:-rustc}
needed=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
command -v "$CARGO" >/dev/null 2>&1 ||
    die "there is no '$CARGO': install Rust $needed or later, or set CARGO"
found=$("$RUSTC" --version 2>/dev/null | sed -n 's/^rustc \([0-9.]*\).*/\1/p')
[ -n "$found" ] || die "'$RUSTC' does not work: install Rust $needed or later, or set RUSTC"
older=$(printf '%s\n%s\n' "$needed" "$found" | sort -t. -k1,1n -k2,2n -k3,3n | head -n 1)
[ "$older" = "$needed" ] || die "Rust $found is too old: $needed or later is needed"

# --- The compiler and linker of unikernels ---
TARGET_CC=${TARGET_CC:-cc} TARGET_LD=${TARGET_LD:-ld} TARGET_OBJCOPY=${TARGET_OBJCOPY:-objcopy}
need() {
    case ${1##*/} in
        cc|gcc|gcc-*) package="gcc libc6-dev" ;;
        clang|clang-*) package=clang ;;
        lld|lld-*|ld.lld|ld.lld-*) package=lld ;;
        llvm-*) package=llvm ;;
        ld|ld.*|objcopy) package=binutils ;;
        *) package= ;;
    esac
    command -v "$1" >/dev/null 2>&1 || die "there is no '$1'${package:+; Debian: $package}"
}
for tool in "$TARGET_CC" "$TARGET_LD" "$TARGET_OBJCOPY"; do
    case $tool in
        *[\\\'\"\$\#\`]*) die "'$tool' has characters that make cannot take; words are split at blanks" ;;
    esac
done
# shellcheck disable=SC2086 # The first word of each is a program; its arguments follow.
for tool in cc ${TARGET_CC%% *} ${TARGET_LD%% *} ${TARGET_OBJCOPY%% *} ld objcopy; do
    need "$tool"
done
# shellcheck disable=SC2086
triple=$($TARGET_CC -dumpmachine) || die "'$TARGET_CC -dumpmachine' fails"
case $triple in
    x86_64-*|amd64-*) target=x86_64 bindings="stub hvt spt virtio" guard=-mstack-protector-guard=global ;;
    aarch64-*|arm64-*) target=aarch64 bindings="stub hvt spt virtio" guard= ;;
    powerpc64le-*|ppc64le-*) target=ppc64le bindings="stub spt" guard= ;;
    *) die "Unsupported target: $triple, by '$TARGET_CC -dumpmachine'; bindings are for x86_64, aarch64 and ppc64le" ;;
esac
# For another architecture only what makes its unikernels is built, and added to an installation.
cross=
if [ "$target" != "$arch" ]; then
    [ -n "$toolchain" ] || die "for $target there is only the toolchain, which was disabled"
    cross=$target elftool= tenders=
    case $target in
        aarch64) library=aarch64-unknown-none ;;
        ppc64le) library=powerpc64le-unknown-linux-gnu ;;
        *) library=x86_64-unknown-linux-gnu ;;
    esac
    "$RUSTC" --print target-libdir --target "$library" 2>/dev/null | { read -r dir && [ -d "$dir" ]; } ||
        die "Rust has no library for $library: rustup target add $library"
fi
scratch=$(mktemp -d) || die "no folder for temporary files"
trap 'rm -rf "$scratch"' EXIT
echo 'int main(void) { return 0; }' >"$scratch/main.c"
cc -o "$scratch/main" "$scratch/main.c" 2>"$scratch/log" ||
    die "'cc' cannot make a program: $(head -n 1 "$scratch/log")"
# shellcheck disable=SC2086
[ -z "$toolchain" ] ||
    $TARGET_CC -ffreestanding -fstack-protector-strong $guard -c -o "$scratch/main.o" "$scratch/main.c" 2>"$scratch/log" ||
    die "'$TARGET_CC' does not compile for Solo5: $(head -n 1 "$scratch/log")"

parts=
[ -z "$elftool" ] || parts=$parts,tools
[ -z "$tenders" ] || parts=$parts,tenders
[ -z "$toolchain" ] || parts=$parts,headers,toolchain
parts=${parts#,}
[ -n "$parts" ] || die "nothing is left to build"
parts=$parts,docs

quoted() { printf "'%s'" "$(printf %s "$1" | sed "s/'/'\\\\''/g")"; }
: >"$scratch/Makeconf"
: >"$scratch/Makeconf.sh"
put() {
    printf 'CONFIG_%s=%s\n' "$1" "$2" >>"$scratch/Makeconf"
    printf 'CONFIG_%s=%s\n' "$1" "$(quoted "$2")" >>"$scratch/Makeconf.sh"
}
negated() { [ -n "$1" ] || printf 1; }
put PREFIX "$prefix"
put SYSCONFDIR "$sysconfdir"
put DISABLE_TOOLCHAIN "$(negated "$toolchain")"
put DISABLE_ELFTOOL "$(negated "$elftool")"
put PARTS "$parts"
put HOST Linux
put HOST_ARCH "$arch"
put HVT_TENDER "$tenders"
put SPT_TENDER "$tenders"
has() { case " $bindings " in *" $1 "*) printf %s "$toolchain" ;; esac; }
put HVT "$(has hvt)"
put SPT "$(has spt)"
put VIRTIO "$(has virtio)"
put MUEN ''
put XEN ''
put CARGO "$CARGO"
put RUSTC "$RUSTC"
put CROSS "$cross"
put TARGET_ARCH "$target"
put TARGET_TRIPLE "$target-solo5-none-static"
put TARGET_CC "$TARGET_CC"
put TARGET_LD "$TARGET_LD"
put TARGET_OBJCOPY "$TARGET_OBJCOPY"
mv "$scratch/Makeconf" Makeconf && mv "$scratch/Makeconf.sh" Makeconf.sh || die "Makeconf cannot be written"

say "Using Rust $found, $TARGET_CC ($triple) for unikernels, prefix $prefix."
say "Policies of the host: $sysconfdir/solo5/policy.d."
[ -z "$elftool" ] || say "Enabled tools: solo5-elftool solo5-mft solo5-virtio-mkimage."
[ -z "$toolchain" ] || say "Enabled bindings: $bindings, for $target."
[ -z "$tenders" ] || say "Enabled tenders: hvt spt virtio."
if ! "$RUSTC" --print target-libdir --target "$arch-unknown-linux-musl" 2>/dev/null | { read -r dir && [ -d "$dir" ]; }
then
    warn "Rust has no library for $arch-unknown-linux-musl; programs are linked with the C library of"
    warn "this machine if rustup cannot add it, and start slower."
fi
if [ "$here" = "$PWD" ]; then
    say "Now run make, then make install."
else
    say "Now run make, then make install, in $PWD: nothing is built in another folder."
fi
