//! Lines that were there before are left out, whichever text they were in: menus, licences and the like, which whole texts do not share (Wenzek et al., arXiv:1911.00359, do so with paragraphs). Lines
//! are told apart by their letters alone, in lower case and with any digit for any other, by 64 bits of hash; those of few such characters stay.
#![no_std]

use gsc::{Buffer, Error, Params, Record, Records};

struct Lines {
    least: usize,
    seen: Seen,
    kept: Buffer<u8>, // of a text
}

impl gsc::RecordTransform for Lines {
    fn new(params: Params) -> Option<Self> {
        let seen = Seen { places: Buffer::new(), used: 0 };
        Some(Lines { least: params.number("least")? as usize, seen, kept: Buffer::new() })
    }

    fn record(&mut self, record: &Record, out: &mut Records) -> gsc::Result {
        if record.holds_ids() || record.has_spans() {
            return Err(Error::BadInput); // ids have no lines, and spans would have to move
        }
        let text = record.text();
        self.kept.truncate(0);
        for line in text.split_inclusive(|&c| c == b'\n') {
            let (hash, n) = hash(line);
            let stays = n < self.least || self.seen.add(hash)?;
            if stays && !self.kept.extend(line) {
                return Err(Error::NoMemory);
            }
        }
        if self.kept.len() == text.len() {
            out.keep();
        } else if !self.kept.is_empty() {
            out.text(&self.kept);
        }
        Ok(())
    }
}

/// The hash of what counts of a line (FNV-1a, its bits mixed), and how many characters that is. 0 is no line's.
fn hash(line: &[u8]) -> (u64, usize) {
    let (mut h, mut n) = (0xcbf2_9ce4_8422_2325, 0);
    for &c in line {
        let c = match c {
            b'0'..=b'9' => b'0',
            b'A'..=b'Z' | b'a'..=b'z' | 128..=255 => c | 32,
            _ => continue,
        };
        h = (h ^ u64::from(c)).wrapping_mul(0x100_0000_01b3);
        n += 1;
    }
    let h = (h ^ (h >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    ((h ^ (h >> 29)).max(1), n)
}

/// The hashes that there were, each in the first free place from where its bits say. 0 is a free place.
struct Seen {
    places: Buffer<u64>,
    used: usize,
}

impl Seen {
    /// Says whether a hash is new, and keeps it.
    fn add(&mut self, hash: u64) -> Result<bool, Error> {
        if 2 * self.used >= self.places.len() {
            self.grow()?;
        }
        let place = self.place(hash);
        let new = self.places[place] == 0;
        self.places[place] = hash;
        self.used += new as usize;
        Ok(new)
    }

    fn place(&self, hash: u64) -> usize {
        let last = self.places.len() - 1;
        let mut i = hash as usize & last;
        while self.places[i] != 0 && self.places[i] != hash {
            i = (i + 1) & last;
        }
        i
    }

    fn grow(&mut self) -> Result<(), Error> {
        let mut larger = Seen { places: Buffer::new(), used: self.used };
        for _ in 0..(2 * self.places.len()).max(4096) {
            if !larger.places.push(0) {
                return Err(Error::NoMemory);
            }
        }
        for &hash in self.places.iter().filter(|&&hash| hash != 0) {
            let place = larger.place(hash);
            larger.places[place] = hash;
        }
        *self = larger;
        Ok(())
    }
}

gsc::record_transform! { Lines, name: "lines", version: "1.0.0", order: sequential, params: "least: *16 | int & >=0" }
