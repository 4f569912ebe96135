//! Limits and holds that somebody on the site has set.

use super::*;

fn limited(b: &mut Bench, milli: i64, seconds: Option<u64>) {
    let entry = LimitEntry {
        amps: MilliAmps(milli),
        source: LimitSource::Local,
        until: seconds.map(|seconds| b.now.mono.plus(Duration::from_secs(seconds))),
    };
    let told = b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry: Some(entry),
    });
    assert_eq!(told, Some(Outcome::Simple(Accepted::Yes)));
}

fn applied(b: &Bench) -> (i64, LimitSource) {
    let applied = b.show(1).applied;
    (applied.amps.0, applied.source)
}

#[test]
fn a_limit_and_a_hold_outlive_a_restart_and_the_end_of_the_limit_comes_when_it_was_to_come() {
    let mut b = charging();
    limited(&mut b, 10_000, Some(60));
    assert_eq!(applied(&b), (10_000, LimitSource::Local));
    let held = |b: &mut Bench, held| {
        b.ask(Command::Hold {
            evse: EvseId(1),
            held,
        })
    };
    held(&mut b, true);
    assert_eq!(applied(&b), (0, LimitSource::Local));
    b.restart(20);
    b.run(10);
    assert_eq!(applied(&b), (0, LimitSource::Local));
    held(&mut b, false);
    b.run(6);
    assert_eq!(applied(&b), (10_000, LimitSource::Local));
    b.run(40);
    assert_eq!(
        applied(&b),
        (16_000, LimitSource::Installation),
        "the minute is over"
    );
}

#[test]
fn a_hold_and_a_limit_are_shown_apart() {
    let mut b = charging();
    let shown = |b: &Bench| {
        let evse = b.show(1);
        (evse.held, evse.local.map(|local| local.amps.0))
    };
    assert_eq!(shown(&b), (false, None));
    limited(&mut b, 0, Some(60));
    assert_eq!((shown(&b), applied(&b).0), ((false, Some(0)), 0));
    b.ask(Command::Hold {
        evse: EvseId(1),
        held: true,
    });
    assert_eq!(shown(&b), (true, Some(0)));
    limited(&mut b, 10_000, Some(60));
    assert_eq!(shown(&b), (true, Some(10_000)));
    b.run(61);
    assert_eq!((shown(&b), applied(&b).0), ((true, None), 0), "its time is over");
}

#[test]
fn a_limit_that_was_taken_back_is_gone_also_after_a_restart() {
    let mut b = charging();
    limited(&mut b, 10_000, None);
    b.ask(Command::SetLimit {
        evse: EvseId(1),
        entry: None,
    });
    b.run(6);
    assert_eq!(applied(&b), (16_000, LimitSource::Installation));
    b.restart(5);
    b.run(10);
    assert_eq!(applied(&b), (16_000, LimitSource::Installation));
}

#[test]
fn it_only_ever_reduces() {
    let mut b = charging();
    limited(&mut b, 80_000, None);
    assert_eq!(applied(&b), (16_000, LimitSource::Installation));
}

#[test]
fn a_token_is_presented_only_where_cards_are() {
    let present = |auth: AuthMode| {
        let mut bench = in_mode(auth);
        let told = bench.ask(Command::Present {
            evse: EvseId(1),
            token: IdToken::new("04AABB", TokenKind::Local),
        });
        (told, bench.presented.len())
    };
    let (told, presented) = present(AuthMode::Remote);
    assert!(matches!(told, Some(Outcome::Simple(Accepted::No(_)))), "{told:?}");
    assert_eq!(presented, 0);
    let shown = (Some(Outcome::Simple(Accepted::Yes)), 1);
    assert_eq!(present(AuthMode::Reader), shown, "telemetry sees it like a card");
}

fn use_phases(b: &mut Bench, phases: Option<u8>) -> Option<Outcome> {
    b.ask(Command::SetPhases {
        evse: EvseId(1),
        phases,
    })
}

#[test]
fn one_phase_is_told_once_and_again_after_a_restart_when_the_vehicle_is_seen() {
    let mut b = charging();
    b.look();
    assert_eq!(use_phases(&mut b, None), Some(Outcome::Simple(Accepted::Yes)));
    b.run(1);
    b.expect("answer yes");
    assert_eq!(use_phases(&mut b, Some(1)), Some(Outcome::Simple(Accepted::Yes)));
    b.run(10);
    b.expect(
        "answer yes
         drive 1 1 phases",
    );
    assert_eq!(b.show(1).phases_allowed, 1);
    b.restart(5);
    assert_eq!(b.show(1).phases_allowed, 3, "not confirmed in this run");
    b.run(10);
    assert!(b.look().contains(&"drive 1 1 phases".to_owned()));
    assert_eq!(b.show(1).phases_allowed, 1);
    use_phases(&mut b, None);
    b.run(1);
    assert!(b.look().contains(&"drive 1 3 phases".to_owned()));
    b.restart(5);
    b.run(10);
    assert!(
        !b.look().iter().any(|line| line.contains("phases")),
        "it was taken back"
    );
}

#[test]
fn a_charger_that_does_not_switch_is_asked_again_when_it_comes_back_and_not_before() {
    let mut b = charging();
    b.bus = false;
    use_phases(&mut b, Some(1));
    let Some((_, ticket, DeviceCommand::Phases(1))) = b.drives.pop_front() else {
        panic!("not told");
    };
    b.bus = true;
    let result = Err(DriveError::NotObeyed { wrote: 1, read: 3 });
    b.act(Input::Driven { ticket, result });
    b.look();
    b.run(120);
    assert!(
        !b.look().iter().any(|line| line.contains("phases")),
        "each try is a pause"
    );
    assert_eq!(b.show(1).phases_allowed, 3);
    for up in [false, true] {
        b.act(Input::Link {
            evse: EvseId(1),
            role: Role::Charger,
            up,
            cause: None,
        });
    }
    assert!(b.look().contains(&"drive 1 1 phases".to_owned()));
    assert_eq!(b.show(1).phases_allowed, 1);
}

#[test]
fn a_charger_without_a_switch_is_not_told() {
    let mut s = setup(1);
    s.evses[0].switches_phases = false;
    let mut b = Bench::new(s).ready();
    assert!(matches!(
        use_phases(&mut b, Some(1)),
        Some(Outcome::Simple(Accepted::No(_)))
    ));
}
