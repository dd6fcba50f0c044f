//! Disks in the formats of hypervisors and clouds. Each is written from front to back, without a
//! clock and without chance, so the same disk has the same bytes.

pub mod qcow2;
pub mod raw;
pub mod tar;
pub mod vhd;
pub mod vmdk;
