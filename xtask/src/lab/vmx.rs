//! A machine with Intel's virtualisation: Bochs.
//!
//! Its BIOS boots only from disks. The kernel is unpacked here, because a machine this slow would take
//! longer to unpack a kernel than to boot it. The disk holds a boot sector (`boot.S`), the kernel as
//! it lies in memory, and the initramfs.

use std::fs::{self, File};
use std::io::{Seek, Write};
use std::path::Path;
use std::process::Command;

use object::LittleEndian;
use object::elf::{FileHeader64, NoteType, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::machine::{Boot, limited, pc_options};
use crate::Result;
use crate::run::{output, run};

/// The emulator, its BIOS and its hidden display, and the kernel's decompressor.
pub(crate) const PROGRAMS: [(&str, &str); 5] = [
    ("bochs", "bochs"),
    (BIOS, "bochsbios"),
    (VGA_BIOS, "vgabios"),
    (SCREEN, "bochs-term"),
    ("xz", "xz-utils"),
];

const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
/// Bochs does not start without this BIOS; Debian's dependency also accepts another package.
const VGA_BIOS: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";
const SCREEN: &str = "/usr/lib/x86_64-linux-gnu/bochs/plugins/libbx_term_gui.so";

/// Time limit: several times what the tests take.
const SECONDS: u32 = 900;

/// Starts Bochs; the arguments are its messages' file, and its command. Standard output is for results
/// only, so Bochs's own output goes to standard error.
///
/// The display draws on a terminal of its own, which Bochs names in its messages. Somebody has to read
/// what it draws: once the terminal's buffer is full, the machine stands still.
const START: &str = r#"
messages=$1
shift
exec 3>&1 >&2
(
    while kill -0 $$; do
        screen=$(sed -n 's/^Bochs connected to screen "\(.*\)"$/\1/p' "$messages")
        [ -z "$screen" ] || exec cat "$screen" >/dev/null
        sleep 1
    done
) 2>/dev/null 3>&- &
exec "$@"
"#;

/// The machine's memory, in MiB.
const MEMORY: usize = 1024;

/// Sizes in bytes of a disk's sector, and of the piece that the boot sector reads at a time.
const SECTOR: usize = 512;
const CHUNK: usize = 256 * SECTOR;

/// The note with the address of a kernel's entry for PVH (Xen, `xen/include/public/elfnote.h`).
const XEN_ELFNOTE_PHYS32_ENTRY: NoteType = NoteType(18);

/// Bochs wants a disk of whole cylinders. A cylinder has 16 heads of 63 sectors.
const CYLINDER: usize = 16 * 63 * SECTOR;

/// A machine that boots `boot`.
pub(crate) fn machine(boot: &Boot) -> Result<Command> {
    let folder = boot.log.parent().ok_or("a log without a folder")?;
    disk(boot, &folder.join("vmx.disk"))?;
    let log = boot.log.file_name().unwrap_or_default().display();
    // `term` is the display that opens no port. Without `sync`, the clock counts instructions. To
    // switch off, the machine makes a device panic, and `fatal` ends Bochs.
    let settings = format!(
        "config_interface: textconfig\n\
         display_library: term\n\
         romimage: file={BIOS}\n\
         vgaromimage: file={VGA_BIOS}\n\
         memory: guest={MEMORY}, host={MEMORY}\n\
         cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1\n\
         clock: sync=none, time0=local\n\
         boot: disk\n\
         ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14\n\
         ata0-master: type=disk, mode=flat, path=vmx.disk\n\
         com1: enabled=1, mode=file, dev={log}\n\
         com2: enabled=1, mode=file, dev=/dev/fd/3\n\
         log: vmx.bochs.log\n\
         panic: action=fatal\n"
    );
    fs::write(folder.join("vmx.bochsrc"), settings)?;
    // Debian's Bochs has a debugger compiled in, which waits for this command.
    fs::write(folder.join("vmx.commands"), "continue\n")?;
    let mut bochs = limited(SECONDS, "sh");
    bochs
        .args(["-c", START, "sh"])
        .arg(&boot.emulator)
        .args(["bochs", "-q", "-unlock", "-f", "vmx.bochsrc"])
        .args(["-rc", "vmx.commands"])
        .env("TERM", "linux")
        .current_dir(folder);
    Ok(bochs)
}

/// Writes the disk that boots `boot`.
fn disk(boot: &Boot, to: &Path) -> Result<()> {
    let kernel = Kernel::read(&boot.kernel)?;
    let initramfs = fs::read(&boot.initramfs)?;
    let mut content = kernel.memory;
    content.resize(content.len().next_multiple_of(0x1000), 0);
    let initramfs_at = kernel.at + content.len();
    content.extend_from_slice(&initramfs);
    let chunks = content.len().div_ceil(CHUNK);
    if kernel.at + chunks * CHUNK >= (MEMORY - 2) << 20 {
        return Err("the kernel and the initramfs do not fit into the machine".into());
    }
    let scratch = tempfile::tempdir()?;
    let object = scratch.path().join("boot.o");
    let sector = scratch.path().join("boot");
    run(Command::new("cc")
        .arg("-c")
        .arg(crate::root().join("xtask/src/lab/boot.S"))
        .arg("-o")
        .arg(&object)
        .arg(format!("-DLOAD={}", kernel.at))
        .arg(format!("-DENTRY={}", kernel.entry))
        .arg(format!("-DCHUNKS={chunks}"))
        .arg(format!("-DINITRAMFS={initramfs_at}"))
        .arg(format!("-DINITRAMFS_SIZE={}", initramfs.len()))
        .arg(format!("-DMEMORY={}", MEMORY << 20))
        .arg(format!("-DCOMMAND_LINE=\"{}\"", pc_options())))?;
    // A BIOS loads the boot sector to this address.
    run(Command::new("ld")
        .args(["-m", "elf_x86_64", "-Ttext=0x7c00", "--oformat=binary"])
        .arg(&object)
        .arg("-o")
        .arg(&sector))?;
    let mut disk = File::create(to)?;
    disk.write_all(&fs::read(&sector)?)?;
    disk.write_all(&content)?;
    let size = SECTOR + chunks * CHUNK;
    disk.set_len(size.next_multiple_of(CYLINDER).try_into()?)?;
    Ok(())
}

/// A kernel as it lies in memory.
struct Kernel {
    at: usize,
    memory: Vec<u8>,
    /// Address of the 32-bit entry for Xen's PVH boot protocol.
    entry: usize,
}

impl Kernel {
    /// The kernel in a `bzImage`.
    fn read(path: &Path) -> Result<Self> {
        let elf = unpacked(&fs::read(path)?)?;
        let elf = elf.as_slice();
        let header = FileHeader64::<LittleEndian>::parse(elf)?;
        let endian = header.endian()?;
        let mut segments = Vec::new();
        let mut entry = None;
        for segment in header.program_headers(endian, elf)? {
            if segment.p_type(endian) == PT_LOAD {
                let start = usize::try_from(segment.p_paddr(endian))?;
                let size = usize::try_from(segment.p_memsz(endian))?;
                let content = segment.data(endian, elf);
                let content = content.map_err(|()| "a segment is not in the kernel's file")?;
                segments.push((start, size, content));
            }
            let Some(mut notes) = segment.notes(endian, elf)? else {
                continue;
            };
            while let Some(note) = notes.next()? {
                if note.name() == b"Xen" && note.n_type(endian) == XEN_ELFNOTE_PHYS32_ENTRY {
                    let address = note.desc().first_chunk().copied();
                    entry = address.map(u64::from_le_bytes);
                }
            }
        }
        let starts = segments.iter().map(|(start, ..)| *start);
        let at = starts.min().ok_or("the kernel has no segments")?;
        let ends = segments.iter().map(|(start, size, _)| start + size);
        let mut memory = vec![0; ends.max().unwrap_or(at) - at];
        for (start, _, content) in segments {
            let place = memory.get_mut(start - at..);
            let place = place.and_then(|place| place.get_mut(..content.len()));
            place
                .ok_or("a segment of the kernel is longer in its file than in memory")?
                .copy_from_slice(content);
        }
        let entry = entry.ok_or("the kernel has no entry for PVH")?;
        Ok(Self { at, memory, entry: entry.try_into()? })
    }
}

/// The ELF file packed in a `bzImage` (Linux, `Documentation/x86/boot.rst`, `payload_offset`).
fn unpacked(image: &[u8]) -> Result<Vec<u8>> {
    let word = |at: usize| -> Option<usize> {
        let bytes = image.get(at..)?.first_chunk()?;
        usize::try_from(u32::from_le_bytes(*bytes)).ok()
    };
    let payload = || {
        let start = (usize::from(*image.get(0x1f1)?) + 1) * SECTOR;
        let payload = image.get(start + word(0x248)?..)?;
        payload.get(..word(0x24c)?)
    };
    let payload = payload().ok_or("the kernel is no bzImage")?;
    let mut packed = tempfile::tempfile()?;
    packed.write_all(payload)?;
    packed.rewind()?;
    // The payload is one stream and, after it, the stream's unpacked size.
    output(Command::new("xz").args(["--decompress", "--stdout", "--single-stream"]).stdin(packed))
}
