//! The rules that Hallwatch ships: names and texts for [`super::load`].

/// All shipped rule files.
pub const FILES: [(&str, &str); 11] = [
    ("power.yaml", include_str!("../../rules/power.yaml")),
    ("ups.yaml", include_str!("../../rules/ups.yaml")),
    ("generator.yaml", include_str!("../../rules/generator.yaml")),
    ("cooling.yaml", include_str!("../../rules/cooling.yaml")),
    ("environment.yaml", include_str!("../../rules/environment.yaml")),
    ("access.yaml", include_str!("../../rules/access.yaml")),
    ("security.yaml", include_str!("../../rules/security.yaml")),
    ("hallwatch.yaml", include_str!("../../rules/hallwatch.yaml")),
    ("redundancy.yaml", include_str!("../../rules/redundancy.yaml")),
    ("uplink.yaml", include_str!("../../rules/uplink.yaml")),
    ("maintenance.yaml", include_str!("../../rules/maintenance.yaml")),
];
