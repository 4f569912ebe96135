//! A board in qemu, without KVM: a Debian kernel of `.lab`, an initramfs packed here, a console that is read line by
//! line and typed at.

use crate::cpio::Archive;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::watch;
use tokio::time::timeout;

/// Far more than a boot and a story take.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Which processor, and with it which lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// A PC; programs are those of this machine.
    Amd64,
    /// A board like a Raspberry Pi 4; programs are static.
    #[allow(dead_code, reason = "not every test binary has such a board")]
    Arm64,
}

impl Arch {
    fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }

    /// Its kernel, modules and busybox, which `tests/boards/setup.sh` loads.
    pub fn lab(self) -> PathBuf {
        let lab = root().join(".lab").join(self.name());
        let missing = std::fs::read_to_string(lab.join("missing")).unwrap_or_default();
        assert!(
            lab.join("complete").exists(),
            "no kernel to boot: run `make setup` first. {missing}"
        );
        lab
    }

    /// A machine of this kind: its console is qemu's stdio, everything else is up to the caller.
    pub fn qemu(self) -> Command {
        let (program, args): (_, &[&str]) = match self {
            Self::Amd64 => (
                "qemu-system-x86_64",
                &["-M", "pc", "-cpu", "max", "-m", "768", "-nodefaults"],
            ),
            Self::Arm64 => (
                "qemu-system-aarch64",
                &["-M", "virt", "-cpu", "cortex-a72", "-m", "768", "-nodefaults"],
            ),
        };
        let mut qemu = Command::new(program);
        qemu.args(args)
            .args(["-accel", "tcg", "-display", "none", "-serial", "stdio"])
            .arg("-kernel")
            .arg(self.lab().join("vmlinuz"));
        qemu
    }

    /// What its kernel is told, and behind it what the first program is told.
    pub fn words(self, more: &str) -> String {
        match self {
            Self::Amd64 => {
                format!("console=ttyS0 quiet panic=-1 reboot=t tsc=reliable random.trust_cpu=on {more}")
            }
            Self::Arm64 => format!("console=ttyAMA0 quiet panic=-1 {more}"),
        }
    }
}

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What goes into an initramfs beside busybox.
pub struct Load<'a> {
    /// For which machine.
    pub arch: Arch,
    /// The first program, a script for busybox.
    pub init: String,
    /// Where they are in the machine, where they are here.
    pub programs: Vec<(&'a str, PathBuf)>,
    /// Modules of the lab, which get to `/lab`.
    pub modules: &'a [&'a str],
}

