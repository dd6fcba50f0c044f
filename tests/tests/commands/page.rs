//! What a page wants to be run.

use std::process::Command;

use crate::explained;

/// Languages of blocks: commands, and what is only shown.
pub(crate) const SHOWN: [&str; 13] = [
    "console", "sh", "asm", "c", "cmake", "dune", "json", "makefile", "rust", "text", "toml",
    "yaml", "yml",
];

pub(crate) struct Page {
    pub(crate) name: String,
    pub(crate) items: Vec<Item>,
    /// The language of each block, with the line.
    pub(crate) languages: Vec<(usize, String)>,
}

pub(crate) enum Item {
    /// Commands that readers do not see.
    Hidden(Step),
    File(String, String),
    Block(Block),
}

impl Item {
    pub(crate) fn block(&self) -> Option<&Block> {
        if let Item::Block(block) = self { Some(block) } else { None }
    }
}

pub(crate) struct Block {
    pub(crate) steps: Vec<Step>,
    pub(crate) skip: Option<String>,
}

/// A command, and how it must end.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Step {
    pub(crate) line: usize,
    pub(crate) command: String,
    pub(crate) output: Vec<String>,
    pub(crate) status: Status,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Status {
    Any,
    Is(i32),
    Failure,
}

impl Page {
    pub(crate) fn read(name: &str, text: &str) -> Page {
        let mut page = Page { name: name.to_owned(), items: Vec::new(), languages: Vec::new() };
        if let Some(commands) = explained::setup(name) {
            page.hidden(0, commands);
        }
        let lines: Vec<&str> = text.lines().collect();
        let (mut skip, mut file) = (None, None);
        let mut index = 0;
        while let Some(line) = lines.get(index) {
            let number = index + 1;
            index += 1;
            if let Some(language) = line.strip_prefix("```") {
                let body: Vec<_> =
                    lines[index..].iter().take_while(|line| !line.starts_with("```")).collect();
                index += body.len() + 1;
                let body: Vec<(usize, &str)> =
                    (number + 1..).zip(body.into_iter().copied()).collect();
                page.languages.push((number, language.to_owned()));
                page.block(language, &body, skip.take(), file.take());
            } else if let Some(comment) = line.strip_prefix("<!-- ") {
                let mut comment = comment.to_owned();
                while !comment.contains("-->") && index < lines.len() {
                    comment += "\n";
                    comment += lines[index];
                    index += 1;
                }
                let comment = comment.split("-->").next().unwrap_or_default().trim();
                match comment.split_once(':') {
                    Some(("skip", reason)) => skip = Some(reason.trim().to_owned()),
                    Some(("file", name)) => file = Some(name.trim().to_owned()),
                    Some(("run", commands)) => {
                        page.hidden(number, commands);
                    }
                    _ => {}
                }
            }
        }
        assert!(skip.is_none() && file.is_none(), "{name}: no block follows a comment");
        page
    }

    fn hidden(&mut self, line: usize, commands: &str) {
        let command = commands.trim().to_owned();
        let step = Step { line, command, output: Vec::new(), status: Status::Is(0) };
        self.items.push(Item::Hidden(step));
    }

    fn block(
        &mut self,
        language: &str,
        body: &[(usize, &str)],
        skip: Option<String>,
        file: Option<String>,
    ) {
        if let Some(file) = file {
            let text = body.iter().map(|(_, line)| format!("{line}\n")).collect();
            self.items.push(Item::File(file, text));
        }
        let steps = match language {
            "console" => console(body),
            "sh" => script(body),
            _ => return,
        };
        let first = body.first().map_or("", |(_, line)| line);
        let skip = skip.or_else(|| explained::skip(&self.name, first).map(str::to_owned));
        self.items.push(Item::Block(Block { steps, skip }));
    }
}

fn console(body: &[(usize, &str)]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for &(line, text) in body {
        if let Some(command) = text.strip_prefix("$ ") {
            let command = command.to_owned();
            steps.push(Step { line, command, output: Vec::new(), status: Status::Any });
        } else if let Some(step) = steps.last_mut() {
            let first = step.output.is_empty();
            match text.strip_prefix("> ") {
                Some(more) if first => step.command += &format!("\n{more}"),
                _ => step.output.push(text.to_owned()),
            }
        }
    }
    for step in &mut steps {
        while step.output.last().is_some_and(String::is_empty) {
            step.output.pop();
        }
        let stated = step.command.split_once("# status ");
        let stated = stated.and_then(|(_, rest)| rest.lines().next()).map(str::parse);
        step.status = match stated {
            Some(status) => Status::Is(status.expect("a status")),
            None if step.output.is_empty() => Status::Is(0),
            None => Status::Any,
        };
    }
    steps
}

