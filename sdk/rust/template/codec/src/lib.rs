//! @NAME@ is a gradient codec for gsc: each number becomes one of 8 bits, with a scale for each block of them.
//!
//! Of a block with the largest magnitude m the scale is s = m/127, and a number x is sent as q = round(x/s), which stands for q·s: off by s/2 at most. Of B numbers' squares that is B/254² of m² at
//! most, so that a code leaves no more than 1024/254² < 0.02 of the squares out. A code is all scales, in 32 bits each, and then all q.
use gsc::{Error, Params};

struct Bytes {
    block: usize,
}

impl Bytes {
    fn scale_bytes(&self, n: usize) -> usize {
        4 * ((n + self.block - 1) / self.block)
    }
}

impl gsc::Codec for Bytes {
    fn new(params: Params) -> Option<Self> {
        Some(Bytes { block: params.number("block")? as usize })
    }

    fn code_bytes(&self, n: usize) -> usize {
        self.scale_bytes(n) + n
    }

    fn encode(&mut self, values: &[f32], code: &mut [u8]) -> usize {
        let (scales, numbers) = code.split_at_mut(self.scale_bytes(values.len()));
        let blocks = values.chunks(self.block).zip(numbers.chunks_mut(self.block));
        for ((block, to), scale) in blocks.zip(scales.chunks_mut(4)) {
            let s = block.iter().fold(0f32, |most, v| most.max(v.abs())) / 127.0;
            scale.copy_from_slice(&s.to_le_bytes());
            for (q, v) in to.iter_mut().zip(block) {
                *q = if s == 0.0 { 0 } else { (v / s).round() as i8 as u8 };
            }
        }
        code.len()
    }

    fn decode(&mut self, code: &[u8], values: &mut [f32]) -> gsc::Result {
        if code.len() != self.code_bytes(values.len()) {
            return Err(Error::BadInput);
        }
        let (scales, numbers) = code.split_at(self.scale_bytes(values.len()));
        let blocks = values.chunks_mut(self.block).zip(numbers.chunks(self.block));
        for ((block, from), scale) in blocks.zip(scales.chunks(4)) {
            let s = f32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]);
            if !(s * 128.0).is_finite() {
                return Err(Error::BadInput);
            }
            for (v, &q) in block.iter_mut().zip(from) {
                *v = f32::from(q as i8) * s;
            }
        }
        Ok(())
    }
}

gsc::codec! { Bytes, name: "@NAME@", version: "0.1.0", contraction: "0.98", params: "block: *64 | int & >=1 & <=1024" }
