use super::*;
use crate::device::{Pdu, ReadFc};

fn request(id: u64, priority: Priority, due: u64) -> Request {
    Request {
        id,
        priority,
        due: Mono(due),
        timeout: Duration::ZERO,
        gap: Duration::ZERO,
        pdu: Pdu::Read {
            fc: ReadFc::HoldingRegisters,
            addr: 0,
            count: 1,
        },
    }
}

fn order(queue: &mut Queue, now: u64) -> Vec<u64> {
    std::iter::from_fn(|| match queue.pop(Mono(now), |_| None) {
        Next::Send(entry) => Some(entry.request.id),
        Next::Wait(_) | Next::Idle => None,
    })
    .collect()
}

#[test]
fn stops_then_writes_then_feeds_then_reads_by_deadline() {
    let mut queue = Queue::new(2);
    for (device, id, priority, due) in [
        (0, 1, Priority::Read, 500),
        (1, 2, Priority::Read, 100),
        (0, 3, Priority::Feed, 900),
        (1, 4, Priority::Write, 900),
        (0, 5, Priority::Stop, 900),
        (1, 6, Priority::Stop, 900),
    ] {
        queue.push(device, request(id, priority, due));
    }
    assert!(queue.has(Priority::Stop));
    assert_eq!(order(&mut queue, 0), [5, 6, 4, 3, 2, 1]);
    assert_eq!(queue.pop(Mono(0), |_| None), Next::Idle);
}

/// A raise that gave way to a stop and was taken back meanwhile must not follow what took its place.
#[test]
fn a_request_that_was_cancelled_while_it_was_out_is_not_put_back() {
    let mut queue = Queue::new(1);
    queue.push(0, request(1, Priority::Write, 0));
    let Next::Send(raise) = queue.pop(Mono(0), |_| None) else {
        panic!("nothing holds it back")
    };
    queue.cancel(0, 1);
    queue.push(0, request(2, Priority::Stop, 0));
    queue.restore(raise);
    assert_eq!(order(&mut queue, 0), [2]);
    queue.push(0, request(3, Priority::Read, 0));
    let Next::Send(read) = queue.pop(Mono(0), |_| None) else {
        panic!("nothing holds it back")
    };
    queue.clear();
    queue.restore(read);
    assert_eq!(
        order(&mut queue, 0),
        [0; 0],
        "nor one that was lost with the port"
    );
}

#[test]
fn a_cancelled_request_is_gone_and_a_restored_one_keeps_its_place() {
    let mut queue = Queue::new(2);
    for id in 1..=3 {
        queue.push(0, request(id, Priority::Read, 0));
    }
    queue.push(1, request(2, Priority::Read, 0));
    let Next::Send(first) = queue.pop(Mono(0), |_| None) else {
        panic!("nothing to send");
    };
    queue.restore(first);
    queue.cancel(0, 2);
    assert_eq!(order(&mut queue, 0), [1, 3, 2]);
}

#[test]
fn what_the_line_holds_back_lets_others_pass_but_a_stop_is_never_held() {
    let held = |entry: &Entry| (entry.device == 0).then_some(Duration::from_millis(70));
    let mut queue = Queue::new(2);
    queue.push(0, request(1, Priority::Write, 0));
    assert_eq!(queue.pop(Mono(0), held), Next::Wait(Duration::from_millis(70)));
    queue.push(1, request(2, Priority::Read, 0));
    assert!(matches!(queue.pop(Mono(0), held), Next::Send(entry) if entry.request.id == 2));
    queue.push(0, request(3, Priority::Stop, 0));
    assert!(matches!(queue.pop(Mono(0), held), Next::Send(entry) if entry.request.id == 3));
}

#[test]
fn reads_of_a_device_that_wasted_its_budget_wait_until_it_is_earned_again() {
    let mut queue = Queue::new(2);
    queue.answered(1, Mono(0));
    queue.charge(0, Duration::from_millis(1500), Mono(0));
    queue.push(0, request(1, Priority::Read, 0));
    // 0.5 s of debt at 5 % is ten seconds.
    let Next::Wait(wait) = queue.pop(Mono(0), |_| None) else {
        panic!("not held");
    };
    assert_eq!(wait.as_secs(), 10);
    queue.push(0, request(2, Priority::Write, 0));
    assert_eq!(order(&mut queue, 0), [2]);
    queue.answered(1, Mono(9_000));
    assert!(order(&mut queue, 9_900).is_empty());
    assert_eq!(order(&mut queue, 10_001), [1]);
}

#[test]
fn where_nobody_gets_through_nobody_pays() {
    let mut queue = Queue::new(2);
    for device in [0, 1] {
        queue.charge(device, Duration::from_secs(60), Mono(0));
        queue.push(device, request(1, Priority::Read, 0));
    }
    assert_eq!(order(&mut queue, 0), [1, 1]);
}

#[test]
fn on_a_disturbed_line_nobody_pays_and_no_debt_is_called_in() {
    let mut queue = Queue::new(2);
    queue.answered(1, Mono(0));
    queue.charge(0, Duration::from_millis(1500), Mono(0));
    queue.push(0, request(1, Priority::Read, 0));
    assert!(
        order(&mut queue, 0).is_empty(),
        "the line is sound and the debt is its own"
    );
    for _ in 0..=SELDOM {
        queue.charge(1, Duration::from_millis(1), Mono(1));
        queue.answered(1, Mono(1));
    }
    assert_eq!(order(&mut queue, 1), [1]);
}

#[test]
fn whose_answers_come_damaged_is_not_dead_if_it_ever_answered() {
    for (answered, waits) in [(true, false), (false, true)] {
        let mut queue = Queue::new(2);
        if answered {
            queue.answered(0, Mono(0));
        }
        queue.answered(1, Mono(0));
        queue.garbled(0, Mono(0));
        queue.charge(0, Duration::from_secs(60), Mono(0));
        queue.push(0, request(1, Priority::Read, 0));
        assert_eq!(order(&mut queue, 1).is_empty(), waits);
    }
}

#[test]
fn who_answers_is_forgiven() {
    let mut queue = Queue::new(2);
    queue.answered(1, Mono(0));
    queue.charge(0, Duration::from_secs(60), Mono(0));
    queue.answered(0, Mono(1));
    queue.push(0, request(1, Priority::Read, 0));
    assert_eq!(order(&mut queue, 1), [1]);
}

#[test]
fn a_device_alone_on_its_bus_wastes_nobodys_time() {
    let mut queue = Queue::new(1);
    queue.charge(0, Duration::from_secs(60), Mono(0));
    queue.push(0, request(1, Priority::Read, 0));
    assert_eq!(order(&mut queue, 0), [1]);
}
