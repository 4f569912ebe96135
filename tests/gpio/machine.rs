//! The machine: kernel and modules from `.lab/gpio`, an initramfs with the gateway and this test binary.

use super::cpio::Archive;
use std::fs::File;
use std::io::{self, BufWriter, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// Far more than a boot and a story take.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the machine prints last.
const VERDICT: &str = "STORY ENDED WITH ";
/// What the tests in the machine know it by.
pub const GUEST: &str = "RETROVOLT_GUEST";
/// Where the gateway is in the machine.
pub const GATEWAY: &str = "/bin/retrovolt";

const INIT: &str = r#"#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sysfs /sys
$b mount -t devtmpfs devtmpfs /dev
$b mount -t tmpfs tmpfs /tmp
$b insmod /lab/configfs.ko && $b insmod /lab/gpio-sim.ko && $b mount -t configfs configfs /sys/kernel/config
$b ifconfig lo 127.0.0.1 up
export RETROVOLT_GUEST=1 RUST_BACKTRACE=0
/bin/story --ignored --exact --nocapture --test-threads=1 "guest::$1"
echo "STORY ENDED WITH $?"
$b poweroff -f
"#;

/// Boots the machine and runs a story of [`guest`](super::guest) in it; panics with all it printed if that failed.
pub fn run(story: &str) {
    let lab = lab();
    let initramfs = initramfs(&lab).expect("the initramfs is packed");
    let mut qemu = Command::new("qemu-system-x86_64")
        .args([
            "-M", "pc", "-accel", "tcg", "-cpu", "max", "-m", "768", "-smp", "1",
        ])
        .args([
            "-nodefaults",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(lab.join("vmlinuz"))
        .arg("-initrd")
        .arg(&initramfs)
        .arg("-append")
        .arg(format!(
            "console=ttyS0 quiet panic=-1 reboot=t tsc=reliable random.trust_cpu=on -- {story}"
        ))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .expect("qemu-system-x86_64, which `make setup` installs");
    let said = until_end(&mut qemu);
    assert!(
        said.contains(&format!("{VERDICT}0")) && said.contains("test result: ok. 1 passed"),
        "{story} failed in the machine:\n{said}"
    );
}

/// All the machine prints until it is off.
fn until_end(qemu: &mut Child) -> String {
    let mut out = qemu.stdout.take().expect("piped");
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut said = Vec::new();
        let _ = out.read_to_end(&mut said);
        let _ = tell.send(said);
    });
    let in_time = told.recv_timeout(PATIENCE);
    let _ = qemu.kill();
    let _ = qemu.wait();
    let said = in_time.or_else(|_| told.recv()).unwrap_or_default();
    String::from_utf8_lossy(&said).into_owned()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn lab() -> PathBuf {
    let lab = root().join(".lab/gpio");
    let missing = std::fs::read_to_string(lab.join("missing")).unwrap_or_default();
    assert!(
        lab.join("vmlinuz").exists(),
        "no kernel to boot: run `make setup` first. {missing}"
    );
    lab
}

/// Packs the initramfs, once for each build of the two programs.
fn initramfs(lab: &Path) -> io::Result<PathBuf> {
    let programs = [
        (GATEWAY, PathBuf::from(env!("CARGO_BIN_EXE_retrovolt"))),
        ("/bin/story", std::env::current_exe()?),
    ];
    let mut name = String::from("gpio");
    for path in programs
        .iter()
        .map(|(_, path)| path.clone())
        .chain([lab.join("vmlinuz")])
    {
        let changed = path.metadata()?.modified()?;
        let age = changed
            .duration_since(std::time::UNIX_EPOCH)
            .map_err(io::Error::other)?;
        name.push_str(&format!("-{:x}", age.as_nanos()));
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let packed = folder.join(&name).with_extension("cpio");
    if packed.exists() {
        return Ok(packed);
    }
    for old in std::fs::read_dir(folder)?.flatten() {
        if old.path().extension().is_some_and(|end| end == "cpio") {
            let _ = std::fs::remove_file(old.path());
        }
    }
    let fresh = tempfile::NamedTempFile::new_in(folder)?;
    let mut archive = Archive::new(BufWriter::new(File::create(fresh.path())?));
    for folder in ["bin", "dev", "lab", "proc", "sys", "tmp", "lib", "lib64"] {
        archive.folder(folder)?;
    }
    archive.program("init", INIT.as_bytes())?;
    archive.program("bin/busybox", &std::fs::read("/bin/busybox")?)?;
    for module in ["configfs.ko", "gpio-sim.ko"] {
        archive.program(&format!("lab/{module}"), &std::fs::read(lab.join(module))?)?;
    }
    for (name, path) in &programs {
        archive.program(name.trim_start_matches('/'), &stripped(path)?)?;
    }
    for library in libraries(&programs[0].1)? {
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

/// A program without its symbols: a tenth of the size.
fn stripped(path: &Path) -> io::Result<Vec<u8>> {
    let file = tempfile::NamedTempFile::new()?;
    let done = Command::new("strip")
        .arg("-o")
        .arg(file.path())
        .arg(path)
        .status()?;
    if !done.success() {
        return Err(io::Error::other("strip failed"));
    }
    std::fs::read(file.path())
}

/// The shared libraries of a program, the loader among them.
fn libraries(program: &Path) -> io::Result<Vec<PathBuf>> {
    let told = Command::new("ldd").arg(program).output()?;
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths.map(PathBuf::from).collect())
}
