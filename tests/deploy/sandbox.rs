//! A folder that stands for a device, and programs that stand for what is on it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// How a program ended and what it said, both streams.
#[derive(Debug)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Output and messages.
    pub text: String,
}

/// The device.
pub struct Sandbox {
    dir: TempDir,
}

impl Sandbox {
    /// An empty one whose `sleep` takes no time.
    pub fn new() -> Self {
        let sandbox = Self {
            dir: TempDir::new().expect("a folder"),
        };
        sandbox.program("bin/sleep", "exit 0");
        sandbox
    }

    /// A path on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Puts a shell script onto it.
    pub fn program(&self, name: &str, body: &str) {
        self.file(name, &format!("#!/bin/sh\n{body}\n"));
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(self.path(name), executable).expect("executable");
    }

    /// Puts a file onto it.
    pub fn file(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }

    /// Text of a file; empty where there is none.
    pub fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// A program with the device's own ones first in its path.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        let path = std::env::var("PATH").unwrap_or_default();
        let (own, usr) = (self.path("bin"), self.path("usr/bin"));
        command
            .env("PATH", format!("{}:{}:{path}", own.display(), usr.display()))
            .env("HERE", self.dir.path())
            .env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a script of `deploy/`.
    pub fn run(&self, script: &str, args: &[&str]) -> Said {
        said(self.command(root().join("deploy").join(script)).args(args))
    }
}

/// Runs a program to its end.
pub fn said(command: &mut Command) -> Said {
    let output = command.output().expect("it starts");
    let both = [output.stdout, output.stderr].concat();
    Said {
        code: output.status.code().unwrap_or(-1),
        text: String::from_utf8_lossy(&both).into_owned(),
    }
}
