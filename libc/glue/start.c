/*
 * From Solo5's start to main(): memory, arguments, and what Linux tells a program at its start.
 *
 * Words of the command line become arguments as a shell would split them, without expanding
 * anything: blanks separate words, '…' and "…" keep blanks, and \ keeps the next character, except
 * within '…'. A quote that is not closed ends with the line. argv[0] is "unikernel". The
 * environment is empty.
 */

#include <elf.h>
#include <stdbool.h>

#include "glue.h"

int main(int argc, char **argv, char **envp);
int __libc_start_main(int (*main)(int, char **, char **), int argc, char **argv, void (*init)(void),
        void (*fini)(void), void (*ldso)(void));

/* The linker script's; the second line are numbers, the addresses of symbols. */
extern char _stext[], _stdata[], _edata[], _end[];
extern char _ltdata[], _ltbss[], _stls_align[];
extern const char __eh_frame_hdr_start[] __attribute__((weak));
extern const char __eh_frame_hdr_end[] __attribute__((weak));

size_t __solo5_stack_size;
uintptr_t __solo5_stack_start;

/* The largest part of the memory that is kept for the stack if the manifest names no size. */
#define STACK_MAX (8UL << 20)

/* The size of a stack's guard. */
#define GUARD (64UL << 10)

/* Keeps the compiler from comparing addresses that it believes to differ. */
static uintptr_t value(const char *symbol)
{
    uintptr_t number = (uintptr_t)symbol;
    __asm__("" : "+r"(number));
    return number;
}

static void fail(const char *text)
{
    solo5_console_write(text, strlen(text));
    solo5_abort();
}

/* The memory of `info` that is not the stack's. */
static size_t heap_size(const struct solo5_start_info *info)
{
    uintptr_t end = info->heap_start + info->heap_size;
    uintptr_t here = (uintptr_t)__builtin_frame_address(0);
    if (here >= end) {
        /* The manifest asks for a stack, which is above the heap. Between them may be its guard. */
        size_t between = here - end;
        __solo5_stack_size = between > 2 * GUARD ? between - GUARD : between;
        __solo5_stack_start = here - __solo5_stack_size;
        return info->heap_size;
    }
    size_t part = info->heap_size / 4;
    __solo5_stack_size = part < STACK_MAX ? part : STACK_MAX;
    __solo5_stack_start = end - __solo5_stack_size;
    return info->heap_size - __solo5_stack_size;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Splits `line` into words, which it writes to `text`, one after another. Returns how many there are. */
static size_t split(const char *line, char *text, char **words)
{
    size_t count = 0;
    for (;;) {
        while (is_blank(*line))
            line++;
        if (*line == '\0')
            return count;
        words[count++] = text;
        char quote = '\0';
        for (; *line != '\0' && (quote != '\0' || !is_blank(*line)); line++) {
            if (quote == '\0' && (*line == '\'' || *line == '"')) {
                quote = *line;
            } else if (quote != '\0' && *line == quote) {
                quote = '\0';
            } else {
                if (*line == '\\' && quote != '\'' && line[1] != '\0')
                    line++;
                *text++ = *line;
            }
        }
        *text++ = '\0';
    }
}

/* Program headers, which the linker script keeps out of memory: musl and unwinders look for these. */
static Elf64_Phdr headers[3];

static size_t fill_headers(void)
{
    size_t count = 0;
    headers[count++] = (Elf64_Phdr){
        .p_type = PT_LOAD,
        .p_flags = PF_R | PF_X,
        .p_vaddr = value(_stext),
        .p_filesz = value(_end) - value(_stext),
        .p_memsz = value(_end) - value(_stext),
        .p_align = PAGE,
    };
    if (value(_ltdata) + value(_ltbss) > 0) {
        headers[count++] = (Elf64_Phdr){
            .p_type = PT_TLS,
            .p_flags = PF_R,
            .p_vaddr = value(_stdata),
            .p_filesz = value(_edata) - value(_stdata),
            .p_memsz = value(_ltdata) + value(_ltbss),
            .p_align = value(_stls_align),
        };
    }
    size_t unwind = value(__eh_frame_hdr_end) - value(__eh_frame_hdr_start);
    if (unwind > 0) {
        headers[count++] = (Elf64_Phdr){
            .p_type = PT_GNU_EH_FRAME,
            .p_flags = PF_R,
            .p_vaddr = value(__eh_frame_hdr_start),
            .p_filesz = unwind,
            .p_memsz = unwind,
            .p_align = 4,
        };
    }
    return count;
}

int solo5_app_main(const struct solo5_start_info *info)
{
    __solo5_memory_init(info->heap_start, heap_size(info));
    __solo5_time_init();

    /* Each word takes at least two characters, with its blank. */
    size_t length = strlen(info->cmdline);
    size_t slots = length / 2 + 1 + 16;
    uintptr_t *vector = __solo5_memory_take((slots + 1) * sizeof *vector + length + 1);
    if (vector == NULL)
        fail("libc: no memory for the arguments\n");
    static char name[] = "unikernel";
    char **words = (char **)vector;
    words[0] = name;
    size_t argc = 1 + split(info->cmdline, (char *)(vector + slots + 1), words + 1);

    uintptr_t *next = vector + argc;
    *next++ = 0; /* the end of the arguments */
    *next++ = 0; /* the end of the environment */
    const uintptr_t auxiliary[] = {
        AT_PAGESZ, PAGE,
        AT_PHDR, (uintptr_t)headers,
        AT_PHENT, sizeof headers[0],
        AT_PHNUM, fill_headers(),
        AT_NULL, 0,
    };
    memcpy(next, auxiliary, sizeof auxiliary);
    return __libc_start_main(main, (int)argc, words, NULL, NULL, NULL);
}

typedef void function(void);

extern function *const __preinit_array_start[] __attribute__((weak));
extern function *const __preinit_array_end[] __attribute__((weak));
extern function *const __init_array_start[];
extern function *const __init_array_end[];

static void run(function *const *from, function *const *to)
{
    for (; (uintptr_t)from < (uintptr_t)to; from++)
        (*from)();
}

/* What is to run before main(). It takes the place of musl's, which leaves out the first array. */
HIDDEN void __libc_start_init(void);

void __libc_start_init(void)
{
    run(__preinit_array_start, __preinit_array_end);
    run(__init_array_start, __init_array_end);
}
