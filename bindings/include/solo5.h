/* SPDX-License-Identifier: ISC */
/*
 * solo5.h: the interface between a unikernel and Solo5, the same on every target.
 *
 * A unikernel defines solo5_app_main() and calls the functions below; nothing else of the machine
 * or of the host is available to it. The interface has few rules:
 *
 *   - It is single-threaded and not re-entrant. Call it from one thread of control, never from an
 *     interrupt or signal handler.
 *   - Pointers are addresses in the unikernel's own memory. Times are nanoseconds, sizes and
 *     offsets are bytes.
 *   - A function that returns a solo5_result_t reports failure in it. Any other function either
 *     succeeds or ends the unikernel as solo5_abort() does.
 *   - A unikernel brings its own memcpy(), memmove(), memset(), memcmp() and whatever else of a C
 *     library its compiler or its code calls. The bindings export nothing but solo5_*, _start* and
 *     the stack protector's two symbols.
 */

#ifndef SOLO5_H_INCLUDED
#define SOLO5_H_INCLUDED

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Results.
 *
 * A unikernel may rely on SOLO5_R_OK and SOLO5_R_AGAIN. It must not rely on being told of its own
 * mistakes or of failures of the host: where a function is documented to return SOLO5_R_EINVAL or
 * SOLO5_R_EUNSPEC, an implementation may end the unikernel instead.
 */
typedef enum {
    /* Done. */
    SOLO5_R_OK = 0,
    /* Not possible now; the same call may succeed later. */
    SOLO5_R_AGAIN,
    /* An argument is not valid. */
    SOLO5_R_EINVAL,
    /* Any other failure. */
    SOLO5_R_EUNSPEC
} solo5_result_t;

/*
 * Life cycle.
 */

/* Exit statuses. A host usually sees only the low 8 bits; 255 and above belong to Solo5. */
#define SOLO5_EXIT_SUCCESS 0
#define SOLO5_EXIT_FAILURE 1
#define SOLO5_EXIT_ABORT   255

/* The argument of solo5_app_main(). Read only. */
struct solo5_start_info {
    /*
     * The command line: NUL-terminated, never NULL, possibly empty. Options for Solo5 itself
     * (--solo5:quiet and the like, at the very beginning) are already taken off.
     */
    const char *cmdline;
    /*
     * Memory the unikernel may use as it likes: readable, writable, not executable, zero at
     * start. The initial stack lies at its upper end and grows down into it; nothing keeps heap
     * and stack apart. Nothing else may be assumed of the layout of memory.
     *
     * With `stack: SIZE` in the manifest the stack is not in this region: it has SIZE bytes of its
     * own, above the region. Between the two lies a guard of 64 KiB without access, so a stack that
     * overflows ends the unikernel. Older tenders make no guard. Then its 64 KiB belong to the
     * region, and a stack that overflows writes there.
     */
    uintptr_t heap_start;
    size_t heap_size;
};

/*
 * The unikernel's entry point, defined by the unikernel. Returning N is the same as calling
 * solo5_exit(N).
 */
int solo5_app_main(const struct solo5_start_info *info);

/*
 * Ends the unikernel with a status. Targets without a host process report it as well as they can,
 * or not at all.
 */
void solo5_exit(int status) __attribute__((noreturn));

/*
 * Ends the unikernel abnormally, with SOLO5_EXIT_ABORT. A tender made for debugging may write a
 * core file.
 */
void solo5_abort(void) __attribute__((noreturn));

/*
 * Thread-local storage.
 *
 * For a unikernel that has variables declared _Thread_local (local-exec model only) and schedules
 * its own threads. For each thread:
 *
 *     block = solo5_tls_size() bytes, aligned as the linker's symbol _stls_align says (at least 8)
 *     solo5_tls_init(block)
 *
 * and, to make that thread the current one, solo5_set_tls_base(solo5_tls_tp_offset(block)).
 * Until the first solo5_set_tls_base() any access to a thread-local variable faults.
 */

/* Size of one thread's block. At least the size of a pointer. */
size_t solo5_tls_size(void);

/* The thread pointer that belongs to the block at `tls`. */
uintptr_t solo5_tls_tp_offset(uintptr_t tls);

/*
 * Gives all variables in the block at `tls` their initial values. SOLO5_R_EINVAL if `tls` is 0 or
 * not aligned.
 */
solo5_result_t solo5_tls_init(uintptr_t tls);

/* Sets the thread pointer to `base`. SOLO5_R_EINVAL if the machine or the host refuses it. */
solo5_result_t solo5_set_tls_base(uintptr_t base);

/*
 * Time.
 */

/* Nanoseconds. */
typedef uint64_t solo5_time_t;

/*
 * Time since some point before the unikernel started. Never decreases; two readings may be equal.
 * Whether time passes while the host is suspended is up to the target.
 */
solo5_time_t solo5_clock_monotonic(void);

