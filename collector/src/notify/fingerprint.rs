//! The fingerprint of a set of labels, as Prometheus and Alertmanager compute it.

use hallwatch_model::Labels;

/// FNV-1a, 64 bits: <http://www.isthe.com/chongo/tech/comp/fnv/>.
const OFFSET_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0000_0100_0000_01b3;
/// Follows every name and every value: no UTF-8 text contains it.
const SEPARATOR: u8 = 0xff;

/// The fingerprint of `labels`; printed with 16 hexadecimal digits.
#[must_use]
pub fn fingerprint(labels: &Labels) -> u64 {
    let texts = labels.iter().flat_map(|label| [&*label.name, &*label.value]);
    texts
        .flat_map(|text| text.bytes().chain([SEPARATOR]))
        .fold(OFFSET_BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_alertmanager() {
        assert_eq!(fingerprint(&Labels::empty()), 0xcbf2_9ce4_8422_2325);
        // What Alertmanager 0.25 put into its webhook for an alert with these labels.
        let labels = [("alertname", "A"), ("device", "a"), ("site", "fra-1")];
        assert_eq!(fingerprint(&Labels::from_pairs(labels)), 0xa913_b062_e57b_800c);
    }
}
