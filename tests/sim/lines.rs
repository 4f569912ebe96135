//! The paced line and the TCP server, with `tokio-modbus` as the master.

use retrovolt::device::Library;
use retrovolt::domain::{MilliAmps, MilliWattHours};
use retrovolt::sim::clock::{RealClock, StepClock};
use retrovolt::sim::{DeviceSpec, EvSpec, Fault, Format, LineSetup, World, WorldSpec};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_modbus::client::{Context, Reader, Writer, rtu, tcp};
use tokio_modbus::prelude::{Slave, SlaveContext};
use tokio_serial::SerialStream;

fn spec(name: &str, profile: &str, unit: u8) -> DeviceSpec {
    DeviceSpec::new(
        name,
        Library::builtin().get(profile).expect("a shipped profile"),
        unit,
    )
}

/// A Heidelberg box (unit 1) and an SDM630 behind it (unit 2).
fn box_and_meter() -> Vec<DeviceSpec> {
    vec![
        spec("box", "heidelberg-energy-control", 1),
        spec("meter", "eastron-sdm630", 2).measuring(&["box"]),
    ]
}

fn master(world: &World, unit: u8) -> Context {
    let path = world.line("rs485").unwrap().path().to_str().unwrap().to_owned();
    let port = SerialStream::open(&tokio_serial::new(path, 115_200)).expect("the port opens");
    rtu::attach_slave(port, Slave(unit))
}

async fn on_a_line(dir: &tempfile::TempDir) -> World {
    let setup = LineSetup::new(dir.path().join("ttySIM0"), Format::none(115_200));
    let lines = vec![("rs485".to_owned(), setup, box_and_meter())];
    World::start(
        WorldSpec {
            lines,
            servers: vec![],
        },
        Arc::new(RealClock::start()),
    )
    .await
    .unwrap()
}

#[tokio::test]
async fn a_foreign_master_reads_and_steers_over_the_paced_line() {
    let dir = tempfile::tempdir().unwrap();
    let world = on_a_line(&dir).await;
    let begun = Instant::now();
    let mut master = master(&world, 1);
    assert_eq!(master.read_input_registers(5, 1).await.unwrap().unwrap(), [2]);
    world.plug("box", EvSpec::default()).unwrap();
    master.write_single_register(261, 80).await.unwrap().unwrap();
    assert_eq!(
        master.read_holding_registers(261, 1).await.unwrap().unwrap(),
        [80]
    );
    assert_eq!(master.read_input_registers(5, 1).await.unwrap().unwrap(), [7]);
    assert_eq!(world.offered("box").unwrap(), MilliAmps::from_base(8));
    assert!(master.write_single_register(261, 30).await.unwrap().is_err());
    master.set_slave(Slave(2));
    assert_eq!(
        master.read_input_registers(0, 2).await.unwrap().unwrap(),
        [0x4366, 0]
    );
    assert_eq!(world.writes("box").unwrap().len(), 1);

    let stats = world.line("rs485").unwrap().stats();
    assert_eq!((stats.requests, stats.answers, stats.ignored), (6, 6, 0));
    assert_eq!(stats.bytes_in, 6 * 8);
    let taken = u64::try_from(begun.elapsed().as_nanos()).unwrap();
    assert!(stats.busy_ns < taken, "no byte is faster than the wire");
    assert_eq!(
        stats.busy_ns,
        (stats.bytes_in + stats.bytes_out) * Format::none(115_200).char_ns()
    );
}

#[tokio::test]
async fn a_pulled_adapter_fails_and_comes_back_under_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let world = on_a_line(&dir).await;
    let line = world.line("rs485").unwrap();
    let mut before = master(&world, 1);
    before.read_input_registers(5, 1).await.unwrap().unwrap();
    line.unplug().unwrap();
    assert!(!line.path().exists());
    assert!(before.read_input_registers(5, 1).await.is_err());
    line.replug().unwrap();
    assert!(
        before.read_input_registers(5, 1).await.is_err(),
        "the old port stays dead"
    );
    let mut after = master(&world, 1);
    assert_eq!(after.read_input_registers(5, 1).await.unwrap().unwrap(), [2]);
}

#[tokio::test]
async fn a_master_that_was_killed_does_not_lock_the_port() {
    let dir = tempfile::tempdir().unwrap();
    let world = on_a_line(&dir).await;
    for _ in 0..3 {
        let mut master = master(&world, 1);
        master.read_input_registers(5, 1).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_answer_can_be_spoilt_on_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let world = on_a_line(&dir).await;
    let line = world.line("rs485").unwrap();
    let mut master = master(&world, 1);
    line.inject(Fault::ForeignUnit(9));
    assert!(master.read_input_registers(5, 1).await.is_err());
    assert_eq!(master.read_input_registers(5, 1).await.unwrap().unwrap(), [2]);
    world.set_silent("box", true).unwrap();
    let asked = line.stats().requests + 1;
    let unanswered = tokio::time::timeout(Duration::from_millis(50), master.read_input_registers(5, 1)).await;
    assert!(unanswered.is_err());
    let deadline = Instant::now() + Duration::from_secs(10);
    while line.stats().requests < asked {
        assert!(Instant::now() < deadline, "the request did not reach the line");
        tokio::task::yield_now().await;
    }
    assert_eq!(line.stats().answers + 1, asked);
}

#[tokio::test]
async fn the_same_devices_answer_over_tcp() {
    let servers = vec![("tcp".to_owned(), box_and_meter())];
    let clock = StepClock::default();
    let spec = WorldSpec {
        lines: vec![],
        servers,
    };
    let mut world = World::start(spec, Arc::new(clock.clone())).await.unwrap();
    let address = world.address("tcp").unwrap();
    let mut master = tcp::connect_slave(address, Slave(1)).await.unwrap();
    world.plug("box", EvSpec::default()).unwrap();
    master.write_single_register(261, 160).await.unwrap().unwrap();
    let energy = world.energy("meter").unwrap();
    // Fed twice within each 15 s, or the box would stop at its fallback of zero.
    for _ in 0..360 {
        clock.advance(Duration::from_secs(10));
        master.read_input_registers(5, 1).await.unwrap().unwrap();
    }
    // 16 A on three phases for an hour, less what the ramp of the first two seconds leaves out.
    let gained = world.energy("meter").unwrap() - energy;
    assert!(
        gained < MilliWattHours::from_base(11_040) && gained > MilliWattHours::from_base(11_035),
        "{gained}"
    );
    assert_eq!(
        world.energy("box").unwrap(),
        world.energy("meter").unwrap(),
        "one current, two meters"
    );
    clock.advance(Duration::from_secs(16));
    assert_eq!(world.offered("box").unwrap(), MilliAmps::ZERO);
    assert_eq!(world.fallback("box").unwrap(), Some((true, 1)));

    world.server("tcp").unwrap().unplug();
    assert!(master.read_input_registers(5, 1).await.is_err());
    world.server("tcp").unwrap().replug().await.unwrap();
    let mut again = tcp::connect_slave(address, Slave(1)).await.unwrap();
    assert_eq!(
        again.read_input_registers(5, 1).await.unwrap().unwrap(),
        [6],
        "still fallen back"
    );
    assert_eq!(
        again.read_input_registers(5, 1).await.unwrap().unwrap(),
        [7],
        "fed by the request before"
    );
}
