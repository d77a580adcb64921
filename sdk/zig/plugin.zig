//! What every kind of plugin has: a manifest, parameters, memory, and what calls return.
const std = @import("std");

/// What a plugin says of itself.
pub const Manifest = struct {
    /// Up to 64 letters, digits and _.-
    name: []const u8,
    version: []const u8,
    /// The fields of its parameters with their defaults, in CUE, such as "gamma: *2 | number & >=0", with each " in them written as \\\".
    params: []const u8 = "",

    /// Of a loss: a label for each row, or a number for each logit. Units have classes.
    targets: enum { classes, values } = .classes,
    /// Of a loss of units.
    unit: enum { sequences, pairs } = .sequences,
    /// Of a loss: further tensors, by name, such as "teacher_logits".
    inputs: []const []const u8 = &.{},

    /// Of a transform of records: in any order it knows nothing of those before.
    order: enum { any, sequential } = .any,
    /// Of a transform of records: how long one may be.
    record_bytes: u32 = 4 << 20,
    /// Of a transform of rows: rows of evaluation are changed, too, where the strategy does not say.
    evaluates: bool = false,
    /// Of a transform of rows: it labels tokens with token ids.
    labels_tokens: bool = false,
    /// Of a transform of rows: it changes weights.
    weights: bool = false,

    /// Of a codec: a number δ in (0, 1], or the name of the parameter that is it, with ‖x − decode(encode(x))‖² ≤ (1 − δ)·‖x‖² for every x.
    contraction: []const u8 = "",
};

/// A member of a manifest that is a text, behind others.
pub fn member(comptime name: []const u8, comptime text: []const u8) []const u8 {
    return ", \"" ++ name ++ "\": \"" ++ text ++ "\"";
}

/// A member that is there where it is true.
pub fn flag(comptime name: []const u8, comptime yes: bool) []const u8 {
    return if (yes) ", \"" ++ name ++ "\": true" else "";
}

/// What the strategy gives a plugin: a JSON object, which holds to the schema in the manifest, and in which the schema's defaults are filled in. Members that are objects or lists are for std.json: json
/// is the whole.
pub const Params = struct {
    json: []const u8,

    /// A member that the schema says is a number; null where there is none by that name.
    pub fn number(self: Params, name: []const u8) ?f64 {
        const value = self.member(name) orelse return null;
        const stop = std.mem.indexOfAny(u8, value, ",}] \t\r\n") orelse value.len;
        return std.fmt.parseFloat(f64, value[0..stop]) catch null;
    }

    /// A member that the schema says is a bool; null where there is none by that name.
    pub fn flag(self: Params, name: []const u8) ?bool {
        return std.mem.startsWith(u8, self.member(name) orelse return null, "true");
    }

    /// A member that the schema says is a string, in UTF-8 at the beginning of into; null where there is none by that name, or no room for it.
    pub fn text(self: Params, name: []const u8, into: []u8) ?[]const u8 {
        const value = self.member(name) orelse return null;
        if (value[0] != '"') return null;
        var at: usize = 1;
        var n: usize = 0;
        while (at < value.len and value[at] != '"') {
            var bytes = [4]u8{ value[at], 0, 0, 0 };
            var many: usize = 1;
            at += 1;
            if (bytes[0] == '\\') {
                if (at >= value.len) return null;
                bytes[0] = switch (value[at]) {
                    'b' => 8,
                    'f' => 12,
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    else => value[at],
                };
                at += 1;
                if (bytes[0] == 'u') {
                    var c: u21 = unit(value, at) orelse return null;
                    at += 4;
                    const second: u21 = if (std.mem.startsWith(u8, value[at..], "\\u")) unit(value, at + 2) orelse return null else 0;
                    if (c >> 10 == 0xd800 >> 10 and second >> 10 == 0xdc00 >> 10) {
                        c = 0x10000 + ((c & 0x3ff) << 10 | (second & 0x3ff));
                        at += 6;
                    } else if (c >> 11 == 0xd800 >> 11) c = std.unicode.replacement_character;
                    many = std.unicode.utf8Encode(c, &bytes) catch return null;
                }
            }
            if (n + many > into.len) return null;
            @memcpy(into[n..][0..many], bytes[0..many]);
            n += many;
        }
        return into[0..n];
    }

    /// The text from a member's value on, which is not empty.
    fn member(self: Params, name: []const u8) ?[]const u8 {
        const json = self.json;
        var depth: usize = 0;
        var at: usize = 0;
        while (at < json.len) : (at += 1) switch (json[at]) {
            '{', '[' => depth += 1,
            '}', ']' => depth -|= 1,
            '"' => {
                const from = at + 1;
                at = from;
                while (at < json.len and json[at] != '"') : (at += 1) {
                    if (json[at] == '\\') at += 1;
                }
                if (at >= json.len) return null;
                const rest = std.mem.trimStart(u8, json[at + 1 ..], blanks);
                if (depth != 1 or rest.len == 0 or rest[0] != ':' or !std.mem.eql(u8, json[from..at], name)) continue;
                const value = std.mem.trimStart(u8, rest[1..], blanks);
                return if (value.len == 0) null else value;
            },
            else => {},
        };
        return null;
    }

    const blanks = " \t\r\n";

    /// The 16-bit unit of four hexadecimal digits.
    fn unit(digits: []const u8, at: usize) ?u21 {
        if (at + 4 > digits.len) return null;
        return std.fmt.parseInt(u16, digits[at..][0..4], 16) catch null;
    }
};

