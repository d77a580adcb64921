//! Codecs of gradients, which ranks send each other in place of these.
const plugin = @import("plugin.zig");

/// Numbers or a code of them, as they lie in memory.
const Call = extern struct {
    numbers: u32,
    values: [*]f32,
    code: [*]u8,
    bytes: u32,
};

/// Makes the declarations of a codec gsc's exports: codeBytes, the length of the longest code of n numbers, 65,536 at most; encode, which says how long its code is, which begins at a multiple of 16; and
/// decode, which says error.BadInput of a code that encode would not have made, or gives finite numbers. A codec keeps nothing from call to call: what a code leaves out gsc adds to the next gradient.
pub fn exportCodec(comptime Codec: type) void {
    plugin.exportCommon(Codec, "policy", ", \"codec\": {\"contraction\": \"" ++ Codec.manifest.contraction ++ "\"}");
    const exports = struct {
        fn codeBytes(n: u32) callconv(.c) u32 {
            return @intCast(Codec.codeBytes(n));
        }
        fn encode(call: *Call) callconv(.c) u32 {
            call.bytes = @intCast(Codec.encode(call.values[0..call.numbers], call.code[0..Codec.codeBytes(call.numbers)]));
            return 0;
        }
        fn decode(call: *Call) callconv(.c) u32 {
            return plugin.status(Codec.decode(call.code[0..call.bytes], call.values[0..call.numbers]));
        }
    };
    @export(&exports.codeBytes, .{ .name = "gsc_code_bytes" });
    @export(&exports.encode, .{ .name = "gsc_encode" });
    @export(&exports.decode, .{ .name = "gsc_decode" });
}
