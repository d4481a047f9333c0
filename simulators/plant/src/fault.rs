//! What can go wrong, by name.

use std::fmt;

use crate::devices::DeviceId;

/// A fault that can be caused and ended at will.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`description` says what each one does, once")]
pub enum Fault {
    UtilityOff,
    GeneratorWillNotStart,
    GeneratorLowFuel,
    AtsStuck,
    UpsABatteryWeak,
    UpsAOff,
    UpsBOverload,
    PduA1Off,
    Crac1Stops,
    Crac2Stops,
    Crac3Stops,
    Leak,
    Smoke,
    DoorForced,
    DoorHeldOpen,
    BadgeDeniedBurst,
    SensorSilent,
    Uplink1Down,
    DeviceHangs(DeviceId),
    DeviceGone(DeviceId),
    DeviceGarbage(DeviceId),
    DeviceLate(DeviceId),
}

/// Those that do not belong to a device's communication.
const PLAIN: [(Fault, &str, &str); 18] = {
    use Fault::*;
    [
        (UtilityOff, "utility-off", "the utility feed loses its voltage"),
        (
            GeneratorWillNotStart,
            "generator-will-not-start",
            "the generator cranks three times, does not fire and locks out",
        ),
        (GeneratorLowFuel, "generator-low-fuel", "the tank falls to 8 %; ending it refuels"),
        (AtsStuck, "ats-stuck", "the transfer switch does not move"),
        (
            UpsABatteryWeak,
            "ups-a-battery-weak",
            "the battery of UPS A is worn out: a fifth of its capacity is left",
        ),
        (UpsAOff, "ups-a-off", "the output of UPS A is switched off"),
        (UpsBOverload, "ups-b-overload", "a stray heater loads UPS B beyond its rating"),
        (PduA1Off, "pdu-a1-off", "the breaker before rack PDU A1 is open"),
        (Crac1Stops, "crac-1-stops", "cooling unit 1 stops"),
        (Crac2Stops, "crac-2-stops", "cooling unit 2 stops"),
        (Crac3Stops, "crac-3-stops", "cooling unit 3 stops"),
        (Leak, "leak", "water under row 4"),
        (Smoke, "smoke", "smoke in room 1"),
        (DoorForced, "door-forced", "the hall door opens without a badge"),
        (DoorHeldOpen, "door-held-open", "somebody enters with a badge and keeps the door open"),
        (BadgeDeniedBurst, "badge-denied-burst", "an unknown badge every few seconds"),
        (SensorSilent, "sensor-silent", "the probe of cold aisle 1 stops publishing"),
        (Uplink1Down, "uplink-1-down", "internet uplink 1 passes no packets"),
    ]
};

impl Fault {
    /// Every fault there is, in the order of the lists that people see.
    pub fn all() -> impl Iterator<Item = Self> {
        let lines = |device| {
            [
                Self::DeviceHangs(device),
                Self::DeviceGone(device),
                Self::DeviceGarbage(device),
                Self::DeviceLate(device),
            ]
        };
        let plain = PLAIN.iter().map(|(fault, _, _)| *fault);
        plain.chain(DeviceId::ALL.into_iter().flat_map(lines))
    }

    /// The fault called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::all().find(|fault| fault.to_string() == name)
    }

    /// What it does, in one line.
    #[must_use]
    pub fn description(self) -> String {
        match self {
            Self::DeviceHangs(device) => {
                format!("{device} accepts connections and requests, and never answers")
            }
            Self::DeviceGone(device) => {
                format!("{device} closes its connections and every new one")
            }
            Self::DeviceGarbage(device) => {
                format!("{device} answers with bytes that make no sense")
            }
            Self::DeviceLate(device) => format!("{device} answers four seconds late"),
            plain => PLAIN
                .iter()
                .find(|(fault, _, _)| *fault == plain)
                .map_or_else(String::new, |(_, _, text)| (*text).to_owned()),
        }
    }
}

/// The stable name, in kebab case.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DeviceHangs(device) => write!(f, "device-hangs-{device}"),
            Self::DeviceGone(device) => write!(f, "device-gone-{device}"),
            Self::DeviceGarbage(device) => write!(f, "device-garbage-{device}"),
            Self::DeviceLate(device) => write!(f, "device-late-{device}"),
            plain => {
                let name =
                    PLAIN.iter().find(|(fault, _, _)| fault == plain).map(|(_, name, _)| *name);
                f.write_str(name.unwrap_or_default())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::Fault;

    #[test]
    fn every_fault_has_a_name_of_its_own_and_a_description() {
        let mut names = BTreeSet::new();
        for fault in Fault::all() {
            let name = fault.to_string();
            let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(!name.is_empty() && name.chars().all(kebab), "{fault:?} is called {name:?}");
            assert_eq!(Fault::named(&name), Some(fault));
            let description = fault.description();
            assert!(!description.is_empty() && !description.contains('\n'), "{name}");
            assert!(names.insert(name), "{fault:?}");
        }
        assert_eq!(names.len(), 18 + 4 * 12);
    }
}
