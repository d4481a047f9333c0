//! The devices of the hall: which there are, and what each one's registers say.
//!
//! Every map is written from the vendor's register description, address by address. A test reads
//! them back with an independent client and decodes the bytes by hand.

mod apc_smart_ups;
mod deepsea_gencomm;
mod raritan_px3;
mod schneider_pm5500;
mod siemens_3kc_atc6300;
mod vertiv_liebert_ds;

use std::fmt;

use crate::registers::RegisterMap;

/// A device that speaks Modbus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the names are those of the devices")]
pub enum DeviceId {
    UtilityMeter,
    Ats,
    Generator,
    UpsA,
    UpsB,
    PduA1,
    PduA2,
    PduB1,
    PduB2,
    Crac1,
    Crac2,
    Crac3,
}

impl DeviceId {
    /// Every device, in the order of the power path.
    pub const ALL: [Self; 12] = [
        Self::UtilityMeter,
        Self::Ats,
        Self::Generator,
        Self::UpsA,
        Self::UpsB,
        Self::PduA1,
        Self::PduA2,
        Self::PduB1,
        Self::PduB2,
        Self::Crac1,
        Self::Crac2,
        Self::Crac3,
    ];

    /// The device called `name`.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|device| device.name() == name)
    }

    /// Its name, in kebab case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::UtilityMeter => "utility-meter",
            Self::Ats => "ats",
            Self::Generator => "generator",
            Self::UpsA => "ups-a",
            Self::UpsB => "ups-b",
            Self::PduA1 => "pdu-a1",
            Self::PduA2 => "pdu-a2",
            Self::PduB1 => "pdu-b1",
            Self::PduB2 => "pdu-b2",
            Self::Crac1 => "crac-1",
            Self::Crac2 => "crac-2",
            Self::Crac3 => "crac-3",
        }
    }

    /// What kind of device it is.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::UtilityMeter => "power_meter",
            Self::Ats => "ats",
            Self::Generator => "generator",
            Self::UpsA | Self::UpsB => "ups",
            Self::PduA1 | Self::PduA2 | Self::PduB1 | Self::PduB2 => "pdu",
            Self::Crac1 | Self::Crac2 | Self::Crac3 => "cooling",
        }
    }

    /// The name of the device map that its registers follow.
    #[must_use]
    pub const fn profile(self) -> &'static str {
        match self {
            Self::UtilityMeter => "schneider_pm5500",
            Self::Ats => "siemens_3kc_atc6300",
            Self::Generator => "deepsea_gencomm",
            Self::UpsA | Self::UpsB => "apc_smart_ups",
            Self::PduA1 | Self::PduA2 | Self::PduB1 | Self::PduB2 => "raritan_px3",
            Self::Crac1 | Self::Crac2 | Self::Crac3 => "vertiv_liebert_ds",
        }
    }

    /// The power feed it belongs to, if to one.
    #[must_use]
    pub const fn feed(self) -> Option<&'static str> {
        match self {
            Self::UpsA | Self::PduA1 | Self::PduA2 => Some("A"),
            Self::UpsB | Self::PduB1 | Self::PduB2 => Some("B"),
            _ => None,
        }
    }

    /// The unit id to ask for.
    #[must_use]
    pub const fn unit(self) -> u8 {
        1
    }

    /// Answers whatever unit id is asked for, as devices do that are alone behind their address.
    #[must_use]
    pub const fn answers_any_unit(self) -> bool {
        !matches!(self, Self::UpsA | Self::UpsB)
    }

    /// Vendor, product code and revision, for those that answer function 43/14.
    pub(crate) const fn identification(self) -> Option<[&'static str; 3]> {
        match self {
            Self::PduA1 | Self::PduA2 | Self::PduB1 | Self::PduB2 => {
                Some(["Raritan", "PX3-5190R", "3.6.1"])
            }
            _ => None,
        }
    }

    pub(crate) fn registers(self) -> RegisterMap {
        match self {
            Self::UtilityMeter => schneider_pm5500::registers(),
            Self::Ats => siemens_3kc_atc6300::registers(),
            Self::Generator => deepsea_gencomm::registers(),
            Self::UpsA => apc_smart_ups::registers(0, "UPS A", "AS2147A00001"),
            Self::UpsB => apc_smart_ups::registers(1, "UPS B", "AS2147B00002"),
            Self::PduA1 => raritan_px3::registers(0),
            Self::PduA2 => raritan_px3::registers(1),
            Self::PduB1 => raritan_px3::registers(2),
            Self::PduB2 => raritan_px3::registers(3),
            Self::Crac1 => vertiv_liebert_ds::registers(0),
            Self::Crac2 => vertiv_liebert_ds::registers(1),
            Self::Crac3 => vertiv_liebert_ds::registers(2),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
