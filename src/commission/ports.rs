//! Serial ports of this machine: stable names, chip, driver, who holds them, whether they may be opened.

use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// One port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Kernel's name, e.g. `/dev/ttyUSB0`; may be another one after the next start.
    pub device: PathBuf,
    /// Names that stay: by adapter (`by-id`) and by socket (`by-path`), best first.
    pub stable: Vec<PathBuf>,
    /// Kernel driver.
    pub driver: Option<String>,
    /// Maker and model of a USB adapter.
    pub chip: Option<String>,
    /// USB vendor and product id, `0403:6001`.
    pub usb: Option<String>,
    /// Serial number of a USB adapter.
    pub serial: Option<String>,
    /// Programs that have it open: process id and name.
    pub held_by: Vec<(u32, String)>,
    /// What stands against opening it; `None`: nothing.
    pub problem: Option<String>,
}

impl Port {
    /// The name to write into the configuration.
    #[must_use]
    pub fn best_name(&self) -> &Path {
        self.stable.first().unwrap_or(&self.device)
    }
}

/// Where the kernel tells of its devices; other roots are for tests.
#[derive(Clone, Debug)]
pub struct Roots {
    /// `/sys/class/tty`.
    pub class: PathBuf,
    /// `/dev`.
    pub dev: PathBuf,
    /// `/proc`.
    pub proc: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            class: "/sys/class/tty".into(),
            dev: "/dev".into(),
            proc: "/proc".into(),
        }
    }
}

/// Every serial port there is, sorted by name. Consoles and ports without hardware are left out.
#[must_use]
pub fn list(roots: &Roots) -> Vec<Port> {
    let Ok(entries) = fs::read_dir(&roots.class) else {
        return Vec::new();
    };
    let mut ports: Vec<Port> = entries
        .flatten()
        .filter_map(|entry| port(roots, &entry.path()))
        .collect();
    ports.sort_by(|a, b| a.device.cmp(&b.device));
    ports
}

fn port(roots: &Roots, class: &Path) -> Option<Port> {
    let name = class.file_name()?.to_str()?;
    let hardware = fs::canonicalize(class.join("device")).ok()?;
    let driver = fs::canonicalize(hardware.join("driver")).ok();
    let driver = driver.and_then(|path| Some(path.file_name()?.to_str()?.to_owned()));
    // A UART that was not found has type 0.
    if fs::read_to_string(class.join("type")).is_ok_and(|kind| kind.trim() == "0") {
        return None;
    }
    let device = roots.dev.join(name);
    let usb = hardware
        .ancestors()
        .find(|folder| folder.join("idVendor").exists());
    let text = |file: &str| {
        let text = fs::read_to_string(usb?.join(file)).ok()?;
        let text = text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    };
    let join = |a: Option<String>, b: Option<String>, by: &str| match (a, b) {
        (Some(a), Some(b)) => Some(format!("{a}{by}{b}")),
        (a, b) => a.or(b),
    };
    Some(Port {
        stable: stable(roots, &device),
        driver,
        chip: join(text("manufacturer"), text("product"), " "),
        usb: join(text("idVendor"), text("idProduct"), ":"),
        serial: text("serial"),
        held_by: holders(roots, &device),
        problem: problem(&device),
        device,
    })
}

/// Links below `/dev/serial` that lead to a device; by adapter before by socket.
fn stable(roots: &Roots, device: &Path) -> Vec<PathBuf> {
    let target = fs::canonicalize(device).unwrap_or_else(|_| device.to_owned());
    let mut names = Vec::new();
    for folder in ["serial/by-id", "serial/by-path"] {
        let Ok(links) = fs::read_dir(roots.dev.join(folder)) else {
            continue;
        };
        let mut found: Vec<PathBuf> = links
            .flatten()
            .map(|link| link.path())
            .filter(|link| fs::canonicalize(link).is_ok_and(|leads_to| leads_to == target))
            .collect();
        found.sort();
        names.extend(found);
    }
    names
}

