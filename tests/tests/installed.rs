//! What of the staged tree people and build systems use besides its programs, tried with their own
//! tools: manual pages, completions, and the files for CMake and pkg-config. The tree is used as it is, and
//! as a copy that was moved, cannot be written to, and is reached through a link.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use solo5_tests::tree::{TRIPLE, Tree, repository};
use walkdir::WalkDir;

fn staged() -> Tree {
    Tree::staged().expect("a staged tree")
}

/// Runs a command, and returns what it printed.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is installed");
    let said = String::from_utf8_lossy(&output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{command:?}: {}\n{printed}{said}", output.status);
    printed.into_owned() + &said
}

/// The files below `folder` of the tree.
fn files(tree: &Tree, folder: &str) -> Vec<PathBuf> {
    let folder = tree.prefix().join(folder);
    let entries = fs::read_dir(&folder).expect("a staged folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder:?}");
    files
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// What a reader sees on a terminal of 80 columns.
fn manual(page: &Path) -> String {
    let mut man = Command::new("man");
    man.env("MANPAGER", "cat").env("MANWIDTH", "80").env("LC_ALL", "C.UTF-8").arg("-l");
    run(man.arg(page))
}

fn too_wide(text: &str) -> Vec<&str> {
    text.lines().filter(|line| line.chars().count() > 80).collect()
}

/// Help of tools and of their verbs fits a terminal of 80 columns. Tenders' help has upstream's lines, which
/// launchers read; the terminal wraps them.
#[test]
fn help_fits_80_columns() {
    let help = |program: &Path, words: &[&str]| {
        let mut command = Command::new(program);
        // For verbs of upstream `--help` is a file.
        let asked = if words.is_empty() { "--help" } else { "help" };
        command.arg(asked).args(words).env("COLUMNS", "80").env("NO_COLOR", "1");
        let output = command.output().expect("it starts");
        String::from_utf8(output.stdout).expect("text")
    };
    let mut wrong = Vec::new();
    for program in files(&staged(), "bin") {
        // A link is another name of a program, or a compiler, whose help is its own.
        let tools = ["solo5-mft", "solo5-elftool", "solo5-virtio-mkimage"];
        if !tools.contains(&&*name(&program)) {
            continue;
        }
        let mut queue = vec![Vec::new()];
        while let Some(words) = queue.pop() {
            let words: Vec<String> = words;
            let asked: Vec<_> = words.iter().map(String::as_str).collect();
            let text = help(&program, &asked);
            assert!(text.lines().count() > 4, "{} {words:?}: {text}", program.display());
            let wide = too_wide(&text).into_iter();
            wrong.extend(wide.map(|line| format!("{} {words:?}: {line}", name(&program))));
            let verbs = text.lines().skip_while(|line| *line != "Commands:").skip(1);
            for line in verbs.take_while(|line| line.starts_with(' ')) {
                let indent = line.len() - line.trim_start().len();
                let verb = line.split_whitespace().next().unwrap_or_default();
                if indent == 2 && verb != "help" {
                    queue.push([&words[..], &[verb.to_owned()]].concat());
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The links of an installed page lead to installed files.
/// Tenders print help and version to standard error, as upstream does. What a compiler or a linker does is its own
/// affair: GNU's end with 0.
#[test]
fn an_answer_that_nobody_sees_is_an_error() {
    let status = |program: &Path, words: &str, how: &str| {
        let script = format!("exec \"$0\" {words} {how}");
        let output = Command::new("sh").args(["-c", &script]).arg(program).output();
        output.expect("a shell").status.code().expect("it ends by itself")
    };
    for program in files(&staged(), "bin") {
        let name = name(&program);
        let (words, closed) = match name.as_str() {
            "solo5-mft" | "solo5-elftool" => ("explain S201", 2),
            "solo5-virtio-mkimage" => ("--version", 1),
            "solo5-toolchain" => ("explain S201", 1),
            _ if ["-cc", "-c++", "-ld", "-objcopy"].iter().any(|tool| name.ends_with(tool)) => {
                continue;
            }
            _ => ("--explain=T400", 1),
        };
        for how in [">&-", "<&- >&- 2>&-", "1</dev/null"] {
            assert_eq!(status(&program, words, how), closed, "{name} {words} {how}");
        }
        for how in [">/dev/null", "1<>/dev/null", "| true"] {
            assert_eq!(status(&program, words, how), 0, "{name} {words} {how}");
        }
    }
}

#[test]
fn links_of_the_documentation_lead_somewhere() {
    let tree = staged();
    let (mut pages, mut lost) = (0, Vec::new());
    for page in WalkDir::new(tree.prefix().join("share/doc/solo5")) {
        let page = page.expect("a readable folder").into_path();
        if page.extension().is_none_or(|suffix| suffix != "md") {
            continue;
        }
        pages += 1;
        let text = fs::read_to_string(&page).expect("a page");
        for link in text.split("](").skip(1).filter_map(|part| Some(part.split_once(')')?.0)) {
            let path = link.split('#').next().unwrap_or_default();
            let elsewhere = path.contains("://") || path.starts_with("mailto:");
            if !elsewhere && !page.parent().expect("a folder").join(path).exists() {
                lost.push(format!("{}: {link}", page.display()));
            }
        }
    }
    assert!(pages > 100, "{pages}");
    assert!(lost.is_empty(), "{lost:#?}");
}

/// Examples work where they are installed: every file that one names is there, and policies' tests pass.
#[test]
fn installed_examples_have_the_files_that_they_name() {
    let tree = staged();
    let (mut tests, mut lost) = (0, Vec::new());
    for file in WalkDir::new(tree.prefix().join("share/doc/solo5/examples")) {
        let file = file.expect("a readable folder").into_path();
        let below = file.strip_prefix(tree.prefix()).expect("a file of the tree");
        assert!(below.components().all(|part| part.as_os_str() != "target"), "{below:?}");
        if file.extension().is_none_or(|suffix| suffix != "yaml") {
            continue;
        }
        let (folder, text) =
            (file.parent().expect("a folder"), fs::read_to_string(&file).expect("text"));
        for (key, ends) in [("$schema=", '\n'), ("manifest: ", '\n'), ("policies: ", '\n')] {
            let values = text.split(key).skip(1).filter_map(|rest| rest.split(ends).next());
            let paths = values.filter(|value| value.ends_with(".yaml") || value.ends_with(".json"));
            lost.extend(
                paths
                    .filter(|path| !folder.join(path).is_file())
                    .map(|path| (file.clone(), path.to_owned())),
            );
        }
        if name(&file) == "policy-test.yaml" {
            tests += 1;
            run(Command::new(tree.program("solo5-elftool")).args(["policy", "test"]).arg(&file));
        }
    }
    assert!(lost.is_empty(), "{lost:#?}");
    assert!(tests >= 2, "{tests}");
}

#[test]
fn every_manual_page_is_whole_and_correct() {
    let tree = staged();
    for section in ["man1", "man5"] {
        for page in files(&tree, &format!("share/man/{section}")) {
            let text = manual(&page);
            assert!(text.lines().count() > 25, "{}: {text}", page.display());
            if section == "man1" {
                for heading in ["EXIT STATUS", "EXAMPLES", "SEE ALSO"] {
                    let has = text.lines().any(|line| line == heading);
                    assert!(has, "{} has no {heading}", page.display());
                }
            }
            assert_eq!(too_wide(&text), Vec::<&str>::new(), "{}", page.display());
            let file = fs::canonicalize(&page).expect("a link to a page");
            let lint = Command::new("mandoc").args(["-Tlint", "-Wwarning"]).arg(file).output();
            let found = String::from_utf8(lint.expect("mandoc runs").stdout).expect("text");
            // Pages have no date, because the same sources make the same bytes.
            let found: Vec<_> =
                found.lines().filter(|line| !line.contains("missing date")).collect();
            assert!(found.is_empty(), "{found:#?}");
        }
    }
}

#[test]
fn the_pages_of_formats_have_every_key_of_the_schemas() {
    let tree = staged();
    for (page, keys) in [
        ("solo5-manifest.5", ["devices[].access", "memory.minimum", "package.license"]),
        ("solo5-policy.5", ["net.allow[].bridge", "match.signed-by", "audit.waive[].until"]),
        ("solo5-plan.5", ["limits.memory", "unikernels[].image", "unikernels[].net.NAME.tap"]),
    ] {
        let page = tree.prefix().join("share/man/man5").join(page);
        let text = run(Command::new("man").env("MANPAGER", "cat").arg("-l").arg(&page));
        for key in keys {
            assert!(text.contains(key), "{} lacks {key}", page.display());
        }
    }
}

#[test]
fn every_program_is_completed_in_every_shell() {
    let tree = staged();
    let bash = files(&tree, "share/bash-completion/completions");
    for script in &bash {
        let load = "source \"$1\" && complete -p \"$2\"";
        let said =
            run(Command::new("bash").args(["-c", load, "bash"]).arg(script).arg(name(script)));
        assert!(said.starts_with("complete "), "{said}");
    }
    let zsh = files(&tree, "share/zsh/site-functions");
    for script in &zsh {
        run(Command::new("zsh").arg("-n").arg(script));
    }
    let load = "fpath=(\"$1\" $fpath); autoload -U compinit; compinit -D; print -l ${(k)_comps}";
    let folder = tree.prefix().join("share/zsh/site-functions");
    let zsh = run(Command::new("zsh").args(["-f", "-c", load, "zsh"]).arg(folder));
    let zsh: BTreeSet<_> = zsh.lines().map(str::to_owned).collect();
    let fish = files(&tree, "share/fish/vendor_completions.d");
    for script in &fish {
        run(Command::new("fish").arg("--no-execute").arg(script));
    }
    let bash: BTreeSet<_> = bash.iter().map(|script| name(script)).collect();
    let fish: BTreeSet<_> = fish.iter().map(|script| name(script).replace(".fish", "")).collect();
    for program in files(&tree, "bin").iter().map(|program| name(program)) {
        // A tender with the number of its ABI is for launchers.
        if program.ends_with(|last: char| last.is_ascii_digit()) {
            continue;
        }
        assert!(bash.contains(&program), "bash: {program}");
        assert!(fish.contains(&program), "fish: {program}");
        assert!(zsh.contains(&program), "zsh: {program}");
    }
}

#[test]
fn tenders_are_there_under_the_number_of_their_abi() {
    let tree = staged();
    for tender in ["solo5-spt.2", "solo5-hvt.2"] {
        let said = run(Command::new(tree.program(tender)).arg("--version"));
        assert!(said.lines().any(|line| line == "ABI version 2"), "{said}");
    }
}

/// A copy of the tree that was moved and cannot be written to, and a link to it.
fn moved(tree: &Tree, place: &Path) -> PathBuf {
    let to = place.join("moved");
    run(Command::new("cp").arg("-a").arg(tree.prefix()).arg(&to));
    run(Command::new("chmod").args(["-R", "a-w"]).arg(&to));
    let link = place.join("link");
    symlink("moved", &link).expect("a link");
    link
}

/// Makes a removable folder of a copy again.
fn release(place: &Path) {
    run(Command::new("chmod").args(["-R", "u+w"]).arg(place));
}

/// Starts an image of `hello` with the spt of the tree at `prefix`.
fn boot(prefix: &Path, image: &Path) {
    let mut tender = Command::new(prefix.join("bin/solo5-spt"));
    let said = run(tender.arg("--mem=2").arg(image).arg("Hello_Solo5"));
    assert!(said.contains("SUCCESS"), "{said}");
}

fn hello(file: &str) -> PathBuf {
    repository().join("examples/hello").join(file)
}

#[test]
fn pkg_config_names_what_gcc_needs() {
    let tree = staged();
    let place = tempfile::tempdir().expect("a temporary folder");
    let prefix = moved(&tree, place.path());
    let work = place.path().join("work");
    fs::create_dir(&work).expect("a folder");
    let asked = |question: &str| {
        let mut command = Command::new("pkg-config");
        command.env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
        let said = run(command.arg(question).arg("solo5-bindings-spt"));
        said.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(asked("--modversion")[0].starts_with("0.12."), "{:?}", asked("--modversion"));
    let mut elftool = Command::new(prefix.join("bin/solo5-elftool"));
    let json = work.join("manifest.json");
    fs::write(&json, "{\"type\":\"solo5.manifest\",\"version\":1,\"devices\":[]}").expect("a file");
    run(elftool.arg("gen-manifest").arg(&json).arg(work.join("manifest.c")));
    let compile = asked("--cflags");
    let mut gcc = Command::new("gcc");
    gcc.current_dir(&work).arg("-O2").args(&compile).arg("-c").arg(hello("hello.c"));
    run(gcc.arg(work.join("manifest.c")));
    let image = work.join("hello.spt");
    let mut gcc = Command::new("gcc");
    gcc.current_dir(&work).arg("-o").arg(&image).args(["hello.o", "manifest.o"]);
    run(gcc.args(asked("--libs")));
    boot(&prefix, &image);
    run(Command::new(prefix.join("bin/solo5-elftool")).arg("audit").arg(&image));
    // The wrapper that it names is the tree's own.
    let cc = asked("--variable=cc").concat();
    assert_eq!(
        fs::canonicalize(cc).expect("a compiler"),
        fs::canonicalize(prefix.join("bin")).expect("a folder").join("solo5-toolchain")
    );
    release(place.path());
}

#[test]
fn cmake_builds_a_unikernel() {
    let tree = staged();
    let place = tempfile::tempdir().expect("a temporary folder");
    let prefix = moved(&tree, place.path());
    let work = place.path().join("project");
    fs::create_dir(&work).expect("a folder");
    for file in ["hello.c", "manifest.yaml"] {
        fs::copy(hello(file), work.join(file)).expect("a copy");
    }
    let project = "cmake_minimum_required(VERSION 3.18)\nproject(hello C)\n\
                   find_package(Solo5 0.12 REQUIRED)\n\
                   solo5_add_unikernel(hello ABI spt MANIFEST manifest.yaml SOURCES hello.c)\n";
    fs::write(work.join("CMakeLists.txt"), project).expect("a file");
    let toolchain = prefix.join(format!("lib/cmake/Solo5/{TRIPLE}.cmake"));
    let configure = |build: &str, more: &[&str]| {
        let mut cmake = Command::new("cmake");
        cmake.arg("-S").arg(&work).arg("-B").arg(work.join(build)).args(more);
        cmake
    };
    let chosen = format!("-DCMAKE_TOOLCHAIN_FILE={}", toolchain.display());
    run(&mut configure("build", &[&chosen]));
    run(Command::new("cmake").arg("--build").arg(work.join("build")));
    let image = work.join("build/hello.spt");
    boot(&prefix, &image);
    // A changed manifest is linked again, and a wrong one fails.
    fs::write(work.join("manifest.yaml"), "type: solo5.manifest\nversion: 9\n").expect("a file");
    let again = Command::new("cmake").arg("--build").arg(work.join("build")).output();
    assert!(!again.expect("cmake runs").status.success(), "the manifest is no dependency");
    // Without the toolchain file, or with a version that there is not, the reason is said.
    let without = format!("-DSolo5_DIR={}", prefix.join("lib/cmake/Solo5").display());
    let refused = configure("host", &[&without]).output().expect("cmake runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("toolchain file"), "{said}");
    fs::write(work.join("CMakeLists.txt"), project.replace("Solo5 0.12", "Solo5 7"))
        .expect("a file");
    let refused = configure("later", &[&chosen]).output().expect("cmake runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("requested version \"7\""), "{said}");
    release(place.path());
}
