//! How `scan` knows a device: each fingerprint fits the registers of its own device, and no device
//! is taken for another. The words are texts and numbers of the devices' lists, written out by
//! hand, two letters to a register.

#[expect(dead_code, reason = "of its helpers only what a device answers is needed here")]
mod answers;

use answers::{Words, answer, profile};
use hallwatch_agent::profile::{Fingerprint, Profile, shipped};
use hallwatch_modbus::answer::Object;
use hallwatch_modbus::{Data, Table};

use Table::{HoldingRegisters as H, InputRegisters as I};

/// A device: the profile that is for it, what its registers hold (zero everywhere else), and the
/// first object of its identification by function 43.
struct Device {
    profile: &'static str,
    words: &'static Words,
    vendor: Option<&'static str>,
}

const fn device(profile: &'static str, words: &'static Words) -> Device {
    Device { profile, words, vendor: None }
}

const DEVICES: &[Device] = &[
    // "B21 ", "B23 ", "B24 ".
    device("abb_b23", &[(H, 35168, &[0x4232, 0x3120])]),
    device("abb_b23", &[(H, 35168, &[0x4232, 0x3320])]),
    device("abb_b23", &[(H, 35168, &[0x4232, 0x3420])]),
    // The digits of its name, at function 4 and at function 3.
    device("advantech_adam_4150", &[(I, 210, &[0x4150])]),
    device("advantech_adam_4150", &[(H, 210, &[0x4150])]),
    // "Smart-UPS SRT 10000", padded with spaces.
    device(
        "apc_smart_ups",
        &[(
            H,
            532,
            &[
                0x536d, 0x6172, 0x742d, 0x5550, 0x5320, 0x5352, 0x5420, 0x3130, 0x3030, 0x3020,
                0x2020, 0x2020,
            ],
        )],
    ),
    // "Danfoss".
    device("danfoss_003z8540", &[(H, 33120, &[0x4461, 0x6e66, 0x6f73, 0x7300])]),
    // Deep Sea, model 32808, a serial number.
    device("deepsea_gencomm", &[(H, 768, &[0x0001, 0x8028, 0x0012, 0x4f80])]),
    // "RDF040DSS5193E0".
    device(
        "delta_rdf040_rpu",
        &[(H, 6604, &[0x5244, 0x4630, 0x3430, 0x4453, 0x5335, 0x3139, 0x3345, 0x3000])],
    ),
    // "EATON"; the model "9390" does not matter.
    device("eaton_pxgx_ups", &[(I, 1032, &[0x4541, 0x544f, 0x4e00]), (I, 1064, &[0x3933, 0x3930])]),
    // "Delta" and "Panasonic", then a model.
    device(
        "openbmc_orv3_bbu",
        &[(H, 0, &[0x4465, 0x6c74, 0x6100]), (H, 8, &[0x4543, 0x4431, 0x3600])],
    ),
    device(
        "openbmc_orv3_bbu",
        &[(H, 0, &[0x5061, 0x6e61, 0x736f, 0x6e69, 0x6300]), (H, 8, &[0x424a, 0x2d42])],
    ),
    // A part number, then "Delta", "Panasonic", "Artesyn".
    device(
        "openbmc_orv3_power_monitor",
        &[(H, 0, &[0x3033, 0x2d30]), (H, 8, &[0x4465, 0x6c74, 0x6100])],
    ),
    device(
        "openbmc_orv3_power_monitor",
        &[(H, 0, &[0x3033, 0x2d30]), (H, 8, &[0x5061, 0x6e61, 0x736f, 0x6e69, 0x6300])],
    ),
    device(
        "openbmc_orv3_power_monitor",
        &[(H, 0, &[0x3033, 0x2d30]), (H, 8, &[0x4172, 0x7465, 0x7379, 0x6e00])],
    ),
    device("openbmc_orv3_power_shelf", &[(H, 392, &[0x4465, 0x6c74, 0x6100])]),
    device("openbmc_orv3_power_shelf", &[(H, 392, &[0x4172, 0x7465, 0x7379, 0x6e00])]),
    // "ECD17020037", "700-037147-0000".
    device("openbmc_orv3_psu", &[(H, 8, &[0x4543, 0x4431, 0x3730, 0x3230, 0x3033, 0x3700])]),
    device(
        "openbmc_orv3_psu",
        &[(H, 8, &[0x3730, 0x302d, 0x3033, 0x3731, 0x3437, 0x2d30, 0x3030, 0x3000])],
    ),
    // 2907067 = 44 × 65536 + 23483; 29070725 = 443 × 65536 + 38277, of the 20 A type; 2907078123 =
    // 44358 × 65536 + 32235, of the 40 A type; the low word first.
    device("phoenix_contact_quint4_ups", &[(I, 5, &[0x5bbb, 0x002c])]),
    device("phoenix_contact_quint4_ups", &[(I, 5, &[0x9585, 0x01bb])]),
    device("phoenix_contact_quint4_ups", &[(I, 5, &[0x7deb, 0xad46])]),
    Device { profile: "raritan_px3", words: &[(H, 0, &[4, 1, 2, 36])], vendor: Some("Raritan") },
    Device {
        profile: "raritan_px3",
        words: &[],
        vendor: Some("Server Technology, a brand of Legrand"),
    },
    // "PM5560".
    device("schneider_pm5500", &[(H, 49, &[0x504d, 0x3535, 0x3630])]),
    // "SPEM-003CEBEU".
    device(
        "shelly_gen2_info",
        &[(I, 6, &[0x5350, 0x454d, 0x2d30, 0x3033, 0x4345, 0x4245, 0x5500])],
    ),
    // Air; by the return air.
    device("vertiv_liebert_crv", &[(I, 458, &[2, 2])]),
    // 9600, 19200 and 14400 baud, at 258 and, in other lists, at 257.
    device("xy_md02", &[(H, 257, &[1, 0x2580])]),
    device("xy_md02", &[(H, 257, &[1, 0x4b00])]),
    device("xy_md02", &[(H, 257, &[0x3840])]),
];

