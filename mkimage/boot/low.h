/*
 * Memory below 640 KiB that the loader for UEFI leaves to the payload: what it has to read, and the code
 * that enters it. uefi.c fills it in, uefi.S reads it.
 */

#define LOW_RSDP 0x10           /* found there from the start of the extended BIOS area on */
#define LOW_INFO 0x40           /* Multiboot information */
#define LOW_NAME 0xc0           /* the loader's name */
#define LOW_SOURCE 0x100        /* where the payload was read to */
#define LOW_LOAD 0x104          /* where it goes; the parameters of the loader (layout.rs) */
#define LOW_END 0x108
#define LOW_BSS_END 0x10c
#define LOW_ENTRY 0x110
#define LOW_BIOS_AREA 0x114     /* the segment of this memory, or 0 */
#define LOW_CODE 0x200          /* the code, and behind it the stack */
#define LOW_STACK 0x600
#define LOW_MAP 0x600           /* the map of memory */
#define LOW_LINE 0x1200         /* the command line */
