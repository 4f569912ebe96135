//! Contactors and S0 meters on a real kernel GPIO chip: a Debian kernel with `gpio-sim` in qemu, without KVM.
//!
//! Each test here boots a machine (`tests/boards`) whose only programs are the gateway and this very test binary; in it the
//! test runs again as the story of `guest` with the same name. `tests/boards/setup.sh` loads the kernel.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "not a pure room"
)]

#[path = "../boards/cpio.rs"]
mod cpio;
mod guest;
#[path = "../boards/machine.rs"]
mod machine;
#[path = "../boards/story.rs"]
mod story;

async fn run(name: &str) {
    let mut machine = story::begin(name, |_| ());
    story::end(name, &mut machine).await;
}

#[tokio::test]
async fn a_contactor_and_an_s0_meter_run_a_full_session() {
    run("a_contactor_and_an_s0_meter_run_a_full_session").await;
}

#[tokio::test]
async fn an_emergency_stop_of_the_site_ends_the_session_for_good() {
    run("an_emergency_stop_of_the_site_ends_the_session_for_good").await;
}

#[tokio::test]
async fn kills_and_restarts_neither_lose_nor_double_a_pulse() {
    run("kills_and_restarts_neither_lose_nor_double_a_pulse").await;
}

#[tokio::test]
async fn a_chip_that_vanishes_is_found_again_by_its_label() {
    run("a_chip_that_vanishes_is_found_again_by_its_label").await;
}

#[tokio::test]
async fn a_line_somebody_else_holds_is_named_and_taken_once_it_is_free() {
    run("a_line_somebody_else_holds_is_named_and_taken_once_it_is_free").await;
}

#[tokio::test]
async fn edges_wait_in_the_kernel_and_those_it_drops_are_missed_by_number() {
    run("edges_wait_in_the_kernel_and_those_it_drops_are_missed_by_number").await;
}

#[tokio::test]
async fn without_a_vehicle_contact_sessions_follow_each_other_and_a_meter_of_its_own_bills_them() {
    run("without_a_vehicle_contact_sessions_follow_each_other_and_a_meter_of_its_own_bills_them").await;
}

#[tokio::test]
async fn the_relay_moves_neither_at_a_reload_nor_before_it_must_and_is_released_before_its_line_is() {
    run("the_relay_moves_neither_at_a_reload_nor_before_it_must_and_is_released_before_its_line_is").await;
}
