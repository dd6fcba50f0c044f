/*
 * The part of UEFI's interfaces that uefi.c uses (UEFI Specification 2.10: 4.3 and 4.4 the tables, 7.2
 * memory, 7.3 protocols, 7.4 images, 9.1 the loaded image, 10.2 device paths, 12.4 text, 13.9 blocks).
 */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef void *handle;
typedef u64 status;

/* Functions of the firmware pass arguments as Windows does. */
#define EFI __attribute__((ms_abi))
#define SUCCESS 0

struct guid {
        u32 a;
        u16 b, c;
        u8 d[8];
};

struct table_header {
        u64 signature;
        u32 revision, size, crc, reserved;
};

struct text_output {
        void *reset;
        status(EFI *output_string)(struct text_output *, const u16 *);
};

enum memory_type {
        LOADER_CODE = 1,
        LOADER_DATA,
        BOOT_CODE,
        BOOT_DATA,
        RUNTIME_CODE,
        RUNTIME_DATA,
        CONVENTIONAL,
        UNUSABLE,
        ACPI_RECLAIM,
        ACPI_NVS
};

enum allocation { ANY_PAGES, MAX_ADDRESS };

struct memory_descriptor {
        u32 type, padding;
        u64 start, virtual_start, pages, attributes;
};

/* A node is 4 bytes and its data. */
struct device_path {
        u8 type, subtype, length[2];
};
#define PATH_END 0x7f
#define PATH_END_ALL 0xff
#define PATH_MEDIA 4
#define PATH_PARTITION 1

struct boot_services {
        struct table_header header;
        void *task_priority[2];
        status(EFI *allocate_pages)(u32 allocation, u32 memory_type, u64 pages, u64 *address);
        void *free_pages;
        status(EFI *get_memory_map)(u64 *size, void *map, u64 *key, u64 *record, u32 *version);
        void *pools_and_events[8];
        void *install[3];
        status(EFI *handle_protocol)(handle, const struct guid *, void **interface);
        void *more_protocols[3];
        status(EFI *locate_device_path)(const struct guid *, struct device_path **, handle *);
        void *configuration_and_images[5];
        status(EFI *exit_boot_services)(handle image, u64 key);
        void *monotonic_count_and_stall[2];
        status(EFI *set_watchdog_timer)(u64 seconds, u64 code, u64 size, const u16 *data);
};

struct configuration_table {
        struct guid guid;
        const u8 *table;
};

struct system_table {
        struct table_header header;
        const u16 *vendor;
        u32 revision;
        handle input_handle;
        void *input;
        handle output_handle;
        struct text_output *output;
        handle error_handle;
        void *error, *runtime;
        struct boot_services *boot;
        u64 tables;
        const struct configuration_table *table;
};

struct loaded_image {
        u32 revision;
        handle parent;
        struct system_table *system;
        handle device;
};

struct block_media {
        u32 id;
        u8 flags[5];
        u32 block_size;
};

struct block_io {
        u64 revision;
        struct block_media *media;
        void *reset;
        status(EFI *read)(struct block_io *, u32 media, u64 block, u64 bytes, void *to);
};
