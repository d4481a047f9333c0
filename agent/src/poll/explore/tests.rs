use std::collections::BTreeSet;

use hallwatch_config::Source;

use super::*;

const ALL: [(&str, u16); 6] = [("a", 0), ("b", 2), ("c", 4), ("d", 6), ("e", 8), ("f", 10)];

fn profile(points: &str) -> Arc<Profile> {
    let text = format!(
        "manufacturer = \"M\"\nmodel = \"D\"\nkind = \"power_meter\"\nconfidence = \"high\"\n\
         limits = {{ max_hole = 8 }}\n{points}"
    );
    Arc::new(Profile::parse("own", &Source::new("own.toml", text)).unwrap())
}

/// Six values, two registers apart, and a serial number.
fn six() -> Arc<Profile> {
    let point = |(name, address): (&str, u16)| {
        format!(
            "[[point]]\nname = \"{name}\"\ntable = \"holding\"\naddress = {address}\ntype = \
             \"u16\"\nmetric = \"meter_voltage_volts\"\nlabels = {{ phase = \"{name}\" }}\n"
        )
    };
    let serial = "[[point]]\nname = \"serial\"\ntable = \"holding\"\naddress = 100\ntype = \
                  \"u16\"\nidentity = \"serial\"\n";
    profile(&(ALL.into_iter().map(point).collect::<String>() + serial))
}

/// A device that refuses some addresses by an exception; register n holds n.
struct Device {
    refused: BTreeSet<u16>,
    code: u8,
    serial: u16,
    asked: usize,
}

impl Device {
    fn new(refused: &[u16]) -> Self {
        Self { refused: refused.iter().copied().collect(), code: 2, serial: 4711, asked: 0 }
    }

    fn read(&mut self, read: Read) -> Result<Data, u8> {
        self.asked += 1;
        let all = read.address()..read.address() + read.count();
        if all.clone().any(|at| self.refused.contains(&at)) {
            return Err(self.code);
        }
        let word = |at| if at == 100 { self.serial } else { at };
        Ok(Data::Registers(all.map(word).collect()))
    }
}

fn at(hours: u64) -> Uptime {
    Uptime::new(HOUR * u32::try_from(hours).unwrap())
}

/// A poll and up to four questions; returns how many reads the poll took, and of the six values
/// those that are there.
fn turn(explorer: &mut Explorer, device: &mut Device, now: Uptime) -> (usize, String) {
    let profile = Arc::clone(explorer.profile());
    let read = |read: &Read| device.read(*read).map_err(Missing::Exception);
    let answers: Vec<_> = profile.reads().iter().map(read).collect();
    explorer.polled(&answers, now);
    for _ in 0..4 {
        let Some(read) = explorer.question() else { break };
        let answer = device.read(read);
        explorer.answered(answer.as_ref().map_err(|code| Some(*code)), now);
    }
    let there = profile.samples(&answers).into_iter().filter_map(|(series, value)| {
        let number =
            f64::from(ALL.iter().find(|(name, _)| series.labels.get("phase") == Some(name))?.1);
        match value {
            Ok(value) => assert_eq!(value, number, "another point's value"),
            Err(missing) => assert_eq!(missing, Missing::Exception(device.code)),
        }
        value.is_ok().then(|| series.labels.get("phase").unwrap().to_owned())
    });
    (answers.len(), there.collect())
}

#[test]
fn holes_are_found_a_few_questions_at_a_time_and_the_neighbours_are_read() {
    // A point; a gap between two points; a point and a gap.
    let cases: [(&[u16], &str, usize); 3] =
        [(&[4], "abdef", 2), (&[5], "abcdef", 2), (&[0, 9], "bcdef", 2)];
    for (refused, there, reads) in cases {
        let (mut explorer, mut device) =
            (Explorer::new(six(), Placement::default(), None, at(0)), Device::new(refused));
        let mut turns = 0;
        while turn(&mut explorer, &mut device, at(0)) != (reads, there.to_owned()) {
            turns += 1;
            assert!(turns < 6, "{refused:?}: {:?}", explorer.known);
        }
        // From then on nothing more is asked than the plan needs, but who it is, once.
        turn(&mut explorer, &mut device, at(0));
        let before = device.asked;
        for _ in 0..20 {
            turn(&mut explorer, &mut device, at(0));
        }
        assert_eq!(device.asked - before, 20 * reads, "{refused:?}");
        let known = explorer.changed().unwrap().clone();
        assert_eq!(known.identity, Some(vec![("serial".to_owned(), "4711".to_owned())]));
        assert_eq!(explorer.changed(), None);

        // Remembered: the first turn after a restart is right, and who it is is asked once.
        let mut explorer = Explorer::new(six(), Placement::default(), Some(known), at(0));
        let before = device.asked;
        for _ in 0..5 {
            assert_eq!(turn(&mut explorer, &mut device, at(0)), (reads, there.to_owned()));
        }
        assert_eq!((device.asked - before, explorer.changed()), (5 * reads + 1, None));
    }
}

