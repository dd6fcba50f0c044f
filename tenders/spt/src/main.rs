//! Entry point of `solo5-spt`.

#![cfg_attr(not(test), no_main)]

solo5_tender::entry_point!(one_thread solo5_spt::main);
