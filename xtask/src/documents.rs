//! What of the tree is read: manual pages, completions, schemas, and the documentation.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use solo5_abi::Arch;

use crate::programs::{Program, TOOLCHAIN_VERBS};
use crate::references::{inside, links};
use crate::run::output;
use crate::tree::write;
use crate::{Result, format_pages};

const PAGES: &str = "share/man";

/// For each shell: where its scripts are, and what is around a program's name.
const COMPLETIONS: [(&str, &str, &str, &str); 3] = [
    ("bash", "share/bash-completion/completions", "", ""),
    ("zsh", "share/zsh/site-functions", "_", ""),
    ("fish", "share/fish/vendor_completions.d", "", ".fish"),
];

/// What of the checkout is documentation, besides the files that its pages link to. Paths stay the same,
/// so links between files work.
const DOCUMENTATION: [&str; 7] =
    ["README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "docs", "examples", "schemas"];

/// Folders that are not copied: of `docs` those that are installed elsewhere, of an example what cargo has built.
const LEFT_OUT: [&str; 3] = ["man", "completions", "target"];

/// Puts all of it into `tree`. `programs` are in the folder `native`, for this machine.
pub(crate) fn stage(
    root: &Path,
    programs: &[&Program],
    native: &Path,
    tree: &Path,
    arch: Arch,
) -> Result<()> {
    pages(root, programs, native, tree, arch)?;
    completions(root, programs, native, tree, arch)?;
    for schema in fs::read_dir(root.join("schemas"))? {
        let schema = schema?;
        let to = tree.join("share/solo5/schemas").join(schema.file_name());
        write(&to, &fs::read(schema.path())?)?;
    }
    let documentation = tree.join("share/doc/solo5");
    for name in DOCUMENTATION {
        copy(&root.join(name), &documentation.join(name))?;
    }
    linked(root, &documentation, Path::new(""))
}

/// Copies the files that the pages below `folder` link to, and those that these link to, if they are not
/// there yet.
fn linked(root: &Path, documentation: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(documentation.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            linked(root, documentation, &path)?;
        } else {
            links_of(root, documentation, &path)?;
        }
    }
    Ok(())
}

fn links_of(root: &Path, documentation: &Path, page: &Path) -> Result<()> {
    if page.extension().is_none_or(|suffix| suffix != "md") {
        return Ok(());
    }
    let text = fs::read_to_string(documentation.join(page))?;
    let folder = page.parent().unwrap_or(Path::new(""));
    for file in links(&text).filter_map(|link| inside(&folder.join(link))) {
        if root.join(&file).is_file() && !documentation.join(&file).exists() {
            copy(&root.join(&file), &documentation.join(&file))?;
            links_of(root, documentation, &file)?;
        }
    }
    Ok(())
}

/// Pages are in `docs/man`, and the end of a file's name is its section. A program without a page there
/// prints its own. A program that another one's page describes gets a link, and so does each other name.
fn pages(root: &Path, programs: &[&Program], native: &Path, tree: &Path, arch: Arch) -> Result<()> {
    for page in fs::read_dir(root.join("docs/man"))? {
        let page = page?;
        let name = page.file_name();
        let section = Path::new(&name).extension().unwrap_or_default().to_string_lossy();
        let folder = tree.join(PAGES).join(format!("man{section}"));
        let text =
            format_pages::complete(&fs::read_to_string(page.path())?, &root.join("schemas"))?;
        write(&folder.join(&name), text.as_bytes())?;
    }
    let folder = tree.join(PAGES).join("man1");
    for program in programs {
        let own = folder.join(format!("{}.1", program.name));
        if program.page_of.is_none() && !own.exists() {
            let (argument, _) = program.own_documents();
            let man = output(Command::new(native.join(program.name)).arg(argument))?;
            write(&own, &man)?;
        }
        let page = format!("{}.1", program.page());
        for name in program.links(arch).into_iter().chain([program.name.to_owned()]) {
            let link = folder.join(format!("{name}.1"));
            if !link.exists() {
                symlink(&page, link)?;
            }
        }
    }
    Ok(())
}

/// Shell completions are in `docs/completions`; a program without any there prints its own.
fn completions(
    root: &Path,
    programs: &[&Program],
    native: &Path,
    tree: &Path,
    arch: Arch,
) -> Result<()> {
    for (shell, folder, prefix, suffix) in COMPLETIONS {
        let folder = tree.join(folder);
        let file = |name: &str| format!("{prefix}{name}{suffix}");
        for script in fs::read_dir(root.join("docs/completions").join(shell))? {
            let script = script?;
            let name = file(&script.file_name().to_string_lossy());
            write(&folder.join(name), &fs::read(script.path())?)?;
        }
        for program in programs {
            if folder.join(file(program.name)).exists() {
                continue;
            }
            let mut command = Command::new(native.join(program.name));
            let (_, argument) = program.own_documents();
            let text = output(command.args([argument, shell]))?;
            write(&folder.join(file(program.name)), &text)?;
        }
        // Bash and fish look for a script by the name of the program; zsh reads the names in it.
        if shell == "zsh" {
            continue;
        }
        for verb in TOOLCHAIN_VERBS {
            let script = if verb == "objcopy" { "solo5-objcopy" } else { "solo5-cc" };
            for name in [format!("solo5-{verb}"), format!("{}-{verb}", arch.triple())] {
                if name != script {
                    symlink(file(script), folder.join(file(&name)))?;
                }
            }
        }
    }
    Ok(())
}

/// Copies a file or a folder of documentation.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        return write(to, &fs::read(from)?);
    }
    for entry in fs::read_dir(from)? {
        let name = entry?.file_name();
        let is_hidden = name.to_string_lossy().starts_with('.');
        if !is_hidden && !LEFT_OUT.iter().any(|folder| name == *folder) {
            copy(&from.join(&name), &to.join(&name))?;
        }
    }
    Ok(())
}
