//! Exact decimals: a scale such as 0.1 must not become a binary fraction.

/// `mantissa * 10^exponent`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// Digits with sign.
    pub mantissa: i64,
    /// Power of ten.
    pub exponent: i32,
}

impl Decimal {
    /// One.
    pub const ONE: Self = Self::new(1, 0);

    /// A decimal of these parts.
    #[must_use]
    pub const fn new(mantissa: i64, exponent: i32) -> Self {
        Self { mantissa, exponent }
    }

    /// The decimal a person wrote: the shortest one that reads back as this float. `None` for NaN, infinity
    /// and more than 18 digits.
    #[must_use]
    pub fn of(value: f64) -> Option<Self> {
        let text = value.is_finite().then(|| format!("{value}"))?;
        let (whole, part) = text.split_once('.').unwrap_or((&text, ""));
        let decimal = Self::of_integer(format!("{whole}{part}").parse().ok()?);
        Some(Self {
            exponent: decimal.exponent - i32::try_from(part.len()).ok()?,
            ..decimal
        })
    }

    /// A whole number, with its trailing zeros in the exponent.
    #[must_use]
    pub fn of_integer(value: i64) -> Self {
        let mut decimal = Self::new(value, 0);
        while decimal.mantissa != 0 && decimal.mantissa % 10 == 0 {
            decimal.mantissa /= 10;
            decimal.exponent += 1;
        }
        decimal
    }

    /// The product; `None` when the mantissa overflows.
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        Some(Self {
            mantissa: self.mantissa.checked_mul(other.mantissa)?,
            exponent: self.exponent.checked_add(other.exponent)?,
        })
    }

    /// `raw * self`, rounded to the nearest integer, halves away from zero; `None` on overflow.
    #[must_use]
    pub fn scale(self, raw: i128) -> Option<i64> {
        let product = raw.checked_mul(i128::from(self.mantissa))?;
        let scaled = match power(self.exponent.unsigned_abs()) {
            None if self.exponent < 0 => 0,
            None => return (product == 0).then_some(0),
            Some(ten) if self.exponent < 0 => divide_nearest(product, ten),
            Some(ten) => product.checked_mul(ten)?,
        };
        i64::try_from(scaled).ok()
    }

    /// `raw * self` for a float raw value, rounded once; `None` for NaN, infinity and overflow.
    #[must_use]
    pub fn scale_float(self, raw: f64) -> Option<i64> {
        if raw == 0.0 || self.mantissa == 0 {
            return Some(0);
        }
        if !raw.is_finite() {
            return None;
        }
        // Taken apart, the float is an integer times a power of two, and the rest is integer arithmetic.
        let bits = raw.to_bits();
        let exponent = i32::try_from((bits >> 52) & 0x7FF).ok()?;
        let fraction = i128::from(bits & ((1 << 52) - 1));
        let (digits, power_of_two) = match exponent {
            0 => (fraction, -1074),
            e => (fraction | (1 << 52), e - 1075),
        };
        let mut top = digits.checked_mul(i128::from(self.mantissa))?;
        let mut bottom: i128 = 1;
        let ten = power(self.exponent.unsigned_abs())?;
        if self.exponent < 0 {
            bottom = ten;
        } else {
            top = top.checked_mul(ten)?;
        }
        if power_of_two >= 0 {
            top = shift(top, power_of_two.unsigned_abs())?;
        } else {
            // Trailing zeros are cancelled so that the divisor stays small; what is still too small is zero.
            let cancel = top.trailing_zeros().min(power_of_two.unsigned_abs());
            top >>= cancel;
            match shift(bottom, power_of_two.unsigned_abs() - cancel) {
                Some(shifted) => bottom = shifted,
                None => return Some(0),
            }
        }
        let nearest = divide_nearest(top, bottom);
        i64::try_from(if raw.is_sign_negative() { -nearest } else { nearest }).ok()
    }

    /// `raw * self` with the point moved left by `places`, in full: 123 times 10 with 3 places is `1.23`.
    #[must_use]
    pub fn times_text(self, raw: i128, places: i32) -> String {
        let (exponent, digits) = (self.exponent - places, raw.saturating_mul(self.mantissa.into()));
        let Some(ten) = power(exponent.unsigned_abs()) else {
            return digits.to_string();
        };
        if exponent >= 0 {
            return digits.saturating_mul(ten).to_string();
        }
        let (whole, part) = (
            digits.unsigned_abs() / ten.unsigned_abs(),
            digits.unsigned_abs() % ten.unsigned_abs(),
        );
        let sign = if digits < 0 { "-" } else { "" };
        format!(
            "{sign}{whole}.{part:0width$}",
            width = exponent.unsigned_abs() as usize
        )
    }

    /// The largest integer `n` with `n * self <= value`, for a positive decimal; `None` on overflow.
    #[must_use]
    pub fn floor_div(self, value: i128) -> Option<i128> {
        let mantissa = i128::from(self.mantissa);
        if mantissa <= 0 {
            return None;
        }
        let ten = power(self.exponent.unsigned_abs())?;
        if self.exponent < 0 {
            Some(value.checked_mul(ten)?.div_euclid(mantissa))
        } else {
            Some(value.div_euclid(mantissa.checked_mul(ten)?))
        }
    }
}