/* Time since 1970-01-01 00:00 UTC, as well as the host knows it. It may jump. */
solo5_time_t solo5_clock_wall(void);

/*
 * Randomness.
 */

/* Size of a seed in bytes. */
#define SOLO5_SEED_SIZE 32

/*
 * Takes the seed: SOLO5_SEED_SIZE random bytes that the host makes anew for every start. `size` is
 * SOLO5_SEED_SIZE. There is one seed; a generator of random numbers is seeded with it and keeps it
 * secret. No copy of it stays in the unikernel's memory but the one in `buf`.
 *
 * SOLO5_R_EUNSPEC if there is no seed: the manifest does not declare `seed: true`, or the tender
 * offers none, as those of Solo5 0.12 do not. Nothing else takes its place. SOLO5_R_EINVAL if `buf`
 * is NULL or lies where the host puts the seed, if `size` is another, or if the seed was taken
 * before. `buf` is written only if the result is SOLO5_R_OK.
 */
solo5_result_t solo5_seed(uint8_t *buf, size_t size);

/*
 * Devices.
 *
 * A unikernel names the devices it needs in its manifest; their names and types are fixed when it
 * is linked. At start, the operator connects each to a resource of the host. An optional device may
 * be left unconnected: acquiring it then fails, and so does using its handle.
 */

/* A device: its position in the manifest, 1 to 63. */
typedef uint64_t solo5_handle_t;

/* A set of devices: bit N stands for handle N. */
typedef uint64_t solo5_handle_set_t;

/*
 * Waits until the monotonic clock reaches `deadline` or a network device has a frame to read,
 * whichever comes first. If the deadline has passed, it checks the devices and returns at once. With
 * UINT64_MAX it waits only for a frame.
 *
 * If `ready_set` is not NULL it receives the network devices that have a frame, or 0. Readiness is
 * a level, not an event: a frame left unread is reported again. A return before the deadline with
 * nothing ready is possible and has to be tolerated.
 */
void solo5_yield(solo5_time_t deadline, solo5_handle_set_t *ready_set);

/*
 * Console.
 */

/*
 * Writes `size` bytes as they are. Best effort: there is no way to fail, and output may be lost
 * when the host does not take it.
 */
void solo5_console_write(const char *buf, size_t size);

/*
 * Network: devices of type NET_BASIC, which carry Ethernet frames.
 */

/* Length of an Ethernet address, and of the header in front of a frame's payload. */
#define SOLO5_NET_ALEN 6
#define SOLO5_NET_HLEN 14

struct solo5_net_info {
    uint8_t mac_address[SOLO5_NET_ALEN];
    /* Longest payload: a frame is up to mtu + SOLO5_NET_HLEN bytes long. */
    size_t mtu;
};

/*
 * Acquires the network device called `name`, once: SOLO5_R_EINVAL if there is none of that name,
 * or if it is acquired already. SOLO5_R_EUNSPEC if it is not connected.
 */
solo5_result_t solo5_net_acquire(const char *name, solo5_handle_t *handle,
        struct solo5_net_info *info);

/*
 * Sends one frame, header included. Does not block: if the host has no room for the frame right now,
 * the frame is dropped, as any network may do, and the result is SOLO5_R_OK. SOLO5_R_EINVAL if the frame is
 * shorter than SOLO5_NET_HLEN or longer than mtu + SOLO5_NET_HLEN, or if `handle` is no network device.
 */
solo5_result_t solo5_net_write(solo5_handle_t handle, const uint8_t *buf, size_t size);

/*
 * Receives one frame, header included, into a buffer of at least mtu + SOLO5_NET_HLEN bytes, and
 * stores its length in `*read_size`. Does not block: SOLO5_R_AGAIN when there is none, and then
 * `*read_size` means nothing. SOLO5_R_EINVAL if the buffer is too small or `handle` is no network
 * device.
 */
solo5_result_t solo5_net_read(solo5_handle_t handle, uint8_t *buf, size_t size,
        size_t *read_size);

/* One of several frames. */
struct solo5_net_frame {
    /* The frame, header included. A write only reads it. */
    uint8_t *buf;
    /* Its length. Before a read, the size of `buf`; afterwards, the length of the frame. */
    size_t size;
};

/*
 * Sends `count` frames in order, each as solo5_net_write() does. On hvt the tender is woken at most
 * once, unless its queue is full; elsewhere this is a convenience.
 *
 * `*written` is always set: so many frames, the first ones, were sent or dropped for lack of room.
 * The result is SOLO5_R_OK if these are all. Otherwise it is the result of the frame after them, and
 * no later one was sent.
 */
solo5_result_t solo5_net_write_many(solo5_handle_t handle, const struct solo5_net_frame *frames,
        size_t count, size_t *written);

