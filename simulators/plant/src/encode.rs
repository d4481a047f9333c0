//! Values into registers, big-endian, high word first. There is no way back here.

/// A value on its way into registers.
pub(crate) enum Reading {
    /// In the unit of the map; divided by the point's scale and rounded.
    Number(f64),
    /// As it is: bit fields, enumerations, reason codes.
    Raw(i64),
}

impl From<f64> for Reading {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// How a point lies in its registers; numbers are big-endian, high word first.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    U16(f64),
    I16(f64),
    U32(f64),
    I32(f64),
    F32,
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "float casts saturate, integers are clamped to the register's range first"
)]
/// The words of `reading`; what does not fit becomes the nearest that does.
pub(crate) fn encode(shape: Shape, reading: &Reading) -> Vec<u16> {
    if let Shape::F32 = shape {
        let number = match reading {
            Reading::Number(number) => *number as f32,
            Reading::Raw(raw) => *raw as f32,
        };
        return halves(number.to_bits());
    }
    let whole = |scale: f64| match reading {
        Reading::Number(number) => (number / scale).round() as i64,
        Reading::Raw(raw) => *raw,
    };
    match shape {
        Shape::U16(scale) => vec![whole(scale).clamp(0, i64::from(u16::MAX)) as u16],
        Shape::I16(scale) => {
            vec![whole(scale).clamp(i64::from(i16::MIN), i64::from(i16::MAX)) as i16 as u16]
        }
        Shape::U32(scale) => halves(whole(scale).clamp(0, i64::from(u32::MAX)) as u32),
        Shape::I32(scale) => {
            halves(whole(scale).clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32 as u32)
        }
        Shape::F32 => Vec::new(),
    }
}

fn halves(bits: u32) -> Vec<u16> {
    let [a, b, c, d] = bits.to_be_bytes();
    vec![u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_words_by_hand() {
        for (shape, reading, words) in [
            (Shape::U16(0.1), Reading::Number(27.44), &[274][..]),
            (Shape::U16(1.0), Reading::Number(-1.0), &[0]),
            (Shape::U16(1.0), Reading::Number(70_000.0), &[0xffff]),
            (Shape::I16(1.0), Reading::Number(-2.0), &[0xfffe]),
            (Shape::I16(1.0 / 128.0), Reading::Raw(-4), &[0xfffc]),
            (Shape::I16(1.0), Reading::Number(-40_000.0), &[0x8000]),
            (Shape::U32(0.1), Reading::Number(6_553.7), &[1, 1]),
            (Shape::U32(1.0), Reading::Number(f64::INFINITY), &[0xffff, 0xffff]),
            (Shape::I32(1.0), Reading::Number(-1.0), &[0xffff, 0xffff]),
            (Shape::F32, Reading::Number(1.0), &[0x3f80, 0]),
            (Shape::F32, Reading::Number(-2.5), &[0xc020, 0]),
            (Shape::U16(1.0), Reading::Number(f64::NAN), &[0]),
        ] {
            assert_eq!(encode(shape, &reading), words, "{shape:?}");
        }
    }
}