fn power(exponent: u32) -> Option<i128> {
    10_i128.checked_pow(exponent)
}

fn shift(value: i128, by: u32) -> Option<i128> {
    let free = value.unsigned_abs().leading_zeros();
    (value == 0 || by + 1 < free).then(|| value << by.min(127))
}

fn divide_nearest(top: i128, bottom: i128) -> i128 {
    let (quotient, rest) = (top / bottom, top % bottom);
    if rest.unsigned_abs() >= bottom.unsigned_abs().div_ceil(2) {
        quotient + top.signum() * bottom.signum()
    } else {
        quotient
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_written_decimal_is_kept_exactly() {
        assert_eq!(Decimal::of(0.1), Some(Decimal::new(1, -1)));
        assert_eq!(Decimal::of(1000.0), Some(Decimal::new(1, 3)));
        assert_eq!(Decimal::of(-0.125), Some(Decimal::new(-125, -3)));
        assert_eq!(Decimal::of(f64::NAN), None);
    }

    #[test]
    fn a_product_is_written_with_the_digits_of_its_scale() {
        assert_eq!(Decimal::new(1, 1).times_text(123, 3), "1.23");
        assert_eq!(Decimal::new(1, 1).times_text(120, 3), "1.20");
        assert_eq!(Decimal::new(1, 1).times_text(-7, 3), "-0.07");
        assert_eq!(Decimal::new(1, 3).times_text(42, 3), "42");
        assert_eq!(Decimal::new(5, 4).times_text(2, 3), "100");
    }

    #[test]
    fn integers_scale_without_drift() {
        // 0.01 kWh in milliwatt-hours.
        let kwh = Decimal::new(1, 4);
        assert_eq!(kwh.scale(123_456_789_012), Some(1_234_567_890_120_000));
        assert_eq!(Decimal::new(1, -1).scale(15), Some(2));
        assert_eq!(Decimal::new(1, -1).scale(-15), Some(-2));
        assert_eq!(Decimal::new(1, -1).scale(14), Some(1));
        assert_eq!(kwh.scale(i128::from(u64::MAX)), None);
    }

    #[test]
    fn floats_are_rounded_once() {
        let kwh = Decimal::new(1, 6);
        assert_eq!(kwh.scale_float(f64::from(1234.5_f32)), Some(1_234_500_000));
        assert_eq!(
            Decimal::new(1, 3).scale_float(f64::from(-230.25_f32)),
            Some(-230_250)
        );
        assert_eq!(kwh.scale_float(f64::INFINITY), None);
        assert_eq!(kwh.scale_float(f64::MIN_POSITIVE), Some(0));
        assert_eq!(kwh.scale_float(f64::MAX), None);
        assert_eq!(Decimal::new(1, 3).scale_float(-0.0), Some(0));
    }

    proptest! {
        #[test]
        fn flooring_never_exceeds(value in 0_i64..1_000_000_000, mantissa in 1_i64..10_000, exponent in -4_i32..4) {
            let step = Decimal::new(mantissa, exponent);
            let n = step.floor_div(i128::from(value)).unwrap();
            let up = |n: i128| n * i128::from(mantissa) * 10_i128.pow(u32::try_from(exponent + 4).unwrap());
            let scaled = i128::from(value) * 10_000;
            prop_assert!(up(n) <= scaled && up(n + 1) > scaled);
        }

        #[test]
        fn float_scaling_agrees_with_integers(value in -1_000_000_000_i64..1_000_000_000, exponent in -6_i32..6) {
            let scale = Decimal::new(7, exponent);
            #[allow(clippy::cast_precision_loss, reason = "below 2^53")]
            let float = value as f64;
            prop_assert_eq!(scale.scale_float(float), scale.scale(i128::from(value)));
        }
    }
}
