//! For authors of plugins of gsc in Zig: gsc's package plugins/abi is what they are held to.
//!
//! A loss is a file that declares what it is and two functions, and has them exported:
//!
//!     const gsc = @import("gsc/gsc.zig");
//!     pub const manifest = gsc.Manifest{ .name = "mine", .version = "1.0.0", .targets = .classes };
//!     pub fn init(params: gsc.Params) bool { ... }
//!     pub fn row(r: gsc.Row) f32 { ... }
//!     comptime {
//!         gsc.exportLoss(@This());
//!     }
//!
//! The other kinds have functions of their own beside init:
//!
//!     exportUnitLoss          pub fn unit(u: gsc.Unit) f32
//!     exportRecordTransform   pub fn record(r: gsc.Record, out: *gsc.Records) gsc.Error!void
//!     exportRowTransform      pub fn row(t: gsc.Tokens) gsc.Error!void
//!     exportPolicy            pub fn declare(w: gsc.Weight) gsc.Declaration
//!                             pub fn decide(w: gsc.Weight, declared: gsc.Declaration, moment: gsc.Moment) gsc.Decision
//!     exportCodec             pub fn codeBytes(n: usize) usize
//!                             pub fn encode(values: []const f32, code: []u8) usize
//!                             pub fn decode(code: []const u8, values: []f32) gsc.Error!void
const plugin = @import("plugin.zig");
const math = @import("math.zig");
const loss = @import("loss.zig");
const records = @import("records.zig");
const rows = @import("rows.zig");
const policy = @import("policy.zig");

pub const Manifest = plugin.Manifest;
pub const Params = plugin.Params;
pub const Error = plugin.Error;
pub const Random = plugin.Random;
pub const Column = plugin.Column;
pub const allocate = plugin.allocate;

pub const exp1 = math.exp1;
pub const exp4 = math.exp4;
pub const max = math.max;
pub const expSum = math.expSum;
pub const softmax = math.softmax;

pub const Row = loss.Row;
pub const Unit = loss.Unit;
pub const exportLoss = loss.exportLoss;
pub const exportUnitLoss = loss.exportUnitLoss;

pub const Record = records.Record;
pub const Records = records.Records;
pub const Span = records.Span;
pub const exportRecordTransform = records.exportRecordTransform;

pub const Tokens = rows.Tokens;
pub const exportRowTransform = rows.exportRowTransform;

pub const Weight = policy.Weight;
pub const Declaration = policy.Declaration;
pub const Moment = policy.Moment;
pub const Decision = policy.Decision;
pub const exportPolicy = policy.exportPolicy;

pub const exportCodec = @import("codec.zig").exportCodec;
