//! The answers of `check` as a page: a table of launches, the matrix of launches and policies with
//! reasons, and for a plan its sums beside their limits and its findings. It is drawn from what the JSON
//! is made of.

use maud::{Markup, html};
use solo5_policy::decision::{Grant, Place};
use solo5_policy::{Decision, Outcome};
use solo5_report::Diagnostic;

use crate::ask::{Shown, ShownDecision};
use crate::draw;
use crate::html::{Pieces, bar, controls, finding, left_out, number, page, text, tiles};

/// Most policies that the matrix has a column for.
const POLICIES_MAX: usize = 32;

/// One launch.
pub(crate) struct Launched<'s> {
    /// Its name in the plan, or the image's.
    pub(crate) name: &'s str,
    pub(crate) image: &'s str,
    pub(crate) answer: &'s Shown,
    /// Bytes of guest memory, if that is known.
    pub(crate) memory: Option<u64>,
    /// What starts it, for a shell.
    pub(crate) command: Option<String>,
}

/// A sum over all launches, and its limit.
pub(crate) struct Sum {
    pub(crate) what: &'static str,
    pub(crate) sum: u64,
    pub(crate) limit: Option<u64>,
    /// Whether it counts bytes.
    pub(crate) bytes: bool,
}

/// The page; without a plan there are no sums and findings.
pub(crate) fn launch_page(
    title: &str,
    launches: &[Launched<'_>],
    sums: &[Sum],
    findings: &[Diagnostic],
) -> String {
    let count = |wanted: &str| launches.iter().filter(|one| result(one.answer).0 == wanted).count();
    let counts = [
        (launches.len(), "", "launches"),
        (count("allowed"), "good", "allowed"),
        (count("conditional"), "warning", "allowed, if"),
        (count("denied"), "error", "denied"),
        (count("cannot"), "error", "cannot start"),
        (count("failed"), "error", "not asked"),
        (findings.len(), "error", "findings in the plan"),
    ];
    let counts: Vec<_> = counts.into_iter().filter(|(count, ..)| *count > 0).collect();
    let (mut rows, mut found) = (Pieces::default(), Pieces::default());
    launches.iter().for_each(|one| rows.add(&entry(one).into_string()));
    findings.iter().for_each(|one| found.add(&finding(one).into_string()));
    let body = html! {
        (tiles(&counts))
        @if !findings.is_empty() {
            h2 { "Findings in the plan" }
            (left_out(found.left_out, findings.len()))
            ul.findings { (found.markup()) }
        }
        h2 #launches { "Launches" }
        (left_out(rows.left_out, launches.len()))
        (controls("name, device, P311 …", &[
            ("allowed", "allowed"), ("conditional", "allowed, if"), ("denied", "denied"),
            ("cannot", "cannot start"), ("failed", "not asked"),
        ]))
        table.fleet aria-labelledby="launches" {
            thead { tr {
                th scope="col" { "Launch" }
                th scope="col" { "Decision" }
                th.minor scope="col" { "Image" }
                th.number scope="col" { "Memory" }
            } }
            (rows.markup())
        }
        (matrix(launches))
        @if !sums.is_empty() { (all_sums(sums)) }
    };
    page(title, "what policies say, before anything is started", &body)
}

/// A value to filter by, a class and words for an answer.
fn result(answer: &Shown) -> (&'static str, &'static str, &'static str) {
    match answer {
        Shown::NotAsked { decision: "cannot", .. } => ("cannot", "error", "cannot start"),
        Shown::NotAsked { .. } => ("failed", "error", "not asked"),
        Shown::Decided(found) => match found.decision.outcome {
            Outcome::Allowed => ("allowed", "good", "allowed"),
            Outcome::Conditional => ("conditional", "warning", "allowed, if"),
            Outcome::Denied => ("denied", "error", "denied"),
        },
    }
}

fn entry(launch: &Launched<'_>) -> Markup {
    let (value, class, word) = result(launch.answer);
    let memory = launch.memory.map(draw::bytes).unwrap_or_default();
    html! {
        tbody data-result=(value) {
            tr {
                th scope="row" { (text(launch.name)) }
                td { span class={ "tag " (class) } { (word) } }
                td.minor { (text(launch.image)) }
                (number(launch.memory, &memory, false))
            }
            tr.more {
                td colspan="4" {
                    details open[class == "error"] {
                        summary { "Details of " (text(launch.name)) }
                        div.card { (details(launch)) }
                    }
                }
            }
        }
    }
}

fn details(launch: &Launched<'_>) -> Markup {
    html! {
        h3 { "Decision" }
        @match launch.answer {
            Shown::NotAsked { messages, .. } => {
                ul.findings { @for message in messages { li.error { p { (text(message)) } } } }
            }
            Shown::Decided(found) => {
                p { (text(found.decision.closing())) }
                ul.findings {
                    @for reason in &found.decision.reasons {
                        li.error { p { span.tag.error { "denied " (reason.code) } " " (text(reason.text())) } }
                    }
                    @for condition in &found.decision.conditions {
                        li.warning { p { span.tag.warning { "if" } " " (text(condition.line())) } }
                    }
                    @for waived in &found.waived {
                        li.waived { p {
                            span.tag.waived { "waived " (waived.code) } " until " (text(&waived.until)) ": "
                            (text(&waived.reason)) "; " (text(&waived.policy))
                        } }
                    }
                }
                @if !granted(found).is_empty() {
                    h3 { "Allowed" }
                    ul.grants { @for line in granted(found) { li { (text(line)) } } }
                }
                @if let Some(digest) = &found.digest { p.quiet { code { (text(digest)) } } }
            }
        }
        h3 { "Image" }
        p { code { (text(launch.image)) } }
        @if let Some(command) = &launch.command {
            h3 { "Command" }
            p { code { (text(command)) } }
        }
    }
}

/// What policies said yes to, once each.
fn granted(found: &ShownDecision) -> Vec<String> {
    let mut lines: Vec<String> = found.decision.grants.iter().map(Grant::line).collect();
    lines.dedup();
    lines
}

/// Every launch that was decided, against every policy.
fn matrix(launches: &[Launched<'_>]) -> Markup {
    let decided = launches.iter().filter_map(|launch| match launch.answer {
        Shown::Decided(found) => Some((launch.name, &found.decision)),
        Shown::NotAsked { .. } => None,
    });
    let decided: Vec<(&str, &Decision)> = decided.collect();
    let mut policies: Vec<&str> = Vec::new();
    let mut further = 0;
    for name in decided.iter().flat_map(|(_, found)| found.applicable.iter().chain(&found.skipped))
    {
        match policies.len() {
            _ if policies.contains(&name.as_str()) => {}
            POLICIES_MAX => further += 1,
            _ => policies.push(name),
        }
    }
    let silence =
        decided.iter().any(|(_, found)| found.reasons.iter().any(|reason| reason.place.is_none()));
    let mut rows = Pieces::default();
    for (name, decision) in &decided {
        let row = html! {
            tr {
                th scope="row" { (text(name)) }
                @for policy in &policies { (cell(decision, Some(policy))) }
                @if silence { (cell(decision, None)) }
            }
        };
        rows.add(&row.into_string());
    }
    html! {
        @if !policies.is_empty() || silence {
            h2 #policies { "Policies" }
            (left_out(rows.left_out, decided.len()))
            @if further > 0 { p.notice { "Only " (POLICIES_MAX) " policies have a column." } }
            div.scroll tabindex="0" role="region" aria-labelledby="policies" {
                table.lines.matrix aria-labelledby="policies" {
                    thead { tr {
                        th scope="col" { "Launch" }
                        @for policy in &policies { th scope="col" { (text(policy)) } }
                        @if silence { th scope="col" { "no policy says yes" } }
                    } }
                    tbody { (rows.markup()) }
                }
            }
        }
    }
}

/// What one policy says about one launch, and why; `None` is the silence of all of them.
fn cell(decision: &Decision, policy: Option<&str>) -> Markup {
    let is_its = |place: Option<&Place>| place.map(|place| place.policy.as_str()) == policy;
    let reasons = decision.reasons.iter().filter(|reason| is_its(reason.place.as_ref()));
    let reasons: Vec<String> = reasons
        .map(|reason| {
            format!(
                "{} {}: {} {}",
                reason.code,
                reason.subject,
                reason.message,
                wants(&reason.wants)
            )
        })
        .collect();
    let conditions = decision.conditions.iter().filter(|one| is_its(one.place.as_ref()));
    let conditions: Vec<String> =
        conditions.map(|one| format!("{}: {}", one.subject, one.message)).collect();
    let grants = decision.grants.iter().filter(|grant| is_its(Some(&grant.place)));
    let mut grants: Vec<String> = grants.map(|grant| grant.subject.clone()).collect();
    grants.dedup();
    let named =
        |names: &[String]| policy.is_some_and(|policy| names.iter().any(|name| name == policy));
    let (class, word, lines) = if !reasons.is_empty() {
        ("error", "denies", reasons)
    } else if !conditions.is_empty() {
        ("warning", "allows, if", conditions)
    } else if !grants.is_empty() {
        ("good", "allows", grants)
    } else if named(&decision.applicable) {
        ("good", "does not object", Vec::new())
    } else if named(&decision.skipped) {
        ("quiet", "does not apply", Vec::new())
    } else {
        ("quiet", "–", Vec::new())
    };
    html! {
        td {
            span class={ "tag " (class) } { (word) }
            @if !lines.is_empty() { ul { @for line in &lines { li { (text(line)) } } } }
        }
    }
}

fn wants(wants: &str) -> String {
    if wants.is_empty() { String::new() } else { format!("({wants})") }
}

fn all_sums(sums: &[Sum]) -> Markup {
    let shown =
        |sum: &Sum, value: u64| if sum.bytes { draw::bytes(value) } else { value.to_string() };
    html! {
        h2 #sums { "Sums and limits" }
        div.scroll {
            table.lines aria-labelledby="sums" {
                thead { tr {
                    th scope="col" { "What" }
                    th.number scope="col" { "Sum" }
                    th.number scope="col" { "Limit" }
                    th scope="col" { "Result" }
                    th scope="col" { "Used" }
                } }
                tbody {
                    @for sum in sums {
                        tr {
                            th scope="row" { (sum.what) }
                            td.number { (shown(sum, sum.sum)) }
                            @if let Some(limit) = sum.limit {
                                td.number { (shown(sum, limit)) }
                                td {
                                    @if sum.sum > limit { span.tag.error { "over" } }
                                    @else { span.tag.good { "within" } }
                                }
                                td { (bar(sum.sum, limit)) }
                            } @else {
                                td.number { "none" }
                                td {}
                                td {}
                            }
                        }
                    }
                }
            }
        }
    }
}
