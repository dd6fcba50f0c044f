//! A launch compared with its image, as a tender compares them before it asks a policy.

use std::fmt;
use std::iter;

use solo5_abi::mft1::Mft1;
use solo5_abi::mft2::Mft2;
use solo5_abi::offer::Feature;
use solo5_abi::{Arch, CMDLINE_SIZE, Target};
use solo5_image::{Image, ImageError, ReadAt};
use solo5_launch::{Launch, OptionError};
use solo5_policy::Asked;

/// Why no policy is asked about a launch.
#[derive(Debug)]
pub enum AskError {
    /// The image is broken.
    Image(String),
    /// No tender starts an image of its target.
    Target(String),
    /// The options make no sense with it.
    Options(String),
    /// It would not start with these options.
    Launch(Vec<String>),
}

impl fmt::Display for AskError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AskError::Image(why) | AskError::Target(why) | AskError::Options(why) => {
                f.write_str(why)
            }
            AskError::Launch(problems) => f.write_str(&problems.join("; ")),
        }
    }
}

impl std::error::Error for AskError {}

impl From<ImageError> for AskError {
    fn from(error: ImageError) -> AskError {
        let advice = error.advice().map_or_else(String::new, |advice| format!("; {advice}"));
        AskError::Image(error.explained() + &advice)
    }
}

/// Reads the image, has `read` compare the launch options with its manifest, and makes the checks that a
/// tender makes before it asks a policy. The result has no proof of the image yet.
///
/// # Errors
///
/// The image cannot be started, or not with these options.
pub fn examine<R: ReadAt>(
    file: &R,
    read: impl FnOnce(Target, &Mft1<'_>, Option<&Mft2<'_>>) -> Result<Launch, OptionError>,
) -> Result<Asked, AskError> {
    let image = Image::read(file, &Arch::ALL)?;
    let target = image.abi()?.target();
    let target = target.filter(|target| target.starter().is_some()).ok_or_else(|| {
        let name = target.map_or("this", Target::name);
        AskError::Target(format!("no tender starts a {name} image, so no policy is asked"))
    })?;
    image.abi_of(target)?;
    let manifest = image.checked_manifest()?;
    let (known, needed) = image.features()?;
    let properties = image.properties()?;
    let properties = properties.as_ref();
    let launch = read(target, &manifest, properties);
    let launch = launch.map_err(|error| AskError::Options(error.to_string()))?;
    let mut problems = problems(&launch, target, &manifest, properties);
    let plan = image.plan_as_loaded(file, target)?;
    if let Ok(memory) = launch.guest_memory(target) {
        let stack = properties.and_then(Mft2::stack);
        let stack = stack.filter(|_| launch.features(known, needed).has(Feature::Stack));
        let image_end = plan.minimum_memory;
        problems.extend(match (plan.fits(memory), stack) {
            (Err(error), _) => {
                let advice = launch.advice_on_memory(target, image_end).into_iter();
                let parts: Vec<String> = iter::once(error.to_string()).chain(advice).collect();
                Some(parts.join("; "))
            }
            (Ok(()), Some(stack)) => {
                let guard = launch.guard(target, memory, image_end, stack);
                guard.err().map(|unmet| unmet.to_string())
            }
            (Ok(()), None) => None,
        });
    }
    if !problems.is_empty() {
        return Err(AskError::Launch(problems));
    }
    Ok(Asked::new(launch, target, properties))
}

/// What the manifest asks for and the launch lacks.
pub fn problems(
    launch: &Launch,
    target: Target,
    manifest: &Mft1<'_>,
    properties: Option<&Mft2<'_>>,
) -> Vec<String> {
    let mut problems = launch.unattached(manifest);
    // The tender's last line refers to its `--help`; its advice says more.
    if let Some(last) = problems.last_mut()
        && let Some(advice) = launch.advice_on_unattached(manifest, properties)
    {
        *last = format!("all declared devices must be attached; {advice}");
    }
    let memory = launch.guest_memory(target);
    problems.extend(memory.err().map(|too_much| too_much.to_string()));
    let have = memory.unwrap_or(u64::MAX);
    problems.extend(launch.unmet(target, have, properties).iter().map(ToString::to_string));
    if !launch.command_line_fits() {
        let longest = CMDLINE_SIZE - 1;
        problems.push(format!("Guest command line too long (max={longest} characters)"));
    }
    problems
}
