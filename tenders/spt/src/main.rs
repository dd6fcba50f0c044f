//! Entry point of `solo5-spt`.

#![cfg_attr(not(test), no_main)]

// SAFETY: this tender starts no thread.
solo5_tender::entry_point!(unsafe one_thread solo5_spt::main);
