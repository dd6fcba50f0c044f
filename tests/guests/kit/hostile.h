/*
 * hostile.h: a guest that bypasses the bindings and does what its command line says:
 * `COMMAND NUMBER…`, with hexadecimal numbers. So a case is one line of a unikernel's directives.
 *
 *   call N WORD…          hypercall N with these words as its argument
 *   odd N WORD…           the same, the argument not aligned
 *   at N ADDRESS          hypercall N that claims its argument is at ADDRESS
 *   wait N WORD…          the same as `call`, for a call that lasts until a signal comes
 *   peek|poke ADDRESS     reads from, writes to memory
 *   jump ADDRESS          executes there
 *   halt ud2 spin         an instruction that waits for an interrupt, one that does not exist, an endless loop
 *
 * on x86_64 also:
 *
 *   out|outw|outb PORT    writes 0 to a port; in|inw|inb reads from it
 *   rep-outs|rep-ins PORT `rep outsl`, `rep insl` of four words
 *   rdmsr|wrmsr NUMBER    reads a model-specific register, writes all ones
 *   crash probe
 *
 * on aarch64 also:
 *
 *   store ADDRESS         a store of 32 bits; store8, store16, store64, load and pair are other accesses
 *   smc hvc               calls of firmware and hypervisor, which find neither
 *   mrs                   a register of the interrupt controller, which is not there
 *
 * The word `self` is the address of the hypercall's argument. The guest prints every answer.
 */
#ifndef KIT_HOSTILE_H
#define KIT_HOSTILE_H

#include "hvt_abi.h"
#include "kit.h"

#define WORDS_MAX 8

/* What the command line says. */
static struct {
    const char *name;
    uint64_t words[WORDS_MAX];
    unsigned count;
} command;

/* The argument of a hypercall, with room to misalign it. */
static uint64_t hostile_area[WORDS_MAX + 1];
#if defined(__x86_64__)

static inline void hostile_out(uint16_t port, uint32_t value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "d"(port) : "memory");
}

/* Calls the tender, without a look at the number. */
static inline void hostile_hypercall(uint64_t number, uint32_t value)
{
    hostile_out((uint16_t)(HVT_HYPERCALL_PIO_BASE + number), value);
}

static inline void hostile_kick(void)
{
    hostile_out(HVT_RING_KICK_PIO, 0);
}

#elif defined(__aarch64__)

static inline void hostile_store(uint64_t address, uint32_t value)
{
    __asm__ volatile("dsb ish\n\tstr %w0, [%1]" : : "r"(value), "r"(address) : "memory");
}

/* Calls the tender, without a look at the number. */
static inline void hostile_hypercall(uint64_t number, uint32_t value)
{
    hostile_store(HVT_HYPERCALL_MMIO_BASE + (number << HVT_HYPERCALL_MMIO_SHIFT), value);
}

static inline void hostile_kick(void)
{
    hostile_store(HVT_RING_KICK_MMIO, 0);
}

#else

static inline void hostile_hypercall(uint64_t number, uint32_t value)
{
    (void)number;
    (void)value;
    CHECK(!"no hypercalls here");
}

static inline void hostile_kick(void)
{
    CHECK(!"no ring here");
}

#endif

static bool hostile_is(const char *word, const char *name)
{
    while (*name != '\0' && *word == *name) {
        word++;
        name++;
    }
    return *name == '\0' && (*word == '\0' || *word == ' ');
}

static const char *hostile_next(const char *word)
{
    while (*word != '\0' && *word != ' ')
        word++;
    return *word == ' ' ? word + 1 : word;
}

static uint64_t hostile_number(const char *word)
{
    uint64_t number = 0;
    if (hostile_is(word, "self"))
        return (uint64_t)(uintptr_t)hostile_area;
    for (; *word != '\0' && *word != ' '; word++) {
        CHECK((*word >= '0' && *word <= '9') || (*word >= 'a' && *word <= 'f'));
        number = number << 4 | (uint64_t)(*word <= '9' ? *word - '0' : *word - 'a' + 10);
    }
    return number;
}

static void hostile_read(const char *line)
{
    command.name = line;
    for (line = hostile_next(line); *line != '\0'; line = hostile_next(line)) {
        CHECK(command.count < WORDS_MAX);
        command.words[command.count++] = hostile_number(line);
    }
}

