/*
 * The loader for UEFI, EFI/BOOT/BOOTX64.EFI in the EFI system partition. It does what loader.S does on a
 * machine with a BIOS, with the same parameters: it reads the sectors of the loader and of the payload
 * from the disk that its partition is on, checks both, and enters the payload as a Multiboot 1 loader
 * does. (docs/reference/disk-image.md#uefi; Multiboot Specification 0.6.96.)
 *
 * docs/mkimage.md says what it does not do, such as Secure Boot.
 *
 * It has no variables, so nothing in it depends on where the firmware puts it. What it reads from the disk
 * was written with the same trust as itself; the checks find damage.
 */

#include "efi.h"
#include "low.h"

#define SECTOR 512
#define CHUNK_SECTORS 2048
#define ATTEMPTS 3
#define PAGE 4096
#define LOWEST 0x100000
#define GIB4 0x100000000ull
#define LOW_TOP 0x9ffff
#define PATH_MAX 512
#define COMMAND_LINE_SIZE (LOADER_SIZE - LOADER_CODE_SIZE)

/* Types of memory in Multiboot's map. */
enum { MAP_RAM = 1, MAP_RESERVED, MAP_ACPI, MAP_NVS };
#define MAP_MAX 128

struct map_record {
        u32 size;
        u64 start, length;
        u32 type;
} __attribute__((packed));

/* Multiboot information, as far as the name of the loader, and filled up to what loader.S clears. */
struct information {
        u32 flags, memory_lower, memory_upper, boot_device, line, modules[2], symbols[4];
        u32 map_length, map, drives[2], configuration, name, rest[13];
};

struct low {
        u8 bios_area[LOW_RSDP], rsdp[LOW_INFO - LOW_RSDP];
        struct information information;
        u8 gap[LOW_NAME - LOW_INFO - sizeof(struct information)], name[LOW_SOURCE - LOW_NAME];
        u32 source, load, end, bss_end, entry, bios_segment;
        u8 gap2[LOW_CODE - LOW_BIOS_AREA - 4], code[LOW_MAP - LOW_CODE];
        struct map_record map[MAP_MAX];
        u8 line[COMMAND_LINE_SIZE];
};

#define AT(field, offset) \
        _Static_assert(__builtin_offsetof(struct low, field) == offset, "low.h says where")
AT(rsdp, LOW_RSDP);
AT(information, LOW_INFO);
AT(name, LOW_NAME);
AT(source, LOW_SOURCE);
AT(load, LOW_LOAD);
AT(end, LOW_END);
AT(bss_end, LOW_BSS_END);
AT(entry, LOW_ENTRY);
AT(bios_segment, LOW_BIOS_AREA);
AT(code, LOW_CODE);
AT(map, LOW_MAP);
AT(line, LOW_LINE);

/* The start of the loader's sectors; layout.rs and boot.rs have the same. */
struct parameters {
        u32 jump, magic, checksum;
        u64 payload_lba;
        u32 sectors, crc, load, end, bss_end, entry;
        u8 name[sizeof LOADER_NAME];
} __attribute__((packed));
_Static_assert(__builtin_offsetof(struct parameters, name) == LOADER_NAME_AT, "layout.rs says where");
_Static_assert(sizeof LOADER_NAME <= LOW_SOURCE - LOW_NAME, "there is room for the name");

#pragma GCC visibility push(hidden)
void enter(struct low *) __attribute__((noreturn));
extern const u8 trampoline[], trampoline_end[];

/* The compiler may call these two. */
void *memcpy(void *to, const void *from, u64 size) {
        void *start = to;
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
        return start;
}

void *memset(void *to, int value, u64 size) {
        void *start = to;
        __asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(value) : "memory");
        return start;
}

static int is_same(const struct guid *one, const struct guid *other) {
        const u8 *a = (const u8 *)one, *b = (const u8 *)other;
        for (u64 at = 0; at < sizeof *one; at++)
                if (a[at] != b[at])
                        return 0;
        return 1;
}

static u8 in(u16 port) {
        u8 value;
        __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
        return value;
}

