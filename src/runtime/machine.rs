//! What the gateway runs on, as the machine itself says.

use std::fs;
use std::path::Path;

/// Longest text that is told.
const LONGEST: usize = 128;
/// What firmware says where nobody has filled anything in.
const NOTHING: [&str; 9] = [
    "to be filled by o.e.m.",
    "system manufacturer",
    "system product name",
    "default string",
    "not specified",
    "not applicable",
    "unknown",
    "none",
    "o.e.m.",
];

/// Board and system.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Machine {
    /// The board, by the device tree or the firmware of the board; `None`: neither tells, as in many a container.
    pub hardware: Option<String>,
    /// The operating system, by os-release(5), else the kernel.
    pub os: Option<String>,
}

impl Machine {
    /// This one.
    pub fn here() -> Self {
        let mut here = Self::under(Path::new("/"));
        here.os.get_or_insert_with(|| {
            let system = rustix::system::uname();
            let (name, release) = (
                system.sysname().to_string_lossy(),
                system.release().to_string_lossy(),
            );
            format!("{name} {release}")
        });
        here
    }

    /// The one whose files are below a folder.
    fn under(root: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(root.join(path)).ok();
        let trees = ["sys/firmware/devicetree/base/model", "proc/device-tree/model"];
        let tree = trees.iter().find_map(|path| told(&text(path)?));
        let releases = ["etc/os-release", "usr/lib/os-release"];
        Self {
            hardware: tree.or_else(|| board(|name| told(&text(&format!("sys/class/dmi/id/{name}"))?))),
            os: releases.iter().find_map(|path| pretty_name(&text(path)?)),
        }
    }
}

/// Maker and product by DMI: of the whole machine, else of its board.
fn board(told: impl Fn(&str) -> Option<String>) -> Option<String> {
    let names = [("sys_vendor", "product_name"), ("board_vendor", "board_name")];
    names
        .iter()
        .find_map(|(vendor, product)| match (told(vendor), told(product)?) {
            (Some(vendor), product) if !product.starts_with(&vendor) => Some(format!("{vendor} {product}")),
            (_, product) => Some(product),
        })
}

/// The name for people of os-release(5).
fn pretty_name(release: &str) -> Option<String> {
    let value = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
    let value = value.trim();
    let bare = ['"', '\'']
        .into_iter()
        .find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
    told(&bare.unwrap_or(value).replace('\\', ""))
}

/// A text that says something. The device tree ends its own with a zero.
fn told(text: &str) -> Option<String> {
    let text: String = text.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    let text = text.trim();
    let says = !text.is_empty() && !NOTHING.contains(&text.to_lowercase().as_str());
    says.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Root(tempfile::TempDir);

    impl Root {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn with(self, path: &str, text: &str) -> Self {
            let path = self.0.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn hardware(&self) -> Option<String> {
            Machine::under(self.0.path()).hardware
        }

        fn os(&self) -> Option<String> {
            Machine::under(self.0.path()).os
        }
    }

    #[test]
    fn a_board_is_named_by_its_device_tree_and_else_by_its_firmware() {
        assert_eq!(Root::new().hardware(), None);
        let pi = "Raspberry Pi 4 Model B Rev 1.4\0";
        for path in ["proc/device-tree/model", "sys/firmware/devicetree/base/model"] {
            let root = Root::new()
                .with(path, pi)
                .with("sys/class/dmi/id/product_name", "x\n");
            assert_eq!(
                root.hardware().as_deref(),
                Some("Raspberry Pi 4 Model B Rev 1.4"),
                "{path}"
            );
        }
        let dmi = |vendor: &str, product: &str| {
            Root::new()
                .with("sys/class/dmi/id/sys_vendor", vendor)
                .with("sys/class/dmi/id/product_name", product)
        };
        assert_eq!(dmi("Acme\n", "Box 1\n").hardware().as_deref(), Some("Acme Box 1"));
        assert_eq!(
            dmi("Acme\n", "Acme Box 1\n").hardware().as_deref(),
            Some("Acme Box 1")
        );
        assert_eq!(
            dmi("Default string\n", "Box 1\n").hardware().as_deref(),
            Some("Box 1")
        );
        let filled = |root: Root| {
            root.with("sys/class/dmi/id/board_vendor", "Maker\n")
                .with("sys/class/dmi/id/board_name", "N100\n")
        };
        let nameless = dmi("To Be Filled By O.E.M.\n", "To Be Filled By O.E.M.\n");
        assert_eq!(filled(nameless).hardware().as_deref(), Some("Maker N100"));
    }

    #[test]
    fn a_system_is_named_as_it_names_itself() {
        assert_eq!(Root::new().os(), None);
        let debian = "NAME=\"Debian GNU/Linux\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n";
        let name = Some("Debian GNU/Linux 12 (bookworm)".to_owned());
        assert_eq!(Root::new().with("etc/os-release", debian).os(), name);
        assert_eq!(Root::new().with("usr/lib/os-release", debian).os(), name);
        let plain = Root::new().with("etc/os-release", "PRETTY_NAME=Buildroot\\ 2024\n");
        assert_eq!(plain.os().as_deref(), Some("Buildroot 2024"));
        assert!(Machine::here().os.is_some(), "the kernel has a name too");
    }
}
