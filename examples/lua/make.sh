#!/bin/sh
# make.sh ARCHIVE [TARGET...]: makes lua.TARGET, spt by default, in this folder, from an archive of Lua's
# sources (5.4), such as that of Debian's package lua5.4. CC is the compiler, else solo5-cc. OUT is another folder. FILES is a
# folder of scripts, which become files of the image; then a path in CC has to be absolute.
set -eu
[ $# -gt 0 ] || { echo "usage: make.sh ARCHIVE [TARGET...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
archive=$1
out=$(cd "${OUT:-$here}" && pwd)
shift
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tar -xf "$archive" -C "$work" --strip-components=1
cc="${CC:-solo5-cc} -z solo5-libc=musl"
for source in "$work"/src/*.c; do
    # luac is another program.
    case $source in */luac.c) continue ;; esac
    $cc -O2 -c "$source" -o "${source%.c}.o"
done
files=
if [ -n "${FILES:-}" ]; then
    tar --format=ustar -cf "$work/files.tar" -C "$FILES" .
    files=-Wl,--format=binary,files.tar,--format=default
    # The linker makes a symbol of the archive's name.
    cd "$work"
fi
for target in "${@:-spt}"; do
    $cc -z solo5-abi="$target" -z solo5-manifest="$here/manifest.yaml" "$work"/src/*.o $files -lm \
        -o "$out/lua.$target"
done