/* A hypercall with its argument `shift` bytes into the area. */
static void hostile_call(unsigned shift)
{
    const uint64_t number = command.words[0];
    uint8_t *argument = (uint8_t *)hostile_area + shift;
    int32_t ret;
    memcpy(argument, command.words + 1, sizeof command.words - sizeof command.words[0]);
    hostile_hypercall(number, (uint32_t)(uintptr_t)argument);
    if (number >= HVT_HYPERCALL_BLOCK_WRITE && number <= HVT_HYPERCALL_NET_READ) {
        const bool block = number <= HVT_HYPERCALL_BLOCK_READ;
        memcpy(&ret, argument + (block ? 32 : 24), sizeof ret);
        say("ret ");
        say_decimal((uint64_t)ret);
        say(", ");
    }
}

#if defined(__x86_64__)

/* What `rep outs` reads: addresses behind memory. */
static uint32_t hostile_text[4] = {0x200000, 0x200000, 0x200000, 0x200000};

/* `lidt`, `lgdt` */
struct hostile_table {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

static struct {
    uint16_t offset_low, selector, flags, offset_middle;
    uint32_t offset_high, zero;
} hostile_idt[14];
static uint64_t hostile_refused __attribute__((used));

/* The handler of #GP: counts, and continues after the `rdmsr` or `wrmsr`, which has two bytes. */
__asm__(".pushsection .text\n"
        "hostile_general_protection:\n"
        "  incq hostile_refused(%rip)\n"
        "  addq $8, %rsp\n"
        "  addq $2, (%rsp)\n"
        "  iretq\n"
        ".popsection");
extern const uint8_t hostile_general_protection[];

static void hostile_survive(void)
{
    const uint64_t handler = (uint64_t)(uintptr_t)hostile_general_protection;
    struct hostile_table table;
    hostile_idt[13].offset_low = (uint16_t)handler;
    hostile_idt[13].offset_middle = (uint16_t)(handler >> 16);
    hostile_idt[13].offset_high = (uint32_t)(handler >> 32);
    hostile_idt[13].selector = 8;
    hostile_idt[13].flags = 0x8e00; /* present, interrupt gate */
    table.limit = sizeof hostile_idt - 1;
    table.base = (uint64_t)(uintptr_t)hostile_idt;
    __asm__ volatile("lidt %0" : : "m"(table));
}

/* Reads registers and writes back what was read. */
static void hostile_probe(uint32_t first, uint32_t count)
{
    for (uint32_t number = first; number - first < count; number++) {
        uint32_t low = 0, high = 0;
        const uint64_t before = hostile_refused;
        __asm__ volatile("rdmsr" : "+a"(low), "+d"(high) : "c"(number) : "memory");
        if (hostile_refused == before)
            __asm__ volatile("wrmsr" : : "a"(low), "d"(high), "c"(number) : "memory");
    }
}

static void hostile_machine(void)
{
    const char *name = command.name;
    const uint64_t first = command.words[0];
    uint32_t value = 0;
    if (hostile_is(name, "out")) {
        hostile_out((uint16_t)first, 0);
    } else if (hostile_is(name, "outw")) {
        __asm__ volatile("outw %w0, %w1" : : "a"(value), "d"((uint16_t)first));
    } else if (hostile_is(name, "outb")) {
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "d"((uint16_t)first));
    } else if (hostile_is(name, "in")) {
        __asm__ volatile("inl %w1, %0" : "=a"(value) : "d"((uint16_t)first));
    } else if (hostile_is(name, "inw")) {
        __asm__ volatile("inw %w1, %w0" : "=a"(value) : "d"((uint16_t)first));
    } else if (hostile_is(name, "inb")) {
        __asm__ volatile("inb %w1, %b0" : "=a"(value) : "d"((uint16_t)first));
    } else if (hostile_is(name, "rep-outs")) {
        const uint32_t *from = hostile_text;
        uint64_t count = sizeof hostile_text / sizeof hostile_text[0];
        __asm__ volatile("rep outsl" : "+S"(from), "+c"(count) : "d"((uint16_t)first) : "memory");
    } else if (hostile_is(name, "rep-ins")) {
        uint32_t *to = hostile_text;
        uint64_t count = sizeof hostile_text / sizeof hostile_text[0];
        __asm__ volatile("rep insl" : "+D"(to), "+c"(count) : "d"((uint16_t)first) : "memory");
    } else if (hostile_is(name, "peek")) {
        (void)*(volatile uint8_t *)opaque(first);
    } else if (hostile_is(name, "poke")) {
        *(volatile uint8_t *)opaque(first) = 0;
    } else if (hostile_is(name, "jump")) {
        __asm__ volatile("jmp *%0" : : "r"(first));
    } else if (hostile_is(name, "rdmsr")) {
        __asm__ volatile("rdmsr" : "=a"(value) : "c"((uint32_t)first) : "rdx");
    } else if (hostile_is(name, "wrmsr")) {
        __asm__ volatile("wrmsr" : : "a"(~0u), "d"(~0u), "c"((uint32_t)first));
    } else if (hostile_is(name, "halt")) {
        __asm__ volatile("hlt");
    } else if (hostile_is(name, "ud2")) {
        __asm__ volatile("ud2");
    } else if (hostile_is(name, "crash")) {
        /* A triple fault: neither an exception nor its double fault has a handler. */
        const struct hostile_table none = {0, 0};
        __asm__ volatile("lidt %0\n\tud2" : : "m"(none));
    } else if (hostile_is(name, "spin")) {
        say("Waiting for a signal\n");
        for (;;)
            __asm__ volatile("pause");
    } else if (hostile_is(name, "probe")) {
        hostile_survive();
        /* Intel's, Hyper-V's, KVM's, AMD's. */
        hostile_probe(0, 0x1000);
        hostile_probe(0x40000000, 0x200);
        hostile_probe(0x4b564d00, 0x10);
        hostile_probe(0xc0000000, 0x200);
        hostile_probe(0xc0010000, 0x200);
        CHECK(hostile_refused > 0x800);
    } else {
        CHECK(!"a command");
    }
}

