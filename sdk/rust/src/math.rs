//! The few functions that losses need and that `core` lacks. Their loops are written so that the compiler makes vector instructions of them (`-C target-feature=+simd128`).

const LANES: usize = 4;
/// As many terms are added up in float32, each lane by itself, before they go on as float64.
const RUN: usize = 512;

/// e^x for x in [-87, 88], what is outside being moved to the nearest end, with a relative error below 3e-7: 2^n·e^r with n = round(x/ln 2), and the Taylor polynomial of degree 6 for e^r.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    const ROUNDER: f32 = 12582912.0; // added to a small number it leaves no digits behind the point, and the whole number in the lowest bits
    let x = if x < -87.0 { -87.0 } else { x };
    let x = if x > 88.0 { 88.0 } else { x };
    let rounded = x * core::f32::consts::LOG2_E + ROUNDER;
    let n = rounded - ROUNDER;
    let r = x - n * 0.693359375 + n * 2.12194440e-4; // ln 2 in two parts, the first of few bits, so that its multiples are exact
    let p = r / 720.0 + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    f32::from_bits(p.to_bits().wrapping_add(rounded.to_bits() << 23))
}

/// ln x for a normal x > 0: x = 2^n·m with m in [√½, √2), and ln m = 2·artanh((m − 1)/(m + 1)), whose series is cut where a double no longer sees it.
pub fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let mut n = (bits >> 52) as i32 - 1023;
    let mut m = f64::from_bits(bits & 0x000f_ffff_ffff_ffff | 0x3ff0_0000_0000_0000);
    if m > core::f64::consts::SQRT_2 {
        m *= 0.5;
        n += 1;
    }
    let s = (m - 1.0) / (m + 1.0);
    let mut sum = 0.0;
    for k in (1..=21).rev().step_by(2) {
        sum = sum * s * s + 1.0 / f64::from(k);
    }
    f64::from(n) * core::f64::consts::LN_2 + 2.0 * s * sum
}

/// e^x − 1 for x ≤ 0, with all its digits where x is almost 0: a Taylor polynomial down to −0.7, and e^x below.
pub fn exp_m1(x: f64) -> f64 {
    if x < -0.7 {
        return f64::from(exp(x as f32)) - 1.0;
    }
    let mut sum = 0.0;
    for k in (1..=16).rev() {
        sum = (sum + 1.0) * x / f64::from(k);
    }
    sum
}

/// The largest of some numbers, of which there are any.
pub fn max(x: &[f32]) -> f32 {
    let mut lanes = [x[0]; 4 * LANES];
    let chunks = x.chunks_exact(lanes.len());
    let rest = chunks.remainder();
    for chunk in chunks {
        for (top, &v) in lanes.iter_mut().zip(chunk) {
            *top = if v > *top { v } else { *top };
        }
    }
    let larger = |a, &b| if b > a { b } else { a };
    rest.iter().fold(lanes.iter().fold(x[0], larger), larger)
}

/// Sets each e to e^(x − shift), and gives their sum, of a run.
#[inline(always)]
fn exp_run(x: &[f32], shift: f32, e: &mut [f32]) -> f64 {
    for (to, &v) in e.iter_mut().zip(x) {
        *to = exp(v - shift);
    }
    let mut lanes = [0f32; LANES];
    let chunks = e.chunks_exact(LANES);
    let rest: f64 = chunks.remainder().iter().map(|&v| f64::from(v)).sum();
    for chunk in chunks {
        for (lane, v) in lanes.iter_mut().zip(chunk) {
            *lane += v;
        }
    }
    lanes.iter().fold(rest, |sum, &v| sum + f64::from(v))
}

/// log Σ e^z, of numbers of which there are any.
pub fn log_sum_exp(z: &[f32]) -> f64 {
    let (top, mut room) = (max(z), [0f32; RUN]);
    let total = z.chunks(RUN).map(|run| exp_run(run, top, &mut room[..run.len()])).sum();
    ln(total) + f64::from(top)
}

/// Sets p to e^z / Σ e^z, and gives log Σ e^z.
pub fn softmax(z: &[f32], p: &mut [f32]) -> f64 {
    let top = max(z);
    let total = z.chunks(RUN).zip(p.chunks_mut(RUN)).map(|(run, to)| exp_run(run, top, to)).sum::<f64>();
    let share = (1.0 / total) as f32;
    for v in p.iter_mut() {
        *v *= share;
    }
    ln(total) + f64::from(top)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn against_the_standard_library() {
        extern crate std;
        for i in -8700..8800 {
            let x = i as f32 / 100.0;
            let want = f64::from(x).exp();
            assert!((f64::from(exp(x)) / want - 1.0).abs() < 3e-7, "e^{x}");
            let y = want.clamp(1e-30, 1e30);
            assert!((ln(y) - y.ln()).abs() < 1e-14 * (1.0 + y.ln().abs()), "ln {y}");
            if x <= 0.0 {
                assert!((exp_m1(f64::from(x)) - f64::from(x).exp_m1()).abs() < 3e-7, "e^{x} - 1");
            }
        }
        let z: std::vec::Vec<f32> = (0..1037).map(|i| ((i * 7919) % 1000) as f32 / 100.0).collect();
        let mut p = z.clone();
        let want = z.iter().map(|&v| f64::from(v).exp()).sum::<f64>().ln();
        assert!((softmax(&z, &mut p) - want).abs() < 1e-6);
        assert!((log_sum_exp(&z) - want).abs() < 1e-6);
        assert!((p.iter().map(|&v| f64::from(v)).sum::<f64>() - 1.0).abs() < 1e-5);
    }
}
