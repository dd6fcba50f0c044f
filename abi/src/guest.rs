//! Structures of the guest API, `solo5.h`, which bindings and application exchange.

/// `struct solo5_net_info`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct NetInfo {
    /// Ethernet address.
    pub mac_address: [u8; 6],
    /// Longest frame in bytes, without its Ethernet header.
    pub mtu: usize,
}

/// `struct solo5_net_frame`, for calls with several frames.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct NetFrame {
    /// The frame, or room for one.
    pub buf: *mut u8,
    /// Its length in bytes; before a read, that of the room.
    pub size: usize,
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
    assert!(size_of::<NetFrame>() == 16 && offset_of!(NetFrame, size) == 8);
    assert!(size_of::<BlockInfo>() == 16 && offset_of!(BlockInfo, block_size) == 8);
};