/// Why a call did not do what it should: it does not take this input, has no memory left, or failed otherwise.
pub const Error = error{ BadInput, NoMemory, Failed };

/// The status of a call.
pub fn status(result: Error!void) u32 {
    result catch |err| return switch (err) {
        error.BadInput => 2,
        error.NoMemory => 3,
        error.Failed => 4,
    };
    return 0;
}

/// Exports what plugins of all kinds do: Plugin's manifest, of a kind, with what says more of that; memory; and its function init.
pub fn exportCommon(comptime Plugin: type, comptime kind: []const u8, comptime more: []const u8) void {
    const m = Plugin.manifest;
    const text = "{\"abi\": 1" ++ member("kind", kind) ++ member("name", m.name) ++ member("version", m.version) ++ member("params", m.params) ++ more ++ "}";
    const exports = struct {
        fn describe() callconv(.c) u64 {
            return @as(u64, text.len) << 32 | @intFromPtr(text.ptr);
        }
        fn init(params: [*]const u8, length: u32) callconv(.c) u32 {
            return if (Plugin.init(.{ .json = params[0..length] })) 0 else 1;
        }
    };
    @export(&exports.describe, .{ .name = "gsc_manifest" });
    @export(&alloc, .{ .name = "gsc_alloc" });
    @export(&exports.init, .{ .name = "gsc_init" });
}

/// Room for so many elements, which is never freed; null when there is no more.
pub fn room(comptime T: type, n: usize) ?[]T {
    const bytes = @as(u64, n) * @sizeOf(T);
    if (bytes > std.math.maxInt(u32)) return null;
    const at = alloc(@intCast(bytes));
    if (at == 0) return null;
    return @as([*]T, @ptrFromInt(at))[0..n];
}

/// Room for so many floats, which is never freed; null when there is no more.
pub fn allocate(n: usize) ?[]f32 {
    return room(f32, n);
}

const page_bytes = 65536;
var next: u64 = 0; // what is free of the pages that were taken
var end: u64 = 0;

fn alloc(bytes: u32) callconv(.c) u32 {
    const size = (@as(u64, bytes) + 15) & ~@as(u64, 15);
    if (next + size > end) {
        const pages = (size + page_bytes - 1) / page_bytes;
        const page = @wasmMemoryGrow(0, @intCast(pages));
        if (page < 0) return 0;
        next = @as(u64, @intCast(page)) * page_bytes;
        end = next + pages * page_bytes;
    }
    defer next += size;
    return @intCast(next);
}

/// Elements, as many as are added, at a multiple of 16. Its memory is never freed: what is cleared is used again, and what grows leaves its old place behind.
pub fn Column(comptime T: type) type {
    return struct {
        const Self = @This();
        items: []T = &.{},
        all: []T = &.{},

        pub fn add(self: *Self, more: []const T) Error!void {
            const length = self.items.len + more.len;
            if (length > self.all.len) {
                const larger = room(T, @max(length, 2 * self.all.len, 64)) orelse return error.NoMemory;
                @memcpy(larger[0..self.items.len], self.items);
                self.all = larger;
            }
            @memcpy(self.all[self.items.len..length], more);
            self.items = self.all[0..length];
        }

        /// Takes away all but the first.
        pub fn truncate(self: *Self, length: usize) void {
            self.items = self.all[0..length];
        }
    };
}

/// Some elements of a column of gsc's, from one on; none, where there is no such column.
pub fn part(comptime T: type, column: ?[*]const T, from: usize, n: usize) []const T {
    return if (column) |c| (c + from)[0..n] else &.{};
}

/// As part, of one that a plugin writes.
pub fn written(comptime T: type, column: ?[*]T, from: usize, n: usize) []T {
    return if (column) |c| (c + from)[0..n] else &.{};
}

/// Random numbers that begin with a seed, as gsc gives one for each record and row (SplitMix64: Steele, Lea and Flood, OOPSLA 2014, section 5).
pub const Random = struct {
    state: u64,

    /// 64 random bits.
    pub fn bits(self: *Random) u64 {
        self.state +%= 0x9e3779b97f4a7c15;
        var z = self.state;
        z = (z ^ (z >> 30)) *% 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) *% 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

    /// A number in [0, 1).
    pub fn uniform(self: *Random) f64 {
        return @as(f64, @floatFromInt(self.bits() >> 11)) * 0x1p-53;
    }
};