/// Turns until nothing changes any more.
fn explored(device: &mut Device) -> Explorer {
    let mut explorer = Explorer::new(six(), Placement::default(), None, at(0));
    for _ in 0..10 {
        turn(&mut explorer, device, at(0));
    }
    explorer
}

#[test]
fn another_device_is_explored_anew_and_the_same_is_not() {
    let mut device = Device::new(&[4]);
    let mut explorer = explored(&mut device);
    explorer.changed();
    explorer.polled(&[Err(Missing::Timeout)], at(0));
    for _ in 0..5 {
        turn(&mut explorer, &mut device, at(0));
    }
    assert_eq!(explorer.changed(), None, "it was only silent for a while");
    explorer.polled(&[Err(Missing::Timeout)], at(0));
    device = Device { serial: 4712, ..Device::new(&[]) };
    for _ in 0..2 {
        turn(&mut explorer, &mut device, at(0));
    }
    assert_eq!(turn(&mut explorer, &mut device, at(0)), (1, "abcdef".to_owned()));
    assert_eq!(explorer.changed(), Some(&Known::default()));
}

#[test]
fn what_was_refused_is_tried_again_once_a_day() {
    let mut device = Device::new(&[4, 8]);
    let mut explorer = explored(&mut device);
    assert_eq!(turn(&mut explorer, &mut device, at(1)).1, "abdf");
    device.refused = [8].into();
    for hour in [2, 12, 23] {
        assert_eq!(turn(&mut explorer, &mut device, at(hour)).1, "abdf");
    }
    turn(&mut explorer, &mut device, at(25));
    assert_eq!(turn(&mut explorer, &mut device, at(25)).1, "abcdf");
    assert!(explorer.changed().is_some());
}

#[test]
fn a_device_that_refuses_everything_or_cannot_say_is_left_alone() {
    // One that starts refuses all there is: nothing is concluded.
    let mut device = Device::new(&(0..200).collect::<Vec<_>>());
    let mut explorer = explored(&mut device);
    assert_eq!(explorer.changed(), None);
    let before = device.asked;
    for _ in 0..10 {
        turn(&mut explorer, &mut device, at(0));
    }
    assert_eq!(device.asked - before, 10, "not before an hour has passed");
    device.refused.clear();
    assert_eq!(turn(&mut explorer, &mut device, at(0)).1, "abcdef");

    // Busy, or silent, in the middle of a search: left for an hour, then found.
    for outcome in [Err(Some(6)), Err(None)] {
        let mut device = Device::new(&[4]);
        let mut explorer = Explorer::new(six(), Placement::default(), None, at(0));
        let refused = [Err(Missing::Exception(2))];
        explorer.polled(&refused, at(0));
        for _ in 0..PATIENCE {
            assert!(explorer.question().is_some());
            explorer.answered(outcome, at(0));
        }
        assert_eq!(explorer.question(), None);
        explorer.polled(&refused, at(0));
        assert_eq!((explorer.question(), explorer.changed()), (None, None));
        for _ in 0..6 {
            turn(&mut explorer, &mut device, at(2));
        }
        assert_eq!(turn(&mut explorer, &mut device, at(2)).1, "abdef");
    }
}

#[test]
fn exception_3_is_a_refusal_where_devices_use_it_and_others_are_none() {
    for (code, there) in [(3, "abdef"), (4, ""), (6, "")] {
        let mut device = Device { code, ..Device::new(&[4]) };
        let mut explorer = Explorer::new(six(), Placement::default(), None, at(0));
        for _ in 0..6 {
            let profile = Arc::clone(explorer.profile());
            let answers: Vec<_> = profile
                .reads()
                .iter()
                .map(|read| device.read(*read).map_err(Missing::Exception))
                .collect();
            explorer.polled(&answers, at(0));
            while let Some(read) = explorer.question() {
                let answer = device.read(read);
                explorer.answered(answer.as_ref().map_err(|code| Some(*code)), at(0));
            }
        }
        let profile = Arc::clone(explorer.profile());
        let answers: Vec<_> = profile
            .reads()
            .iter()
            .map(|read| device.read(*read).map_err(Missing::Exception))
            .collect();
        let values = profile.samples(&answers);
        assert_eq!(values.iter().filter(|(_, value)| value.is_ok()).count(), there.len());
        let missing = values.iter().filter_map(|(_, value)| value.err());
        assert!(missing.into_iter().all(|missing| missing == Missing::Exception(code)));
        let refused = explorer.known.refused.forbidden.iter();
        assert!(refused.clone().all(|refusal| refusal.code == code));
        assert_eq!(refused.count(), usize::from(code == 3));
    }
}

