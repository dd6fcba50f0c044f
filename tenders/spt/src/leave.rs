//! What [`crate::enter`] passes to the instructions of [`crate::arch`].

/// What the copied instructions work on. Addresses are of their mapping.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leave {
    /// The copied instructions.
    pub(crate) code: u64,
    /// The words of [`crate::arch::state`].
    #[cfg_attr(not(target_arch = "x86_64"), allow(dead_code, reason = "no words there"))]
    pub(crate) state: u64,
    /// Pairs of address and length to unmap, ended by a length of 0.
    pub(crate) ranges: u64,
    /// A `struct sock_fprog`.
    pub(crate) program: u64,
    /// Size of the host's pages.
    #[cfg_attr(target_arch = "x86_64", allow(dead_code, reason = "it has only one size"))]
    pub(crate) page: u64,
    /// The guest's entry point.
    pub(crate) entry: u64,
    /// The guest's stack pointer.
    pub(crate) stack: u64,
    /// The guest's argument.
    pub(crate) boot_info: u64,
    /// A descriptor to close after the filter is installed, or -1.
    pub(crate) close: i64,
}
