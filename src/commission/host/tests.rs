//! Every finding, from a tree of files made for it.

use super::*;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

const FLOOR: i64 = 1_700_000_000_000;
const GIB: u64 = 1024 * 1024 * 1024;
const PORT: &str = "/dev/serial/by-id/usb-FTDI-if00-port0";

/// A machine on which nothing is wrong.
struct Bench {
    dir: tempfile::TempDir,
    unix_ms: i64,
    room: Room,
    needs: Needs,
    time: Timekeeping,
}

impl Bench {
    fn new() -> Self {
        let bench = Self {
            dir: tempfile::tempdir().unwrap(),
            unix_ms: FLOOR + 86_400_000,
            time: Timekeeping {
                synchronised: Some(true),
                enabled: Some(true),
                server: Some("time.example".to_owned()),
                error_us: Some(8_500),
            },
            room: Room {
                free: 4 * GIB,
                size: 16 * GIB,
                files: 100_000,
            },
            needs: Needs {
                ports: vec![PORT.into()],
                state_dir: "/var/lib/retrovolt".into(),
                socket: "/run/retrovolt/ctl.sock".into(),
                secrets: vec!["/etc/retrovolt/secrets/csms.password".into()],
                gateway: Gateway::Runs {
                    watchdog_ms: Some(30_000),
                },
            },
        };
        bench.furnish();
        bench
    }

    fn furnish(&self) {
        for (path, text) in [
            ("/run/systemd/timesync/synchronized", ""),
            ("/run/systemd/system/x", ""),
            ("/sys/class/rtc/rtc0/name", "rtc"),
            ("/sys/class/rtc/rtc0/since_epoch", "1700086399\n"),
            (
                "/proc/self/mounts",
                "/dev/root / ext4 rw,noatime 0 0\n/dev/mmcblk0p3 /var/lib ext4 rw 0 0\n",
            ),
            (
                "/proc/meminfo",
                "MemTotal:  1000000 kB\nMemAvailable:  700000 kB\n",
            ),
            ("/proc/cmdline", "console=tty1 root=PARTUUID=1"),
            ("/proc/77/comm", "systemd\n"),
            ("/sys/fs/cgroup/cgroup.controllers", "cpu memory pids"),
            ("/sys/block/mmcblk0/device/type", "MMC\n"),
            ("/sys/block/mmcblk0/device/name", "DG4016\n"),
            ("/sys/block/mmcblk0/device/life_time", "0x01 0x02\n"),
            ("/sys/block/mmcblk0/device/pre_eol_info", "0x01\n"),
            ("/sys/class/thermal/thermal_zone0/temp", "51234\n"),
            ("/sys/class/thermal/thermal_zone0/type", "cpu-thermal\n"),
            ("/sys/devices/platform/soc/soc:firmware/get_throttled", "0\n"),
            ("/sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n"),
            ("/dev/ttyUSB0", ""),
            ("/dev/ttyAMA0", ""),
            ("/run/retrovolt/ctl.sock", ""),
            ("/etc/retrovolt/secrets/csms.password", "canary"),
            ("/var/lib/retrovolt/ledger.db", ""),
        ] {
            self.put(path, text);
        }
        self.mode("/dev/ttyUSB0", 0o660);
        self.mode("/run/retrovolt/ctl.sock", 0o660);
        self.mode("/etc/retrovolt/secrets/csms.password", 0o600);
        self.mode("/var/lib/retrovolt", 0o700);
        self.link("../../ttyUSB0", PORT);
        self.link("id", "/run/systemd/units/invocation:retrovolt.service");
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    fn put(&self, path: &str, text: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, text).unwrap();
    }

    fn link(&self, to: &str, path: &str) {
        let at = self.at(path);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        symlink(to, at).unwrap();
    }

    fn remove(&self, path: &str) {
        let at = self.at(path);
        if at.is_dir() {
            fs::remove_dir_all(at).unwrap();
        } else {
            fs::remove_file(at).unwrap();
        }
    }