/// SunSpec: the model 203 with a voltage and its scale factor, 204 with the same.
fn sunspec() -> Arc<Profile> {
    let model = |id: u16, phase: &str| {
        format!(
            "[[point]]\nname = \"v{id}\"\nmodel = {id}\ntable = \"holding\"\naddress = 2\ntype = \
             \"u16\"\nmetric = \"meter_voltage_volts\"\nlabels = {{ phase = \"{phase}\" }}\n"
        )
    };
    profile(&(model(203, "l1") + &model(204, "l2")))
}

/// Holding registers from 40000 on: the marker and models with their registers.
fn chain(models: &[(u16, u16)]) -> Vec<u16> {
    let mut words = vec![0x5375, 0x6e53];
    for (id, value) in models {
        words.extend([*id, 1, *value]);
    }
    words.extend([0xffff, 0]);
    words
}

/// Walks and reads; the value, as told, and the registers that the poll read.
fn walk(explorer: &mut Explorer, words: &[u16], now: Uptime) -> Result<f64, Missing> {
    let answer = |read: Read| {
        let from = usize::from(read.address().checked_sub(40_000)?);
        Some(Data::Registers(words.get(from..from + usize::from(read.count()))?.into()))
    };
    while let Some(read) = explorer.before() {
        let found = answer(read);
        if let Err(missing) = explorer.walked(found.as_ref().ok_or(Some(2)), now) {
            explorer.away();
            return Err(missing);
        }
    }
    let profile = Arc::clone(explorer.profile());
    let read = |read: &Read| answer(*read).ok_or(Missing::Exception(2));
    let answers: Vec<_> = profile.reads().iter().map(read).collect();
    explorer.polled(&answers, now);
    profile.samples(&answers).first().map_or(Err(Missing::NotAvailable), |(_, value)| *value)
}

#[test]
fn a_chain_is_walked_first_and_again_when_it_may_have_changed() {
    let base = sunspec();
    assert_eq!((base.series().len(), base.reads().len()), (0, 0));
    assert_eq!(base.awaited().len(), 2);
    let mut explorer = Explorer::new(base.clone(), Placement::default(), None, at(0));
    assert_eq!(walk(&mut explorer, &[], at(0)), Err(Missing::Exception(2)), "no SunSpec device");
    let refused = std::iter::from_fn(|| {
        explorer.before()?;
        Some(explorer.walked(Err(Some(3)), at(0)))
    });
    assert_eq!(refused.last(), Some(Err(Missing::Exception(3))), "as it says itself");
    explorer.away();
    assert_eq!(walk(&mut explorer, &chain(&[(1, 9), (203, 230)]), at(0)), Ok(230.0));
    assert!(explorer.profile().awaited().is_empty());
    let known = explorer.changed().cloned();
    assert!(known.is_some());

    // After silence, another order; the value is never the other register's.
    explorer.polled(&[Err(Missing::Timeout)], at(0));
    assert_eq!(walk(&mut explorer, &chain(&[(204, 231), (1, 9)]), at(0)), Ok(231.0));
    // After an hour.
    assert_eq!(explorer.before(), None);
    explorer.polled(&[Ok(Data::Registers([0].into()))], at(2));
    assert!(explorer.before().is_some());
    // After a read that is refused: the chain has become shorter.
    let mut explorer = Explorer::new(base.clone(), Placement::default(), known.clone(), at(0));
    assert_eq!(explorer.profile().series().len(), 1, "what it has is known before it answers");
    assert_eq!(walk(&mut explorer, &chain(&[(1, 9), (203, 230)]), at(0)), Ok(230.0));
    assert_eq!(explorer.changed(), None);
    let shorter = chain(&[(203, 232)]);
    assert_eq!(walk(&mut explorer, &shorter[..5], at(0)), Err(Missing::Exception(2)));
    assert_eq!(walk(&mut explorer, &shorter, at(0)), Ok(232.0));
    // A chain that ends with its marker is not believed.
    explorer.away();
    assert_eq!(walk(&mut explorer, &shorter[..2], at(0)), Err(Missing::Exception(2)));
    assert_eq!(explorer.profile().series().len(), 1);
}