static void out(u16 port, u8 value) {
        __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* The first serial port, as serial.h has it: a bounded wait, and without a port it comes back. */
#define COM1 0x3f8

static void serial(const char *text) {
        out(COM1 + 3, 0x80);
        out(COM1, 1);
        out(COM1 + 1, 0);
        out(COM1 + 3, 3);
        for (; *text; text++) {
                for (u32 left = 0x10000; left && !(in(COM1 + 5) & 0x20); left--)
                        ;
                out(COM1, *text);
        }
}

/* Prints on the firmware's console. */
static void console(struct text_output *output, const char *text) {
        for (; *text; text++) {
                const u16 character[2] = { (u8)*text, 0 };
                output->output_string(output, character);
        }
}

/* Prints an error on the serial port, and on the firmware's console if it still is there; and stops. */
static void __attribute__((noreturn)) fail(struct system_table *system, const char *message) {
        if (system) {
                console(system->output, "Solo5: boot error ");
                console(system->output, message);
                console(system->output, "\r\n");
                /* The firmware would reset the machine after some minutes. */
                system->boot->set_watchdog_timer(0, 0, 0, 0);
        }
        serial("Solo5: boot error ");
        serial(message);
        serial("\r\n");
        for (;;)
                __asm__ volatile("cli; hlt");
}

#define NO_LOADER "2"
#define LOADER_DAMAGED "3"
#define UNREADABLE "4: the disk cannot be read"
#define DAMAGED "5: the unikernel on the disk is damaged"
#define NO_MAP "6: the firmware gives no map of memory"
#define NO_MEMORY "7: there is too little memory for the unikernel"

/* The disk whose partition this program was started from; 0 if there is none. */
static struct block_io *disk(struct boot_services *boot, handle image) {
        static const struct guid loaded_image_guid = {
                0x5b1b31a1, 0x9562, 0x11d2, { 0x8e, 0x3f, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b }
        };
        static const struct guid path_guid = {
                0x09576e91, 0x6d3f, 0x11d2, { 0x8e, 0x39, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b }
        };
        static const struct guid block_io_guid = {
                0x964e5b21, 0x6459, 0x11d2, { 0x8e, 0x39, 0, 0xa0, 0xc9, 0x69, 0x72, 0x3b }
        };
        struct loaded_image *loaded;
        struct device_path *path;
        struct block_io *io;
        handle device;
        if (boot->handle_protocol(image, &loaded_image_guid, (void **)&loaded) != SUCCESS
            || boot->handle_protocol(loaded->device, &path_guid, (void **)&path) != SUCCESS)
                return 0;
        /* The path of the disk is that of the partition without its last node. */
        u8 copy[PATH_MAX];
        struct device_path *node = (struct device_path *)copy, *last = 0;
        u64 size = 0;
        for (;;) {
                u64 length = path->length[0] | path->length[1] << 8;
                if (length < sizeof *path || length > PATH_MAX - size)
                        return 0;
                memcpy(copy + size, path, length);
                node = (struct device_path *)(copy + size);
                if (node->type == PATH_END)
                        break;
                last = node;
                size += length;
                path = (struct device_path *)((u8 *)path + length);
        }
        if (!last || last->type != PATH_MEDIA || last->subtype != PATH_PARTITION)
                return 0;
        *last = (struct device_path){ PATH_END, PATH_END_ALL, { sizeof *last, 0 } };
        node = (struct device_path *)copy;
        if (boot->locate_device_path(&block_io_guid, &node, &device) != SUCCESS
            || node->type != PATH_END
            || boot->handle_protocol(device, &block_io_guid, (void **)&io) != SUCCESS
            || io->media->block_size != SECTOR)
                return 0;
        return io;
}

/* Whether the sectors could be read. */
static int read(struct block_io *io, u64 sector, u64 count, u8 *to) {
        while (count) {
                u64 now = count < CHUNK_SECTORS ? count : CHUNK_SECTORS;
                u32 left = ATTEMPTS;
                while (io->read(io, io->media->id, sector, now * SECTOR, to) != SUCCESS)
                        if (!--left)
                                return 0;
                sector += now;
                count -= now;
                to += now * SECTOR;
        }
        return 1;
}

/* Memory whose last byte is at `most` or below; 0 if there is none. */
static void *allocate(struct boot_services *boot, u32 type, u64 size, u64 most) {
        u64 address = most;
        u64 pages = (size + PAGE - 1) / PAGE;
        if (boot->allocate_pages(MAX_ADDRESS, type, pages, &address) != SUCCESS)
                return 0;
        return (void *)address;
}

/* Whether the loader's sectors are what was written, and their parameters make sense. */
static int is_whole(const struct parameters *loader) {
        const u32 *words = (const void *)loader;
        u32 sum = 0;
        for (u64 at = 0; at < LOADER_SIZE / sizeof *words; at++)
                sum += words[at];
        u64 length = (u64)loader->sectors * SECTOR;
        return sum == 0 && loader->magic == LOADER_MAGIC && loader->load >= LOWEST
            && loader->load < loader->end && loader->end <= loader->bss_end
            && loader->entry >= loader->load && loader->entry < loader->end
            && length >= loader->end - loader->load;
}

static u32 crc32(const u8 *bytes, u64 size) {
        u32 table[256], crc = ~0u;
        for (u32 byte = 0; byte < 256; byte++) {
                u32 value = byte;
                for (u32 bit = 0; bit < 8; bit++)
                        value = value >> 1 ^ (value & 1 ? 0xedb88320 : 0);
                table[byte] = value;
        }
        for (u64 at = 0; at < size; at++)
                crc = crc >> 8 ^ table[(crc ^ bytes[at]) & 0xff];
        return ~crc;
}

/* A map of memory as the firmware has it. */
struct firmware_map {
        u8 *bytes;
        u64 room, size, record, key;
};

static status get_map(struct boot_services *boot, struct firmware_map *map) {
        u32 version;
        map->size = map->room;
        return boot->get_memory_map(&map->size, map->bytes, &map->key, &map->record, &version);
}

/* Room for the map, and for what it grows by meanwhile; 0 if there is none. */
static int map_room(struct boot_services *boot, struct firmware_map *map) {
        map->room = 0;
        get_map(boot, map);
        map->room = map->size + 2 * PAGE;
        map->bytes = allocate(boot, LOADER_DATA, map->room, ~0ull);
        return map->bytes != 0;
}

/* What a type of memory is once the firmware's services have ended. */
static u32 map_type(u32 type) {
        switch (type) {
        case LOADER_CODE:
        case LOADER_DATA:
        case BOOT_CODE:
        case BOOT_DATA:
        case CONVENTIONAL:
                return MAP_RAM;
        case ACPI_RECLAIM:
                return MAP_ACPI;
        case ACPI_NVS:
                return MAP_NVS;
        default:
                return MAP_RESERVED;
        }
}

/*
 * Makes Multiboot's map of the firmware's: in order, and what touches is one. Returns how many records it
 * has. A map that is too long loses its end.
 */
static u32 make_map(const struct firmware_map *from, struct map_record *to) {
        u32 count = 0;
        u64 from_here = 0;
        if (from->record < sizeof(struct memory_descriptor))
                return 0;
        for (;;) {
                const struct memory_descriptor *next = 0;
                for (u64 at = 0; at + from->record <= from->size; at += from->record) {
                        const struct memory_descriptor *found =
                            (const struct memory_descriptor *)(from->bytes + at);
                        if (found->pages && found->start >= from_here
                            && found->pages <= (~0ull - found->start) / PAGE
                            && (!next || found->start < next->start))
                                next = found;
                }
                if (!next)
                        return count;
                u64 start = next->start, length = next->pages * PAGE;
                u32 type = map_type(next->type);
                struct map_record *last = to + count - 1;
                from_here = start + length;
                if (count && last->type == type && last->start + last->length == start) {
                        last->length += length;
                        continue;
                }
                if (count == MAP_MAX)
                        return count;
                to[count++] = (struct map_record){ 20, start, length, type };
        }
}

/* Fills in the information and the map. 0 if no RAM holds all that the payload takes. */
static int inform(struct low *low, const struct firmware_map *map, u64 last) {
        struct information *information = &low->information;
        u32 count = make_map(map, low->map);
        int fits = 0;
        low->bios_segment = 0;
        for (struct map_record *at = low->map; at < low->map + count; at++) {
                u64 end = at->start + at->length;
                if (at->type != MAP_RAM)
                        continue;
                if (at->start == 0) {
                        information->memory_lower = (end < 640 << 10 ? end : 640 << 10) >> 10;
                        low->bios_segment = (u64)low >> 4;
                }
                if (at->start <= low->load && end >= last) {
                        end = end < GIB4 ? end : GIB4 - 1024;
                        information->memory_upper = (end - LOWEST) >> 10;
                        fits = 1;
                }
        }
        /* Memory, command line, map, name of the loader: a drive has no number here. */
        information->flags = 0x245;
        information->line = (u64)low->line;
        information->map_length = count * sizeof *low->map;
        information->map = (u64)low->map;
        information->name = (u64)low->name;
        return fits;
}

/* Copies ACPI's root pointer, which is not where a BIOS has it. */
static void copy_root(struct low *low, const struct system_table *system) {
        static const struct guid acpi2 = {
                0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0, 0x80, 0xc7, 0x3c, 0x88, 0x81 }
        };
        static const struct guid acpi1 = {
                0xeb9d2d30, 0x2d88, 0x11d3, { 0x9a, 0x16, 0, 0x90, 0x27, 0x3f, 0xc1, 0x4d }
        };
        for (u64 at = 0; at < system->tables; at++) {
                const struct configuration_table *table = system->table + at;
                if (is_same(&table->guid, &acpi2)) {
                        memcpy(low->rsdp, table->table, 36);
                        return;
                }
                if (is_same(&table->guid, &acpi1))
                        memcpy(low->rsdp, table->table, 20);
        }
}

