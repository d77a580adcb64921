/// Random numbers that begin with a seed, as gsc gives one for each record and row (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, section 5).
#[derive(Clone, Copy, Debug)]
pub struct Random(pub u64);

impl Random {
    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    #[test]
    fn the_first_of_a_stream() {
        let mut r = Random(1234567);
        assert_eq!([r.bits(), r.bits(), r.bits()], [6457827717110365317, 3203168211198807973, 9817491932198370423]);
        assert!((0..1000).all(|_| (0.0..1.0).contains(&r.uniform())));
    }
}
