//! Transforms of records, as files hold them, before they are tokens.

use crate::memory::{slice, Buffer};
use crate::{Error, Params, Result};

/// A tagged part of a record. Its places count from the record's beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span<'a> {
    pub from: usize,
    pub to: usize,
    pub name: &'a str,
}

/// One record. What it refers to belongs to gsc.
pub struct Record<'a> {
    batch: &'a Columns,
    at: usize,
    holds_ids: bool,
    /// Of the run's seed, and of how many records this transform was given before.
    pub seed: u64,
}

impl<'a> Record<'a> {
    /// Says whether records of the data are token ids, not text.
    pub fn holds_ids(&self) -> bool {
        self.holds_ids
    }

    /// Any bytes; none where records are token ids.
    pub fn text(&self) -> &'a [u8] {
        if self.holds_ids {
            return &[];
        }
        unsafe { part(self.batch.content.cast(), self.batch.ends, self.at) }
    }

    /// None where records are text.
    pub fn ids(&self) -> &'a [i32] {
        if !self.holds_ids {
            return &[];
        }
        unsafe { part(self.batch.content.cast(), self.batch.ends, self.at) }
    }

    /// The names of its classes; none where the data have none.
    pub fn labels(&self) -> impl Iterator<Item = &'a str> {
        let batch = self.batch;
        unsafe { part(batch.labels, batch.label_ends, self.at) }.iter().map(move |&name| batch.name(name))
    }

    /// Labels that are numbers.
    pub fn numbers(&self) -> &'a [f64] {
        unsafe { part(self.batch.numbers, self.batch.number_ends, self.at) }
    }

    /// Says whether records of the data have spans.
    pub fn has_spans(&self) -> bool {
        !self.batch.span_ends.is_null()
    }

    /// Its tagged words, which ascend and do not overlap.
    pub fn spans(&self) -> impl Iterator<Item = Span<'a>> {
        let batch = self.batch;
        unsafe { part(batch.spans, batch.span_ends, self.at) }.iter().map(move |s| Span { from: s.from as usize, to: s.to as usize, name: batch.name(s.name) })
    }
}

/// A transform of records with its parameters.
pub trait RecordTransform: Sized {
    /// Gets the parameters, once; `None`: there is no transform for them.
    fn new(params: Params) -> Option<Self>;

    /// Gives what comes of a record, none or more, to `out`. In any order it follows from the record and its seed alone; where the manifest says `sequential`, `self` may remember those before.
    fn record(&mut self, record: &Record, out: &mut Records) -> Result;
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Tagged {
    from: u32,
    to: u32,
    name: u32,
}

/// Records as they lie in memory.
#[repr(C)]
struct Columns {
    records: u32,
    content: *const u8,
    ends: *const u32,
    name_count: u32,
    names: *const u8,
    name_ends: *const u32,
    labels: *const u32,
    label_ends: *const u32,
    numbers: *const f64,
    number_ends: *const u32,
    spans: *const Tagged,
    span_ends: *const u32,
}

impl Columns {
    fn name<'a>(&self, i: u32) -> &'a str {
        core::str::from_utf8(unsafe { part(self.names, self.name_ends, i as usize) }).unwrap_or("")
    }
}

/// What belongs to the i-th of those whose ends are given; nothing, where these are not.
///
/// # Safety
///
/// There are as many elements as the last end says, for as long as the call lasts.
unsafe fn part<'a, T>(elements: *const T, ends: *const u32, i: usize) -> &'a [T] {
    if ends.is_null() {
        return &[];
    }
    let from = if i == 0 { 0 } else { *ends.add(i - 1) } as usize;
    slice(elements, from, *ends.add(i) as usize - from)
}

/// What comes out of a batch. As long as records are kept as they are, all that is written is which; with the first that is not, all columns are.
pub struct Records {
    batch: *const Columns,
    unit: usize,
    at: u32, // the record that is being transformed
    written: bool,
    labelled: bool,
    own_labels: bool, // the last record's are no longer those of what it is made of
    full: bool,       // there was no memory left
    origins: Buffer<u32>,
    content: Buffer<u8>,
    ends: Buffer<u32>,
    names: Buffer<u8>,
    name_ends: Buffer<u32>,
    labels: Buffer<u32>,
    label_ends: Buffer<u32>,
    numbers: Buffer<f64>,
    number_ends: Buffer<u32>,
    spans: Buffer<Tagged>,
    span_ends: Buffer<u32>,
}

impl Records {
    #[doc(hidden)]
    pub const fn new() -> Self {
        Records {
            batch: core::ptr::null(),
            unit: 1,
            at: 0,
            written: false,
            labelled: false,
            own_labels: false,
            full: false,
            origins: Buffer::new(),
            content: Buffer::new(),
            ends: Buffer::new(),
            names: Buffer::new(),
            name_ends: Buffer::new(),
            labels: Buffer::new(),
            label_ends: Buffer::new(),
            numbers: Buffer::new(),
            number_ends: Buffer::new(),
            spans: Buffer::new(),
            span_ends: Buffer::new(),
        }
    }

