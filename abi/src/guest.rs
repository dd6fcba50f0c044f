//! Structures of the guest API, `solo5.h`, which the bindings fill in for an application.

/// `struct solo5_net_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NetInfo {
    /// Ethernet address.
    pub mac_address: [u8; 6],
    /// Longest frame in bytes, without its Ethernet header.
    pub mtu: usize,
}

/// `struct solo5_block_info`, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct BlockInfo {
    /// Size of the device.
    pub capacity: u64,
    /// Size of a sector; every transfer is a multiple of it.
    pub block_size: u64,
}

#[cfg(target_pointer_width = "64")]
const _: () = {
    use core::mem::offset_of;
    assert!(size_of::<NetInfo>() == 16 && offset_of!(NetInfo, mtu) == 8);
    assert!(size_of::<BlockInfo>() == 16 && offset_of!(BlockInfo, block_size) == 8);
};
