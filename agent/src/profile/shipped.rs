//! The profiles that are part of the program.

/// Names and texts of all shipped profiles, by name. The texts are those of `agent/profiles`.
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &SHIPPED
}

macro_rules! profiles {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../../profiles/", $name, ".toml")))),*]
    };
}

static SHIPPED: [(&str, &str); 6] = profiles![
    "apc_smart_ups",
    "deepsea_gencomm",
    "raritan_px3",
    "schneider_pm5500",
    "siemens_3kc_atc6300",
    "vertiv_liebert_ds",
];
