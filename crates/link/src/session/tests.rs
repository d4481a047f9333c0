use super::*;

const S: Duration = Duration::from_secs(1);

fn message(bytes: usize) -> Message {
    Message { topic: "t".into(), payload: vec![0; bytes].into(), retain: false }
}

fn session(limits: Limits) -> Session {
    Session::new(Version::V5, limits, 10 * S, 30 * S, Duration::ZERO)
}

#[test]
fn the_window_of_the_broker_is_respected() {
    let mut session = session(Limits { receive_maximum: 2, ..Limits::default() });
    let mut out = BytesMut::new();
    for _ in 0..2 {
        assert!(session.ready());
        assert!(session.publish(message(1), S, &mut out).unwrap().is_none());
    }
    assert!(!session.ready());
    session.receive(Incoming::PubAck { id: 1, reason_code: 0 }, S).unwrap();
    assert!(session.ready());
}

#[test]
fn what_the_broker_would_not_take_is_refused_here() {
    let limits = Limits { max_packet_bytes: Some(100), retain: false, ..Limits::default() };
    let mut session = session(limits);
    let mut out = BytesMut::new();
    let retained = Message { retain: true, ..message(1) };
    let wild = Message { topic: "a/+".into(), ..message(1) };
    for (message, code) in [(message(100), 0x95), (retained, 0x9a), (wild, 0x90)] {
        let refused = session.publish(message, S, &mut out).unwrap();
        assert!(matches!(refused, Some(Event::Refused { reason_code, .. }) if reason_code == code));
    }
    assert!(out.is_empty() && session.idle());
}

#[test]
fn a_silent_peer_is_pinged_and_then_left_after_one_and_a_half_keep_alives() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    assert_eq!(session.deadline(), 5 * S);
    session.tick(5 * S, &mut out).unwrap();
    assert_eq!(&out[..], [0xc0, 0]);
    assert_eq!(session.deadline(), 15 * S);
    session.tick(14 * S, &mut out).unwrap();
    assert_eq!(out.len(), 2, "one ping is enough");
    session.receive(Incoming::PingResp, 14 * S).unwrap();
    assert_eq!(session.deadline(), 19 * S);
    session.tick(19 * S, &mut out).unwrap();
    assert!(matches!(session.tick(29 * S, &mut out), Err(Fault::Silent { .. })));
}

#[test]
fn a_broker_that_pings_but_never_acknowledges_is_left() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    session.publish(message(1), S, &mut out).unwrap();
    for second in 2..31 {
        session.receive(Incoming::PingResp, second * S).unwrap();
        session.tick(second * S, &mut out).unwrap();
    }
    assert!(matches!(
        session.tick(31 * S, &mut out),
        Err(Fault::Silent { what: "acknowledgement", .. })
    ));
}

#[test]
fn a_refused_subscription_is_tried_again_with_growing_pauses_until_it_is_accepted() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    let filters = ["a/+", "b"].map(String::from);
    session.subscribe(filters.into(), Qos::AtLeastOnce, Duration::ZERO, &mut out).unwrap();
    out.clear();
    let mut now = S;
    let mut id = session.last_id;
    for (round, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
        let codes = if round == 0 { vec![0x87, 1] } else { vec![0x80] };
        let told = session.receive(Incoming::SubAck { id, reason_codes: codes }, now).unwrap();
        assert!(
            matches!(&told[..], [Happening { event: Event::Refused { topic, .. }, .. }] if topic == "a/+")
        );
        // The peer lives all the time.
        let mut until = now + pause * S;
        while now + S < until {
            now += S;
            session.receive(Incoming::PingResp, now).unwrap();
            out.clear();
            session.tick(now, &mut out).unwrap();
            assert!(out.is_empty(), "too early: {now:?}, {until:?}");
        }
        std::mem::swap(&mut now, &mut until);
        assert!(session.deadline() <= now);
        session.tick(now, &mut out).unwrap();
        let want = [&[0x82, 9, 0, session.last_id as u8, 0, 0, 3][..], b"a/+\x01"].concat();
        assert_eq!(&out[..], want);
        id = session.last_id;
    }
    let told = session.receive(Incoming::SubAck { id, reason_codes: vec![1] }, now).unwrap();
    assert!(
        matches!(&told[..], [Happening { event: Event::Subscribed { filter }, .. }] if filter == "a/+")
    );
    assert!(session.refused.is_none());
}

#[test]
fn a_subscription_that_is_never_answered_ends_the_connection() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    session.subscribe(vec!["a".into()], Qos::AtMostOnce, S, &mut out).unwrap();
    assert_eq!(out.last(), Some(&0), "the QoS");
    session.receive(Incoming::PingResp, 30 * S).unwrap();
    session.tick(30 * S, &mut out).unwrap();
    assert_eq!(session.deadline(), 31 * S);
    assert!(matches!(session.tick(31 * S, &mut out), Err(Fault::Silent { .. })));
}

#[test]
fn a_broker_that_answers_but_delivers_nothing_is_left_where_messages_are_expected() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    session.expect_messages(30 * S, Duration::ZERO);
    let message = message(1);
    session.receive(Incoming::Publish { message, acknowledge: None }, 20 * S).unwrap();
    for second in 21..50 {
        session.receive(Incoming::PingResp, second * S).unwrap();
        session.tick(second * S, &mut out).unwrap();
    }
    assert_eq!(session.deadline(), 50 * S);
    assert!(matches!(session.tick(50 * S, &mut out), Err(Fault::Silent { what: "message", .. })));
}

#[test]
fn packet_ids_in_use_are_not_given_twice() {
    let mut session = session(Limits::default());
    let mut out = BytesMut::new();
    session.publish(message(1), S, &mut out).unwrap();
    for _ in 0..70_000 {
        let before = session.last_id;
        session.publish(message(1), S, &mut out).unwrap();
        let id = session.last_id;
        assert!(id != 1 && id != 0, "after {before}");
        session.receive(Incoming::PubAck { id, reason_code: 0 }, S).unwrap();
        out.clear();
    }
}