    /// The record comes out as it is.
    pub fn keep(&mut self) {
        if self.written {
            self.copy(self.at as usize);
        }
        self.begin();
    }

    /// A record with this text comes out, with the labels of the one that it is made of, and without spans.
    pub fn text(&mut self, text: &[u8]) {
        self.write();
        self.put(|out| out.content.extend(text));
        self.end();
        self.begin();
    }

    /// A record of these token ids comes out, likewise.
    pub fn ids(&mut self, ids: &[i32]) {
        self.write();
        for id in ids {
            self.put(|out| out.content.extend(&id.to_le_bytes()));
        }
        self.end();
        self.begin();
    }

    /// Adds a class to the record that came out last, in place of those of the one that it is made of.
    pub fn label(&mut self, name: &str) {
        self.relabel();
        let name = self.name(name);
        self.put(|out| out.labels.push(name));
        self.end_labels();
    }

    /// Adds a label that is a number to the record that came out last, likewise.
    pub fn number(&mut self, value: f64) {
        self.relabel();
        self.put(|out| out.numbers.push(value));
        self.end_labels();
    }

    /// Adds a tagged part to the record that came out last, behind those that it has. A name is not empty.
    pub fn span(&mut self, span: Span) {
        self.write();
        let name = self.name(span.name);
        self.put(|out| out.spans.push(Tagged { from: span.from as u32, to: span.to as u32, name }));
        let end = self.spans.len() as u32;
        last(&mut self.span_ends, end);
    }

    fn batch<'a>(&self) -> &'a Columns {
        // SAFETY: it is gsc's, for as long as the call lasts.
        unsafe { &*self.batch }
    }

    /// Does what needs memory, and remembers that there was none.
    fn put(&mut self, add: impl FnOnce(&mut Self) -> bool) {
        if !add(self) {
            self.full = true;
        }
    }

    fn begin(&mut self) {
        let at = self.at;
        self.put(|out| out.origins.push(at));
        if self.labelled {
            self.copy_labels(at as usize);
        }
        self.own_labels = false;
    }

    /// Makes columns of what came out so far.
    fn write(&mut self) {
        if self.written {
            return;
        }
        self.written = true;
        let batch = self.batch();
        for i in 0..batch.name_count {
            let name = batch.name(i);
            self.add_name(name);
        }
        for i in 0..self.origins.len() {
            self.copy(self.origins[i] as usize);
        }
    }

    /// Copies a record's content and spans.
    fn copy(&mut self, i: usize) {
        let (batch, unit) = (self.batch(), self.unit);
        // SAFETY: the batch is as gsc says.
        unsafe {
            let from = if i == 0 { 0 } else { *batch.ends.add(i - 1) } as usize * unit;
            let to = *batch.ends.add(i) as usize * unit;
            self.put(|out| out.content.extend(slice(batch.content, from, to - from)));
            self.put(|out| out.spans.extend(part(batch.spans, batch.span_ends, i)));
        }
        self.end();
    }

    /// Ends a record's content and spans.
    fn end(&mut self) {
        let (content, spans) = ((self.content.len() / self.unit) as u32, self.spans.len() as u32);
        self.put(|out| out.ends.push(content) && out.span_ends.push(spans));
    }

    /// Makes columns of the labels so far, and takes away those that the last record has from elsewhere.
    fn relabel(&mut self) {
        self.write();
        if !self.labelled {
            self.labelled = true;
            for i in 0..self.origins.len() {
                self.copy_labels(self.origins[i] as usize);
            }
        }
        if !self.own_labels {
            self.own_labels = true;
            self.labels.truncate(before_last(&self.label_ends));
            self.numbers.truncate(before_last(&self.number_ends));
        }
    }

    fn copy_labels(&mut self, i: usize) {
        let batch = self.batch();
        // SAFETY: the batch is as gsc says.
        unsafe {
            self.put(|out| out.labels.extend(part(batch.labels, batch.label_ends, i)) && out.numbers.extend(part(batch.numbers, batch.number_ends, i)));
        }
        let (labels, numbers) = (self.labels.len() as u32, self.numbers.len() as u32);
        self.put(|out| out.label_ends.push(labels) && out.number_ends.push(numbers));
    }