    fn mode(&self, path: &str, mode: u32) {
        fs::set_permissions(self.at(path), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn checks(&self) -> Vec<Check> {
        let room = |_: &Path| Ok(self.room);
        let machine = Machine {
            root: self.dir.path(),
            unix_ms: self.unix_ms,
            floor_unix_ms: FLOOR,
            room: &room,
            time: &self.time,
        };
        examine(&machine, &self.needs)
    }

    /// The check of this name, which alone is not good.
    fn only(&self, name: &str) -> Check {
        let bad: Vec<Check> = self
            .checks()
            .into_iter()
            .filter(|check| check.verdict != Verdict::Good)
            .collect();
        assert_eq!(bad.len(), 1, "{bad:#?}");
        assert_eq!(bad[0].name, name);
        let told = bad[0].verdict >= Verdict::Doubt;
        assert_eq!(
            (told, told),
            (!bad[0].cause.is_empty(), !bad[0].next.is_empty()),
            "{:?}",
            bad[0]
        );
        bad[0].clone()
    }

    fn doubt(&self, name: &str) -> String {
        let check = self.only(name);
        assert_eq!(check.verdict, Verdict::Doubt, "{check:?}");
        check.evidence
    }

    fn failure(&self, name: &str) -> String {
        let check = self.only(name);
        assert_eq!(check.verdict, Verdict::Failure, "{check:?}");
        check.evidence
    }

    fn unknown(&self, name: &str) -> String {
        let check = self.only(name);
        assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
        check.evidence
    }
}

#[test]
fn a_machine_in_order_gives_no_finding() {
    let checks = Bench::new().checks();
    let bad: Vec<&Check> = checks
        .iter()
        .filter(|check| check.verdict != Verdict::Good)
        .collect();
    assert!(bad.is_empty(), "{bad:#?}");
    assert_eq!(checks.len(), 19, "{checks:#?}");
}

#[test]
fn a_clock_that_was_never_set_or_set_wrongly_is_told() {
    let mut bench = Bench::new();
    bench.unix_ms = FLOOR - 1;
    bench.remove("/sys/class/rtc/rtc0");
    assert!(bench.failure("clock").contains("no battery clock"));
    bench.unix_ms = FLOOR + 30 * 366 * 86_400_000;
    assert!(bench.doubt("clock").starts_with("205"));
}

#[test]
fn a_battery_clock_that_is_empty_is_told() {
    let bench = Bench::new();
    bench.put("/sys/class/rtc/rtc0/since_epoch", "3601\n");
    assert!(bench.doubt("battery clock").starts_with("1970-01-01T01:00:01Z"));
    // Local time in it is no fault: the kernel does not know.
    bench.put("/sys/class/rtc/rtc0/since_epoch", "1700136800\n");
    assert!(bench.checks().iter().all(|check| check.verdict == Verdict::Good));
    bench.remove("/sys/class/rtc/rtc0/since_epoch");
    assert!(bench.checks().iter().all(|check| check.name != "battery clock"));
}

#[test]
fn the_kernels_own_view_of_its_clock_counts_whoever_keeps_it() {
    let mut bench = Bench::new();
    let told = |bench: &Bench| {
        let checks = bench.checks();
        checks
            .iter()
            .find(|check| check.name == "time source")
            .cloned()
            .unwrap()
    };
    assert_eq!(
        told(&bench).evidence,
        "systemd-timesyncd has set the clock, by time.example, to within 8 ms"
    );
    bench.time.error_us = Some(2_400_000);
    assert!(bench.doubt("time source").contains("may be off by 2.4 s"));
    bench.time.synchronised = Some(false);
    assert!(bench.doubt("time source").contains("not synchronised"));
    bench.put("/run/chrony/chronyd.pid", "1");
    bench.remove("/run/systemd/timesync");
    let check = bench.only("time source");
    assert!(
        check.verdict == Verdict::Doubt && check.next.contains("chronyc sources"),
        "{check:?}"
    );
    bench.time = Timekeeping {
        synchronised: Some(true),
        ..Timekeeping::default()
    };
    assert!(told(&bench).evidence.starts_with("chrony keeps the clock"));
    assert_eq!(told(&bench).verdict, Verdict::Good);
    bench.remove("/run/chrony");
    assert!(told(&bench).evidence.contains("who keeps it is not seen"));
    assert_eq!(told(&bench).verdict, Verdict::Good);
    bench.time.synchronised = None;
    bench.put("/usr/lib/systemd/system/systemd-timesyncd.service", "");
    let check = bench.only("time source");
    assert!(check.evidence.contains("does not run") && check.next.contains("set-ntp true"));
    bench.time.enabled = Some(true);
    let check = bench.only("time source");
    assert!(
        check.next.contains("systemctl status systemd-timesyncd"),
        "{check:?}"
    );
}

#[test]
fn what_keeps_the_clock_is_told() {
    let mut bench = Bench::new();
    bench.time = Timekeeping::default();
    bench.remove("/run/systemd/timesync/synchronized");
    assert!(bench.doubt("time source").contains("has not set the clock yet"));
    bench.put("/run/chrony/chronyd.pid", "1");
    assert!(bench.unknown("time source").starts_with("chrony keeps"));
    bench.remove("/run/chrony");
    bench.remove("/run/systemd/timesync");
    assert!(bench.doubt("time source").starts_with("neither"));
}

#[test]
fn a_disk_that_is_full_or_fills_up_is_told() {
    let mut bench = Bench::new();
    bench.room.free = 200 * 1024 * 1024;
    assert!(bench.doubt("disk space").starts_with("200 MiB of 16384 MiB"));
    bench.room.free = 10 * 1024 * 1024;
    bench.failure("disk space");
    bench.room.free = GIB;
    bench.room.files = 7;
    assert!(bench.failure("disk space").contains("7 more files"));
    bench.room.files = 0;
    bench
        .checks()
        .iter()
        .for_each(|check| assert_eq!(check.verdict, Verdict::Good, "btrfs says 0"));
}

#[test]
fn a_disk_that_cannot_be_written_or_forgets_is_told() {
    let bench = Bench::new();
    bench.put("/proc/self/mounts", "/dev/root / ext4 ro,noatime 0 0\n");
    assert!(bench.failure("writable disk").ends_with("read-only"));
    bench.put(
        "/proc/self/mounts",
        "/dev/root / ext4 ro 0 0\n/dev/mmcblk0p3 /var/lib/retrovolt ext4 rw 0 0\n",
    );
    assert_eq!(
        bench
            .checks()
            .iter()
            .filter(|check| check.verdict != Verdict::Good)
            .count(),
        0
    );
    bench.put(
        "/proc/self/mounts",
        "/dev/root / ext4 ro 0 0\ntmpfs /var tmpfs rw 0 0\n",
    );
    bench.failure("writable disk");
    bench.put("/proc/self/mounts", "overlay / overlay rw 0 0\n");
    bench.unknown("writable disk");
}

#[test]
fn the_wear_of_memory_is_told_where_it_tells() {
    let bench = Bench::new();
    bench.put("/sys/block/mmcblk0/device/life_time", "0x02 0x09\n");
    assert!(bench.doubt("disk wear").contains("80 to 90 %"));
    bench.put("/sys/block/mmcblk0/device/life_time", "0x0b 0x01\n");
    assert!(bench.failure("disk wear").contains("beyond its life"));
    bench.put("/sys/block/mmcblk0/device/life_time", "0x01 0x01\n");
    bench.put("/sys/block/mmcblk0/device/pre_eol_info", "0x03\n");
    assert!(bench.failure("disk wear").contains("reserve blocks 90 % used"));
    bench.remove("/sys/block/mmcblk0/device/life_time");
    bench.put("/sys/block/mmcblk0/device/type", "SD\n");
    assert!(
        bench
            .unknown("disk wear")
            .contains("SD card does not tell its wear")
    );
}

#[test]
fn a_weak_supply_and_a_board_that_slowed_down_are_told() {
    let bench = Bench::new();
    let flags = |text: &str| bench.put("/sys/devices/platform/soc/soc:firmware/get_throttled", text);
    flags("50005\n");
    assert!(bench.failure("power supply").contains("now"));
    flags("50000\n");
    assert!(bench.doubt("power supply").contains("has been under-voltage"));
    flags("0x80000\n");
    assert!(bench.doubt("power supply").contains("slowed down"));
    bench.remove("/sys/devices");
    bench.put("/sys/class/hwmon/hwmon1/name", "rpi_volt\n");
    bench.put("/sys/class/hwmon/hwmon1/in0_lcrit_alarm", "1\n");
    bench.failure("power supply");
    bench.remove("/sys/class/hwmon");
    bench.unknown("power supply");
}

#[test]
fn heat_and_want_of_memory_are_told() {
    let bench = Bench::new();
    bench.put("/sys/class/thermal/thermal_zone1/temp", "74999\n");
    assert!(bench.doubt("temperature").contains("74.9 degrees"));
    bench.put("/sys/class/thermal/thermal_zone1/temp", "85000\n");
    bench.failure("temperature");
    bench.remove("/sys/class/thermal");
    bench.unknown("temperature");
    let bench = Bench::new();
    bench.put("/proc/meminfo", "MemTotal: 400000 kB\nMemAvailable: 60000 kB\n");
    bench.doubt("memory");
    bench.put("/proc/meminfo", "MemTotal: 400000 kB\nMemAvailable: 20000 kB\n");
    assert!(bench.failure("memory").starts_with("19 MiB of 390 MiB"));
    let bench = Bench::new();
    bench.put("/sys/fs/cgroup/cgroup.controllers", "cpu pids");
    assert!(bench.only("memory limits").next.contains("cgroup_enable=memory"));
}

#[test]
fn rights_that_are_too_wide_are_told() {
    let bench = Bench::new();
    bench.mode("/var/lib/retrovolt", 0o755);
    assert!(bench.failure("state directory").contains("mode 0755"));
    bench.remove("/var/lib/retrovolt");
    bench.unknown("state directory");
    let bench = Bench::new();
    bench.mode("/run/retrovolt/ctl.sock", 0o666);
    bench.failure("control socket");
    let bench = Bench::new();
    bench.mode("/etc/retrovolt/secrets/csms.password", 0o640);
    assert!(!bench.failure("secret").contains("canary"));
    bench.remove("/etc/retrovolt/secrets");
    bench.doubt("secret");
    let bench = Bench::new();
    bench.mode("/dev/ttyUSB0", 0o600);
    bench.doubt("port permissions");
}

#[test]
fn a_gateway_that_nobody_looks_after_is_told() {
    const UNIT: &str = "/run/systemd/units/invocation:retrovolt.service";
    let mut bench = Bench::new();
    bench.needs.gateway = Gateway::Runs { watchdog_ms: None };
    bench.doubt("service watchdog");
    bench.needs.gateway = Gateway::Silent("no answer within 1s".to_owned());
    assert!(bench.doubt("service").contains("no answer within 1s"));
    bench.needs.gateway = Gateway::Absent;
    assert!(bench.failure("service").contains("nothing listens"));
    bench.remove(UNIT);
    assert!(bench.failure("service").contains("not active"));
    bench.needs.gateway = Gateway::Runs {
        watchdog_ms: Some(30_000),
    };
    assert!(bench.doubt("service").contains("not as retrovolt.service"));
    bench.remove("/run/systemd/system");
    bench.unknown("service");
    let mut bench = Bench::new();
    bench.remove("/run/retrovolt/ctl.sock");
    bench.needs.gateway = Gateway::Silent("permission denied".to_owned());
    let told: Vec<_> = bench
        .checks()
        .into_iter()
        .filter(|check| check.verdict == Verdict::Doubt)
        .collect();
    assert_eq!(
        told.iter().map(|check| check.name).collect::<Vec<_>>(),
        ["control socket", "service"]
    );
}

#[test]
fn a_console_on_the_port_is_told() {
    let mut bench = Bench::new();
    bench.needs.ports = vec!["/dev/serial0".into()];
    bench.link("ttyAMA0", "/dev/serial0");
    bench.mode("/dev/ttyAMA0", 0o660);
    assert_eq!(
        bench
            .checks()
            .iter()
            .filter(|check| check.verdict != Verdict::Good)
            .count(),
        0
    );
    for console in ["serial0", "ttyAMA0"] {
        bench.put(
            "/proc/cmdline",
            &format!("console=tty1 console={console},115200 quiet"),
        );
        assert!(bench.failure("serial console").contains(console));
    }
    bench.put("/proc/cmdline", "console=ttyS0,115200");
    bench.link("id", "/run/systemd/units/invocation:serial-getty@ttyAMA0.service");
    assert!(bench.failure("serial console").contains("login"));
}

#[test]
fn programs_that_grab_ports_are_told() {
    let bench = Bench::new();
    bench.put("/proc/80/comm", "ModemManager\n");
    bench.doubt("ModemManager");
    bench.put(
        "/usr/lib/udev/rules.d/60-retrovolt.rules",
        "ENV{ID_MM_DEVICE_IGNORE}=\"1\"\n",
    );
    let good = bench
        .checks()
        .into_iter()
        .find(|check| check.name == "ModemManager");
    assert_eq!(good.map(|check| check.verdict), Some(Verdict::Good));
    bench.put("/proc/81/comm", "brltty\n");
    bench.doubt("brltty");
}

#[test]
fn a_slow_adapter_and_a_name_that_moves_are_told() {
    let mut bench = Bench::new();
    bench.put("/sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "16\n");
    assert!(bench.doubt("latency timer").ends_with("16 ms"));
    bench.put("/sys/bus/usb-serial/devices/ttyUSB0/latency_timer", "1\n");
    bench.needs.ports = vec!["/dev/ttyUSB0".into()];
    fs::create_dir_all(bench.at("/sys/devices/usb1/ttyUSB0")).unwrap();
    fs::create_dir_all(bench.at("/sys/class/tty/ttyUSB0")).unwrap();
    symlink(
        bench.at("/sys/devices/usb1/ttyUSB0"),
        bench.at("/sys/class/tty/ttyUSB0/device"),
    )
    .unwrap();
    let check = bench.only("port name");
    assert_eq!(
        check.next,
        format!("write port = \"{PORT}\" into the configuration")
    );
    bench.remove("/dev/serial");
    assert!(bench.only("port name").next.contains("by-path"));
}

#[test]
fn without_serial_ports_nothing_is_said_of_them() {
    let mut bench = Bench::new();
    bench.needs.ports.clear();
    bench.put("/proc/80/comm", "ModemManager\n");
    assert!(bench.checks().iter().all(|check| check.verdict == Verdict::Good));
}