impl Load<'_> {
    /// Packs it, once for each build of what it holds.
    pub fn pack(&self) -> io::Result<PathBuf> {
        let lab = self.arch.lab();
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let stem = format!("{}-{}", env!("CARGO_CRATE_NAME"), self.arch.name());
        let packed = folder.join(format!("{stem}-{}.cpio", self.age(&lab)?));
        if packed.exists() {
            return Ok(packed);
        }
        for old in std::fs::read_dir(folder)?.flatten() {
            let name = old.file_name().to_string_lossy().into_owned();
            if name.starts_with(&stem) && name.ends_with("cpio") {
                let _ = std::fs::remove_file(old.path());
            }
        }
        let fresh = tempfile::NamedTempFile::new_in(folder)?;
        let mut archive = Archive::new(BufWriter::new(File::create(fresh.path())?));
        for folder in ["bin", "dev", "lab", "proc", "root", "sys", "tmp", "lib", "lib64"] {
            archive.folder(folder)?;
        }
        archive.program("init", self.init.as_bytes())?;
        archive.program("bin/busybox", &std::fs::read(lab.join("busybox"))?)?;
        for module in self.modules {
            let module = format!("{module}.ko");
            archive.program(&format!("lab/{module}"), &std::fs::read(lab.join(&module))?)?;
        }
        for (name, path) in &self.programs {
            let content = match self.arch {
                Arch::Amd64 => stripped(path)?,
                Arch::Arm64 => std::fs::read(path)?,
            };
            archive.program(name.trim_start_matches('/'), &content)?;
        }
        for library in self.libraries()? {
            let name = library.file_name().and_then(|name| name.to_str()).unwrap_or("");
            let folder = if name.starts_with("ld-linux") {
                "lib64"
            } else {
                "lib"
            };
            archive.program(&format!("{folder}/{name}"), &std::fs::read(&library)?)?;
        }
        archive
            .finish()?
            .into_inner()
            .map_err(|error| error.into_error())?;
        fresh.persist(&packed)?;
        Ok(packed)
    }

    /// When its parts were built, as a part of a file's name.
    fn age(&self, lab: &Path) -> io::Result<String> {
        let parts = self.programs.iter().map(|(_, path)| path.clone());
        let mut age = String::new();
        for path in parts.chain([lab.join("complete"), std::env::current_exe()?]) {
            let changed = path.metadata()?.modified()?;
            let since = changed.duration_since(UNIX_EPOCH).map_err(io::Error::other)?;
            age.push_str(&format!("{:x}-", since.as_nanos()));
        }
        let init = self.init.bytes().fold(5381_u32, |hash, byte| {
            hash.wrapping_mul(33).wrapping_add(u32::from(byte))
        });
        age.push_str(&format!("{init:x}"));
        Ok(age)
    }

    /// The shared libraries of its programs, the loader among them; those of an arm64 machine are static.
    fn libraries(&self) -> io::Result<Vec<PathBuf>> {
        let mut all = Vec::new();
        if self.arch == Arch::Amd64
            && let Some((_, program)) = self.programs.first()
        {
            let told = std::process::Command::new("ldd").arg(program).output()?;
            let text = String::from_utf8_lossy(&told.stdout).into_owned();
            let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
            all.extend(paths.map(PathBuf::from));
        }
        Ok(all)
    }
}

/// A program without its symbols: a tenth of the size.
fn stripped(path: &Path) -> io::Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    let done = std::process::Command::new("strip")
        .arg("-o")
        .arg(file.path())
        .arg(path)
        .status()?;
    if !done.success() {
        return Err(io::Error::other("strip failed"));
    }
    std::fs::read(file.path())
}

/// A machine that runs; off when dropped.
pub struct Machine {
    child: Child,
    #[allow(dead_code, reason = "not every test binary types at its console")]
    pub stdin: ChildStdin,
    said: watch::Receiver<Vec<String>>,
}

impl Machine {
    /// Switches it on.
    pub fn boot(mut qemu: Command) -> Self {
        let mut child = qemu
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .expect("qemu, which `make setup` installs");
        let stdin = child.stdin.take().expect("piped");
        let mut out = BufReader::new(child.stdout.take().expect("piped"));
        let (say, said) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut line = Vec::new();
            while let Ok(1..) = out.read_until(b'\n', &mut line).await {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                say.send_modify(|all| all.push(text));
                line.clear();
            }
        });
        Self { child, stdin, said }
    }

    /// How many lines its console has shown.
    #[allow(dead_code, reason = "not every test binary follows its console")]
    pub fn mark(&self) -> usize {
        self.said.borrow().len()
    }

    /// Awaits a line of its console from the mark on; gives it and the mark behind it.
    #[allow(dead_code, reason = "not every test binary follows its console")]
    pub async fn line(
        &mut self,
        mark: usize,
        within: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> (String, usize) {
        let find = |all: &Vec<String>| all.iter().skip(mark).position(|line| wanted(line));
        let at = match timeout(within, self.said.wait_for(|all| find(all).is_some())).await {
            Ok(Ok(all)) => find(&all).map(|at| mark + at),
            Ok(Err(_)) | Err(_) => None,
        };
        let Some(at) = at else {
            panic!("the awaited line did not come; since then:\n{}", self.since(mark))
        };
        let line = self.said.borrow()[at].clone();
        (line, at + 1)
    }

    /// What its console has shown from the mark on.
    pub fn since(&self, mark: usize) -> String {
        self.said.borrow()[mark..].join("\n")
    }

    /// Awaits that it switches itself off; gives all its console has shown.
    pub async fn ended(&mut self) -> String {
        let quiet = async { while self.said.changed().await.is_ok() {} };
        let _ = timeout(PATIENCE, quiet).await;
        let _ = self.child.kill().await;
        self.since(0)
    }
}