    fn end_labels(&mut self) {
        let (labels, numbers) = (self.labels.len() as u32, self.numbers.len() as u32);
        last(&mut self.label_ends, labels);
        last(&mut self.number_ends, numbers);
    }

    /// The number of a name in the table, which has it from now on.
    fn name(&mut self, name: &str) -> u32 {
        let mut from = 0;
        for (i, &end) in self.name_ends.iter().enumerate() {
            if self.names[from..end as usize] == *name.as_bytes() {
                return i as u32;
            }
            from = end as usize;
        }
        self.add_name(name);
        self.name_ends.len() as u32 - 1
    }

    fn add_name(&mut self, name: &str) {
        self.put(|out| out.names.extend(name.as_bytes()));
        let end = self.names.len() as u32;
        self.put(|out| out.name_ends.push(end));
    }
}

/// Sets the last of some ends, if there are any.
fn last(ends: &mut [u32], end: u32) {
    if let Some(last) = ends.last_mut() {
        *last = end;
    }
}

fn before_last(ends: &[u32]) -> usize {
    if ends.len() < 2 {
        return 0;
    }
    ends[ends.len() - 2] as usize
}

/// A call as it lies in memory: `plugins/abi` tells what is what.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    before: Columns,
    unit: u32,
    seeds: *const u64,
    after: Columns,
    origins: *const u32,
}

impl Call {
    /// Transforms all records.
    ///
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says.
    #[doc(hidden)]
    pub unsafe fn records<T: RecordTransform>(&mut self, transform: &mut T, out: &mut Records) -> Result {
        out.clear(&self.before, self.unit as usize);
        for i in 0..self.before.records {
            out.at = i;
            transform.record(&Record { batch: &self.before, at: i as usize, holds_ids: self.unit == 4, seed: *self.seeds.add(i as usize) }, out)?;
            if out.full {
                return Err(Error::NoMemory);
            }
        }
        self.after.records = out.origins.len() as u32;
        self.origins = out.origins.as_ptr();
        if out.written {
            self.fill(out);
        }
        Ok(())
    }

    /// Says where the columns lie.
    fn fill(&mut self, out: &Records) {
        let to = &mut self.after;
        to.content = out.content.as_ptr();
        to.ends = out.ends.as_ptr();
        to.name_count = out.name_ends.len() as u32;
        to.names = out.names.as_ptr();
        to.name_ends = out.name_ends.as_ptr();
        if !self.before.span_ends.is_null() || !out.spans.is_empty() {
            to.spans = out.spans.as_ptr();
            to.span_ends = out.span_ends.as_ptr();
        }
        if out.labelled {
            to.labels = out.labels.as_ptr();
            to.label_ends = out.label_ends.as_ptr();
            to.numbers = out.numbers.as_ptr();
            to.number_ends = out.number_ends.as_ptr();
        }
    }
}

impl Records {
    /// Begins a batch.
    fn clear(&mut self, batch: &Columns, unit: usize) {
        self.batch = batch;
        self.unit = unit;
        self.written = false;
        self.labelled = false;
        self.full = false;
        for column in [&mut self.origins, &mut self.ends, &mut self.name_ends, &mut self.labels, &mut self.label_ends, &mut self.number_ends, &mut self.span_ends] {
            column.truncate(0);
        }
        self.content.truncate(0);
        self.names.truncate(0);
        self.numbers.truncate(0);
        self.spans.truncate(0);
    }
}

/// Makes a type the plugin's transform of records: `gsc::record_transform! { Type, name: "quality", version: "1.0.0", order: any, params: "letters: *0.6 | number" }`.
///
/// The order is `any` or `sequential`; `record_bytes: 1000` behind the parameters says how long a record may be, in place of 4 MiB.
#[macro_export]
macro_rules! record_transform {
    ($transform:ty, name: $name:literal, version: $version:literal, order: $order:ident, params: $params:literal $(, record_bytes: $bytes:literal)? $(,)?) => {
        const _: () = {
            $crate::plugin! { $transform, $crate::RecordTransform, "transform", $name, $version,
            concat!(", \"on\": \"records\", \"order\": \"", stringify!($order), "\"" $(, ", \"record_bytes\": ", $bytes)?), $params }

            static mut RECORDS: $crate::Records = $crate::Records::new();

            #[no_mangle]
            unsafe extern "C" fn gsc_transform(call: *mut $crate::records::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |transform| (*call).records(transform, &mut *core::ptr::addr_of_mut!(RECORDS)))
            }
        };
    };
}
