//! Compression policies: what is pruned and rounded, and when.
const plugin = @import("plugin.zig");

/// A weight of the model. A policy sees none of its elements.
pub const Weight = struct {
    /// Its Hugging Face name.
    name: []const u8,
    /// The matrix of a linear layer, or a table of embeddings.
    kind: enum(u32) { linear, table },
    /// Each of its outputs is a sum over so many elements.
    in: u32,
    out: u32,
    /// Of attention, that its elements belong to; 0: none.
    heads: u32,
};

/// All that may ever happen to a weight.
pub const Declaration = struct {
    /// What is pruned together: single elements, the least of all; of each few neighbours along the input; whole outputs; heads.
    pattern: enum(u32) { none, elements, neighbours, outputs, heads } = .none,
    /// Neighbours that are pruned among themselves; they must divide in.
    of: u32 = 0,
    /// The largest share that is ever pruned, below 1.
    sparsity: f32 = 0,
    /// 8 or 4; 0: it is never rounded.
    bits: u32 = 0,
    /// Neighbours along the input that share a scale, which must divide in; 0: all of an output's.
    group: u32 = 0,
    /// Zero is in the middle of what the bits can say; otherwise there are zero points.
    symmetric: bool = false,
};

/// When a policy is asked.
pub const Moment = struct {
    /// The step, from 1, and how many the run has.
    step: u64,
    steps: u64,
    /// The root of the mean square of the weight's elements behind the last update, before they are pruned and rounded; 0 before the first step.
    rms: f32,
};

/// What holds from a step's update on, within what was declared.
pub const Decision = struct {
    /// The share that is pruned.
    prune: f32 = 0,
    /// The mask is made anew, by the weight's elements as they are.
    mask: bool = false,
    /// The weight is rounded.
    quantise: bool = false,
};

/// A question about a weight, as it lies in memory.
const Call = extern struct {
    name: [*]const u8,
    name_bytes: u32,
    kind: u32,
    in: u32,
    out: u32,
    heads: u32,
    step: [2]u32,
    steps: [2]u32,
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

    fn weight(call: *const Call) Weight {
        return .{ .name = call.name[0..call.name_bytes], .kind = @enumFromInt(call.kind), .in = call.in, .out = call.out, .heads = call.heads };
    }
};

fn long(words: [2]u32) u64 {
    return @as(u64, words[1]) << 32 | words[0];
}

/// Makes the declarations of a policy gsc's exports. A run that is resumed asks for any step first: what is decided follows from the arguments alone.
pub fn exportPolicy(comptime Policy: type) void {
    plugin.exportCommon(Policy, "policy", "");
    const exports = struct {
        fn declare(call: *Call) callconv(.c) u32 {
            const d: Declaration = Policy.declare(call.weight());
            call.pattern = @intFromEnum(d.pattern);
            call.of = d.of;
            call.sparsity = d.sparsity;
            call.bits = d.bits;
            call.group = d.group;
            call.symmetric = @intFromBool(d.symmetric);
            return 0;
        }
        fn decide(call: *Call) callconv(.c) u32 {
            const declared = Declaration{ .pattern = @enumFromInt(call.pattern), .of = call.of, .sparsity = call.sparsity, .bits = call.bits, .group = call.group, .symmetric = call.symmetric != 0 };
            const d: Decision = Policy.decide(call.weight(), declared, .{ .step = long(call.step), .steps = long(call.steps), .rms = call.rms });
            call.prune = d.prune;
            call.mask = @intFromBool(d.mask);
            call.quantise = @intFromBool(d.quantise);
            return 0;
        }
    };
    @export(&exports.declare, .{ .name = "gsc_declare" });
    @export(&exports.decide, .{ .name = "gsc_decide" });
}
