//! S3: the serial port vanishes in a session and comes back as another pseudo-terminal under its stable path.

use crate::site::{PATIENCE, Point, Site};
use retrovolt::sim::EvSpec;
use retrovolt::sim::csms::Csms;
use retrovolt::sim::status::{online, sessions, up, waiting};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_vanishes_and_comes_back_keeps_the_session() {
    let csms = Csms::start().await.expect("a CSMS");
    let point = Point {
        id: "PORT-1",
        url: csms.url("{id}"),
        version: "1.6",
        auth: "free",
    };
    let mut site = Site::build(&point).await;
    site.gateway.start().expect("the gateway starts");
    site.world.plug("wallbox", EvSpec::default()).expect("a charger");
    site.until("a session runs", |s| {
        online(s) == 1 && sessions(s) == 1 && up(s, "devices") == 2
    })
    .await;
    let line = site.world.line("garage").expect("a line");
    line.unplug().expect("the dongle is pulled");
    site.until("the loss is seen", |s| {
        up(s, "ports") == 0 && up(s, "devices") == 0
    })
    .await;
    line.replug().expect("the dongle is back");
    site.until("both devices answer again in the same session", |s| {
        up(s, "devices") == 2 && sessions(s) == 1
    })
    .await;
    site.register("wallbox", 261, |raw| raw == 160).await;
    site.world.unplug("wallbox").expect("a charger");
    // The station knows of the end before the ledger does: only its arrival shows that it was recorded.
    site.until("the session ends", |s| {
        sessions(s) == 0 && waiting(s) == 0 && csms.verdict().ended == 1
    })
    .await;
    let verdict = csms.verdict();
    assert!(
        verdict.is_clean() && (verdict.begun, verdict.ended) == (1, 1),
        "{verdict:#?}"
    );
    assert!(site.gateway.stop(PATIENCE).await.expect("it ends").success());
}
