//! Entry point of `solo5-hvt-debug`.

#![cfg_attr(not(test), no_main)]

solo5_tender::entry_point!(solo5_hvt::main::<true>);