/*
 * Receives up to `count` frames in order, each as solo5_net_read() does, and sets their sizes. What was
 * read can be given to solo5_net_write_many() as it is; before the next read the sizes are those of the
 * buffers again.
 *
 * `*read` is always set, whatever the result: so many frames, the first ones, were received. The others
 * keep their sizes.
 *
 * SOLO5_R_OK if at least one frame was received and no read failed, or if `count` is 0. SOLO5_R_AGAIN if
 * there was no frame to read. If a read failed, the result is that of the read, and the frames before it
 * were received.
 */
solo5_result_t solo5_net_read_many(solo5_handle_t handle, struct solo5_net_frame *frames,
        size_t count, size_t *read);

/*
 * Block storage: devices of type BLOCK_BASIC.
 */

/* Bytes. */
typedef uint64_t solo5_off_t;

struct solo5_block_info {
    /* Size of the device, a multiple of block_size. */
    solo5_off_t capacity;
    /* Size of a block, in which transfers are counted: a power of two, 512 or more. */
    solo5_off_t block_size;
};

/*
 * Acquires the block device called `name`, once: SOLO5_R_EINVAL if there is none of that name, or
 * if it is acquired already. SOLO5_R_EUNSPEC if it is not connected.
 */
solo5_result_t solo5_block_acquire(const char *name, solo5_handle_t *handle,
        struct solo5_block_info *info);

/*
 * Writes or reads exactly one block: `size` is block_size, and `offset` is a multiple of it below
 * capacity; else SOLO5_R_EINVAL. Waits until the host is done. SOLO5_R_EUNSPEC if the host fails, as
 * it does for writes to a device that is connected for reading only.
 */
solo5_result_t solo5_block_write(solo5_handle_t handle, solo5_off_t offset, const uint8_t *buf,
        size_t size);
solo5_result_t solo5_block_read(solo5_handle_t handle, solo5_off_t offset, uint8_t *buf,
        size_t size);

/*
 * Writes or reads any number of whole blocks: `size` and `offset` are multiples of block_size, `size`
 * is not 0, and the end is not above capacity; else SOLO5_R_EINVAL, and nothing is transferred. Waits
 * until the host is done.
 *
 * Not in Solo5 0.12: a program that calls these does not link with its bindings. They work under every
 * tender. One that knows them transfers up to 1 MiB at a time; an older one, one block at a time.
 *
 * A call is not atomic. If the host fails, the result is SOLO5_R_EUNSPEC: some blocks may then be
 * transferred and others not, in any order. The same holds if the host loses power. Each single block
 * is as atomic as the host's disk makes it.
 */
solo5_result_t solo5_block_write_many(solo5_handle_t handle, solo5_off_t offset, const uint8_t *buf,
        size_t size);
solo5_result_t solo5_block_read_many(solo5_handle_t handle, solo5_off_t offset, uint8_t *buf,
        size_t size);

/*
 * Waits until all that was written to the device before is durable: it is still there after the host
 * loses power. What is not flushed may be lost, in any part and in any order. On a device that is
 * connected for reading only, there is nothing to do: SOLO5_R_OK. SOLO5_R_EINVAL if `handle` is no block
 * device.
 *
 * SOLO5_R_EUNSPEC has two reasons:
 *
 *   - The device cannot be flushed: the manifest does not have `flush: true` for it, or the tender is
 *     older. The device goes on working.
 *   - The host failed. What was written since the last flush may be lost, and the host may not report it
 *     again. So the device fails for ever: every later transfer or flush of it is SOLO5_R_EUNSPEC.
 *
 * A flush at the start, before anything is written, tells them apart: if it returns SOLO5_R_OK, the
 * device can be flushed, and a later SOLO5_R_EUNSPEC is a failure of the host.
 *
 * Not in Solo5 0.12: a program that calls it does not link with its bindings.
 */
solo5_result_t solo5_block_flush(solo5_handle_t handle);

#ifdef __cplusplus
}
#endif

/* Sizes and offsets are the interface; a compiler that lays these out otherwise cannot be used. */
#if defined(__cplusplus) && __cplusplus >= 201103L
#define SOLO5_STATIC_ASSERT(condition, text) static_assert(condition, text)
#elif defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
#define SOLO5_STATIC_ASSERT(condition, text) _Static_assert(condition, text)
#endif
#ifdef SOLO5_STATIC_ASSERT
SOLO5_STATIC_ASSERT(sizeof(solo5_result_t) == 4, "solo5_result_t");
SOLO5_STATIC_ASSERT(sizeof(struct solo5_start_info) == 24, "struct solo5_start_info");
SOLO5_STATIC_ASSERT(sizeof(struct solo5_net_info) == 16, "struct solo5_net_info");
SOLO5_STATIC_ASSERT(offsetof(struct solo5_net_info, mtu) == 8, "struct solo5_net_info");
SOLO5_STATIC_ASSERT(sizeof(struct solo5_net_frame) == 16, "struct solo5_net_frame");
SOLO5_STATIC_ASSERT(sizeof(struct solo5_block_info) == 16, "struct solo5_block_info");
#undef SOLO5_STATIC_ASSERT
#endif

#endif /* SOLO5_H_INCLUDED */
