#!/bin/sh
# make.sh ARCHIVE [TARGET...]: makes sqlite.TARGET, spt by default, in this folder, from an archive of
# SQLite's sources (3), such as that of Debian's package sqlite3. CC is the compiler, else solo5-cc.
# To make one file of SQLite's sources, its own build needs tclsh, a C compiler of the host and make;
# sqlite-autoconf-….tar.gz already has that file. MAIN is another program than main.c; its image has
# its name. OUT is another folder for it, and KEPT one that keeps the compiled SQLite.
set -eu
[ $# -gt 0 ] || { echo "usage: make.sh ARCHIVE [TARGET...]" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
archive=$1
shift
main=${MAIN:-$here/main.c}
name=sqlite
[ -z "${MAIN:-}" ] || name=$(basename "$main" .c)
# What takes long is kept from one program to the next.
kept=${KEPT:-$(mktemp -d)}
[ -n "${KEPT:-}" ] || trap 'rm -rf "$kept"' EXIT
cc="${CC:-solo5-cc} -z solo5-libc=musl"
if [ ! -e "$kept/sqlite3.o" ]; then
    mkdir -p "$kept/sources"
    tar -xf "$archive" -C "$kept/sources" --strip-components=1
    if [ ! -e "$kept/sources/sqlite3.c" ]; then
        (cd "$kept/sources" && CC=cc ./configure --disable-tcl --disable-readline >log 2>&1 \
            && make sqlite3.c >>log 2>&1) || { tail "$kept/sources/log" >&2; exit 1; }
    fi
    # The application's file is all there is of an operating system; temporary files are in memory.
    $cc -O2 -DSQLITE_OS_OTHER=1 -DSQLITE_TEMP_STORE=3 -DSQLITE_THREADSAFE=0 -DSQLITE_OMIT_WAL \
        -DSQLITE_OMIT_LOAD_EXTENSION -c "$kept/sources/sqlite3.c" -o "$kept/new.o"
    mv "$kept/new.o" "$kept/sqlite3.o"
fi
for target in "${@:-spt}"; do
    $cc -O2 -z solo5-abi="$target" -z solo5-manifest="$here/manifest.yaml" -I "$kept/sources" \
        "$main" "$here/vfs.c" "$kept/sqlite3.o" -o "${OUT:-$here}/$name.$target"
done
