//! Entry point of `solo5-virtio-run`.

#![cfg_attr(not(test), no_main)]

solo5_tender::entry_point!(solo5_virtio_run::main);
