//! The diagnostic codes that only tools give; each has a page in `docs/codes`. They continue those of
//! `solo5_policy`: `P4xx` is a plan that does not work out.

pub use solo5_policy::codes::{EMPTY, FILE, LABEL_KEY, MAC, SECTOR_SIZE};

/// A warning: every policy of a set applies by label alone.
pub const ONLY_LABELS: &str = "P220";
/// A note: a policy applies by label alone.
pub const BY_LABEL: &str = "P221";
/// A warning: the last day of a waiver is over.
pub const WAIVER_ENDED: &str = "P222";
/// A warning: a waiver is of no finding that can be waived.
pub const WAIVER_IDLE: &str = "P223";
/// A test of policies that does not say what it is about.
pub const CASE: &str = "P230";
/// A device's name that no manifest can have.
pub const DEVICE_NAME: &str = "P231";
/// A case whose launch cannot be judged.
pub const CASE_LAUNCH: &str = "P232";
/// A test of policies failed.
pub const CASE_FAILED: &str = "P233";
/// Guest memory that no tender can give.
pub const PLAN_MEMORY: &str = "P240";
/// A path or a tap that a plan cannot name.
pub const PLAN_PATH: &str = "P241";
/// Two unikernels of one name.
pub const UNIKERNEL_TWICE: &str = "P242";
/// A device that is attached and declined, or declined twice.
pub const DEVICE_TWICE: &str = "P243";
/// A finding of the audit.
pub const AUDIT: &str = "P354";
/// Two unikernels write one block device.
pub const BLOCK_WRITTEN_TWICE: &str = "P401";
/// A warning: one unikernel reads what another writes.
pub const BLOCK_SHARED: &str = "P402";
/// Two unikernels have one tap.
pub const TAP_TWICE: &str = "P403";
/// More memory than the plan's limit.
pub const MUCH_MEMORY: &str = "P404";
/// More network interfaces than the plan's limit.
pub const MANY_NETS: &str = "P405";
/// More block devices than the plan's limit.
pub const MANY_BLOCKS: &str = "P406";
/// More unikernels than the plan's limit.
pub const MANY_UNIKERNELS: &str = "P407";
/// A device that the image does not declare.
pub const UNDECLARED: &str = "P408";
/// A device that the image cannot go without.
pub const NOT_OPTIONAL: &str = "P409";
/// A warning: two network interfaces have one address.
pub const MAC_TWICE: &str = "P410";

/// Every code of this crate.
pub const ALL: &[&str] = &[
    ONLY_LABELS,
    BY_LABEL,
    WAIVER_ENDED,
    WAIVER_IDLE,
    CASE,
    DEVICE_NAME,
    CASE_LAUNCH,
    CASE_FAILED,
    PLAN_MEMORY,
    PLAN_PATH,
    UNIKERNEL_TWICE,
    DEVICE_TWICE,
    AUDIT,
    BLOCK_WRITTEN_TWICE,
    BLOCK_SHARED,
    TAP_TWICE,
    MUCH_MEMORY,
    MANY_NETS,
    MANY_BLOCKS,
    MANY_UNIKERNELS,
    UNDECLARED,
    NOT_OPTIONAL,
    MAC_TWICE,
];

#[cfg(test)]
mod tests {
    #[test]
    fn every_code_has_a_page_and_every_page_a_code() {
        let mut codes = [solo5_policy::codes::ALL, super::ALL].concat();
        codes.sort();
        let mut pages: Vec<_> =
            solo5_report::explain::codes().filter(|code| code.starts_with('P')).collect();
        pages.sort();
        assert_eq!(codes, pages);
    }
}
