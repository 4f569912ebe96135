//! What a reload does to events that wait.

use super::*;

const EVENTS: &str = "retrovolt/gw/cp/left/event/status";
const QUICK: Way = Way::Slow(1 << 20);

/// A hub before a broker that is away, with ten events that wait; what it has left, and how it was last.
async fn ended(easel: &Easel) -> (Left, HubStatus) {
    let hub = plain(&Broker::new(Way::Away), Way::Away, easel);
    let hub = spawn(hub);
    (1..=10).for_each(|seq| easel.tell(happening(seq)));
    let mut status = hub.status.clone();
    status.wait_for(|status| status.waiting == 10).await.unwrap();
    let left = hub.end().await;
    let last = status.borrow().clone();
    (left, last)
}

/// The next hub, before a broker that is there.
fn next(easel: &Easel, left: Left) -> (Broker, HubHandle) {
    let broker = Broker::new(QUICK);
    let mut hub = plain(&broker, QUICK, easel);
    hub.left = left;
    (broker, spawn(hub))
}

#[tokio::test(start_paused = true)]
async fn the_next_hub_of_the_same_topics_tells_what_waited_and_what_happened_between_the_two() {
    let easel = Easel::new(picture(0, Status::Charging, true));
    let (left, last) = ended(&easel).await;
    assert_eq!((last.waiting, last.dropped), (10, 0));
    easel.tell(happening(11));
    sleep(Duration::from_secs(2)).await;
    let (broker, hub) = next(&easel, left);
    easel.tell(happening(12));
    sleep(Duration::from_secs(10)).await;
    assert_eq!(broker.count(EVENTS), 12);
    assert!(broker.is_in_order(EVENTS), "each once, in order");
    let status = hub.status.borrow().clone();
    assert_eq!((status.waiting, status.dropped), (0, 0), "{status:?}");
}

/// What was lost before stays with the hub that has counted it: nothing is counted twice.
#[tokio::test(start_paused = true)]
async fn what_the_first_hub_has_given_up_is_not_counted_by_the_next() {
    let easel = Easel::new(picture(0, Status::Charging, true));
    let hub = plain(&Broker::new(Way::Away), Way::Away, &easel);
    let hub = spawn(hub);
    let mut status = hub.status.clone();
    let mut seq = 0;
    while status.borrow().dropped == 0 {
        for _ in 0..1_000 {
            seq += 1;
            easel.tell(happening(seq));
        }
        sleep(Duration::from_millis(1)).await;
    }
    let left = hub.end().await;
    let last = status.borrow_and_update().clone();
    assert_eq!(last.waiting as u64 + last.dropped, seq);
    let (_broker, hub) = next(&easel, left);
    sleep(Duration::from_millis(1)).await;
    let status = hub.status.borrow().clone();
    assert_eq!((status.waiting, status.dropped), (last.waiting, 0));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_other_topics_is_counted_as_given_up_and_what_happened_since_is_told() {
    let easel = Easel::new(picture(0, Status::Charging, true));
    let (left, _) = ended(&easel).await;
    easel.tell(happening(11));
    let (broker, hub) = next(&easel, left.elsewhere());
    sleep(Duration::from_secs(10)).await;
    assert_eq!(broker.count(EVENTS), 1);
    assert_eq!(hub.status.borrow().dropped, 10);
}

#[tokio::test(start_paused = true)]
async fn without_a_next_hub_all_that_waits_is_counted() {
    let easel = Easel::new(picture(0, Status::Charging, true));
    let (left, _) = ended(&easel).await;
    easel.tell(happening(11));
    let left = left.over();
    easel.tell(happening(12));
    let (broker, hub) = next(&easel, left);
    sleep(Duration::from_secs(10)).await;
    assert_eq!((broker.count(EVENTS), hub.status.borrow().dropped), (0, 11));
}
