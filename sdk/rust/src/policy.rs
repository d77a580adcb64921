//! Compression policies: what is pruned and rounded, and when.

use crate::memory::slice;
use crate::{Params, Result};

/// What a weight is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The matrix of a linear layer.
    Linear,
    /// A table of embeddings.
    Table,
}

/// A weight of the model. A policy sees none of its elements.
pub struct Weight<'a> {
    /// Its Hugging Face name.
    pub name: &'a str,
    pub kind: Kind,
    /// Each of its outputs is a sum over so many elements.
    pub inputs: usize,
    pub outputs: usize,
    /// Of attention, that its elements belong to; 0: none.
    pub heads: usize,
}

/// What is pruned together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Single elements, the least of all.
    Elements,
    /// Of each so many neighbours along the input, which must divide that.
    Neighbours(u32),
    /// Whole outputs.
    Rows,
    Heads,
}

/// How a weight is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prune {
    pub pattern: Pattern,
    /// The largest share that is ever pruned, above 0 and below 1.
    pub sparsity: f32,
}

/// How a weight is rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantise {
    /// 8 or 4.
    pub bits: u32,
    /// So many neighbours along the input share a scale, which must divide that; 0: all of an output.
    pub group: u32,
    /// Zero is in the middle of what the bits can say; otherwise there are zero points.
    pub symmetric: bool,
}

/// All that may ever happen to a weight.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Declaration {
    pub prune: Option<Prune>,
    pub quantise: Option<Quantise>,
}

/// When a policy is asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// The step, from 1.
    pub step: u64,
    /// How many the run has.
    pub steps: u64,
    /// The root of the mean square of the weight's elements behind the last update, before they are pruned and rounded; 0 before the first step.
    pub rms: f32,
}

/// What holds from a step's update on, within what was declared.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Decision {
    /// The share that is pruned.
    pub prune: f32,
    /// The mask is made anew, by the weight's elements as they are; otherwise it stays.
    pub mask: bool,
    /// The weight is rounded.
    pub quantise: bool,
}

/// A policy with its parameters.
pub trait Policy: Sized {
    /// Gets the parameters, once; `None`: there is no policy for them.
    fn new(params: Params) -> Option<Self>;

    /// Says, when the plan is made, what may ever happen to a weight. The default declaration leaves it as it is.
    fn declare(&mut self, weight: &Weight) -> Declaration;

    /// Says before each step what happens to a weight for which something was declared. It follows from the arguments alone: a run that is resumed asks for any step first.
    fn decide(&mut self, weight: &Weight, declared: &Declaration, moment: &Moment) -> Decision;
}

/// A call as it lies in memory: `plugins/abi` tells what is what.
#[doc(hidden)]
#[repr(C)]
pub struct Call {
    name: *const u8,
    name_bytes: u32,
    kind: u32,
    inputs: u32,
    outputs: u32,
    heads: u32,
    step: [u32; 2],
    steps: [u32; 2],
    rms: f32,
    pattern: u32,
    of: u32,
    sparsity: f32,
    bits: u32,
    group: u32,
    symmetric: u32,
    prune: f32,
    mask: u32,
    quantise: u32,
}

impl Call {
    /// # Safety
    ///
    /// The call is gsc's, whose pointers hold what it says.
    unsafe fn weight<'a>(&self) -> Weight<'a> {
        Weight {
            name: core::str::from_utf8(slice(self.name, 0, self.name_bytes as usize)).unwrap_or(""),
            kind: if self.kind == 0 { Kind::Linear } else { Kind::Table },
            inputs: self.inputs as usize,
            outputs: self.outputs as usize,
            heads: self.heads as usize,
        }
    }

    /// # Safety
    ///
    /// As above.
    #[doc(hidden)]
    pub unsafe fn declare<P: Policy>(&mut self, policy: &mut P) -> Result {
        let declared = policy.declare(&self.weight());
        if let Some(prune) = declared.prune {
            self.sparsity = prune.sparsity;
            self.pattern = match prune.pattern {
                Pattern::Elements => 1,
                Pattern::Neighbours(of) => {
                    self.of = of;
                    2
                }
                Pattern::Rows => 3,
                Pattern::Heads => 4,
            };
        }
        if let Some(quantise) = declared.quantise {
            self.bits = quantise.bits;
            self.group = quantise.group;
            self.symmetric = quantise.symmetric as u32;
        }
        Ok(())
    }

    fn declared(&self) -> Declaration {
        let pattern = match self.pattern {
            1 => Some(Pattern::Elements),
            2 => Some(Pattern::Neighbours(self.of)),
            3 => Some(Pattern::Rows),
            4 => Some(Pattern::Heads),
            _ => None,
        };
        let quantise = Quantise { bits: self.bits, group: self.group, symmetric: self.symmetric != 0 };
        Declaration { prune: pattern.map(|pattern| Prune { pattern, sparsity: self.sparsity }), quantise: if self.bits != 0 { Some(quantise) } else { None } }
    }

    /// # Safety
    ///
    /// As above.
    #[doc(hidden)]
    pub unsafe fn decide<P: Policy>(&mut self, policy: &mut P) -> Result {
        let long = |words: [u32; 2]| u64::from(words[1]) << 32 | u64::from(words[0]);
        let moment = Moment { step: long(self.step), steps: long(self.steps), rms: self.rms };
        let decision = policy.decide(&self.weight(), &self.declared(), &moment);
        self.prune = decision.prune;
        self.mask = decision.mask as u32;
        self.quantise = decision.quantise as u32;
        Ok(())
    }
}

/// Makes a type the plugin's policy: `gsc::policy! { Type, name: "two_four", version: "1.0.0", params: "begin: *1 | int & >=1" }`.
#[macro_export]
macro_rules! policy {
    ($policy:ty, name: $name:literal, version: $version:literal, params: $params:literal $(,)?) => {
        const _: () = {
            $crate::plugin! { $policy, $crate::Policy, "policy", $name, $version, "", $params }

            #[no_mangle]
            unsafe extern "C" fn gsc_declare(call: *mut $crate::policy::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |policy| (*call).declare(policy))
            }

            #[no_mangle]
            unsafe extern "C" fn gsc_decide(call: *mut $crate::policy::Call) -> u32 {
                $crate::with(core::ptr::addr_of_mut!(PLUGIN), |policy| (*call).decide(policy))
            }
        };
    };
}
