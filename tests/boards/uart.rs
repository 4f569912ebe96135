//! The serial line through a 16550: what a pseudo-terminal cannot show, parity above all.
//!
//! The second UART of an emulated PC ends in a pseudo-terminal of this machine, where pymodbus serves a wallbox and a
//! meter. The session itself is the story of the same name in `guest`; it asks by `ORDER` for the hands it lacks.

use crate::machine::PATIENCE;
use crate::slave::{PtyPair, Slave, pymodbus};
use crate::story;
use tempfile::TempDir;

/// What flows at 10 A between the last look at the meter and the pulled plug, with a poll in 500 ms and a slow machine.
const LAST_LOOK_WH: f64 = 4.0;
const STORY: &str = "a_session_at_19200_8e1_through_a_real_16550";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_at_19200_8e1_through_a_real_16550() {
    let dir = TempDir::new().expect("a folder");
    let (near, far) = (dir.path().join("near.tty"), dir.path().join("far.tty"));
    let _pair = PtyPair::open(&near, &far).await;
    let line = ["--rtu", &far.display().to_string(), "--baud", "19200"].map(str::to_owned);
    let mut slave = Slave::start(pymodbus(&line.each_ref().map(String::as_str))).await;
    let mut machine = story::begin(STORY, |qemu| {
        qemu.arg("-chardev")
            .arg(format!("serial,id=line,path={}", near.display()))
            .args(["-serial", "chardev:line"]);
    });

    let (_, mark) = machine
        .line(0, PATIENCE, |line| line.contains("ORDER plug"))
        .await;
    let wrote = slave.mark();
    slave.say("plug").await;
    slave.wrote(wrote, "WRITE 1 261 160").await;
    let (_, mark) = machine
        .line(mark, PATIENCE, |line| line.contains("ORDER unplug"))
        .await;
    slave.wrote(wrote, "WRITE 1 261 100").await;
    let wrote = slave.mark();
    slave.say("unplug").await;
    slave.wrote(wrote, "WRITE 1 261 0").await;

    let (told, _) = machine
        .line(mark, PATIENCE, |line| line.contains("BILLED "))
        .await;
    let billed: Vec<i64> = told.split(' ').filter_map(|word| word.parse().ok()).collect();
    let counted = slave.wrote(wrote, "ENERGY").await;
    let counted: f64 = counted
        .rsplit(' ')
        .next()
        .and_then(|wh| wh.parse().ok())
        .expect("what the meter counted");
    let [begin, end] = billed[..] else {
        panic!("{told}")
    };
    assert_eq!(begin, 1_234_500, "as the meter's display stood");
    assert!(end > begin, "something was charged: {told}");
    assert!(
        (counted - LAST_LOOK_WH..=counted + 0.5).contains(&f64::from(i32::try_from(end).expect("small"))),
        "billed up to {end} Wh, the meter stood at {counted} Wh"
    );
    story::end(STORY, &mut machine).await;
}
