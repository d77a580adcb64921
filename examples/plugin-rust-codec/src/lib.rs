//! Scaled signs (Karimireddy et al., arXiv:1901.09847, section 4): of each number its sign is sent, and for each block of B the mean of the magnitudes, s. Of a block x that leaves ‖x‖² − ‖x‖₁²/B
//! of the squares out, (1 − 1/B)·‖x‖² at most. A code is all scales, in 32 bits each, and then a bit for each number, 1 where it is negative, the first in the lowest bit of its byte.
#![no_std]

use gsc::{Error, Params};

struct Signs {
    block: usize,
}

impl Signs {
    fn scale_bytes(&self, n: usize) -> usize {
        4 * ((n + self.block - 1) / self.block)
    }
}

impl gsc::Codec for Signs {
    fn new(params: Params) -> Option<Self> {
        Some(Signs { block: params.number("block")? as usize })
    }

    fn code_bytes(&self, n: usize) -> usize {
        self.scale_bytes(n) + (n + 7) / 8
    }

    fn encode(&mut self, values: &[f32], code: &mut [u8]) -> usize {
        let (scales, signs) = code.split_at_mut(self.scale_bytes(values.len()));
        for (block, scale) in values.chunks(self.block).zip(scales.chunks_exact_mut(4)) {
            let sum: f64 = block.iter().map(|v| f64::from(f32::from_bits(v.to_bits() & 0x7fff_ffff))).sum();
            scale.copy_from_slice(&((sum / block.len() as f64) as f32).to_le_bytes());
        }
        for (eight, byte) in values.chunks(8).zip(signs) {
            *byte = eight.iter().rev().fold(0, |bits, v| bits << 1 | (v.to_bits() >> 31) as u8);
        }
        code.len()
    }

    fn decode(&mut self, code: &[u8], values: &mut [f32]) -> gsc::Result {
        if code.len() != self.code_bytes(values.len()) {
            return Err(Error::BadInput);
        }
        let (scales, signs) = code.split_at(self.scale_bytes(values.len()));
        for (k, (block, scale)) in values.chunks_mut(self.block).zip(scales.chunks_exact(4)).enumerate() {
            let bits = u32::from_le_bytes([scale[0], scale[1], scale[2], scale[3]]);
            if bits >= 0x7f80_0000 {
                return Err(Error::BadInput); // negative, infinite, or no number
            }
            for (i, v) in block.iter_mut().enumerate() {
                let at = k * self.block + i;
                *v = f32::from_bits(bits | u32::from(signs[at / 8] >> (at % 8) & 1) << 31);
            }
        }
        Ok(())
    }
}

gsc::codec! { Signs, name: "sign", version: "1.0.0", contraction: "0.001953125", params: "block: *256 | int & >=1 & <=512" }