status EFI start(handle image, struct system_table *system) {
        struct boot_services *boot = system->boot;
        struct block_io *io = disk(boot, image);
        struct parameters *loader = allocate(boot, LOADER_DATA, LOADER_SIZE, ~0ull);
        if (!io || !loader || !read(io, LOADER_LBA, LOADER_SECTORS, (u8 *)loader))
                fail(system, NO_LOADER);
        if (!is_whole(loader))
                fail(system, LOADER_DAMAGED);

        u64 length = (u64)loader->sectors * SECTOR;
        u8 *payload = allocate(boot, LOADER_DATA, length, GIB4 - 1);
        struct low *low = allocate(boot, LOADER_CODE, sizeof *low, LOW_TOP);
        struct firmware_map map;
        if (!payload || !low)
                fail(system, NO_MEMORY);
        if (!map_room(boot, &map) || get_map(boot, &map) != SUCCESS)
                fail(system, NO_MAP);
        memset(low, 0, sizeof *low);
        low->bios_area[0] = (sizeof *low + 1023) >> 10;
        low->source = (u64)payload;
        low->load = loader->load;
        low->end = loader->end;
        low->bss_end = loader->bss_end;
        low->entry = loader->entry;
        memcpy(low->name, loader->name, sizeof loader->name);
        memcpy(low->code, trampoline, trampoline_end - trampoline);
        memcpy(low->line, (u8 *)loader + LOADER_CODE_SIZE, COMMAND_LINE_SIZE - 1);
        copy_root(low, system);
        if (!inform(low, &map, loader->bss_end))
                fail(system, NO_MEMORY);

        if (!read(io, loader->payload_lba, loader->sectors, payload))
                fail(system, UNREADABLE);
        if (crc32(payload, loader->end - loader->load) != loader->crc)
                fail(system, DAMAGED);

        /* The map may change while the services end, and then they have not. */
        u32 left = ATTEMPTS;
        do {
                if (!left-- || get_map(boot, &map) != SUCCESS)
                        fail(0, NO_MAP);
        } while (boot->exit_boot_services(image, map.key) != SUCCESS);
        if (!inform(low, &map, low->bss_end))
                fail(0, NO_MEMORY);
        enter(low);
}
