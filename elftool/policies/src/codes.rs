//! The diagnostic codes that only tools give; each has a page in `docs/codes`. They continue the
//! codes of `solo5_policy`. `P4xx` are conflicts in a plan.

pub use solo5_policy::codes::{EMPTY, FILE, LABEL_KEY, MAC, SECTOR_SIZE};

solo5_report::codes! {
    /// A warning: every policy of a set applies only by label.
    ONLY_LABELS = "P220";
    /// A note: a policy applies only by label.
    BY_LABEL = "P221";
    /// A warning: the last day of a waiver is over.
    WAIVER_ENDED = "P222";
    /// A warning: a waiver matches no finding that can be waived.
    WAIVER_IDLE = "P223";
    /// A case of policy tests that does not say what it tests.
    CASE = "P230";
    /// A device's name that no manifest can have.
    DEVICE_NAME = "P231";
    /// A case whose launch cannot be judged.
    CASE_LAUNCH = "P232";
    /// A test of policies failed.
    CASE_FAILED = "P233";
    /// Guest memory that no tender can give.
    PLAN_MEMORY = "P240";
    /// A path or a tap that a plan cannot name.
    PLAN_PATH = "P241";
    /// Two unikernels of one name.
    UNIKERNEL_TWICE = "P242";
    /// A device that is attached and declined, or declined twice.
    DEVICE_TWICE = "P243";
    /// A finding of the audit denies the launch.
    AUDIT = "P354";
    /// Two unikernels write one block device.
    BLOCK_WRITTEN_TWICE = "P401";
    /// A warning: one unikernel reads what another writes.
    BLOCK_SHARED = "P402";
    /// Two unikernels have one tap.
    TAP_TWICE = "P403";
    /// More memory than the plan's limit.
    MUCH_MEMORY = "P404";
    /// More network interfaces than the plan's limit.
    MANY_NETS = "P405";
    /// More block devices than the plan's limit.
    MANY_BLOCKS = "P406";
    /// More unikernels than the plan's limit.
    MANY_UNIKERNELS = "P407";
    /// A device that the image does not declare.
    UNDECLARED = "P408";
    /// A device that the image cannot go without.
    NOT_OPTIONAL = "P409";
    /// A warning: two network interfaces have one address.
    MAC_TWICE = "P410";
}

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
