//! Embeds `config/devices/**/*.toml` so that the binary carries its device profiles.
#![allow(clippy::disallowed_methods, reason = "runs while building")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("config/devices");
    println!("cargo::rerun-if-changed=config/devices");
    let mut files = Vec::new();
    collect(&root, &mut files)?;
    files.sort();
    let mut code = String::from("static SHIPPED: &[Shipped] = &[\n");
    for file in &files {
        println!("cargo::rerun-if-changed={}", file.display());
        let Some(id) = id_of(&fs::read_to_string(file)?) else {
            println!("cargo::error={} has no `id = \"...\"` line", file.display());
            continue;
        };
        let name = file.strip_prefix(&root).unwrap_or(file);
        // By the variable, not by its value: the same text wherever the checkout lies, so builds can be compared.
        let path = Path::new("/config/devices").join(name);
        writeln!(
            code,
            "    Shipped {{ id: {id:?}, file: {name:?}, text: include_str!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {path:?})) }},"
        )
        .map_err(io::Error::other)?;
    }
    code.push_str("];\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default());
    fs::write(out.join("shipped_profiles.rs"), code)
}

fn collect(dir: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            println!("cargo::rerun-if-changed={}", path.display());
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    Ok(())
}

/// The id, known without a TOML parser; a unit test holds that it is the parsed one.
fn id_of(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix("id = \""))?;
    line.split('"').next().map(str::to_owned)
}
