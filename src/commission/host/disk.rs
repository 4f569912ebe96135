//! Where the ledger is kept: room, wear, and whether it can be written at all.

use super::{Check, Machine, Verdict};
use std::path::Path;

const MIB: u64 = 1024 * 1024;
/// Below it the ledger may stop at any moment.
const SCARCE: u64 = 64 * MIB;
/// Below it somebody should look.
const LOW: u64 = 256 * MIB;
/// Files that may still be made; a rename needs one.
const FEW_FILES: u64 = 500;

pub(super) fn checks(machine: &Machine<'_>, state_dir: &Path) -> Vec<Check> {
    let mut checks = vec![space(machine, state_dir), writable(machine, state_dir)];
    checks.extend(wear(machine));
    checks
}

fn space(machine: &Machine<'_>, state_dir: &Path) -> Check {
    const NAME: &str = "disk space";
    // Before its first start the gateway has no folder; its parents say as much.
    let there = state_dir
        .ancestors()
        .find(|folder| machine.exists(folder))
        .unwrap_or(Path::new("/"));
    let room = match (machine.room)(&machine.at(there)) {
        Ok(room) => room,
        Err(error) => return Check::unknown(NAME, format!("{}: {error}", there.display())),
    };
    let evidence = format!(
        "{} MiB of {} MiB are free where {} is",
        room.free / MIB,
        room.size / MIB,
        state_dir.display()
    );
    let next = "find what fills it: `du -xh / | sort -h | tail`; `journalctl --vacuum-size=50M`, `apt clean`";
    if room.free < SCARCE {
        return Check::failure(NAME, evidence, "the disk is full, or nearly", next);
    }
    // Some file systems (btrfs) have no table of files and say zero.
    if (1..FEW_FILES).contains(&room.files) {
        let evidence = format!("only {} more files can be made", room.files);
        return Check::failure(
            NAME,
            evidence,
            "very many small files fill the table of files",
            next,
        );
    }
    if room.free < LOW {
        return Check::doubt(NAME, evidence, "the disk fills up", next);
    }
    Check::good(NAME, evidence)
}

/// Whether the file system of the state directory is mounted for writing, by the table of mounts.
fn writable(machine: &Machine<'_>, state_dir: &Path) -> Check {
    const NAME: &str = "writable disk";
    let Some(mounts) = machine.text("/proc/self/mounts") else {
        return Check::unknown(NAME, "the machine tells nothing of its mounts");
    };
    // The last line of a place is the one on top.
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_dir = fields.filter(|fields| fields.len() > 3 && state_dir.starts_with(fields[1]));
    let Some(mount) = of_dir.max_by_key(|fields| Path::new(fields[1]).components().count()) else {
        return Check::unknown(NAME, format!("no mount holds {}", state_dir.display()));
    };
    let evidence = format!(
        "{} is on {}, mounted at {} ({})",
        state_dir.display(),
        mount[0],
        mount[1],
        mount[2]
    );
    if mount[3].split(',').any(|option| option == "ro") {
        let next = "if the root is meant to be read-only, give the state directory a partition of its own; else look for errors with `dmesg` and check the card: `fsck`";
        return Check::failure(
            NAME,
            format!("{evidence}, read-only"),
            "the disk reported errors and was made read-only, or the system is read-only by design",
            next,
        );
    }
    if mount[2] == "overlay" {
        return Check::unknown(
            NAME,
            format!("{evidence}; whether its upper layer is on a disk it does not tell"),
        );
    }
    if ["tmpfs", "ramfs"].contains(&mount[2]) {
        let next =
            "give the state directory a partition of its own: what is not delivered must survive power cuts";
        return Check::failure(NAME, evidence, "the state directory lives in memory", next);
    }
    Check::good(NAME, evidence)
}

/// What memory cards and eMMCs tell of their age (JESD84-B51 7.4.33: steps of a tenth of the life, 11 beyond it).
fn wear(machine: &Machine<'_>) -> Vec<Check> {
    let disks = machine.names("/sys/block");
    let cards = disks
        .iter()
        .filter(|name| name.starts_with("mmcblk") && !name.contains("boot") && !name.contains("rpmb"));
    cards.map(|name| card(machine, name)).collect()
}

fn card(machine: &Machine<'_>, name: &str) -> Check {
    const NAME: &str = "disk wear";
    const OLD: &str = "the memory is worn out";
    const NEXT: &str = "replace it soon: stop the gateway, copy the whole card, keep the state directory";
    let fact = |file: &str| machine.text(format!("/sys/block/{name}/device/{file}"));
    let model = fact("name").unwrap_or_default();
    let Some(life) = fact("life_time") else {
        let kind = if fact("type").as_deref() == Some("SD") {
            "an SD card"
        } else {
            "this memory"
        };
        return Check::unknown(
            NAME,
            format!(
                "{name} {model}: {kind} does not tell its wear; choose an industrial card, and keep a copy"
            ),
        );
    };
    let number = |text: &str| u32::from_str_radix(text.trim_start_matches("0x"), 16).ok();
    let tenths = life.split_whitespace().filter_map(number).max().unwrap_or(0);
    let end = fact("pre_eol_info").as_deref().and_then(number).unwrap_or(0);
    let used = match tenths {
        0 => "not told".to_owned(),
        1..=10 => format!("{} to {} % of its life used", (tenths - 1) * 10, tenths * 10),
        _ => "beyond its life".to_owned(),
    };
    let evidence = format!(
        "{name} {model}: {used}, reserve blocks {}",
        match end {
            1 => "normal",
            2 => "80 % used",
            3 => "90 % used",
            _ => "not told",
        }
    );
    match (tenths, end) {
        (11.., _) | (_, 3) => Check::failure(NAME, evidence, OLD, NEXT),
        (9..=10, _) | (_, 2) => Check::doubt(NAME, evidence, OLD, NEXT),
        (0, 0) => Check {
            verdict: Verdict::Unknown,
            ..Check::good(NAME, evidence)
        },
        _ => Check::good(NAME, evidence),
    }
}
