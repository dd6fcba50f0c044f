//! Network interfaces compared with rules.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use solo5_launch::{Interface, Net};
use solo5_report::os_text;

use super::alternatives::quoted;
use super::rules;
use super::standing::{Check, Fit, Standing, fact, is_unknown, known, name_check, shown};
use super::verdict::{Phase, Verdict};
use crate::codes;
use crate::facts::NetFacts;
use crate::glob::Pattern;
use crate::model::{At, Devices, NO_BRIDGE, NetRule};

/// The answer of a `net` section about one network interface.
pub(super) fn judge(
    section: &Devices<NetRule>,
    net: &Net,
    facts: Option<&NetFacts>,
    phase: Phase,
) -> Verdict {
    rules::judge(section, codes::NET_NAME, |rule| net_standing(rule, net, facts, phase))
}

/// How one network interface compares with one rule.
pub fn net_standing(rule: &NetRule, net: &Net, facts: Option<&NetFacts>, phase: Phase) -> Standing {
    Standing::of(net_checks(rule, net, facts, phase))
}

fn net_checks(rule: &NetRule, net: &Net, facts: Option<&NetFacts>, phase: Phase) -> Vec<Check> {
    let mut checks = vec![name_check(&net.name, &rule.name, codes::NET_NAME)];
    // For a device of another name, only the name is compared.
    if matches!(checks.as_slice(), [Check { fit: Fit::No, .. }]) {
        return checks;
    }
    let check = |code, pattern: &At<Pattern>, fit, what, condition| Check {
        fit,
        code,
        unread: codes::NET_UNREAD,
        what,
        wants: quoted(&pattern.value),
        condition,
        span: pattern.span.clone(),
    };
    if let Some(pattern) = &rule.interface {
        let tap = facts.map(|facts| &facts.tap);
        let fits = |name: &OsStr| pattern.value.fits_name(name.as_bytes());
        let (fit, name) = match &net.interface {
            // Before the tap is attached, the name given is judged. Once the host has reported a
            // name, that one is judged.
            Interface::Tap(name) if !fits(name) || (phase == Phase::Strings && is_unknown(tap)) => {
                (known(fits(name)), os_text(name).into_owned())
            }
            Interface::Tap(_) | Interface::Fd(_) => {
                let name = shown(tap, |name| os_text(name).into_owned());
                (fact(tap, phase, |name| fits(name)), name)
            }
        };
        let what =
            if name.is_empty() { "interface".to_owned() } else { format!("interface '{name}'") };
        let condition = format!("its tap is called {}", quoted(&pattern.value));
        checks.push(check(codes::NET_INTERFACE, pattern, fit, what, condition));
    }
    if let Some(pattern) = &rule.bridge {
        let bridge = facts.map(|facts| &facts.bridge);
        let wants_none = pattern.value.as_str() == NO_BRIDGE;
        let fit = fact(bridge, phase, |bridge| match bridge {
            Some(name) => !wants_none && pattern.value.fits_name(name.as_bytes()),
            None => wants_none,
        });
        let what = shown(bridge, |bridge| match bridge {
            Some(name) => format!("bridge '{}'", os_text(name)),
            None => "a tap without bridge".to_owned(),
        });
        let what = if what.is_empty() { "bridge".to_owned() } else { what };
        let condition = match wants_none {
            true => "its tap is on no bridge".to_owned(),
            false => format!("its tap is on bridge {}", quoted(&pattern.value)),
        };
        checks.push(check(codes::NET_BRIDGE, pattern, fit, what, condition));
    }
    if let Some(allowed) = &rule.descriptor {
        let (fits, what) = match &net.interface {
            Interface::Fd(_) => (true, String::new()),
            Interface::Tap(name) => (false, format!("interface '{}'", os_text(name))),
        };
        checks.push(Check {
            fit: known(fits),
            code: codes::NET_DESCRIPTOR,
            unread: codes::NET_UNREAD,
            what,
            wants: "a descriptor".to_owned(),
            condition: String::new(),
            span: allowed.span.clone(),
        });
    }
    if let Some(pattern) = &rule.mac {
        // A random address differs at each start, so only `*` is sure to fit.
        let (fits, what) = match net.mac {
            Some(mac) => {
                let text = mac.to_string();
                (pattern.value.fits_name(text.as_bytes()), format!("address '{text}'"))
            }
            None => (pattern.value.as_str() == "*", "a random address".to_owned()),
        };
        checks.push(check(codes::NET_MAC, pattern, known(fits), what, String::new()));
    }
    checks
}
