//! `retrovolt completions` and `retrovolt man`: shell completions and manual pages, made from the parser itself.

use crate::config;
use crate::runtime::exit;
use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, bold, roman};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Options of `retrovolt completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

/// Options of `retrovolt man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder that the pages are written to; it is made where it is missing.
    dir: PathBuf,
}

/// How the verbs end, for retrovolt(1); `docs/exit-codes.md` tells it by verb.
const ENDS: &[(u8, &str)] = &[
    (0, "Good."),
    (1, "There were warnings, and they were to count."),
    (exit::USAGE, "The command line is wrong."),
    (exit::DATA, "Data that was given has mistakes."),
    (exit::NO_INPUT, "A file that was named cannot be read."),
    (
        exit::UNAVAILABLE,
        "The daemon does not run, or there is nothing to serve, nothing found, a sure fault.",
    ),
    (exit::SOFTWARE, "A bug."),
    (exit::OS, "The system refused something."),
    (
        exit::CANT_CREATE,
        "A port, file or folder is held by somebody else or cannot be written.",
    ),
    (exit::IO, "Reading or writing failed."),
    (exit::TEMPORARY, "Something is degraded or doubtful."),
    (exit::PROTOCOL, "A device does not answer as its protocol asks."),
    (exit::NO_PERMISSION, "Not allowed."),
    (exit::CONFIG, "The configuration has mistakes."),
];

/// What lies where, for retrovolt(1).
const FILES: &[(&str, &str)] = &[
    (
        "/etc/retrovolt/retrovolt.toml",
        "The configuration; see retrovolt.toml(5).",
    ),
    (
        "/etc/retrovolt/conf.d/*.toml",
        "Drop-ins, read after it in the order of their names.",
    ),
    (
        "/etc/retrovolt/secrets/",
        "Secrets, readable by root alone; systemd hands them over as credentials.",
    ),
    ("/etc/retrovolt/devices.d/*.toml", "Device profiles of your own."),
    (
        "/var/lib/retrovolt/",
        "The ledger: transactions that no back end has acknowledged yet, and settings that back ends made.",
    ),
    ("/run/retrovolt/ctl.sock", "The socket of the running gateway."),
];

/// Prints the completions of a shell.
pub fn completions<C: CommandFactory>(args: &CompletionsArgs) -> ExitCode {
    let mut text = Vec::new();
    clap_complete::generate(args.shell, &mut C::command(), "retrovolt", &mut text);
    match io::stdout().write_all(&text) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("retrovolt: the completions cannot be written: {error}");
            exit::IO.into()
        }
    }
}

/// Writes one page for every command, and retrovolt.toml(5).
pub fn man<C: CommandFactory>(args: &ManArgs) -> ExitCode {
    match write_pages(C::command(), &args.dir) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("retrovolt: {}: {error}", args.dir.display());
            exit::CANT_CREATE.into()
        }
    }
}

fn write_pages(command: Command, dir: &Path) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    for (name, text) in pages(command)? {
        let mut file = create(dir, &name)?;
        file.write_all(&text)?;
        file.sync_all()?;
    }
    Ok(())
}

#[allow(clippy::disallowed_types, reason = "a verb that writes files")]
fn create(dir: &Path, name: &str) -> io::Result<std::fs::File> {
    std::fs::File::create(dir.join(name))
}

/// Every page by the name of its file.
fn pages(mut command: Command) -> io::Result<Vec<(String, Vec<u8>)>> {
    command.build();
    let mut found = Vec::new();
    gather(&command, None, &mut found)?;
    let toml = config::manual(concat!("retrovolt ", env!("CARGO_PKG_VERSION")));
    found.push(("retrovolt.toml.5".to_owned(), toml.into_bytes()));
    Ok(found)
}

fn gather(command: &Command, parent: Option<&str>, found: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    let name = match parent {
        Some(parent) => format!("{parent}-{}", command.get_name()),
        None => command.get_name().to_owned(),
    };
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        gather(inner, Some(&name), found)?;
    }
    let man = Man::new(command.clone())
        .title(name.to_uppercase())
        .source(concat!("retrovolt ", env!("CARGO_PKG_VERSION")))
        .manual("Retrovolt");
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let mut tail = Roff::new();
    if parent.is_none() {
        let ends: Vec<(String, &str)> = ENDS
            .iter()
            .map(|(code, words)| (code.to_string(), *words))
            .collect();
        list(
            &mut tail,
            "EXIT STATUS",
            ends.iter().map(|(code, words)| (code.as_str(), *words)),
        );
        list(&mut tail, "FILES", FILES.iter().copied());
    }
    tail.control("SH", ["SEE ALSO"]);
    let others = ["retrovolt(1)", "retrovolt.toml(5)", "systemctl(1)"];
    let own = format!("{name}(1)");
    let others: Vec<&str> = others.into_iter().filter(|other| *other != own).collect();
    tail.text([roman(others.join(", "))]);
    text.extend(tail.render().into_bytes());
    found.push((format!("{name}.1"), text));
    Ok(())
}

fn list<'a>(page: &mut Roff, heading: &str, entries: impl Iterator<Item = (&'a str, &'a str)>) {
    page.control("SH", [heading]);
    for (name, words) in entries {
        page.control("TP", []);
        page.text([bold(name)]);
        page.text([roman(words)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use std::collections::BTreeMap;

    fn all() -> BTreeMap<String, String> {
        pages(Cli::command())
            .expect("rendered")
            .into_iter()
            .map(|(name, text)| (name, String::from_utf8(text).expect("UTF-8")))
            .collect()
    }

    fn verbs() -> Vec<String> {
        let command = Cli::command();
        let shown = command.get_subcommands().filter(|verb| !verb.is_hide_set());
        shown.map(|verb| verb.get_name().to_owned()).collect()
    }

    #[test]
    fn every_command_has_its_page() {
        let pages = all();
        for verb in verbs() {
            let page = &pages[&format!("retrovolt-{verb}.1")];
            assert!(page.contains(".SH SYNOPSIS"), "{verb}: {page}");
            assert!(page.contains(".SH NAME"), "{verb}");
        }
        assert!(pages["retrovolt.1"].contains("EXIT STATUS"));
        assert!(
            pages.contains_key("retrovolt-profile-show.1"),
            "verbs within verbs, too"
        );
    }

    #[test]
    fn a_hidden_option_is_on_no_page() {
        let seen: Vec<String> = all()
            .into_iter()
            .filter(|(_, page)| page.contains("seed"))
            .map(|(name, _)| name)
            .collect();
        assert!(seen.is_empty(), "{seen:?}");
    }

    #[test]
    fn the_page_of_the_configuration_names_every_table() {
        let page = &all()["retrovolt.toml.5"];
        for table in [
            "[gateway]",
            "[[bus]]",
            "[[device]]",
            "[[charge_point]]",
            "[[charge_point.csms]]",
        ] {
            assert!(page.contains(table), "{table} is missing");
        }
        assert!(page.contains("state_dir"));
    }

    #[test]
    fn completions_know_every_verb() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "retrovolt", &mut text);
            let text = String::from_utf8(text).expect("UTF-8");
            for verb in verbs() {
                assert!(text.contains(&verb), "{shell}: {verb} is missing");
            }
        }
    }
}