/// Processes that have a device open, as far as they may be looked at.
#[must_use]
pub fn holders(roots: &Roots, device: &Path) -> Vec<(u32, String)> {
    let Ok(target) = fs::canonicalize(device) else {
        return Vec::new();
    };
    let Ok(processes) = fs::read_dir(&roots.proc) else {
        return Vec::new();
    };
    let mut holders: Vec<(u32, String)> = processes
        .flatten()
        .filter_map(|process| {
            let id: u32 = process.file_name().to_str()?.parse().ok()?;
            let open = fs::read_dir(process.path().join("fd")).ok()?;
            let holds = open
                .flatten()
                .any(|fd| fs::read_link(fd.path()).is_ok_and(|leads_to| leads_to == target));
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            holds.then(|| (id, name.trim().to_owned()))
        })
        .filter(|(id, _)| *id != std::process::id())
        .collect();
    holders.sort_unstable();
    holders
}

/// Why a device cannot be opened, without opening it: opening would move the modem lines.
fn problem(device: &Path) -> Option<String> {
    let access = rustix::fs::Access::READ_OK | rustix::fs::Access::WRITE_OK;
    let error = io::Error::from(rustix::fs::access(device, access).err()?);
    Some(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "no permission: add the user to the group of the device (usually `dialout`) and log in again"
                .to_owned()
        }
        _ => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// A USB adapter and a UART that was never found, as the kernel shows them.
    fn machine() -> (tempfile::TempDir, Roots) {
        let dir = tempfile::tempdir().unwrap();
        let at = |path: &str| dir.path().join(path);
        let folder = |path: &str| fs::create_dir_all(at(path)).unwrap();
        folder("class/ttyUSB0");
        folder("class/ttyS4");
        folder("class/tty1");
        folder("devices/usb1/1-1/1-1:1.0/ttyUSB0");
        folder("devices/pnp");
        folder("drivers/ftdi_sio");
        folder("dev/serial/by-id");
        folder("dev/serial/by-path");
        folder("proc/77/fd");
        folder("proc/self-is-no-number");
        let usb = at("devices/usb1/1-1");
        for (file, text) in [
            ("idVendor", "0403\n"),
            ("idProduct", "6001\n"),
            ("manufacturer", "FTDI\n"),
            ("product", "FT232R USB UART\n"),
            ("serial", "A50285BI\n"),
        ] {
            fs::write(usb.join(file), text).unwrap();
        }
        symlink(at("devices/usb1/1-1/1-1:1.0/ttyUSB0"), at("class/ttyUSB0/device")).unwrap();
        symlink(
            at("drivers/ftdi_sio"),
            at("devices/usb1/1-1/1-1:1.0/ttyUSB0/driver"),
        )
        .unwrap();
        symlink(at("devices/pnp"), at("class/ttyS4/device")).unwrap();
        fs::write(at("class/ttyS4/type"), "0\n").unwrap();
        fs::write(at("dev/ttyUSB0"), "").unwrap();
        symlink("../../ttyUSB0", at("dev/serial/by-id/usb-FTDI-if00-port0")).unwrap();
        symlink("../../ttyUSB0", at("dev/serial/by-path/pci-0-port0")).unwrap();
        symlink(fs::canonicalize(at("dev/ttyUSB0")).unwrap(), at("proc/77/fd/3")).unwrap();
        fs::write(at("proc/77/comm"), "mbpoll\n").unwrap();
        let roots = Roots {
            class: at("class"),
            dev: at("dev"),
            proc: at("proc"),
        };
        (dir, roots)
    }

    #[test]
    fn a_port_is_told_with_its_stable_name_chip_and_holder() {
        let (dir, roots) = machine();
        let ports = list(&roots);
        assert_eq!(ports.len(), 1, "{ports:?}");
        let port = &ports[0];
        assert_eq!(port.device, dir.path().join("dev/ttyUSB0"));
        assert!(port.best_name().ends_with("by-id/usb-FTDI-if00-port0"));
        assert_eq!(port.stable.len(), 2);
        assert_eq!(port.driver.as_deref(), Some("ftdi_sio"));
        assert_eq!(port.chip.as_deref(), Some("FTDI FT232R USB UART"));
        assert_eq!(port.usb.as_deref(), Some("0403:6001"));
        assert_eq!(port.serial.as_deref(), Some("A50285BI"));
        assert_eq!(port.held_by, [(77, "mbpoll".to_owned())]);
        assert_eq!(port.problem, None);
    }

    #[test]
    fn a_machine_without_ports_has_none() {
        let roots = Roots {
            class: "/nowhere".into(),
            ..Roots::default()
        };
        assert_eq!(list(&roots), []);
        assert_eq!(holders(&roots, Path::new("/nowhere/tty")), []);
    }
}