#elif defined(__aarch64__)

static void hostile_machine(void)
{
    const char *name = command.name;
    const uint64_t first = command.words[0];
    uint64_t value = 0;
    if (hostile_is(name, "store")) {
        hostile_store(first, 0);
    } else if (hostile_is(name, "store8")) {
        __asm__ volatile("strb %w0, [%1]" : : "r"(value), "r"(first) : "memory");
    } else if (hostile_is(name, "store16")) {
        __asm__ volatile("strh %w0, [%1]" : : "r"(value), "r"(first) : "memory");
    } else if (hostile_is(name, "store64")) {
        __asm__ volatile("str %0, [%1]" : : "r"(value), "r"(first) : "memory");
    } else if (hostile_is(name, "load")) {
        __asm__ volatile("ldr %w0, [%1]" : "=r"(value) : "r"(first) : "memory");
    } else if (hostile_is(name, "pair")) {
        /* Of two registers the processor does not tell a hypervisor. */
        __asm__ volatile("stp %0, %0, [%1]" : : "r"(value), "r"(first) : "memory");
    } else if (hostile_is(name, "peek")) {
        (void)*(volatile uint8_t *)opaque(first);
    } else if (hostile_is(name, "poke")) {
        *(volatile uint8_t *)opaque(first) = 0;
    } else if (hostile_is(name, "jump")) {
        __asm__ volatile("br %0" : : "r"(first));
    } else if (hostile_is(name, "halt")) {
        __asm__ volatile("wfi");
    } else if (hostile_is(name, "ud2")) {
        __asm__ volatile("udf #0");
    } else if (hostile_is(name, "smc")) {
        __asm__ volatile("mov x0, #0x84000000\n\tsmc #0" : : : "x0", "x1", "x2", "x3", "memory");
    } else if (hostile_is(name, "hvc")) {
        __asm__ volatile("mov x0, #0x84000000\n\thvc #0" : : : "x0", "x1", "x2", "x3", "memory");
    } else if (hostile_is(name, "mrs")) {
        __asm__ volatile("mrs %0, s3_0_c12_c12_0" : "=r"(value));
    } else if (hostile_is(name, "spin")) {
        say("Waiting for a signal\n");
        for (;;)
            __asm__ volatile("yield");
    } else {
        CHECK(!"a command");
    }
}

#else

static void hostile_machine(void)
{
    CHECK(!"a command");
}

#endif

/* Does what was read from the command line. */
static int hostile_do(void)
{
    if (hostile_is(command.name, "wait"))
        say("Waiting for a signal\n");
    if (hostile_is(command.name, "call") || hostile_is(command.name, "wait"))
        hostile_call(0);
    else if (hostile_is(command.name, "odd"))
        hostile_call(3);
    else if (hostile_is(command.name, "at"))
        hostile_hypercall(command.words[0], (uint32_t)command.words[1]);
    else
        hostile_machine();
    say("answered\n");
    return SOLO5_EXIT_SUCCESS;
}

static inline int hostile(const struct solo5_start_info *info)
{
    hostile_read(info->cmdline);
    return hostile_do();
}

#endif
