//! A Debian with systemd in a container: booted from `.lab/package` under an overlay, so that every test has a fresh one.

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Longer than the slowest step; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often a state that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// In a mount namespace of its own: mounts the overlay and control groups v2, and runs the container in a control group of
/// its own, because two containers in one would kill each other's services.
const BOOT: &str = r#"
set -e
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
umount -R /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$3"
echo $$ > "/sys/fs/cgroup/$3/cgroup.procs"
systemd-nspawn --quiet --register=no --keep-unit --boot --link-journal=no --console=read-only \
  --machine="$3" --directory="$2/root" || true
echo $$ > /sys/fs/cgroup/cgroup.procs
find "/sys/fs/cgroup/$3" -depth -type d -exec rmdir {} \;
"#;

/// The running container. Dropping it switches it off hard.
pub struct Container {
    child: Child,
    init: Pid,
    _dir: TempDir,
}

impl Container {
    /// Boots it and awaits the end of the boot. It shares the network of the test.
    pub fn boot(name: &str) -> Self {
        Self::boot_with(name, &[])
    }

    /// Boots it with more of the lab's folders laid over its root.
    pub fn boot_with(name: &str, over: &[&str]) -> Self {
        let lab = lab();
        let layers: Vec<String> = over
            .iter()
            .chain(&["root"])
            .map(|layer| lab.join(layer))
            .inspect(|layer| {
                assert!(
                    layer.exists(),
                    "{} is missing: run `make setup` first",
                    layer.display()
                );
            })
            .map(|layer| layer.display().to_string())
            .collect();
        let dir = TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        for part in ["upper", "work", "root"] {
            std::fs::create_dir(dir.path().join(part)).expect("a folder");
        }
        let console = std::fs::File::create(dir.path().join("console")).expect("a file");
        let mut child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "sh", "-c", BOOT, "boot"])
            .arg(layers.join(":"))
            .arg(dir.path())
            .arg(format!("{name}-{}", std::process::id()))
            .stdin(Stdio::null())
            .stdout(console.try_clone().expect("the same file"))
            .stderr(console)
            .spawn()
            .expect("unshare starts");
        let init = until("the container has a process 1", || {
            let ended = child.try_wait().expect("our child");
            assert!(
                ended.is_none(),
                "the container ended with {ended:?}: {}",
                console_of(dir.path())
            );
            init_of(child.id())
        });
        let container = Self {
            child,
            init,
            _dir: dir,
        };
        until("the container is up", || {
            let state = container.output(&["systemctl", "is-system-running", "--wait"]);
            ["running", "degraded"]
                .contains(&text(&state.stdout))
                .then_some(())
        });
        container
    }

    /// Runs a command inside, whatever its outcome.
    pub fn output(&self, command: &[&str]) -> Output {
        Command::new("nsenter")
            .args(["--all", "--target", &self.init.as_raw_nonzero().to_string()])
            .args(command)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdin(Stdio::null())
            .output()
            .expect("nsenter starts")
    }

    /// Runs a command inside that must succeed; what it said.
    pub fn run(&self, command: &[&str]) -> String {
        let output = self.output(command);
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert!(
            output.status.success(),
            "{command:?} ended with {}: {said}",
            output.status
        );
        said
    }

    /// Its process 1 as seen from here.
    pub fn init(&self) -> i32 {
        self.init.as_raw_nonzero().get()
    }

    /// The same place as seen from here.
    pub fn path(&self, inside: &str) -> PathBuf {
        Path::new("/proc")
            .join(self.init.as_raw_nonzero().to_string())
            .join("root")
            .join(inside.trim_start_matches('/'))
    }

    /// Writes a file inside; one that is there keeps its owner and mode.
    pub fn write(&self, inside: &str, words: &str) {
        let path = self.path(inside);
        std::fs::create_dir_all(path.parent().expect("a file has a folder")).expect("a folder");
        std::fs::write(&path, words).unwrap_or_else(|error| panic!("{inside}: {error}"));
    }

    /// What dpkg says to a package, and whether it took it.
    pub fn install(&self, package: &Path) -> (bool, String) {
        let name = "/retrovolt.deb";
        std::fs::copy(package, self.path(name)).expect("copied");
        let output = self.output(&["dpkg", "--install", name]);
        (
            output.status.success(),
            format!("{}{}", text(&output.stdout), text(&output.stderr)),
        )
    }

    /// A property of the service.
    pub fn property(&self, name: &str) -> String {
        let property = format!("--property={name}");
        self.run(&["systemctl", "show", "retrovolt.service", &property, "--value"])
    }

    /// How often systemd restarted the service.
    pub fn restarts(&self) -> u32 {
        self.property("NRestarts").parse().expect("a number")
    }

    /// Asks the running gateway for its status through its socket.
    pub fn status(&self) -> Option<Value> {
        let mut stream = UnixStream::connect(self.path("/run/retrovolt/ctl.sock")).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all(b"{\"ask\":\"status\"}\n").ok()?;
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).ok()?;
        serde_json::from_str(&line).ok()
    }

    /// Awaits a status.
    pub fn until(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        until_or(
            what,
            || self.status().filter(|status| wanted(status)),
            || self.journal(),
        )
    }

    /// Awaits anything else; the journal is shown where it does not come.
    pub fn await_that(&self, what: &str, wanted: impl Fn() -> bool) {
        until_or(what, || wanted().then_some(()), || self.journal());
    }

    /// The service's journal.
    pub fn journal(&self) -> String {
        self.run(&[
            "journalctl",
            "--no-pager",
            "--output=short-monotonic",
            "--unit=retrovolt.service",
        ])
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // With its process 1 the whole container ends, then systemd-nspawn.
        let _ = kill_process(self.init, Signal::KILL);
        let _ = self.child.wait();
    }
}

/// Where `tests/package/setup.sh` has unpacked Debian: the suite that RETROVOLT_SUITE names, else trixie.
pub fn lab() -> PathBuf {
    let suite = std::env::var("RETROVOLT_SUITE").unwrap_or_default();
    let name = match suite.as_str() {
        "" | "trixie" => "package".to_owned(),
        other => format!("package-{other}"),
    };
    super::root().join(".lab").join(name)
}

/// Output without its line end.
pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default().trim_end()
}

fn console_of(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("console")).unwrap_or_default()
}

/// systemd of the container: a descendant of the shell that runs systemd-nspawn.
fn init_of(shell: u32) -> Option<Pid> {
    let mut at = shell;
    loop {
        let children = std::fs::read_to_string(format!("/proc/{at}/task/{at}/children")).ok()?;
        at = children.split_whitespace().next()?.parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/{at}/comm")).ok()?;
        if name.trim() == "systemd" {
            return Pid::from_raw(at.cast_signed());
        }
    }
}

fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    until_or(what, look, String::new)
}

/// Looks again and again; nobody announces what happens in the container.
fn until_or<T>(what: &str, mut look: impl FnMut() -> Option<T>, told: impl FnOnce() -> String) -> T {
    let begin = Instant::now();
    while begin.elapsed() < PATIENCE {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("{what}: did not happen within {PATIENCE:?}; {}", told())
}
