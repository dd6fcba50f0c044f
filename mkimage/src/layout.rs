//! Where things are on a disk and in memory while it boots (`docs/reference/disk-image.md`).
//!
//! `build.rs` includes this file too, and hands the constants to the assembler.

/// Bytes in a sector.
pub const SECTOR: u64 = 512;
/// Where the disk's identifier is in the first sector; the boot code is before it.
pub const DISK_ID_AT: usize = 440;
/// First sector of the loader.
pub const LOADER_LBA: u64 = 1;
/// Sectors of the loader, with its parameters and the command line.
pub const LOADER_SECTORS: u64 = 32;
/// Bytes of the loader.
pub const LOADER_SIZE: usize = (LOADER_SECTORS * SECTOR) as usize;
/// First sector of the EFI system partition: behind the loader, at a multiple of what any disk writes at
/// once.
pub const SYSTEM_PARTITION_LBA: u64 = 64;
/// Sectors of the system partition.
pub const SYSTEM_PARTITION_SECTORS: u64 = PAYLOAD_LBA - SYSTEM_PARTITION_LBA;
/// Where the identifier of its file system is in the system partition.
pub const VOLUME_ID_AT: usize = 39;
/// First sector of the partition that holds the payload: 1 MiB, as other tools align partitions.
pub const PAYLOAD_LBA: u64 = 2048;
/// Where the boot sector puts the loader.
pub const LOADER_AT: usize = 0x8000;
/// The loader begins with a jump and this number.
pub const LOADER_MAGIC: u32 = u32::from_le_bytes(*b"SOL5");
/// Bytes of the loader before the command line.
pub const LOADER_CODE_SIZE: usize = 0x1800;
/// The name that the loader gives itself in the Multiboot information; eight hexadecimal digits follow,
/// the disk's identifier.
pub const LOADER_NAME: &str = "solo5-virtio-mkimage disk=";
/// Where the name is in the loader.
pub const LOADER_NAME_AT: usize = 44;
/// Where the command line is in memory.
pub const COMMAND_LINE_AT: usize = LOADER_AT + LOADER_CODE_SIZE;
/// Where the boot sector is in memory.
pub const BOOT_SECTOR_AT: usize = 0x7c00;

/// The constants that the assembler sources use.
pub const NAMES: [(&str, u64); 10] = [
    ("DISK_ID_AT", DISK_ID_AT as u64),
    ("LOADER_LBA", LOADER_LBA),
    ("LOADER_SECTORS", LOADER_SECTORS),
    ("LOADER_SIZE", LOADER_SIZE as u64),
    ("LOADER_AT", LOADER_AT as u64),
    ("LOADER_MAGIC", LOADER_MAGIC as u64),
    ("LOADER_CODE_SIZE", LOADER_CODE_SIZE as u64),
    ("LOADER_NAME_AT", LOADER_NAME_AT as u64),
    ("COMMAND_LINE_AT", COMMAND_LINE_AT as u64),
    ("BOOT_SECTOR_AT", BOOT_SECTOR_AT as u64),
];