fn fits(fingerprint: &Fingerprint, device: &Device) -> bool {
    let objects: Vec<Object> =
        device.vendor.iter().map(|text| Object { id: 0, text: (*text).to_owned() }).collect();
    match fingerprint {
        Fingerprint::Object { .. } => fingerprint.fits_objects(&objects),
        Fingerprint::Registers { read, .. } => fingerprint.fits_data(&answer(device.words, read)),
    }
}

fn all() -> Vec<Profile> {
    shipped().iter().map(|(name, _)| profile(name)).collect()
}

#[test]
fn every_device_is_taken_for_what_it_is_and_for_nothing_else() {
    let profiles = all();
    for device in DEVICES {
        let claims: Vec<&str> = profiles
            .iter()
            .filter(|profile| profile.fingerprints.iter().any(|one| fits(one, device)))
            .map(|profile| profile.name.as_str())
            .collect();
        assert_eq!(claims, [device.profile], "{:x?} {:?}", device.words, device.vendor);
    }
}

#[test]
fn every_fingerprint_fits_a_device_of_its_profile() {
    for profile in all() {
        for fingerprint in &profile.fingerprints {
            let mut own = DEVICES.iter().filter(|device| device.profile == profile.name);
            assert!(
                own.any(|device| fits(fingerprint, device)),
                "{} {fingerprint:?}",
                profile.name
            );
        }
    }
}

#[test]
fn what_says_nothing_of_itself_is_not_taken_for_anything() {
    for profile in all() {
        for fingerprint in &profile.fingerprints {
            let Fingerprint::Registers { read, .. } = fingerprint else { continue };
            // The same small or extreme number, spaces or letters in all registers.
            for word in [0, 1, 2, 3, 4, 0x2020, 0x4141, 0x7fff, 0x8000, 0xffff] {
                let data = Data::Registers(vec![word; read.count().into()].into());
                // Class 2 and sensor 2 are what a CRV says.
                let is_crv = profile.name == "vertiv_liebert_crv" && word == 2;
                // Deep Sea's first model would be 1.
                let is_deep_sea = profile.name == "deepsea_gencomm" && word == 1;
                let expected = is_crv || is_deep_sea;
                assert_eq!(fingerprint.fits_data(&data), expected, "{} {word:#x}", profile.name);
            }
        }
        assert!(!profile.fingerprints.iter().any(|one| one.fits_objects(&[])), "{}", profile.name);
    }
    let named = [Object { id: 0, text: "ACME".to_owned() }];
    assert!(!all().iter().flat_map(|one| &one.fingerprints).any(|one| one.fits_objects(&named)));
}
