//! The console: text for people, best effort.

use core::fmt::{self, Write};

use crate::sys;

/// The console of the unikernel.
///
/// Writing never fails; the host may lose output (docs/reference/guest-api.md#console).
/// [`print!`](crate::print!) and [`println!`](crate::println!) are the usual way to write.
#[derive(Clone, Copy, Debug, Default)]
pub struct Console;

impl Console {
    /// Writes `bytes` unchanged, in one call to the host. Makes no call if `bytes` is empty.
    pub fn write(self, bytes: &[u8]) {
        if !bytes.is_empty() {
            sys::console_write(bytes);
        }
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.write(text.as_bytes());
        Ok(())
    }

    /// Collects the pieces first: each write of the console is a call to the host.
    fn write_fmt(&mut self, arguments: fmt::Arguments<'_>) -> fmt::Result {
        if let Some(text) = arguments.as_str() {
            return self.write_str(text);
        }
        let mut pieces = Collected { buffer: [0; Collected::LENGTH], used: 0, console: *self };
        let result = pieces.write_fmt(arguments);
        pieces.flush();
        result
    }
}

/// Collects the pieces of a message on their way to the console.
struct Collected {
    buffer: [u8; Self::LENGTH],
    used: usize,
    console: Console,
}

impl Collected {
    /// A few lines of text; longer messages take several calls.
    const LENGTH: usize = 512;

    fn flush(&mut self) {
        if let Some(text) = self.buffer.get(..self.used) {
            self.console.write(text);
        }
        self.used = 0;
    }
}

impl Write for Collected {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let free = self.buffer.get_mut(self.used..).unwrap_or_default();
            let (now, later) = rest.split_at(rest.len().min(free.len()));
            for (to, from) in free.iter_mut().zip(now) {
                *to = *from;
            }
            self.used += now.len();
            rest = later;
            if self.used == self.buffer.len() {
                self.flush();
            }
        }
        Ok(())
    }
}

/// Prints to the console, like `print!` of the standard library.
#[macro_export]
macro_rules! print {
    ($($argument:tt)*) => {{
        // The console never fails; an error can only come from a `Display` of the caller.
        let _ = ::core::fmt::Write::write_fmt(
            &mut $crate::Console,
            ::core::format_args!($($argument)*),
        );
    }};
}

/// Prints a line to the console, like `println!` of the standard library.
#[macro_export]
macro_rules! println {
    () => { $crate::print!("\n") };
    ($format:literal $($argument:tt)*) => {
        $crate::print!("{}\n", ::core::format_args!($format $($argument)*))
    };
}

#[cfg(test)]
mod tests {
    use crate::host;

    #[test]
    fn one_message_is_one_call() {
        host::take_calls();
        crate::println!("{} and {}", 1, "two");
        crate::println!();
        crate::println!("three");
        crate::print!("{}", "");
        assert_eq!(host::take_calls(), [&b"1 and two\n"[..], b"\n", b"three\n"]);
    }

    #[test]
    fn a_long_message_arrives_whole() {
        host::take_calls();
        let long = "abcdefg".repeat(300);
        crate::print!("<{long}>");
        let calls = host::take_calls();
        assert_eq!(calls.concat(), format!("<{long}>").as_bytes());
        assert_eq!(calls.len(), 5);
    }
}
