//! The tender's options for a container.

use solo5_abi::Target;
use solo5_abi::mft2::Mft2;
use solo5_launch::guest_memory;

use crate::codes;
use crate::failure::Failure;

/// Memory in bytes that a container needs besides its guest's: the tender, its stacks, and what the
/// kernel keeps for one process.
const OVERHEAD: u64 = 4 << 20;
/// Of each so many bytes of guest memory, one is needed for page tables.
const TABLES: u64 = 256;

/// What the options depend on.
#[derive(Clone, Copy, Debug)]
pub struct Container<'c> {
    /// The limit on its memory in bytes.
    pub memory_limit: Option<u64>,
    /// Options for its labels.
    pub labels: &'c [String],
    /// Whether the host has policies.
    pub has_policies: bool,
}

impl Container<'_> {
    /// The options for a unikernel of `target` with these properties.
    ///
    /// # Errors
    ///
    /// The limit leaves no memory for a guest.
    pub fn options(
        &self,
        target: Target,
        properties: Option<&Mft2<'_>>,
    ) -> Result<Vec<String>, Failure> {
        let memory = match self.memory_limit {
            Some(limit) => Some(within(target, limit)?),
            None => properties
                .and_then(Mft2::memory_recommended)
                .map(|bytes| bytes.div_ceil(1 << 20).max(1)),
        };
        let mut options: Vec<String> =
            memory.map(|mebibytes| format!("--mem={mebibytes}")).into_iter().collect();
        options.extend(self.labels.iter().cloned());
        // If the host's policies were not where the tender looks for them, the guest must not start.
        options.extend(self.has_policies.then(|| "--require-policy".to_owned()));
        Ok(options)
    }
}

/// Guest memory in MiB for a container that may have `limit` bytes.
fn within(target: Target, limit: u64) -> Result<u64, Failure> {
    let rest = limit.saturating_sub(OVERHEAD);
    let bytes = rest - rest / TABLES;
    // hvt counts in granules, and has a maximum.
    let bytes = match guest_memory(target, bytes, false) {
        Ok(rounded) => rounded.min(bytes),
        Err(too_much) => too_much.most,
    };
    match bytes >> 20 {
        0 => {
            let text = format!(
                "a memory limit of {limit} bytes leaves none for the unikernel; \
                 the tender takes {} MiB of it",
                OVERHEAD >> 20
            );
            Err(Failure::new(codes::CANNOT, text))
        }
        mebibytes => Ok(mebibytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn memory_is_the_limit_less_what_the_tender_takes() {
        let spt = |limit| within(Target::Spt, limit);
        assert_eq!(spt(64 * MIB), Ok(59));
        assert_eq!(spt(6 * MIB), Ok(1));
        for limit in [0, 1, 4 * MIB, 5 * MIB] {
            let failure = spt(limit).unwrap_err();
            assert!(
                failure.line().starts_with("error[R705]: a memory limit"),
                "{}",
                failure.line()
            );
        }
        assert!(spt(u64::MAX).is_ok());
        let most = within(Target::Hvt, u64::MAX).unwrap();
        assert!(guest_memory(Target::Hvt, most * MIB, false).is_ok());
    }

    #[test]
    fn without_a_limit_and_a_recommendation_the_tenders_own_default_holds() {
        let container = Container { memory_limit: None, labels: &[], has_policies: false };
        assert_eq!(container.options(Target::Spt, None), Ok(vec![]));
        let labels = ["--label=a=b".to_owned()];
        let limited =
            Container { memory_limit: Some(64 * MIB), labels: &labels, has_policies: true };
        let options = limited.options(Target::Spt, None).unwrap();
        assert_eq!(options, ["--mem=59", "--label=a=b", "--require-policy"]);
    }
}
