use super::*;
use crate::domain::{ClockQuality, Wall};

const HALF: Bytes = Bytes {
    sent: 300,
    received: 200,
};
/// 2026-02-28T23:00:00Z.
const LATE_FEBRUARY: i64 = 1_772_319_600_000;

fn at(unix_ms: i64, quality: ClockQuality) -> Now {
    Now {
        wall: Wall { unix_ms, quality },
        ..Now::default()
    }
}

fn told(unix_ms: i64) -> Now {
    at(unix_ms, ClockQuality::Ntp)
}

fn untold() -> Now {
    at(0, ClockQuality::Unset)
}

#[test]
fn months_begin_where_the_calendar_says() {
    // 1970-01-01, 2000-02-29, 2000-03-01, 2026-12-31T23:59:59.999, 2027-01-01.
    for (unix_ms, year, month_of_year) in [
        (0, 1970, 1),
        (951_782_400_000, 2000, 2),
        (951_868_800_000, 2000, 3),
        (1_798_761_599_999, 2026, 12),
        (1_798_761_600_000, 2027, 1),
    ] {
        assert_eq!(month(unix_ms), year * 12 + month_of_year - 1, "{unix_ms}");
    }
    for number in 1970 * 12..2100 * 12 {
        let begin = begin_ms(number);
        assert_eq!((month(begin), month(begin - 1)), (number, number - 1));
    }
}

#[test]
fn a_new_month_begins_with_nothing_and_remembers_the_last() {
    let mut account = Account::default();
    account.book(told(LATE_FEBRUARY), 0, HALF);
    account.book(told(LATE_FEBRUARY + HOUR_MS), 0, HALF);
    assert_eq!((account.month.bytes, account.month.last), (HALF, HALF));
    assert_eq!((account.day.last, account.hour.last), (HALF, HALF));
    // Two months later nothing is known of the month before.
    account.book(told(LATE_FEBRUARY + 70 * DAY_MS), 0, HALF);
    assert_eq!(
        (account.month.bytes, account.month.last),
        (HALF, Bytes::default())
    );
}

#[test]
fn a_clock_that_is_put_back_takes_nothing_off_the_account() {
    let mut account = Account::default();
    account.book(told(LATE_FEBRUARY + HOUR_MS), 0, HALF);
    account.book(told(LATE_FEBRUARY), 0, HALF);
    assert_eq!(account.month.bytes.total(), 2 * HALF.total());
    account.book(told(LATE_FEBRUARY + HOUR_MS), 0, HALF);
    assert_eq!(
        account.month.bytes.total(),
        HALF.total(),
        "a month that ends twice"
    );
}

#[test]
fn without_a_clock_a_month_is_31_days_of_running_over_restarts() {
    let mut account = Account::default();
    for _ in 0..30 {
        account.book(untold(), DAY_MS.unsigned_abs(), HALF);
        let kept = serde_json::to_string(&account).unwrap();
        account = serde_json::from_str(&kept).unwrap();
    }
    assert_eq!(account.month.bytes.total(), 30 * HALF.total());
    account.book(untold(), DAY_MS.unsigned_abs(), HALF);
    assert_eq!(account.month.bytes, HALF);
    assert_eq!(account.month.last.total(), 30 * HALF.total());
}

#[test]
fn what_was_booked_before_the_clock_spoke_belongs_to_the_month_it_names() {
    let mut account = Account::default();
    account.book(untold(), 5_000, HALF);
    account.book(told(LATE_FEBRUARY), 5_000, HALF);
    assert_eq!(account.month.bytes.total(), 2 * HALF.total());
    // A clock lost over a restart does not begin the month anew.
    account.book(untold(), 5_000, HALF);
    account.book(told(LATE_FEBRUARY + 1_000), 5_000, HALF);
    assert_eq!(account.month.bytes.total(), 4 * HALF.total());
}

#[test]
fn the_share_grows_with_the_days_one_in_advance() {
    let mut account = Account::default();
    let begin = begin_ms(month(LATE_FEBRUARY));
    account.book(told(begin), 0, Bytes::default());
    let share = |ms: i64| account.share(told(begin + ms), 28_000);
    assert_eq!(
        (share(0), share(DAY_MS), share(13 * DAY_MS)),
        (1_000, 2_000, 14_000)
    );
    assert_eq!((share(27 * DAY_MS), share(28 * DAY_MS - 1)), (28_000, 28_000));
    // Without a clock: 31 days, counted by running.
    let mut account = Account::default();
    account.book(untold(), 0, Bytes::default());
    assert_eq!(account.share(untold(), 31_000), 1_000);
    account.book(untold(), 10 * DAY_MS.unsigned_abs(), Bytes::default());
    assert_eq!(account.share(untold(), 31_000), 11_000);
}

#[test]
fn stages_are_entered_at_70_and_100_percent_and_left_ten_points_below() {
    let stages = |used: &[u64]| {
        let mut stage = Thrift::Free;
        let next = |used: &u64| {
            stage = thrift(*used, 100, stage);
            stage.word()
        };
        used.iter().map(next).collect::<Vec<_>>()
    };
    assert_eq!(
        stages(&[69, 70, 65, 60, 59, 99, 100, 95, 90, 89, 0]),
        [
            "free", "sparing", "sparing", "sparing", "free", "sparing", "bare", "bare", "bare", "sparing",
            "free"
        ]
    );
    assert_eq!(thrift(u64::MAX, 1, Thrift::Free), Thrift::Bare);
    assert_eq!(thrift(0, 0, Thrift::Free), Thrift::Bare, "a share of nothing");
}

#[test]
fn without_a_budget_nothing_is_thinned() {
    let mut account = Account::default();
    account.book(told(LATE_FEBRUARY), 0, HALF);
    assert!(account.judge(told(LATE_FEBRUARY), Some(10)));
    assert_eq!(account.thrift, Thrift::Bare);
    assert!(account.judge(told(LATE_FEBRUARY), None));
    assert_eq!(account.thrift, Thrift::Free);
}
