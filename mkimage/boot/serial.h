/* The first serial port, at 115200 baud, 8 bits, no parity, for 16-bit code. */

#define COM1 0x3f8

/* Sets the port up. Changes %ax and %dx. */
#define SERIAL_INIT             \
        movw    $(COM1 + 3), %dx;       \
        movb    $0x80, %al;             /* the divisor's registers */   \
        outb    %al, %dx;               \
        movw    $COM1, %dx;             \
        movb    $1, %al;                \
        outb    %al, %dx;               \
        incw    %dx;                    \
        xorb    %al, %al;               \
        outb    %al, %dx;               \
        movw    $(COM1 + 3), %dx;       \
        movb    $3, %al;                \
        outb    %al, %dx

/* `serial_byte` sends %al. It waits for a stated number of reads of the port's status, and without a
 * port it comes back. Changes %cx and %dx. */
#define SERIAL_BYTE             \
serial_byte:                    \
        movb    %al, %ah;               \
        xorw    %cx, %cx;               \
        movw    $(COM1 + 5), %dx;       \
1:      inb     %dx, %al;               \
        testb   $0x20, %al;             \
        loopz   1b;                     \
        movw    $COM1, %dx;             \
        movb    %ah, %al;               \
        outb    %al, %dx;               \
        ret
