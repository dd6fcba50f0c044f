//! Errors of KVM's calls.

use solo5_tender::error::Error;
use solo5_tender::sys::Errno;

/// The number of an error.
pub(crate) fn errno(error: kvm_ioctls::Error) -> Errno {
    Errno::from_raw_os_error(error.errno())
}

/// Turns the error of the call `name` into the tender's error.
pub(crate) fn failed(name: &'static str) -> impl Fn(kvm_ioctls::Error) -> Error {
    move |error| Error::KvmCall { name, error: errno(error) }
}