fn script(body: &[(usize, &str)]) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for &(line, text) in body {
        let (start, command) = match open.take() {
            Some((start, before)) => (start, format!("{before}\n{text}")),
            None if text.trim().is_empty() || text.starts_with('#') => continue,
            None => (line, text.to_owned()),
        };
        if !is_complete(&command) {
            open = Some((start, command));
            continue;
        }
        let refused = command.contains("# refused");
        let status = if refused { Status::Failure } else { Status::Is(0) };
        steps.push(Step { line: start, command, output: Vec::new(), status });
    }
    assert!(open.is_none(), "a command without an end: {open:?}");
    steps
}

/// Whether the shell would run `command` without reading more lines.
fn is_complete(command: &str) -> bool {
    let here = command.split_once("<<").map(|(_, rest)| rest.split_whitespace().next());
    if let Some(end) = here.flatten() {
        let end = end.trim_matches('\'');
        return command.lines().skip(1).any(|line| line == end);
    }
    let checked = Command::new("sh").args(["-n", "-c", command]).output().expect("sh starts");
    checked.status.success() && !command.ends_with('\\')
}

/// Whether `output` is what the page shows.
pub(crate) fn matches(expected: &[String], output: &[&str]) -> bool {
    match expected.split_first() {
        None => output.is_empty(),
        Some((first, rest)) if ["...", "…"].contains(&first.trim()) => {
            (0..=output.len()).any(|skipped| matches(rest, &output[skipped..]))
        }
        Some((first, rest)) => {
            output.first().is_some_and(|line| line_matches(first, line))
                && matches(rest, &output[1..])
        }
    }
}

fn line_matches(expected: &str, line: &str) -> bool {
    let (expected, mut line) = (expected.trim_end().replace('…', "..."), line.trim_end());
    let mut parts = expected.split("...").enumerate().peekable();
    while let Some((index, part)) = parts.next() {
        let last = parts.peek().is_none();
        line = match (index, last) {
            (0, true) => return line == part,
            (0, false) => match line.strip_prefix(part) {
                Some(rest) => rest,
                None => return false,
            },
            (_, true) => return line.ends_with(part),
            (_, false) => match line.split_once(part) {
                Some((_, rest)) => rest,
                None => return false,
            },
        };
    }
    true
}

#[test]
fn steps_are_read_as_the_page_means_them() {
    let text = "<!-- run: a\nb -->\n<!-- file: x/y -->\n```toml\nz\n```\n```console\n$ one\n...\n$ two   # status 3\n> t\n```\n\
                <!-- skip: why -->\n```sh\n# no command\ncat <<END\nx\nEND\nbad   # refused: really\n```\n";
    let page = Page::read("x", text);
    let mut items = page.items.iter();
    assert!(matches!(items.next(), Some(Item::Hidden(step)) if step.command == "a\nb"));
    assert!(matches!(items.next(), Some(Item::File(name, text)) if name == "x/y" && text == "z\n"));
    let blocks: Vec<_> = items.filter_map(Item::block).collect();
    let ends = |block: &Block| -> Vec<(String, Status)> {
        block.steps.iter().map(|step| (step.command.clone(), step.status)).collect()
    };
    let two = ("two   # status 3\nt".to_owned(), Status::Is(3));
    assert_eq!(ends(blocks[0]), [("one".to_owned(), Status::Any), two]);
    let cat = ("cat <<END\nx\nEND".to_owned(), Status::Is(0));
    let bad = ("bad   # refused: really".to_owned(), Status::Failure);
    assert_eq!((ends(blocks[1]), blocks[1].skip.as_deref()), (vec![cat, bad], Some("why")));
}

#[test]
fn three_dots_stand_for_any_text_or_any_lines() {
    let matches = |expected: &str, output: &str| {
        let expected: Vec<_> = expected.lines().map(str::to_owned).collect();
        matches(&expected, &output.lines().collect::<Vec<_>>())
    };
    assert!(matches("x\n...\ny", "x\ny") && matches("x\n...\ny", "x\n1\n2\ny"));
    assert!(!matches("x\n...\ny", "x\ny\nz") && !matches("x\n...\ny", "y"));
    assert!(matches("ab...", "abc") && !matches("ab...", "ac") && matches("a...c", "abbc"));
    assert!(!matches("a...c", "abd") && matches("", "") && !matches("", "z"));
}
